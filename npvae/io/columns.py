"""Columns by name, as spreadsheets and NumPy keep them: codes, and data that a model made.

A ``.csv`` has a line of names, and ``name_1`` to ``name_J`` for a column of vectors; a ``.npy`` is
a structured array, in which such a column is ``array["name"]``, (N, J). Numbers are written with
all their digits, and so come back as they were.
"""
import csv
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from npvae import data
from npvae.errors import DataError, ModelFileError, ParameterError
from npvae.io.atomic import StrPath, atomic_write, reading

SUFFIXES = (".csv", ".npy")


def write_columns(path: StrPath, columns: Mapping[str, np.ndarray]) -> Path:
    """Write columns (N,) or (N, J), in the format that the suffix of ``path`` names.

    Raises
    ------
    ParameterError
        If the suffix is neither ``.csv`` nor ``.npy``.
    ModelFileError
        If the folder is missing or refuses the file.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ParameterError(f"{path}: no columns are written as {path.suffix!r}; end the name "
                             f"in {' or '.join(SUFFIXES)}")
    with atomic_write(path) as file:
        if path.suffix.lower() == ".csv":
            text = io.TextIOWrapper(file, "utf-8", newline="")
            rows = csv.writer(text, lineterminator="\n")
            rows.writerow(name for key, column in columns.items() for name in _names(key, column))
            flat = [part for column in columns.values() for part in np.atleast_2d(column.T)]
            rows.writerows(zip(*(map(str, column) for column in flat), strict=True))
            text.detach()  # flushed, and the file is not this one's to close
        else:
            np.save(file, _structured(columns), allow_pickle=False)
    return path


def read_column(path: StrPath, name: str) -> np.ndarray:
    """The column ``name`` of a file that :func:`write_columns` wrote, or all of another's.   (N, J)

    Raises
    ------
    DataError
        If there is none, or it is no table of numbers.
    ModelFileError
        If it cannot be read.
    """
    if not Path(path).is_file():
        raise DataError(f"{path}: no such file; npvae encode writes one")
    if Path(path).suffix.lower() == ".npy":
        with reading(path) as file:
            try:
                array = np.load(file, allow_pickle=False)
            except ValueError as error:
                raise ModelFileError(f"{path}: is no array of NumPy; check the path") from error
        if array.dtype.names is not None and name in array.dtype.names:
            return np.asarray(array[name])
    elif Path(path).suffix.lower() == ".csv":
        with reading(path) as file:
            rows = csv.reader(io.TextIOWrapper(file, "utf-8-sig", "replace", newline=""))
            try:
                at = [i for i, key in enumerate(next(rows, [])) if key.rpartition("_")[0] == name]
                if at:
                    values = [[float(row[i]) for i in at] for row in rows]
                    return np.array(values, np.float64).reshape(-1, len(at))
            except (ValueError, IndexError, csv.Error) as error:
                raise DataError(f"{path}: line {rows.line_num} has no number in a column {name}_j; "
                                "correct it, or write the file again") from error
    return data.load_file(Path(path)).pixels


def _names(key: str, column: np.ndarray) -> list[str]:
    return [key] if column.ndim == 1 else [f"{key}_{j + 1}" for j in range(column.shape[1])]


def _structured(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """One record a row, with columns as its fields.   (N,)"""
    fields = [(key, column.dtype, column.shape[1:]) for key, column in columns.items()]
    table = np.empty(len(next(iter(columns.values()))), fields)
    for key, column in columns.items():
        table[key] = column
    return table
