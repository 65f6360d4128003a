"""Tables with named columns, of pandas, polars and pyarrow, which are asked and never imported."""
from collections.abc import Iterable
from math import nan
from typing import Any

import numpy as np

REAL = "buif"  # kinds of dtype that are real numbers


def is_frame(X: Any) -> bool:
    """Whether ``X`` is a table: columns with names, and a type each."""
    return is_arrow(X) or all(hasattr(type(X), name) for name in ("columns", "dtypes", "__array__"))


def is_arrow(X: Any) -> bool:
    """Whether it is one of pyarrow's."""
    return all(hasattr(type(X), name) for name in ("column_names", "to_pylist"))


def column_names(X: Any) -> list[Any]:
    """The names of a table's columns; of anything else none."""
    if not is_frame(X):
        return []
    return list(X.column_names if is_arrow(X) else X.columns)


def values(X: Any) -> Any:
    """The cells of a table as an array (N, D), in their own dtype if all are numbers.

    A missing number is NaN. Where a column is of anything else the array is one of objects, for a
    date has a number too, which would pass. A pandas table of sparse columns is a sparse matrix.
    """
    if is_arrow(X):
        if all(np.asarray(column).dtype.kind in REAL for column in X.columns):
            return np.asarray(X)
        return objects(zip(*(column.to_pylist() for column in X.columns), strict=True), X.shape)
    dtypes = list(X.dtypes)
    if dtypes and hasattr(dtypes[0], "is_numeric"):  # polars
        numbers = all(dtype.is_numeric() or str(dtype) == "Boolean" for dtype in dtypes)
        return np.asarray(X) if numbers else objects(X.rows(), X.shape)
    if hasattr(X, "sparse"):
        return X.sparse.to_coo()
    array = np.asarray(X)
    if array.dtype.kind == "O" and all(dtype.kind in REAL for dtype in dtypes):
        return X.to_numpy("float64", na_value=nan)  # bool or nullable beside float
    return np.asarray(X, object) if array.dtype.kind in "mM" else array


def objects(rows: Iterable[Iterable[Any]], shape: tuple[int, int]) -> np.ndarray:
    """Cells as they are, row by row.   (N, D)"""
    cells = np.empty(shape, object)
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            cells[i, j] = cell
    return cells
