"""What the columns of a table are: features, labels, or an index that counts the rows.

A model of a table learns whatever is in its columns, the number of a row as well. So a column that
its name shows to be an index or labels is left out, and said to be; what shows itself by its values
alone is asked about.
"""
import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from pathlib import Path

from npvae.data.delimited import WHOLE, counts, is_number
from npvae.errors import DataError

Column = str | int  # its name, or its place from 0; from the end where negative
INDEX_NAMES = re.compile(
    r"|index|idx|id|row|rows|row_?names?|row_?(id|index|number)|level_0|unnamed: 0"
    r"|__index_level_0__", re.I,
)  # fmt: skip
LABEL_NAMES = re.compile(r"labels?|class(es)?|targets?|categor(y|ies)|species", re.I)


@dataclass(frozen=True)
class Asked:
    """What was asked for of the columns and the header of a table.

    Attributes
    ----------
    label, index : str, int or None
    drop : sequence of str or int
    header : bool or None
        Whether the first row names the columns; None leaves it to be concluded.
    """

    label: Column | None = None
    index: Column | None = None
    drop: Sequence[Column] = ()
    header: bool | None = None

    def __bool__(self) -> bool:
        return self != Asked()


@dataclass(frozen=True)
class Columns:
    """The places of the features, that of the labels, and in words what was left out."""

    features: list[int]
    label: int | None
    notes: list[str]


def assign(
    path: Path, names: Sequence[str] | None, width: int, sample: Sequence[Sequence[str]],
    asked: Asked,
) -> Columns:  # fmt: skip
    """What each column is.

    Parameters
    ----------
    names : sequence of str or None
        Of the ``width`` columns, if they have any.
    sample : sequence of sequence of str
        The first rows.

    Raises
    ------
    DataError
        If a column that was asked for is not there, no feature is left, or it is not clear what
        a column is.
    """
    columns = list(zip(*(row for row in sample if len(row) == width), strict=True))
    columns = columns or [()] * width

    def name(j: int) -> str:
        return f"column {names[j]!r}" if names and names[j] else f"column {j}"

    dropped = [_place(path, column, names, width) for column in asked.drop]
    label = None if asked.label is None else _place(path, asked.label, names, width)
    index = None if asked.index is None else _place(path, asked.index, names, width)
    if index is None:
        index = _index(path, names, columns, {*dropped, label})
    if label is None:
        label = _label(path, names, columns, {*dropped, index})
    left_out = {j for j in (index, label, *dropped) if j is not None}
    features = [j for j in range(width) if j not in left_out]
    if not features:
        raise DataError(f"{path} has no column left to model: leave fewer out")
    if names is None and not left_out:
        _ask_about_unnamed(path, columns)
    notes = []
    if index is not None:
        notes.append(f"{name(index)} is an index and left out")
    if label is not None:
        notes.append(f"{name(label)} holds labels and is left out")
    if dropped:
        notes.append(f"{', '.join(map(name, dropped))} left out as asked")
    return Columns(features, label, notes)


def _place(path: Path, column: Column, names: Sequence[str] | None, width: int) -> int:
    """Where a column stands that is asked for by name, or by place where none has that name."""
    if names and str(column) in names:
        if names.count(str(column)) > 1:
            raise DataError(f"{path} has several columns {column!r}: name it by its place, from 0")
        return names.index(str(column))
    if WHOLE.fullmatch(str(column)) and -width <= int(column) < width:
        return int(column) % width
    known = ", ".join(map(repr, names[:20])) if names else f"0 to {width - 1}, without names"
    raise DataError(f"{path} has no column {column!r}: its columns are {known}")


def _index(
    path: Path, names: Sequence[str] | None, columns: Sequence[Sequence[str]],
    taken: set[int | None],
) -> int | None:  # fmt: skip
    """A column named as an index is, of whole numbers or words; or the first, if it has no name."""
    for j, name in enumerate(names or ()):
        if j in taken or not INDEX_NAMES.fullmatch(name):
            continue
        whole = not any(is_number(v) and not WHOLE.fullmatch(v.strip()) for v in columns[j])
        if whole and (name or j == 0):
            return j
        if not name and j == 0:
            raise DataError(f"{path} has no name for its first column, of {columns[0][0]}: an "
                            "index? leave it out with --index-column 0, or name it")
    return None


def _label(
    path: Path, names: Sequence[str] | None, columns: Sequence[Sequence[str]],
    taken: set[int | None],
) -> int | None:  # fmt: skip
    """A column named as labels are; or ``y`` of whole numbers or words, if there is no ``x``."""
    named = [j for j, name in enumerate(names or ())
             if LABEL_NAMES.fullmatch(name) and j not in taken]  # fmt: skip
    if names and not named and "y" in names and not {"x", "X"} & {*names}:
        j = names.index("y")
        whole = not any(is_number(v) and not WHOLE.fullmatch(v.strip()) for v in columns[j])
        named = [j] if whole and j not in taken else []
    if names and len(named) > 1:
        raise DataError(f"{path} may have labels in {' or '.join(repr(names[j]) for j in named)}: "
                        "say which with --label-column, and --drop the others")
    return named[0] if named else None


def _ask_about_unnamed(path: Path, columns: Sequence[Sequence[str]]) -> None:
    """Refuse a table without names that seems to have an index, or labels beside an image."""
    rows, width = columns[0], len(columns)
    if width > 1 and len(rows) > 2 and counts(rows):
        raise DataError(f"{path} has no header, and its first column counts the rows: leave it "
                        "out with --index-column 0, or keep it by naming the columns")
    side = isqrt(width - 1)
    if side >= 4 and side * side == width - 1:
        for j in (0, width - 1):
            values = {field.strip() for field in columns[j]}
            if all(map(WHOLE.fullmatch, values)) and 1 < len(values) <= 1 + len(rows) // 2:
                raise DataError(f"{path} has no header, and {width} columns: an image of {side} x "
                                f"{side} and labels? say --label-column {j}, or name the columns")
