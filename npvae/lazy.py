"""Lazy imports: names that are imported at their first use (PEP 562)."""
import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def names(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """A ``__getattr__`` for ``package``.

    Parameters
    ----------
    package : str
        Its ``__name__``.
    homes : mapping of str to str
        Name → the module that has it, or that it is.

    Examples
    --------
    >>> names("npvae.data", {"load_mnist": "npvae.data.mnist"})("load_mnist").__module__
    'npvae.data.mnist'
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = importlib.import_module(homes[name])
        value = module if homes[name] == f"{package}.{name}" else getattr(module, name)
        setattr(sys.modules[package], name, value)
        return value

    return get
