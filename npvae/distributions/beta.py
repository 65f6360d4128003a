"""Beta and F: what a ratio of two gamma variables gives, by composition (section 2.4).

With independent x_a ~ Gamma(a, 1) and x_b ~ Gamma(b, 1), the log-odds y = log x_a − log x_b are
those of x_a/(x_a + x_b) ~ Beta(a, b), and x_a/x_b is, but for a factor, an F variable.
"""
from math import inf, log
from typing import Any

from npvae.backend import Array, array_module
from npvae.distributions.family import Family, exponent_limit
from npvae.distributions.special import (
    digamma,
    gammaln,
    in_double,
    log_gamma_sample,
    log_gamma_sample_backward,
    rounded,
    trigamma,
)
from npvae.distributions.tails import EXPONENTIAL, Tail
from npvae.distributions.transformed import ExpTransformed
from npvae.ops.elementary import LOG_2


def softplus(xp: Any, y: Array) -> Array:
    """log(1 + eʸ), with no overflow."""
    return xp.maximum(y, 0) + xp.log1p(xp.exp(-xp.abs(y)))


def sigmoid(xp: Any, y: Array) -> Array:
    """1/(1 + e⁻ʸ), to full relative accuracy on both sides."""
    e = xp.exp(-xp.abs(y))
    return xp.where(y < 0, e, 1) / (1 + e)


def log_beta(a: Array, b: Array) -> Array:
    """log B(a, b) = log Γ(a) + log Γ(b) − log Γ(a + b)."""
    return gammaln(a) + gammaln(b) - gammaln(a + b)


@in_double
class LogOdds(Family):
    """log q(y) = −a log(1 + e⁻ʸ) − b log(1 + eʸ) − log B(a, b): the log-odds of a beta variable."""

    parameters = ("log_a", "log_b")
    noise = ("uniform", "uniform")

    def rsample(self, noise: Array, log_a: Array, log_b: Array) -> Array:
        """y = log x_a − log x_b.   noise: (2, …)"""
        return log_gamma_sample(noise[0], log_a) - log_gamma_sample(noise[1], log_b)

    def rsample_backward(
        self, d_y: Array, noise: Array, log_a: Array, log_b: Array
    ) -> tuple[Array, Array]:
        """What the shapes of the two gamma variables get."""
        log_x_a, log_x_b = log_gamma_sample(noise[0], log_a), log_gamma_sample(noise[1], log_b)
        return (
            log_gamma_sample_backward(d_y, log_x_a, log_a),
            log_gamma_sample_backward(-d_y, log_x_b, log_b),
        )

    def log_prob(self, y: Array, log_a: Array, log_b: Array) -> Array:
        """−a log(1 + e⁻ʸ) − b log(1 + eʸ) − log B(a, b), in nats."""
        xp = array_module(log_a)
        a, b = xp.exp(log_a), xp.exp(log_b)
        return -a * softplus(xp, -y) - b * softplus(xp, y) - log_beta(a, b)

    def log_prob_backward(
        self, d_logp: Array, y: Array, log_a: Array, log_b: Array
    ) -> tuple[Array, tuple[Array, Array]]:
        """d_y = d_logp (a sigmoid(−y) − b sigmoid(y)),   d_log_a by ψ(a+b) − ψ(a) − log(1+e⁻ʸ)."""
        xp = array_module(log_a)
        a, b = xp.exp(log_a), xp.exp(log_b)
        both = digamma(a + b)
        d_log_a = d_logp * a * (both - digamma(a) - softplus(xp, -y))
        d_log_b = d_logp * b * (both - digamma(b) - softplus(xp, y))
        return d_logp * (a * sigmoid(xp, -y) - b * sigmoid(xp, y)), (d_log_a, d_log_b)


@in_double
class Beta(Family):
    """q(z) = z^(a−1) (1 − z)^(b−1)/B(a, b) on 0 < z < 1, with ``log_a`` = log a, ``log_b`` = log b.

    z = x_a/(x_a + x_b) of two gamma variables. The prior, a = b = 1, is uniform. For small a and
    b much of the mass is nearer to 0 or 1 than floats can be: samples stop at the last ones,
    where their derivative is 0.

    Examples
    --------
    >>> import numpy as np
    >>> Beta().log_prob(np.array([0.25]), np.log([2.0]), np.log([1.0])).round(4)  # log 2z
    array([-0.6931])
    """

    parameters = ("log_a", "log_b")
    support = "unit interval"
    noise = ("uniform", "uniform")
    base = LogOdds()
    tails = (EXPONENTIAL, EXPONENTIAL)
    standard_variance = 1 / 12

    def rsample(self, noise: Array, log_a: Array, log_b: Array) -> Array:
        """z = sigmoid(y), y the log-odds.   noise: (2, …)"""
        return self.transform(self.base.rsample(noise, log_a, log_b))[0]

    def rsample_backward(
        self, d_z: Array, noise: Array, log_a: Array, log_b: Array
    ) -> tuple[Array, Array]:
        """d_y = d_z z (1 − z), and on through the log-odds."""
        _, dz_dy = self.transform(self.base.rsample(noise, log_a, log_b))
        return self.base.rsample_backward(d_z * dz_dy, noise, log_a, log_b)

    def transform(self, y: Array) -> tuple[Array, Array]:
        """z = sigmoid(y) strictly between 0 and 1, and ∂z/∂y."""
        xp = array_module(y)
        first, last = -exponent_limit(xp, y.dtype), -log(float(xp.finfo(y.dtype).eps))
        z = sigmoid(xp, xp.minimum(xp.maximum(y, first), last))
        return z, z * sigmoid(xp, -y) * ((y > first) & (y < last))

    def location(self, log_a: Array, log_b: Array) -> Array:
        """E[z] = a/(a + b)."""
        return sigmoid(array_module(log_a), log_a - log_b)

    mean = location

    def std(self, log_a: Array, log_b: Array) -> Array:
        """√(m (1 − m)/(a + b + 1)), m = a/(a + b)."""
        xp, y = array_module(log_a), log_a - log_b
        return xp.sqrt(sigmoid(xp, y) * sigmoid(xp, -y) / (xp.exp(log_a) + xp.exp(log_b) + 1))

    def log_prob(self, z: Array, log_a: Array, log_b: Array) -> Array:
        """(a − 1) log z + (b − 1) log(1 − z) − log B(a, b), in nats; −∞ outside (0, 1)."""
        xp = array_module(log_a)
        a, b = xp.exp(log_a), xp.exp(log_b)
        outside = (z <= 0) | (z >= 1)
        z = xp.where(outside, 0.5, z)
        log_q = (a - 1) * xp.log(z) + (b - 1) * xp.log1p(-z) - log_beta(a, b)
        return xp.where(outside, -inf, log_q)

    def log_prob_backward(
        self, d_logp: Array, z: Array, log_a: Array, log_b: Array
    ) -> tuple[Array, tuple[Array, Array]]:
        """d_z = d_logp ((a−1)/z − (b−1)/(1−z)),   d_log_a = d_logp a (log z − ψ(a) + ψ(a + b))."""
        xp = array_module(log_a)
        a, b = xp.exp(log_a), xp.exp(log_b)
        z = xp.where((z > 0) & (z < 1), z, 0.5)
        d_z = d_logp * ((a - 1) / z - (b - 1) / (1 - z))
        both = digamma(a + b)
        d_log_a = d_logp * a * (xp.log(z) - digamma(a) + both)
        return d_z, (d_log_a, d_logp * b * (xp.log1p(-z) - digamma(b) + both))

    def entropy(self, log_a: Array, log_b: Array) -> Array:
        """log B(a, b) − (a − 1) ψ(a) − (b − 1) ψ(b) + (a + b − 2) ψ(a + b), in nats."""
        xp = array_module(log_a)
        a, b = xp.exp(log_a), xp.exp(log_b)
        both = (a + b - 2) * digamma(a + b)
        return log_beta(a, b) - (a - 1) * digamma(a) - (b - 1) * digamma(b) + both

    def entropy_backward(
        self, d_entropy: Array, log_a: Array, log_b: Array
    ) -> tuple[Array, Array]:
        """d_log_a = d_entropy a ((a + b − 2) ψ′(a + b) − (a − 1) ψ′(a)), and so for b."""
        xp = array_module(log_a)
        a, b = xp.exp(log_a), xp.exp(log_b)
        both = (a + b - 2) * trigamma(a + b)
        return (
            d_entropy * a * (both - (a - 1) * trigamma(a)),
            d_entropy * b * (both - (b - 1) * trigamma(b)),
        )

    def kl(self, log_a: Array, log_b: Array) -> Array:
        """KL(q ‖ uniform on [0, 1]) = −entropy, in nats."""
        return -self.entropy(log_a, log_b)

    def kl_backward(self, d_kl: Array, log_a: Array, log_b: Array) -> tuple[Array, Array]:
        """That of the entropy, with the other sign."""
        return self.entropy_backward(-d_kl, log_a, log_b)


@in_double
class LogF(Family):
    """The logarithm of an F variable: log-odds w = y + log(a/b), with a = ν₁/2 and b = ν₂/2."""

    parameters = ("log_df1", "log_df2")
    noise = ("uniform", "uniform")
    odds = LogOdds()

    def rsample(self, noise: Array, log_df1: Array, log_df2: Array) -> Array:
        """y = (log x_a − log a) − (log x_b − log b)."""
        return self.odds.rsample(noise, *self._shapes(log_df1, log_df2)) - (log_df1 - log_df2)

    def rsample_backward(
        self, d_y: Array, noise: Array, log_df1: Array, log_df2: Array
    ) -> tuple[Array, Array]:
        """d_log_df1 is what the shape a gets, less d_y; d_log_df2 what b gets, and d_y."""
        d_log_a, d_log_b = self.odds.rsample_backward(d_y, noise, *self._shapes(log_df1, log_df2))
        return d_log_a - d_y, d_log_b + d_y

    def log_prob(self, y: Array, log_df1: Array, log_df2: Array) -> Array:
        """That of the log-odds at w, in nats."""
        return self.odds.log_prob(y + (log_df1 - log_df2), *self._shapes(log_df1, log_df2))

    def log_prob_backward(
        self, d_logp: Array, y: Array, log_df1: Array, log_df2: Array
    ) -> tuple[Array, tuple[Array, Array]]:
        """d_y = d_w; each shape gets ±d_w, and its own."""
        d_w, (d_log_a, d_log_b) = self.odds.log_prob_backward(
            d_logp, y + (log_df1 - log_df2), *self._shapes(log_df1, log_df2)
        )
        return d_w, (d_log_a + d_w, d_log_b - d_w)

    def _shapes(self, log_df1: Array, log_df2: Array) -> tuple[Array, Array]:
        """log a, log b."""
        return log_df1 - LOG_2, log_df2 - LOG_2

    def _a_and_b(self, log_df1: Array, log_df2: Array) -> tuple[Array, Array]:
        xp = array_module(log_df1)
        return 0.5 * xp.exp(log_df1), 0.5 * xp.exp(log_df2)

    def mean(self, log_df1: Array, log_df2: Array) -> Array:
        """E[y] = ψ(a) − ψ(b) − log(a/b)."""
        a, b = self._a_and_b(log_df1, log_df2)
        return digamma(a) - digamma(b) - (log_df1 - log_df2)

    def mean_backward(
        self, d_mean: Array, log_df1: Array, log_df2: Array
    ) -> tuple[Array, Array]:
        """d_log_df1 = d_mean (a ψ′(a) − 1),   d_log_df2 = −d_mean (b ψ′(b) − 1)."""
        a, b = self._a_and_b(log_df1, log_df2)
        return d_mean * (a * trigamma(a) - 1), d_mean * (1 - b * trigamma(b))

    def entropy(self, log_df1: Array, log_df2: Array) -> Array:
        """log B(a, b) − a ψ(a) − b ψ(b) + (a + b) ψ(a + b), in nats."""
        a, b = self._a_and_b(log_df1, log_df2)
        return log_beta(a, b) - a * digamma(a) - b * digamma(b) + (a + b) * digamma(a + b)

    def entropy_backward(
        self, d_entropy: Array, log_df1: Array, log_df2: Array
    ) -> tuple[Array, Array]:
        """d_log_df1 = d_entropy a ((a + b) ψ′(a + b) − a ψ′(a)), and so for b."""
        a, b = self._a_and_b(log_df1, log_df2)
        both = (a + b) * trigamma(a + b)
        return (
            d_entropy * a * (both - a * trigamma(a)),
            d_entropy * b * (both - b * trigamma(b)),
        )


class F(ExpTransformed):
    """The ratio of two chi-squared variables, each over its ν, on z > 0: ``log_df1``, ``log_df2``.

    q(z) = wᵃ (1 + w)^−(a+b)/(z B(a, b)) with w = z ν₁/ν₂, a = ν₁/2, b = ν₂/2. The degrees of
    freedom are any positive numbers. No closed KL to its own kind.

    Examples
    --------
    >>> import numpy as np
    >>> F().log_prob(np.array([1.0]), np.log([2.0]), np.log([2.0])).round(4)  # −2 log(1 + z)
    array([-1.3863])
    """

    parameters = ("log_df1", "log_df2")
    noise = ("uniform", "uniform")
    base = LogF()
    tails = (Tail("exponential", rate=0.5), Tail("exponential", rate=0.5))

    def location(self, log_df1: Array, log_df2: Array) -> Array:
        """E[z] = ν₂/(ν₂ − 2) where ν₂ > 2; elsewhere it is infinite: exp E[log z]."""
        return self._mean_or_geometric(0 * log_df1, LOG_2 - log_df2, log_df1, log_df2)

    @rounded
    def mean(self, log_df1: Array, log_df2: Array) -> Array:
        """E[z] = ν₂/(ν₂ − 2) where ν₂ > 2, else ∞."""
        xp = array_module(log_df2)
        excess = -xp.expm1(LOG_2 - log_df2)  # (ν₂ − 2)/ν₂
        finite = excess > 0
        return xp.where(finite, 1 / xp.where(finite, excess, 1), inf) + 0 * log_df1

    @rounded
    def std(self, log_df1: Array, log_df2: Array) -> Array:
        """E[z] √(2 (1 + (ν₂ − 2)/ν₁)/(ν₂ − 4)) where ν₂ > 4, else ∞."""
        xp = array_module(log_df2)
        excess = xp.exp(log_df2) - 4
        finite = excess > 0
        excess = xp.where(finite, excess, 1)
        std = xp.sqrt(2 * (1 + (excess + 2) * xp.exp(-log_df1)) / excess)
        return xp.where(finite, std * (excess + 4) / (excess + 2), inf)
