"""Validation of all data that reaches a model.

One pass finds the smallest and the largest value; a NaN makes both NaN and an infinity shows
itself, so good data costs two reductions and no memory. Only bad data, and data that must be
whole numbers or levels, is searched, block by block, for the first value to name. The wording
keeps to the phrases that scikit-learn's ``check_estimator`` looks for.
"""
from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from npvae.errors import DataError

if TYPE_CHECKING:
    from npvae.distributions.support import Support

BLOCK = 1024  # rows searched at a time


def check_data(
    X: Any, n_features: int | None = None, support: Support | None = None, scale: float = 1.0,
    *, name: str = "X", xp: Any = np,
) -> Any:  # fmt: skip
    """``X`` as an array that a model can use, or one line on why it cannot be.

    Parameters
    ----------
    X : array-like (N, D)
        Real numbers. A memory-mapped array is read, never loaded whole.
    n_features : int, optional
        The D that the model was made for.
    support : Support, optional
        Where a likelihood needs the values to lie.
    scale : float
        ``X * scale`` are the values.
    name : str
        What to call the values where they do not lie in the support.
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
        outside the support; the message names the offending value.
    TypeError
        Python's own, if an element is no number at all, such as a dict.

    Examples
    --------
    >>> from npvae.distributions import BernoulliLikelihood
    >>> check_data([[0.5, 1.0], [0.0, 2.0]], support=BernoulliLikelihood.support)
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
        (i, j), value = _first(X, lambda block: ~xp.isfinite(block)) or ((0, 0), low)
        what = f"{value:g}".replace("nan", "NaN")
        raise DataError(f"X[{i}, {j}] is {what}; remove or impute what is missing or infinite")
    if support is not None and not (
        support.step is None and support.low <= low * scale and high * scale <= support.high
    ):
        wrong = _first(X, lambda block: support.excludes(xp, block * scale))
        if wrong is not None:
            (i, j), value = wrong
            at = f" (at scale {scale:.6g})" if scale != 1 else ""
            raise DataError(f"{name}[{i}, {j}] = {value * scale:.6g}{at} {support.fault}")
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


def _first(X: Any, wrong: Callable[[Any], Any]) -> tuple[tuple[int, int], Any] | None:
    """Place and value of the first element that is ``wrong``, if there is one."""
    for start in range(0, len(X), BLOCK):
        found = wrong(X[start : start + BLOCK])
        if bool(found.any()):
            i, j = divmod(int(found.argmax()), X.shape[1])
            return (start + i, j), X[start + i, j].item()
    return None
