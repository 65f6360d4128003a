"""A run's options as flat TOML: ``key = value``, one a line, for people to read and edit.

Python reads TOML (``tomllib``) but does not write it. The subset written here is small: TOML's
basic strings are JSON's strings but for DEL, and its numbers and lists look like Python's.
"""
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from npvae.errors import ParameterError
from npvae.io.atomic import StrPath, atomic_write, reading


def write_toml(path: StrPath, mapping: Mapping[str, Any]) -> Path:
    """Write a flat mapping, in its order, so that :func:`read_toml` gives it back.

    Parameters
    ----------
    path : path
        Replaced atomically; its folder must exist.
    mapping : dict of str to str, bool, int, float, None, or a list or tuple of these
        TOML has no null: a key whose value is None is left out. Tuples come back as lists.

    Returns
    -------
    Path
        ``path``.

    Raises
    ------
    ParameterError
        Naming a key whose value TOML cannot hold; nothing is written.
    ModelFileError
        If the file cannot be written; what stood there is untouched.
    """
    lines = []
    for key, value in mapping.items():
        if value is None:
            continue
        try:
            lines.append(f"{_key(key)} = {_value(value)}\n".encode())
        except (TypeError, ValueError) as error:
            raise ParameterError(
                f"{key!r} cannot be written as TOML: {error}; "
                "use str, bool, int, float, and lists of these"
            ) from error
    with atomic_write(path) as file:
        file.writelines(lines)
    return Path(path)


def read_toml(path: StrPath) -> dict[str, Any]:
    """Read a TOML file.

    Raises
    ------
    ModelFileError
        If the file is missing or cannot be read.
    ParameterError
        If it is not TOML, with the line and the column.
    """
    import tomllib  # a large module that a deployment never needs

    with reading(path) as file:
        try:
            return tomllib.load(file)
        except (ValueError, RecursionError) as error:
            raise ParameterError(f"{path}: not valid TOML: {error}; mend that line") from error


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _value(key)


def _value(value: Any) -> str:
    """One value as TOML.

    >>> print(_value(("a\\nb", 1e-3, True)))
    ["a\\nb", 0.001, true]
    """
    match value:
        case bool():  # before int: True is an int
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return repr(float(value))  # repr of NumPy's own subclass is 'np.float64(...)'
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", r"\u007f")
        case dict():
            pairs = [f"{_key(k)} = {_value(v)}" for k, v in value.items() if v is not None]
            return "{" + ", ".join(pairs) + "}"
        case list() | tuple():
            return f"[{', '.join(_value(item) for item in value)}]"
    raise TypeError(f"it holds a {type(value).__name__}")
