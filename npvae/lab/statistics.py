"""What a number of draws says of a random gradient, and how sure it is of it.

The draws g (P,) are cut into B batches, of which are kept the means x_b and, block by block of the
parameters, the mean of ‖g‖². All else follows from the inner products ⟨x_b, x_c⟩ of a block:

    ⟨E g, E h⟩    U(g, h), the mean of ⟨x_b, y_c⟩ over b ≠ c
    tr Var g      the mean of ‖g‖², less U(g, g)

Different batches are independent, so both are right on average. The square of the mean of n draws
is not: it is too large by tr Var g/n, the Monte Carlo floor, below which no signal-to-noise ratio
and no bias can be read off it, however small they are. U has no floor; where there is no signal it
is as often below 0 as above.

Errors are the jackknife's (Tukey 1958): every statistic again, without each of the batches. It
asks for no distribution of a gradient's entries, which have far heavier tails than a normal
(those of a score function do), only for batch means that are about normal; and of a statistic of
two estimators at the same noise it is paired by itself. Intervals are Student's, of B − 1 degrees
of freedom and level 95 %; of a variance they are on the scale of its logarithm.
"""
from collections.abc import Sequence
from math import ceil, sqrt

import numpy as np

BATCHES = 32
Z = 1.959963984540054  # of a normal, 2.5 % of which lie above


def student(nu: int) -> float:
    """The 97.5 % quantile of Student's t, to 1 % from ν = 3 on (Abramowitz, Stegun 26.7.5).

    Examples
    --------
    >>> round(student(31), 3)
    2.04
    """
    g1, g2 = (Z**3 + Z) / 4, (5 * Z**5 + 16 * Z**3 + 3 * Z) / 96
    g3 = (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / 384
    return Z + g1 / nu + g2 / nu**2 + g3 / nu**3


def gram(x: np.ndarray, y: np.ndarray, parts: Sequence[slice]) -> np.ndarray:
    """⟨x_b, y_c⟩ over each part of the parameters.   x, y (B, P) → (parts, B, B)"""
    return np.stack([x[:, part] @ y[:, part].T for part in parts])


# A statistic is an array (…, 1 + B): its value, and its values without each of the batches.


def mean(q: np.ndarray) -> np.ndarray:
    """Of one number a batch.   (…, B) → (…, 1 + B)"""
    total, B = q.sum(axis=-1, keepdims=True), q.shape[-1]
    return np.concatenate([total / B, (total - q) / (B - 1)], axis=-1)


def product_of_means(K: np.ndarray) -> np.ndarray:
    """U, of inner products of batch means.   K (…, B, B) → (…, 1 + B)"""
    B, own = K.shape[-1], np.diagonal(K, axis1=-2, axis2=-1)  # (…, B)
    rows = K.sum(axis=-1) + K.sum(axis=-2)
    total = rows.sum(axis=-1, keepdims=True) / 2 - own.sum(axis=-1, keepdims=True)
    without = total - rows + 2 * own
    return np.concatenate([total / (B * (B - 1)), without / ((B - 1) * (B - 2))], axis=-1)


def standard_error(statistic: np.ndarray) -> np.ndarray:
    """The jackknife's.   (…, 1 + B) → (…,)"""
    without = statistic[..., 1:]
    B = without.shape[-1]
    return np.sqrt((B - 1) * without.var(axis=-1))


def interval(statistic: np.ndarray) -> np.ndarray:
    """Value and 95 % interval.   (…, 1 + B) → (3, …): the value, from, to"""
    value = statistic[..., 0]
    half = student(statistic.shape[-1] - 2) * standard_error(statistic)
    return np.stack([value, value - half, value + half])


def log_interval(statistic: np.ndarray) -> np.ndarray:
    """The same of what is positive: by its logarithm, and so positive too; 0 where it is 0."""
    positive = np.all(statistic > 0, axis=-1)
    safe = np.where(positive[..., None], statistic, 1.0)
    value, low, high = np.exp(interval(np.log(safe)))
    zero = ~positive
    return np.stack([np.where(zero, np.maximum(statistic[..., 0], 0), value),
                     np.where(zero, 0, low), np.where(zero, 0, high)])  # fmt: skip


def root_interval(statistic: np.ndarray) -> np.ndarray:
    """The same of the root of what may be estimated below 0, where it is 0."""
    return np.sqrt(np.maximum(interval(statistic), 0))


def median_interval(times: np.ndarray) -> np.ndarray:
    """The median of one number a batch, between order statistics.   (B,) → (3,)

    Times have a tail of interruptions, so neither a mean nor a normal's interval is theirs. That
    B/2 ± 0.98 √B of them lie on either side is the binomial's doing, whatever their distribution.
    """
    B, ordered = len(times), np.sort(times)
    rank = max(ceil((B - Z * sqrt(B)) / 2), 1)
    return np.array([np.median(times), ordered[rank - 1], ordered[-rank]])


def norm_of_mean(K: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """‖E e‖ and its standard error, of inner products of batch means.   K (…, B, B) → (…,) twice

    The norm is √U, 0 where U is below 0. With Σ the covariance of the mean ē, U has the variance
    4 e′Σe + 2 tr Σ²: the first is all there is of a norm that stands out, the second of one that is
    0, where the root has no derivative. The standard error is

        √(ē′Σē + 2 tr Σ²) / max(√U, (2 tr Σ²)^¼)

    which is that of the root in the first case, and in the second so large that a norm of 0 is
    4 errors off no more often than a normal number is, in one dimension and in many.
    """
    B, U = K.shape[-1], product_of_means(K)[..., 0]
    along = K.mean(axis=-1)  # ⟨x_b, ē⟩
    square = along.mean(axis=-1)  # ‖ē‖²
    spread = along.var(axis=-1) / (B - 1)  # ē′Σē
    half = B // 2 * 2
    d = K[..., 0:half:2, :] - K[..., 1:half:2, :]
    d = d[..., 0:half:2] - d[..., 1:half:2]  # ⟨d_j, d_k⟩, d_j the differences of pairs of batches
    pairs = half // 2
    off = (d**2).sum(axis=(-2, -1)) - (np.diagonal(d, axis1=-2, axis2=-1) ** 2).sum(axis=-1)
    trace = off / (pairs * (pairs - 1)) / (4 * B**2)  # tr Σ²
    least = spread / np.where(square > 0, square, 1)  # Σ along ē: no eigenvalue's square is less
    trace = 2 * np.maximum(trace, least**2)
    norm = np.sqrt(np.maximum(U, 0))
    scale = np.maximum(norm, trace**0.25)
    return norm, np.sqrt(spread + trace) / np.where(scale > 0, scale, 1)
