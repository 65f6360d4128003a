"""How heavy the tail of importance weights is: the Pareto shape k̂ (Vehtari et al. 2024, JMLR 25).

Far out, weights are distributed as a generalised Pareto variable of shape k: it has 1/k moments.
Below k = ½ their variance exists, and a standard error means what it says. Above 0.7 the mean of
any number of weights that one can sample is far below E[w]: the few that would carry it do not
come up, and nothing in those that do, neither the effective sample size nor the standard error,
shows that they are missing.

k̂ is fitted to the largest weights by the posterior mean of Zhang & Stephens (2009), which needs no
iterations, and is drawn towards ½ as by ten observations more.
"""
from math import ceil, sqrt
from typing import Any

from npvae.backend import Array, ignore_overflow

UNRELIABLE = 0.7  # k̂ above which no number of samples is enough
FEWEST = 5  # weights of a tail, below which there is nothing to fit


def tail_length(S: int) -> int:
    """How many of S weights are the tail: the largest fifth, and 3 √S at most.

    Examples
    --------
    >>> tail_length(5000), tail_length(100), tail_length(10)
    (213, 20, 2)
    """
    return min(S // 5, ceil(3 * sqrt(S)))


def largest(xp: Any, kept: Array | None, log_w: Array, n: int) -> Array:
    """The ``n`` largest log-weights of each datapoint so far, sorted.   (s, M) → (at most n, M)"""
    both = log_w if kept is None else xp.concatenate([kept, log_w])
    return xp.sort(both, axis=0)[-n:]


def pareto_k(xp: Any, top: Array) -> Array:
    """k̂ of each datapoint from the tail's log-weights and, below them, the one where it begins.

    NaN where the tail is of fewer than five; −∞ where its weights are all alike.

    top (n + 1, M), sorted → (M,)
    """
    n, M = len(top) - 1, top.shape[1]
    if n < FEWEST:
        return xp.full(M, xp.nan)
    with ignore_overflow(xp):
        w = xp.exp(top - top[-1])  # (n + 1, M)
        x = w[1:] - w[0]  # exceedances, ascending   (n, M)
        m = 30 + int(sqrt(n))
        b = 1 - xp.sqrt(m / (xp.arange(1, m + 1) - 0.5))  # (m,)
        b = b[:, None] / (3 * x[int(n / 4 + 0.5) - 1]) + 1 / x[-1]  # (m, M)
        k = xp.log1p(-b[:, None] * x).mean(axis=1)  # (m, M)
        log_likelihood = n * (xp.log(-b / k) - k - 1)
        weight = xp.exp(log_likelihood - log_likelihood.max(axis=0))
        b = (b * weight).sum(axis=0) / weight.sum(axis=0)  # (M,)
        k = xp.log1p(-b * x).mean(axis=0)
    k = (n * k + 5) / (n + 10)
    return xp.where(x[-1] == 0, -xp.inf, k)
