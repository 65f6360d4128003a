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
from npvae.io.strict_json import check_depth

LARGEST = 2**16  # bytes; a run's config has a thousand


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
        raw = file.read(LARGEST + 1)
    if len(raw) > LARGEST:
        raise ParameterError(f"{path}: larger than {LARGEST:,} bytes, and so no config; check it")
    try:
        text = raw.decode()
        check_keys(text)
        found = tomllib.loads(text)
        check_depth(found)
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ParameterError(f"{path}: not valid TOML: {reason}; mend that line") from error
    return found


def check_keys(text: str) -> None:
    """Raise a ValueError for a key of very many parts, ``a.b.c…``.

    ``tomllib`` takes time and memory by the square of their number: 1.4 GB for 40 kB of them.

    Examples
    --------
    >>> check_keys("a.b = 1")
    >>> check_keys(".".join("a" * 100) + " = 1")
    Traceback (most recent call last):
    ValueError: a key of 20 or more parts (at line 1)
    """
    for number, line in enumerate(text.splitlines(), 1):
        bare = re.sub(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'', "s", line)
        if re.search(r"(?<![\w-])(?:[\w-]+[ \t]*\.[ \t]*){19}", bare):
            raise ValueError(f"a key of 20 or more parts (at line {number})")


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
