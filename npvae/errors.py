"""What can go wrong, one class each.

Every message is one line: what was wrong, with the offending value, and what to do.
Each class is also the built-in that a caller would expect, so ``except ValueError`` works.
The command line prints any ``NpvaeError`` as that one line and exits with 1.
"""
import importlib
from collections.abc import Iterable
from typing import Any

from npvae import install


class NpvaeError(Exception):
    """Base of every error that npvae raises on purpose."""


class ParameterError(NpvaeError, ValueError):
    """A size, a name or an option that cannot be used."""


class DataError(NpvaeError, ValueError, TypeError):
    """Data that cannot be used: missing, of the wrong shape or type, or outside its range."""


class ModelFileError(NpvaeError, ValueError):
    """A model or checkpoint file that is missing, damaged, foreign or cannot be written."""


class NotFittedError(NpvaeError, ValueError, AttributeError):
    """A result was asked of a model that has no parameters yet."""


class BackendError(NpvaeError, RuntimeError):
    """The array backend cannot be used: CuPy missing, or no device."""


class NumericalError(NpvaeError, ArithmeticError):
    """A computation left the finite numbers."""


class MissingExtraError(NpvaeError, ImportError):
    """An optional package is needed, and is not installed or is broken."""


def optional_import(module: str, extra: str) -> Any:
    """Import ``module``, or say which pip command brings it or mends it.

    Parameters
    ----------
    module : str
        Dotted name, e.g. ``"matplotlib.pyplot"``.
    extra : str
        The extra of npvae that declares it, e.g. ``"plot"``.

    Raises
    ------
    MissingExtraError
        If it is not installed, or cannot be imported though it is.
    """
    package = module.partition(".")[0]
    try:
        importlib.import_module(package)  # first: whether this is missing is what matters
        return importlib.import_module(module)
    except Exception as error:  # of a package built for another NumPy it may be any
        if isinstance(error, ModuleNotFoundError) and error.name == package:
            raise MissingExtraError(
                f"this needs {package}, which is not installed: {install.command(extra)}"
            ) from error
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]
        raise MissingExtraError(
            f"this needs {package}, which is installed but broken ({reason}): "
            f"{install.repair(package)}"
        ) from error


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """What ``word`` may have been meant for, to end a message with; empty if nothing is near it.

    Examples
    --------
    >>> did_you_mean("trian", ["train", "evaluate"])
    "; did you mean 'train'?"
    >>> did_you_mean("--lat", ["--latent-dim", "--hidden"])
    "; did you mean '--latent-dim'?"
    >>> did_you_mean("xyz", ["train", "evaluate"])
    ''
    """
    from difflib import get_close_matches  # costs milliseconds, and few words are wrong

    names, word = {name.casefold(): name for name in known}, word.casefold()
    longer = [name for name in names if len(word) > 2 and name.startswith(word)]
    near = longer[:3] or get_close_matches(word, names, n=1)
    return f"; did you mean {' or '.join(repr(names[name]) for name in near)}?" if near else ""
