"""How heavy the tail of importance weights is: the Pareto shape k̂ (Vehtari et al. 2024, JMLR 25).

Far out, weights are distributed as a generalised Pareto variable of shape k: it has 1/k moments.
Below k = ½ their variance exists, and a standard error means what it says. Above 0.7 the mean of
any number of weights that one can sample may be far below E[w]: the few that would carry it do not
come up, and nothing in those that do, neither the effective sample size nor the standard error,
shows that they are missing. How much they would carry k̂ does not know: where the encoder covers
nearly all of p(z|x), as in two dimensions it may, estimates are right though their k̂ is above 0.7.

k̂ is fitted to the largest weights, the tail, by the posterior mean of Zhang & Stephens (2009),
which needs no iterations, and is drawn towards ½ as by ten observations more.
"""
from math import ceil, sqrt
from typing import Any

from npvae.backend import Array, ignore_overflow

UNRELIABLE = 0.7  # k̂ above which a standard error says nothing
FEWEST = 5  # weights of a tail, below which there is nothing to fit
MOST = 1000  # and of one, so that memory does not grow with the samples
ALIKE = 1e-12  # relative differences of weights that are rounding
BUDGET = 2**12  # numbers at a time, of a tail and some of the fit's 30 and more candidates


def tail_length(S: int) -> int:
    """How many of S weights are the tail: the largest fifth, and 3 √S or 1,000 at most.

    Examples
    --------
    >>> tail_length(5000), tail_length(100), tail_length(10)
    (213, 20, 2)
    """
    return min(S // 5, ceil(3 * sqrt(S)), MOST)


class Tail:
    """The tail of S weights of each datapoint, kept while the weights come in blocks.

    Weights wait until there are as many as the tail has, so that there is little to sort.
    """

    def __init__(self, xp: Any, S: int):
        self.xp, self.n = xp, tail_length(S) + 1
        self.kept: Array | None = None
        self.waiting: list[Array] = []

    def add(self, log_w: Array) -> "Tail":
        """Log-weights of some more samples.   (s, M)"""
        if self.kept is not None and len(self.kept) == self.n:
            # NaN is none of those that cannot be in the tail
            longest = int((~(log_w <= self.kept[0])).sum(axis=0).max())
            log_w = self.xp.sort(log_w, axis=0)[len(log_w) - longest :].copy()  # frees the rest
        self.waiting.append(log_w)
        if sum(map(len, self.waiting)) >= self.n:
            self.merge()
        return self

    def merge(self) -> None:
        """Sort in what waits."""
        for log_w in self.waiting:
            self.kept = largest(self.xp, self.kept, log_w, self.n)
        self.waiting = []

    def pareto_k(self) -> Array:
        """k̂ of each datapoint.   (M,)"""
        self.merge()
        assert self.kept is not None
        return pareto_k(self.xp, self.kept)


def largest(xp: Any, kept: Array | None, log_w: Array, n: int) -> Array:
    """The ``n`` largest log-weights of each datapoint so far, sorted.   (s, M) → (at most n, M)"""
    both = log_w if kept is None else xp.concatenate([kept, log_w])
    return xp.sort(both, axis=0)[-n:]


def pareto_k(xp: Any, top: Array) -> Array:
    """k̂ of each datapoint from the tail's log-weights and, below them, the one where it begins.

    NaN where the tail is of fewer than five, or a quarter of it is tied with where it begins; −∞
    where its weights are all alike, to rounding; ∞ where they span more than float64 does.

    top (n + 1, M), sorted → (M,)
    """
    n, M = len(top) - 1, top.shape[1]
    k = xp.full(M, xp.nan)
    if n >= FEWEST:
        size = max(1, 4 * BUDGET // n)
        for first in range(0, M, size):
            k[first : first + size] = fit(xp, top[:, first : first + size])
    return k


def fit(xp: Any, top: Array) -> Array:
    """The fit of :func:`pareto_k`, to tails of five weights or more."""
    n, M = len(top) - 1, top.shape[1]
    quartile, m = int(n / 4 + 0.5), 30 + int(sqrt(n))
    with ignore_overflow(xp):
        w = xp.exp(top - top[-1])
        x = w[1:] - w[0]  # exceedances, ascending   (n, M)
        at = 1 - xp.sqrt(m / (xp.arange(1, m + 1) - 0.5))  # (m,)
        b = at[:, None] / (3 * x[quartile - 1]) + 1 / x[-1]  # (m, M)
        k = xp.empty((m, M))
        size = max(1, BUDGET // (n * M))
        for i in range(0, m, size):
            k[i : i + size] = xp.log1p(-b[i : i + size, None] * x).mean(axis=1)
        log_likelihood = n * (xp.log(-b / k) - k - 1)
        weight = xp.exp(log_likelihood - log_likelihood.max(axis=0))
        b = (b * weight).sum(axis=0) / weight.sum(axis=0)  # (M,)
        k = xp.log1p(-b * x).mean(axis=0)
        k = (n * k + 5) / (n + 10)
        lost = (x[quartile - 1] == 0) & (top[quartile] > top[0])
    k = xp.where(lost, xp.inf, k)
    return xp.where(x[-1] <= ALIKE, -xp.inf, k)
