"""JSON lines: one object a line, which people, ``grep`` and every language can read."""
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from npvae.errors import ModelFileError, ParameterError
from npvae.io.atomic import StrPath, atomic_write
from npvae.io.strict_json import parse_json


def to_json(mapping: Mapping[str, Any]) -> str:
    """``mapping`` as one line of standard JSON: ASCII, no NaN, no infinity.

    Raises
    ------
    ParameterError
        Naming the first value that JSON cannot hold.

    Examples
    --------
    >>> to_json({"hidden": (500,), "beta": None})
    '{"hidden": [500], "beta": null}'
    """
    try:
        return json.dumps(dict(mapping), allow_nan=False)
    except (TypeError, ValueError):
        for key, value in mapping.items():
            try:
                json.dumps({key: value}, allow_nan=False)
            except (TypeError, ValueError) as error:
                raise ParameterError(
                    f"{key!r} cannot be written as JSON: {error}; "
                    "use None, bool, int, finite float, str, and lists and dicts of these"
                ) from error
        raise


def write_jsonl(path: StrPath, rows: Iterable[Mapping[str, Any] | str]) -> None:
    """Write each row as one line of JSON; the file appears complete, or stays as it was.

    A row may be a line already, as :func:`to_json` makes it.

    Raises
    ------
    ParameterError
        If a value is not JSON's: NaN, infinite, an array.
    ModelFileError
        If the file cannot be written.
    """
    lines = [row if isinstance(row, str) else to_json(row) for row in rows]
    with atomic_write(path) as file:
        file.writelines(line.encode() + b"\n" for line in lines)


def read_jsonl(path: StrPath) -> list[dict[str, Any]]:
    """The rows of a file, in order; none if there is no file.

    Raises
    ------
    ModelFileError
        If a line is no JSON object.
    """
    path = Path(path)
    if not path.exists():
        return []
    rows = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            row = parse_json(line)
            if not isinstance(row, dict):
                raise ValueError("it is no JSON object")
        except ValueError as error:
            raise ModelFileError(
                f"{path} is damaged in line {number}; delete it to do without"
            ) from error
        rows.append(row)
    return rows
