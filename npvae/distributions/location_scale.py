"""Standard noise moved and stretched: z = loc + scale · s(ε), the second way of section 2.4.

A family of this kind is its standard member: how that is sampled, its log-density, and the
gradient of that. What follows from the two parameters is written here once. Where the standard
quantile is elementary, its inverse at uniform noise is the sample: the first way.
"""
from math import inf
from typing import Any

from npvae.backend import Array, array_module
from npvae.distributions.family import Family, Positive, slack
from npvae.ops.elementary import LOG_2PI


class Standard(Family):
    """A distribution without parameters, of which scaled ones are made."""

    lower: float = -inf
    upper: float = inf
    standard_entropy: float

    def standard_sample(self, xp: Any, noise: Array) -> Array:
        """s(ε)."""
        raise NotImplementedError

    def log_density(self, xp: Any, r: Array) -> Array:
        """log f(r)."""
        raise NotImplementedError

    def log_density_grad(self, xp: Any, r: Array) -> Array:
        """d log f(r)/dr."""
        raise NotImplementedError


class LocationScale(Standard):
    """Parameters ``loc`` and ``log_scale``: z = loc + e^log_scale · s.

    A value outside the support has log-density −∞; one that rounding may have moved there has
    the log-density at the end.

    Parameters
    ----------
    unit : float
        Size of a number whose rounding z carries beside its own: 1 where z is the logarithm of
        one, else 0.
    """

    parameters = ("loc", "log_scale")

    def __init__(self, unit: float = 0.0):
        self.unit = unit

    def rsample(self, noise: Array, loc: Array, log_scale: Array) -> Array:
        """z = loc + scale · s(ε) (eq. 4)."""
        xp = array_module(log_scale)
        return loc + xp.exp(log_scale) * self.standard_sample(xp, noise)

    def rsample_backward(
        self, d_z: Array, noise: Array, loc: Array, log_scale: Array
    ) -> tuple[Array, Array]:
        """d_loc = d_z,   d_log_scale = d_z · scale · s(ε)."""
        xp = array_module(log_scale)
        return d_z, d_z * (xp.exp(log_scale) * self.standard_sample(xp, noise))

    def log_prob(self, z: Array, loc: Array, log_scale: Array) -> Array:
        """log f(r) − log scale,   r = (z − loc)/scale, in nats."""
        xp = array_module(log_scale)
        r = self._residual(xp, z, loc, log_scale)
        log_q = self.log_density(xp, r) - log_scale
        scale = xp.exp(log_scale)
        rounding = slack(xp, abs(self.unit) + scale, loc)
        if self.lower > -inf:
            log_q = xp.where(z < loc + scale * self.lower - rounding, -inf, log_q)
        if self.upper < inf:
            log_q = xp.where(z > loc + scale * self.upper + rounding, -inf, log_q)
        return log_q

    def log_prob_backward(
        self, d_logp: Array, z: Array, loc: Array, log_scale: Array
    ) -> tuple[Array, tuple[Array, Array]]:
        """d_r = d_logp · f′/f;   d_z = d_r/scale,   d_loc = −d_z,   d_log_scale = −d_r r − d_logp.

        Of use where z is in the support.
        """
        xp = array_module(log_scale)
        r = self._residual(xp, z, loc, log_scale)
        d_r = d_logp * self.log_density_grad(xp, r)
        d_z = d_r * xp.exp(-log_scale)
        return d_z, (-d_z, -d_r * r - d_logp)

    def _residual(self, xp: Any, z: Array, loc: Array, log_scale: Array) -> Array:
        r = (z - loc) * xp.exp(-log_scale)
        r = r if self.lower == -inf else xp.maximum(r, self.lower)
        return r if self.upper == inf else xp.minimum(r, self.upper)

    def location(self, loc: Array, log_scale: Array) -> Array:
        """The median; where there is a mean, a family of finite variance gives that."""
        return loc

    def entropy(self, loc: Array, log_scale: Array) -> Array:
        """That of s, plus log scale, in nats; the same for every loc."""
        return self.standard_entropy + log_scale + 0 * loc

    def entropy_backward(
        self, d_entropy: Array, loc: Array, log_scale: Array
    ) -> tuple[Array, Array]:
        """d_loc = 0,   d_log_scale = d_entropy."""
        return 0 * d_entropy * loc, d_entropy + 0 * log_scale


class FiniteVariance(LocationScale):
    """One that has a mean and a variance, and so a KL to the standard normal."""

    standard_mean: float = 0.0
    standard_variance: float  # of s

    def mean(self, loc: Array, log_scale: Array) -> Array:
        """E[z] = loc + scale · E[s]."""
        return loc + self.standard_mean * array_module(log_scale).exp(log_scale)

    location = mean

    def std(self, loc: Array, log_scale: Array) -> Array:
        """scale · √Var[s]."""
        return self.standard_variance**0.5 * array_module(log_scale).exp(log_scale) + 0 * loc

    def mean_backward(self, d_mean: Array, loc: Array, log_scale: Array) -> tuple[Array, Array]:
        """d_loc = d_mean,   d_log_scale = d_mean · scale · E[s]."""
        xp = array_module(log_scale)
        return d_mean + 0 * loc, d_mean * self.standard_mean * xp.exp(log_scale)

    def kl_normal(self, loc: Array, log_scale: Array) -> Array:
        """KL(q ‖ N(0, 1)) = ½ (log 2π + E[z]² + Var[z]) − entropy, in nats."""
        variance = self.standard_variance * array_module(log_scale).exp(2 * log_scale)
        square = self.mean(loc, log_scale) ** 2 + variance
        return 0.5 * (LOG_2PI + square) - self.entropy(loc, log_scale)

    def kl_normal_backward(
        self, d_kl: Array, loc: Array, log_scale: Array
    ) -> tuple[Array, Array]:
        """d_loc = d_kl E[z],   d_log_scale = d_kl (E[z] E[s] scale + Var[z] − 1)."""
        scale = array_module(log_scale).exp(log_scale)
        mean, variance = self.mean(loc, log_scale), self.standard_variance * scale * scale
        return d_kl * mean, d_kl * (mean * self.standard_mean * scale + variance - 1)


class Scale(Positive, Standard):
    """Parameter ``log_scale`` alone: z = e^log_scale · s, where sᵖ ~ Gamma(k, ·)."""

    parameters = ("log_scale",)
    standard_mean: float
    standard_variance: float
    power: int = 1  # p
    shape: int = 1  # k

    def rsample(self, noise: Array, log_scale: Array) -> Array:
        """z = scale · s(ε)."""
        xp = array_module(log_scale)
        return xp.exp(log_scale) * self.standard_sample(xp, noise)

    def rsample_backward(self, d_z: Array, noise: Array, log_scale: Array) -> tuple[Array]:
        """d_log_scale = d_z · z."""
        return (d_z * self.rsample(noise, log_scale),)

    def log_prob(self, z: Array, log_scale: Array) -> Array:
        """log f(r) − log scale,   r = z/scale, in nats; −∞ for z ≤ 0 and for z = ∞."""
        xp = array_module(log_scale)
        r = self._residual(xp, z, log_scale)
        return xp.where((z <= 0) | (z == inf), -inf, self.log_density(xp, r) - log_scale)

    def log_prob_backward(
        self, d_logp: Array, z: Array, log_scale: Array
    ) -> tuple[Array, tuple[Array]]:
        """d_r = d_logp · f′/f;   d_z = d_r/scale,   d_log_scale = −d_r r − d_logp."""
        xp = array_module(log_scale)
        r = self._residual(xp, z, log_scale)
        d_r = d_logp * self.log_density_grad(xp, r)
        return d_r * xp.exp(-log_scale), (-d_r * r - d_logp,)

    def _residual(self, xp: Any, z: Array, log_scale: Array) -> Array:
        r = z * xp.exp(-log_scale)
        info = xp.finfo(r.dtype)
        return xp.minimum(xp.maximum(r, info.tiny), info.max)

    def location(self, log_scale: Array) -> Array:
        """E[z] = scale · E[s]."""
        return self.standard_mean * array_module(log_scale).exp(log_scale)

    mean = location

    def std(self, log_scale: Array) -> Array:
        """scale · √Var[s]."""
        return self.standard_variance**0.5 * array_module(log_scale).exp(log_scale)

    def entropy(self, log_scale: Array) -> Array:
        """That of s, plus log scale, in nats."""
        return self.standard_entropy + log_scale

    def entropy_backward(self, d_entropy: Array, log_scale: Array) -> tuple[Array]:
        """d_log_scale = d_entropy."""
        return (d_entropy + 0 * log_scale,)

    def kl(self, log_scale: Array) -> Array:
        """KL(q ‖ the member of scale 1) = k (scaleᵖ − 1 − log scaleᵖ), in nats."""
        xp = array_module(log_scale)
        return self.shape * (xp.expm1(self.power * log_scale) - self.power * log_scale)

    def kl_backward(self, d_kl: Array, log_scale: Array) -> tuple[Array]:
        """d_log_scale = d_kl · k p (scaleᵖ − 1)."""
        xp = array_module(log_scale)
        return (d_kl * self.shape * self.power * xp.expm1(self.power * log_scale),)
