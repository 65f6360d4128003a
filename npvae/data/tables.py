"""Tables: text with a row a line (``.csv``, ``.tsv``, ``.txt``, …), Parquet and Feather.

Text needs nothing but Python and NumPy. Every field of a feature is a number or the file is refused
by line and column: a parser that fills gaps with NaN, or skips a line, changes the data in silence.
Parquet and Feather are read by pyarrow, the extra ``tables``.
"""
from array import array
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np

from npvae.data import disk_rows
from npvae.data.bounds import TEXT_ROOM, check_claim, decompress
from npvae.data.columns import Asked, Columns, assign
from npvae.data.contents import Contents, count
from npvae.data.delimited import Delimited, conclude, is_boolean, is_missing, is_number
from npvae.data.disk_rows import DiskRows
from npvae.errors import DataError, optional_import

TEXT_SUFFIXES = (".csv", ".tsv", ".tab", ".txt", ".dat", ".data")
ARROW_SUFFIXES = (".parquet", ".pq", ".feather", ".arrow")
EXACT = 2**53  # whole numbers up to it are exact in float64


def read_text(path: Path, asked: Asked) -> Contents:
    """A table in a text, compressed or not.   values (N, D) float64"""
    table = conclude(path, decompress(path, TEXT_ROOM), asked.header)
    columns = assign(path, table.names, table.width, table.sample, asked)
    rows = _whole_rows(path, table)
    values, labels = array("d"), list[str]()
    pick, convert = _picker(columns.features), CONVERT[table.decimal]
    for line, row in rows:
        fields = pick(row)
        try:
            numbers = convert(fields)
        except ValueError:
            numbers = np.array([_number(path, table, line, j, row) for j in columns.features])
        if not np.isfinite(numbers).all():
            j = columns.features[int(np.argmin(np.isfinite(numbers)))]
            raise _refusal(path, table, line, j, row[j])
        values.frombytes(numbers.tobytes())
        if columns.label is not None:
            labels.append(row[columns.label].strip())
    X = np.frombuffer(values).reshape(-1, len(columns.features))  # (N, D)
    if max(X.max(initial=0), -X.min(initial=0)) >= EXACT:
        _refuse_inexact(path, table, columns)
    notes = [*table.notes(), *columns.notes]
    return Contents(X, _labels(labels), notes, _may_be_images(table.names, columns))


def _whole_rows(path: Path, table: Delimited) -> Iterator[tuple[int, list[str]]]:
    """The rows of a table, all of its width; blank lines between them are passed over."""
    blank, width = 0, table.width
    for line, row in table.rows():
        if not row or (row == [""] and width > 1):
            blank = line
            continue
        if blank and width == 1:
            raise DataError(f"{path}, line {blank}, is blank: fill in the value or remove it")
        if len(row) != width:
            raise DataError(f"{path}, line {line}, has {count(len(row), 'field')}, and others "
                            f"{width}: correct or remove it")
        yield line, row


def _picker(features: Sequence[int]) -> Callable[[list[str]], Sequence[str]]:
    """What takes the fields of the features from a row."""
    if features == list(range(len(features))):
        return lambda row: row[:len(features)]
    return itemgetter(*features) if len(features) > 1 else lambda row: [row[features[0]]]


def _with_points(fields: Sequence[str]) -> np.ndarray:
    """The numbers that some fields are, (D,); a ValueError if one is none."""
    joined = "".join(fields)
    if "_" in joined or not joined.isascii():  # float takes 1_000, and the digits of any script
        raise ValueError("no number as tables write it")
    return np.fromiter(map(float, fields), np.float64, len(fields))


def _with_commas(fields: Sequence[str]) -> np.ndarray:
    if "." in "".join(fields):
        raise ValueError("a point is no decimal mark where commas are")
    return _with_points([field.replace(",", ".") for field in fields])


CONVERT = {".": _with_points, ",": _with_commas}  # by the decimal mark


def _number(
    path: Path, table: Delimited, line: int, j: int, row: Sequence[str]
) -> float:
    """The number in a field; 1 for True and 0 for False, in a column of them."""
    field = row[j].strip()
    if is_boolean(field) and all(is_boolean(first[j]) for first in table.sample if first[j:]):
        return float(field.casefold() == "true")
    try:
        return float(CONVERT[table.decimal]([field])[0])
    except ValueError:
        raise _refusal(path, table, line, j, field) from None


def _refusal(path: Path, table: Delimited, line: int, j: int, field: str) -> DataError:
    """What to say of a field that is no number."""
    name = table.names[j] if table.names and table.names[j] else str(j)
    where = f"{path}, line {line}, column {name!r}"
    drop = f"--drop {quote(name)}"
    if is_missing(field):
        return DataError(f"{where}, has no value ({field!r}): fill it in, remove the line, or "
                         f"leave the column out with {drop}")
    if not any(is_number(row[j]) for row in table.sample if j < len(row)):
        return DataError(f"{where}, is text ({field!r}): use the column as labels with "
                         f"--label-column {quote(name)}, or leave it out with {drop}")
    return DataError(f"{where}, is {field!r}, which is no number: correct it, or leave the column "
                     f"out with {drop}")


def _refuse_inexact(path: Path, table: Delimited, columns: Columns) -> None:
    """Raise a DataError at a whole number with more digits than float64 keeps."""
    for line, row in _whole_rows(path, table):
        for j in columns.features:
            field = row[j].strip()
            if field.lstrip("+-").isdigit() and int(field) != float(field):
                name = table.names[j] if table.names else j
                raise DataError(f"{path}, line {line}, column {name!r}, is {field}, which has more "
                                "digits than float64 keeps: leave it out, or store a difference")


def _labels(words: Sequence[str]) -> np.ndarray | None:
    """Labels as whole numbers if all are, as numbers if all are, else as words."""
    if not words:
        return None
    for dtype in (np.int64, np.float64):
        try:
            return np.array(words).astype(dtype)
        except (ValueError, OverflowError):
            pass
    return np.array(words)


def _may_be_images(names: Sequence[str] | None, columns: Columns) -> bool:
    """Whether columns may be pixels: they have no names, or numbers in them."""
    return names is None or all(any(map(str.isdigit, names[j])) for j in columns.features)


def read_arrow(path: Path, asked: Asked) -> Contents:
    """A Parquet or Feather file.   values (N, D), of the columns' common dtype"""
    if path.suffix.lower() in (".parquet", ".pq"):
        file = optional_import("pyarrow.parquet", "tables").ParquetFile(path)
        if 8 * file.metadata.num_rows * file.metadata.num_columns > disk_rows.LARGE:
            return leave_parquet(path, asked)
        check_claim(path, 8 * file.metadata.num_rows * file.metadata.num_columns)
        table = file.read()
    else:
        table = optional_import("pyarrow.feather", "tables").read_table(path)
    kept = (table.schema.pandas_metadata or {}).get("index_columns", ())
    index = [name for name in kept if isinstance(name, str) and name in table.column_names]
    table = table.drop_columns(index)
    names, rows = list(table.column_names), table.slice(0, 100)
    sample = list(zip(*([str(v) for v in c.to_pylist()] for c in rows.columns), strict=True))
    columns = assign(path, names, len(names), sample, asked)
    labels = None if columns.label is None else np.array(table.column(columns.label).to_pylist())
    values = _arrow_matrix(path, table, [names[j] for j in columns.features])  # (N, D)
    notes = [*(f"{name!r} is an index and left out" for name in index), *columns.notes]
    return Contents(values, labels, notes, _may_be_images(names, columns))


def leave_parquet(path: Path, asked: Asked) -> Contents:
    """The same of a Parquet file whose rows stay on the disk: a row group is unpacked at a time."""
    parquet = optional_import("pyarrow.parquet", "tables")
    with parquet.ParquetFile(path) as file:
        schema, groups = file.schema_arrow, file.metadata
        kept = (schema.pandas_metadata or {}).get("index_columns", ())
        names = [name for name in schema.names if name not in kept]
        batches = [next(file.iter_batches(100, columns=names))]
    head = optional_import("pyarrow", "tables").Table.from_batches(batches)
    sample = list(zip(*([str(v) for v in c.to_pylist()] for c in head.columns), strict=True))
    columns = assign(path, names, len(names), sample, asked)
    wanted = [names[j] for j in columns.features]
    dtype = _arrow_matrix(path, head, wanted).dtype
    sizes = [groups.row_group(i).num_rows for i in range(groups.num_row_groups)]
    ends = np.cumsum(sizes)
    last = [(-1, np.empty((0, 0)))]  # a row group's number, and its rows

    def group(i: int) -> np.ndarray:
        number, rows = last[0]
        if number != i:
            with parquet.ParquetFile(path) as file:
                rows = _arrow_matrix(path, file.read_row_group(i, columns=wanted), wanted, dtype)
            last[0] = i, rows
        return rows

    def read(start: int, stop: int) -> np.ndarray:
        first, end = np.searchsorted(ends, [start, stop - 1], side="right")
        parts = [group(i)[max(0, start - ends[i] + sizes[i]) : stop - ends[i] + sizes[i]]
                 for i in range(first, end + 1)]  # fmt: skip
        return np.concatenate(parts)

    rows = DiskRows(
        read, (len(wanted),), dtype, str(path), ((0, groups.num_rows),), max(sizes)
    )
    notes = [*(f"{name!r} is an index and left out" for name in kept), *columns.notes]
    if columns.label is not None:
        notes.append("labels not read")
    return Contents(rows, None, notes, _may_be_images(names, columns))


def _arrow_matrix(path: Path, table: Any, names: Sequence[str], dtype: Any = None) -> np.ndarray:
    """Columns side by side, in the dtype that all have in common, or one that is given.   (N, D)"""
    arrays = [_arrow_array(path, name, table.column(name)) for name in names]
    dtype = dtype or np.result_type(*arrays)
    for name, a in zip(names, arrays, strict=True):
        if a.dtype.kind in "iu" and dtype.kind == "f" and np.abs(a.astype(float)).max() >= EXACT:
            raise DataError(f"{path}, column {name!r}, has more digits than {dtype} keeps: "
                            f"leave it out with --drop {quote(name)}")
    return np.stack(arrays, axis=1, dtype=dtype)


def _arrow_array(path: Path, name: str, column: Any) -> np.ndarray:
    """A column of numbers without gaps.   (N,)"""
    drop = f"leave the column out with --drop {quote(name)}"
    for i, value in enumerate(column.to_pylist() if column.null_count else ()):
        if value is None:
            raise DataError(f"{path}, row {i}, column {name!r}, has no value: fill it in, or "
                            f"{drop}")
    found = np.asarray(column.to_numpy())
    if found.dtype.kind not in "buif":
        raise DataError(f"{path}, column {name!r}, holds {column.type}: "
                        f"use it as labels with --label-column {quote(name)}, or {drop}")
    if not np.isfinite(found).all():
        i = int(np.argmin(np.isfinite(found)))
        raise DataError(f"{path}, row {i}, column {name!r}, is {found[i]}: correct it, or {drop}")
    return found
