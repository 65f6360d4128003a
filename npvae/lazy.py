"""Lazy imports: names that are imported at their first use (PEP 562)."""
import importlib
import os
import sys
from collections.abc import Callable, Iterable, Mapping
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


def of_files(package: str, names_in: Mapping[str, tuple[str, ...]]) -> Callable[[str], Any]:
    """The same, where the names are those of the package's own files: file → names in it."""
    homes = {name: f"{package}.{file}" for file, all_of in names_in.items() for name in all_of}
    return names(package, homes)


def modules(path: Iterable[str]) -> list[str]:
    """The names of the modules of a package, whose ``__path__`` is given, in alphabetical order.

    As pkgutil has it, of which the import alone takes a millisecond.
    """
    files = sorted(file for folder in path for file in os.listdir(folder))
    return [file[:-3] for file in files if file.endswith(".py") and file != "__init__.py"]
