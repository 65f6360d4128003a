"""Tables with named columns, pandas' and polars', which are asked and never imported."""
from math import nan
from typing import Any

import numpy as np

REAL = "buif"  # kinds of dtype that are real numbers


def is_frame(X: Any) -> bool:
    """Whether ``X`` is a table: columns with names, and a dtype each."""
    return all(hasattr(type(X), name) for name in ("columns", "dtypes", "__array__"))


def values(X: Any) -> Any:
    """The cells of a table as an array (N, D), in their own dtype if all are numbers.

    A missing number is NaN. Where a column is of anything else the array is one of objects, for a
    date has a number too, which would pass. A pandas table of sparse columns is a sparse matrix.
    """
    dtypes = list(X.dtypes)
    if dtypes and hasattr(dtypes[0], "is_numeric"):  # polars
        if all(dtype.is_numeric() or str(dtype) == "Boolean" for dtype in dtypes):
            return np.asarray(X)
        cells = np.empty(X.shape, object)
        for row, of in zip(cells, X.rows(), strict=True):
            row[:] = of
        return cells
    if hasattr(X, "sparse"):
        return X.sparse.to_coo()
    array = np.asarray(X)
    if array.dtype.kind == "O" and all(dtype.kind in REAL for dtype in dtypes):
        return X.to_numpy("float64", na_value=nan)  # bool or nullable beside float
    return np.asarray(X, object) if array.dtype.kind in "mM" else array
