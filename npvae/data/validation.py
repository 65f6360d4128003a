"""Validation of all data that reaches a model.

One pass finds the smallest and the largest value; a NaN makes both NaN and an infinity shows
itself, so good data costs two reductions and no memory. Only bad data, and data that must be
whole numbers or levels, is searched, block by block, for the first value to name. The wording
keeps to the phrases that scikit-learn's ``check_estimator`` looks for.
"""
from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from math import inf
from sys import float_info
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import numpy as np

from npvae.backend import is_device_array
from npvae.data.disk_rows import on_disk
from npvae.data.frames import REAL, column_names, is_frame, values
from npvae.data.sparse import SparseRows
from npvae.errors import DataError

if TYPE_CHECKING:
    from npvae.distributions.support import Support

BLOCK = 1024  # rows searched at a time
MOST = float_info.max  # the largest finite number


def check_data(
    X: Any, n_features: int | None = None, support: Support | None = None, scale: float = 1.0,
    *, dtype: Any = np.float64, name: str = "X", xp: Any = np,
) -> Any:  # fmt: skip
    """``X`` as an array that a model can use, or one line on why it cannot be.

    Parameters
    ----------
    X : array-like, table or sparse matrix (N, D)
        Real numbers. A memory-mapped array is read, never loaded whole; of a sparse matrix what
        is stored is looked at. A large array that is not loaded, mapped or of h5py or zarr, gives
        rows on the disk.
    n_features : int, optional
        The D that the model was made for.
    support : Support, optional
        Where a likelihood needs the values to lie.
    scale : float
        ``X * scale`` are the values.
    dtype : dtype
        What the model computes in: a value must be finite in it.
    name : str
        What to call the values where they do not lie in the support.
    xp : module
        The array module that ``X`` belongs to: numpy or cupy.

    Returns
    -------
    array, SparseRows or DiskRows (N, D)
        ``X`` itself where it is an array of numbers, in its own dtype, neither copied nor
        changed; lists and tables become arrays, and arrays of objects float64. Values that rounding
        has left outside the support are clipped, in a copy.

    Raises
    ------
    DataError
        If ``X`` is not 2-D, empty, of another width, masked, not real numbers, not finite, or
        outside the support; the message names the offending value, its row and its column.

    Examples
    --------
    >>> from npvae.distributions import BernoulliLikelihood
    >>> check_data([[0.5, 1.0], [0.0, 2.0]], support=BernoulliLikelihood.support)
    Traceback (most recent call last):
    npvae.errors.DataError: X[1, 1] = 2 lies outside [0, 1], as the Bernoulli likelihood needs; \
divide 8-bit pixels by 255, or choose likelihood='normal'
    """
    given = X
    if type(X) is not np.ndarray or X.dtype.kind not in REAL:
        X = _as_numbers(X, xp)
    if X.ndim != 2:
        hint = "X.reshape(1, -1) is one datapoint" if X.ndim < 2 else "X.reshape(len(X), -1)"
        raise DataError(f"X has shape {X.shape}, not (N, D). Reshape your data: {hint}")
    n, d = X.shape
    if n == 0 or d == 0:
        lacking = "0 sample(s)" if n == 0 else "0 feature(s)"
        raise DataError(f"X has {lacking} (shape={X.shape}) while a minimum of 1 is required.")
    if n_features is not None and d != n_features:
        raise DataError(f"X has {d} features, but npvae is expecting {n_features} features as "
                        "input, as many as this model was made for")
    low, high = float(X.min()), float(X.max())
    most = MOST if X.dtype is dtype else largest(dtype)
    if not (-most <= low * scale and high * scale <= most):
        _check_finite(given, X, scale, np.dtype(dtype), xp)
    if support is None:
        return X
    inside = support.low <= low * scale and high * scale <= support.high
    if not inside or support.step is not None:
        slack = 0.0 if inside else rounding(X.dtype)
        wrong = _first(X, lambda block: support.excludes(xp, block * scale, slack))
        if wrong is not None:
            at = f" (at scale {scale:.6g})" if scale != 1 else ""
            raise DataError(
                f"{name}{_cell(given, *wrong)} = {_digits(X, *wrong, scale)}{at} {support.fault}"
            )
    if not inside and X.dtype.kind == "f":
        return X.clip(max(low, support.low / scale), min(high, support.high / scale))
    return X


@cache
def largest(dtype: Any) -> float:
    """The largest finite number of a dtype."""
    return float(np.finfo(dtype).max)


@cache
def rounding(dtype: Any) -> float:
    """How far outside of [0, 1] rounding may have left a column that was scaled to it.

    ``(x − min) / range`` is right to ε times the distance of the column from 0 in units of its
    range: ε^¾ allows for 8,000 of them in float64, where it is 2e-12, and in float32 for 50.
    """
    return float(np.finfo(dtype if dtype.kind == "f" else float).eps) ** 0.75


def _as_numbers(X: Any, xp: Any) -> Any:
    """What is no array of numbers yet as one, or as sparse rows; or what keeps it from that."""
    given = X
    if (rows := on_disk(X)) is not None:
        return rows
    if hasattr(X, "tocsr") and is_device_array(getattr(X, "data", None)):
        raise DataError("X is a sparse matrix on a device, which npvae does not read; pass X.get()")
    if isinstance(X, np.ma.MaskedArray) and np.ma.is_masked(X):
        place = np.unravel_index(np.ma.getmaskarray(X).argmax(), X.shape)
        raise DataError(f"X[{', '.join(map(str, place))}] is masked; impute what is missing, "
                        "or leave its row out")
    try:
        X = values(X) if is_frame(X) else X
        if not hasattr(X, "tocsr"):
            X = xp.asarray(X)
        elif X.ndim == 2:
            X = SparseRows(X)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:  # ragged rows, and more
        reason = shorten(str(error), 200, placeholder=" …")
        raise DataError(f"X is no array of numbers: {reason}") from error
    if X.dtype.kind == "O" and X.ndim == 0:
        raise DataError(f"X is of type {type(given).__name__}; pass an array of numbers, (N, D)")
    if X.dtype.kind == "O" and X.ndim == 2:
        X = _from_objects(given, X)
    if X.dtype.kind == "c":
        raise DataError(f"Complex data not supported: X is {X.dtype}; pass real numbers")
    if X.dtype.kind not in REAL:
        raise DataError(f"X holds {X.dtype}, which are no numbers; pass integers or floats")
    return X


def _from_objects(given: Any, X: np.ndarray) -> np.ndarray:
    """Objects as float64, or a DataError for the first that is no number.   (N, D)"""
    numbers = np.full(X.shape, inf)
    for (i, j), value in np.ndenumerate(X):
        try:
            if isinstance(value, str | bytes):  # "1.5", too
                raise TypeError
            with suppress(OverflowError):  # a whole number beyond all floats
                numbers[i, j] = float(value)
        except (TypeError, ValueError) as error:
            raise DataError(
                f"X{_cell(given, i, j)} is {shorten(repr(value), 60, placeholder=' …')}, and an "
                "argument must be numbers alone: encode or leave out a string or a date, and "
                "impute a missing number"
            ) from error
    return numbers


def _check_finite(given: Any, X: Any, scale: float, dtype: Any, xp: Any) -> None:
    """Raise a DataError for the first value that is not finite, in X or in the model's dtype."""
    wrong = _first(X, lambda block: ~xp.isfinite(block))
    if wrong is not None:
        raise DataError(f"X{_cell(given, *wrong)} is {_digits(X, *wrong)}; "
                        "remove or impute what is missing or infinite")
    with np.errstate(over="ignore"):
        wrong = _first(X, lambda block: ~xp.isfinite((block * scale).astype(dtype)))
    if wrong is not None:
        other = ", or choose dtype='float64'" if dtype == np.float32 else ""
        raise DataError(f"X{_cell(given, *wrong)} = {_digits(X, *wrong, scale)} is infinite in "
                        f"{dtype}, which ends at {largest(dtype):.2g}; rescale the data{other}")


def _first(X: Any, wrong: Callable[[Any], Any]) -> tuple[int, int] | None:
    """The place of the first element that is ``wrong``, if there is one."""
    if isinstance(X, SparseRows):
        return X.first(wrong)
    for start in range(0, len(X), BLOCK):
        found = wrong(X[start : start + BLOCK])
        if bool(found.any()):
            i, j = divmod(int(found.argmax()), X.shape[1])
            return start + i, j
    return None


def _cell(given: Any, i: int, j: int) -> str:
    """``[i, j]``, with the column's name if it has one."""
    names = column_names(given)
    column = names[j] if names else j
    return f"[{i}, {str(column)!r}]" if isinstance(column, str) else f"[{i}, {column}]"


def _digits(X: Any, i: int, j: int, scale: float = 1.0) -> str:
    """A value as it is: all the digits that tell it from its neighbours in its dtype."""
    value = X.dtype.type(X[i : i + 1][0, j].item())
    return str(value if scale == 1 else value * scale).removesuffix(".0").replace("nan", "NaN")
