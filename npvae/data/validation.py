"""The gate through which all data reaches a model.

One pass finds the smallest and the largest value; a NaN makes both NaN and an infinity shows
itself, so good data costs two reductions and no memory. Only bad data is searched, block by
block, for the first value to name. The wording keeps to the phrases that scikit-learn's
``check_estimator`` looks for.
"""
from collections.abc import Callable
from math import isfinite
from typing import Any

import numpy as np

from npvae.errors import DataError

BLOCK = 1024  # rows searched at a time


def check_data(
    X: Any, n_features: int | None = None, unit_interval: bool = False, *, xp: Any = np
) -> Any:
    """``X`` as an array that a model can use, or one line on why it cannot be.

    Parameters
    ----------
    X : array-like (N, D)
        Real numbers. A memory-mapped array is read, never loaded whole.
    n_features : int, optional
        The D that the model was made for.
    unit_interval : bool
        Whether a likelihood needs values in [0, 1].
    xp : module
        The array module that ``X`` belongs to: numpy or cupy.

    Returns
    -------
    array (N, D)
        ``X`` itself where it is an array of numbers, in its own dtype, neither copied nor
        changed; lists become arrays, and arrays of objects float64.

    Raises
    ------
    DataError
        If ``X`` is sparse, not 2-D, empty, of another width, not real numbers, not finite, or
        outside [0, 1] where that is needed; the message names the offending value.
    TypeError
        Python's own, if an element is no number at all, such as a dict.

    Examples
    --------
    >>> check_data([[0.5, 1.0], [0.0, 2.0]], unit_interval=True)
    Traceback (most recent call last):
    npvae.errors.DataError: X[1, 1] = 2 lies outside [0, 1], as the Bernoulli likelihood needs; \
divide 8-bit pixels by 255, or choose likelihood='normal'
    """
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
    if not (isfinite(low) and isfinite(high)):
        where, value = _first(X, lambda block: ~xp.isfinite(block))
        value = value.replace("nan", "NaN")
        raise DataError(f"{where} is {value}; remove or impute what is missing or infinite")
    if unit_interval and (low < 0.0 or high > 1.0):
        where, value = _first(X, lambda block: (block < 0) | (block > 1))
        raise DataError(f"{where} = {value} lies outside [0, 1], as the Bernoulli likelihood "
                        "needs; divide 8-bit pixels by 255, or choose likelihood='normal'")
    return X


def _as_numbers(X: Any, xp: Any) -> Any:
    if hasattr(X, "toarray"):
        raise DataError("X is a sparse matrix, which npvae does not read; pass X.toarray()")
    try:
        X = xp.asarray(X)
        if X.dtype.kind == "O":
            X = X.astype(np.float64)
    except ValueError as error:  # ragged rows, or text
        raise DataError(f"X is no array of numbers: {error}") from error
    if X.dtype.kind == "c":
        raise DataError(f"Complex data not supported: X is {X.dtype}; pass real numbers")
    if X.dtype.kind not in "buif":
        raise DataError(f"X holds {X.dtype}, which are no numbers; pass integers or floats")
    return X


def _first(X: Any, wrong: Callable[[Any], Any]) -> tuple[str, str]:
    """Name and value of the first element that is ``wrong``; there must be one."""
    start = next(s for s in range(0, len(X), BLOCK) if bool(wrong(X[s : s + BLOCK]).any()))
    i, j = divmod(int(wrong(X[start : start + BLOCK]).argmax()), X.shape[1])
    return f"X[{start + i}, {j}]", f"{X[start + i, j].item():.6g}"
