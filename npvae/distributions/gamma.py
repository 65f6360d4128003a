"""Gamma and chi-squared, of any positive shape, by implicit reparameterization.

A sample inverts the CDF of the gamma distribution at uniform noise, and its derivative by the
shape is that of the inverse (:mod:`npvae.distributions.special`): exact for the sample drawn. All
of it is done to log z, which stays where it should when z of a small shape is below any float.
"""
from math import inf

from npvae.backend import Array, array_module
from npvae.distributions.family import Family, clamped_exp, exponent_limit
from npvae.distributions.special import (
    digamma,
    gammaln,
    in_double,
    log_gamma_sample,
    log_gamma_sample_backward,
    trigamma,
)
from npvae.distributions.tails import DOUBLE_EXPONENTIAL, EXPONENTIAL, Tail
from npvae.distributions.transformed import ExpTransformedWithKL
from npvae.ops.elementary import LOG_2, LOG_PI


@in_double
class LogGamma(Family):
    """log q(y) = αr − eʳ − log Γ(α), r = y − log θ: the logarithm of a gamma variable."""

    parameters = ("log_shape", "log_scale")

    def rsample(self, noise: Array, log_shape: Array, log_scale: Array | float) -> Array:
        """y = log θ + log x with P(α, x) = u."""
        return log_scale + log_gamma_sample(noise, log_shape)

    def rsample_backward(
        self, d_y: Array, noise: Array, log_shape: Array, log_scale: Array | float
    ) -> tuple[Array, Array]:
        """d_log_shape = d_y α ∂y/∂α at the same u,   d_log_scale = d_y."""
        r = log_gamma_sample(noise, log_shape)
        return log_gamma_sample_backward(d_y, r, log_shape), d_y

    def log_prob(self, y: Array, log_shape: Array, log_scale: Array | float) -> Array:
        """αr − eʳ − log Γ(α), in nats."""
        xp = array_module(log_shape)
        shape = xp.exp(log_shape)
        r = xp.minimum(y - log_scale, exponent_limit(xp, y.dtype))  # or eʳ would stop before r
        log_q = shape * r - clamped_exp(xp, r)[0] - gammaln(shape)
        return xp.where(y == inf, -inf, log_q)

    def log_prob_backward(
        self, d_logp: Array, y: Array, log_shape: Array, log_scale: Array | float
    ) -> tuple[Array, tuple[Array, Array]]:
        """d_y = d_logp (α − eʳ),   d_log_shape = d_logp α (r − ψ(α)),   d_log_scale = −d_y."""
        xp = array_module(log_shape)
        shape, r = xp.exp(log_shape), y - log_scale
        d_y = d_logp * (shape - clamped_exp(xp, r)[0])
        return d_y, (d_logp * shape * (r - digamma(shape)), -d_y)

    def mean(self, log_shape: Array, log_scale: Array | float) -> Array:
        """E[y] = ψ(α) + log θ."""
        return digamma(array_module(log_shape).exp(log_shape)) + log_scale

    def mean_backward(
        self, d_mean: Array, log_shape: Array, log_scale: Array | float
    ) -> tuple[Array, Array]:
        """d_log_shape = d_mean α ψ′(α),   d_log_scale = d_mean."""
        shape = array_module(log_shape).exp(log_shape)
        return d_mean * shape * trigamma(shape), d_mean + 0 * log_scale

    def entropy(self, log_shape: Array, log_scale: Array | float) -> Array:
        """α + log Γ(α) − α ψ(α), in nats; the same for every θ."""
        shape = array_module(log_shape).exp(log_shape)
        return shape * (1 - digamma(shape)) + gammaln(shape) + 0 * log_scale

    def entropy_backward(
        self, d_entropy: Array, log_shape: Array, log_scale: Array | float
    ) -> tuple[Array, Array]:
        """d_log_shape = d_entropy α (1 − α ψ′(α)),   d_log_scale = 0."""
        shape = array_module(log_shape).exp(log_shape)
        return d_entropy * shape * (1 - shape * trigamma(shape)), 0 * d_entropy * log_scale

    def kl(self, log_shape: Array, log_scale: Array | float) -> Array:
        """KL(Gamma(α, θ) ‖ Gamma(1, 1)) = (α − 1) ψ(α) − log Γ(α) − log θ + α (θ − 1), in nats."""
        xp = array_module(log_shape)
        shape = xp.exp(log_shape)
        by_shape = (shape - 1) * digamma(shape) - gammaln(shape)
        return by_shape - log_scale + shape * xp.expm1(log_scale)

    def kl_backward(
        self, d_kl: Array, log_shape: Array, log_scale: Array | float
    ) -> tuple[Array, Array]:
        """d_log_shape = d_kl α ((α − 1) ψ′(α) + θ − 1),   d_log_scale = d_kl (αθ − 1)."""
        xp = array_module(log_shape)
        shape = xp.exp(log_shape)
        by_shape = (shape - 1) * trigamma(shape) + xp.expm1(log_scale)
        return d_kl * shape * by_shape, d_kl * (shape * xp.exp(log_scale) - 1)


class Gamma(ExpTransformedWithKL):
    """q(z) = zᵅ⁻¹ e^(−z/θ)/(Γ(α) θᵅ) on z > 0, with ``log_shape`` = log α, ``log_scale`` = log θ.

    z is where the CDF reaches the uniform noise. The prior, α = θ = 1, is Exponential(1).

    Examples
    --------
    >>> import numpy as np
    >>> half = np.array([0.5])
    >>> Gamma().rsample(half, np.log([1.0]), np.log([2.0])) / np.log(4)
    array([1.])
    >>> Gamma().base.rsample(half, np.log([1e-4]), np.zeros(1)).round(2)  # log z
    array([-6932.05])
    """

    parameters = ("log_shape", "log_scale")
    base = LogGamma()
    tails = (EXPONENTIAL, DOUBLE_EXPONENTIAL)
    standard_variance = 1.0

    def location(self, log_shape: Array, log_scale: Array) -> Array:
        """E[z] = αθ."""
        return self._exp(log_shape + log_scale)

    mean = location

    def std(self, log_shape: Array, log_scale: Array) -> Array:
        """√α θ."""
        return self._exp(0.5 * log_shape + log_scale)


@in_double
class LogChiSquared(Family):
    """The logarithm of a chi-squared variable: of Gamma(ν/2, 2)."""

    parameters = ("log_df",)
    _gamma = LogGamma()

    def rsample(self, noise: Array, log_df: Array) -> Array:
        """y = log 2 + log x with P(ν/2, x) = u."""
        return self._gamma.rsample(noise, log_df - LOG_2, LOG_2)

    def rsample_backward(self, d_y: Array, noise: Array, log_df: Array) -> tuple[Array]:
        """d_log_df is what the shape ν/2 gets."""
        return self._gamma.rsample_backward(d_y, noise, log_df - LOG_2, LOG_2)[:1]

    def log_prob(self, y: Array, log_df: Array) -> Array:
        """½νr − eʳ − log Γ(½ν), r = y − log 2, in nats."""
        return self._gamma.log_prob(y, log_df - LOG_2, LOG_2)

    def log_prob_backward(
        self, d_logp: Array, y: Array, log_df: Array
    ) -> tuple[Array, tuple[Array]]:
        """d_log_df is what the shape ν/2 gets."""
        d_y, d_params = self._gamma.log_prob_backward(d_logp, y, log_df - LOG_2, LOG_2)
        return d_y, d_params[:1]

    def mean(self, log_df: Array) -> Array:
        """E[y] = ψ(½ν) + log 2."""
        return self._gamma.mean(log_df - LOG_2, LOG_2)

    def mean_backward(self, d_mean: Array, log_df: Array) -> tuple[Array]:
        """d_log_df is what the shape ν/2 gets."""
        return self._gamma.mean_backward(d_mean, log_df - LOG_2, LOG_2)[:1]

    def entropy(self, log_df: Array) -> Array:
        """½ν + log Γ(½ν) − ½ν ψ(½ν), in nats."""
        return self._gamma.entropy(log_df - LOG_2, LOG_2)

    def entropy_backward(self, d_entropy: Array, log_df: Array) -> tuple[Array]:
        """d_log_df is what the shape ν/2 gets."""
        return self._gamma.entropy_backward(d_entropy, log_df - LOG_2, LOG_2)[:1]

    def kl(self, log_df: Array) -> Array:
        """KL(χ²_ν ‖ χ²_1) = (α − ½) ψ(α) − log Γ(α) + log Γ(½), α = ½ν, in nats."""
        shape = 0.5 * array_module(log_df).exp(log_df)
        return (shape - 0.5) * digamma(shape) - gammaln(shape) + 0.5 * LOG_PI

    def kl_backward(self, d_kl: Array, log_df: Array) -> tuple[Array]:
        """d_log_df = d_kl α (α − ½) ψ′(α)."""
        shape = 0.5 * array_module(log_df).exp(log_df)
        return (d_kl * shape * (shape - 0.5) * trigamma(shape),)


class ChiSquared(ExpTransformedWithKL):
    """q(z) ∝ z^(ν/2 − 1) e^(−z/2) on z > 0, with ``log_df`` = log ν, ν > 0 any real number.

    The sum of ν squared normals; Gamma(ν/2, 2). The prior has ν = 1.

    Examples
    --------
    >>> import numpy as np
    >>> ChiSquared().rsample(np.array([0.5]), np.log([2.0])) / np.log(4)
    array([1.])
    """

    parameters = ("log_df",)
    base = LogChiSquared()
    standard_variance = 2.0
    tails = (Tail("exponential", rate=0.5), Tail("double exponential", rate=0.5, free=""))

    def location(self, log_df: Array) -> Array:
        """E[z] = ν."""
        return self._exp(log_df)

    mean = location

    def std(self, log_df: Array) -> Array:
        """√2ν."""
        return self._exp(0.5 * (log_df + LOG_2))
