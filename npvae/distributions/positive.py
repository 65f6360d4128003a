"""Positive families of a scale: exponential, Rayleigh, Erlang, and Gompertz with a shape.

The first two and the last invert their CDF at uniform noise (the first way of section 2.4). The
CDF of Erlang has no closed inverse, but it is a sum of exponentials (the third).
"""
from math import inf, lgamma, log, pi
from numbers import Real
from typing import Any

from npvae.backend import Array, array_module
from npvae.distributions.family import Positive, exponent_limit, exponential
from npvae.distributions.location_scale import FiniteVariance, Scale, Standard
from npvae.distributions.real_line import EULER
from npvae.distributions.special import LOST, gauss_legendre, rounded, scaled_exp1
from npvae.distributions.tails import DOUBLE_EXPONENTIAL, Tail
from npvae.errors import ParameterError


class StandardExponential(Standard):
    """f(s) = e⁻ˢ on s > 0: s = −log u."""

    lower = 0.0
    standard_entropy = 1.0

    def standard_sample(self, xp: Any, noise: Array) -> Array:
        return exponential(xp, noise)

    def log_density(self, xp: Any, r: Array) -> Array:
        return -r

    def log_density_grad(self, xp: Any, r: Array) -> Array:
        return -1 + 0 * r


class Exponential(StandardExponential, Scale):
    """q(z) = e^(−z/m)/m on z > 0, with ``log_scale`` = log m, m the mean, 1/m the rate.

    z = −m log u. The prior has rate 1.

    Examples
    --------
    >>> import numpy as np
    >>> Exponential().rsample(np.exp([-1.0, -2.0]), np.log([1.0, 3.0]))
    array([1., 6.])
    """

    standard_mean = standard_variance = 1.0
    tails = (Tail("exponential", rate=1.0, free=""), DOUBLE_EXPONENTIAL)


class ShiftedExponential(StandardExponential, FiniteVariance):
    """An exponential variable that begins at ``loc``. It is the logarithm of a Pareto."""

    support = "interval"
    standard_mean = 1.0
    standard_variance = 1.0

    def kl(self, loc: Array, log_scale: Array) -> Array:
        """KL(q ‖ Exponential(1)) = loc + scale − 1 − log scale in nats for loc ≥ 0, else ∞."""
        xp = array_module(log_scale)
        return xp.where(loc < 0, inf, loc + xp.expm1(log_scale) - log_scale)

    def kl_backward(self, d_kl: Array, loc: Array, log_scale: Array) -> tuple[Array, Array]:
        """d_loc = d_kl,   d_log_scale = d_kl (scale − 1)."""
        return d_kl + 0 * loc, d_kl * array_module(log_scale).expm1(log_scale)


class Rayleigh(Scale):
    """q(z) = z/σ² e^(−z²/2σ²) on z > 0, with ``log_scale`` = log σ.

    The length of a normal vector in the plane: z = σ √(−2 log u).

    Examples
    --------
    >>> import numpy as np
    >>> Rayleigh().rsample(np.exp([-0.5, -2.0]), np.log([1.0, 3.0]))
    array([1., 6.])
    """

    power = 2
    tails = (
        Tail("exponential", rate=2.0, free=""), Tail("double exponential", order=2.0, rate=0.5)
    )  # fmt: skip
    standard_mean = (0.5 * pi) ** 0.5
    standard_variance = 2 - 0.5 * pi
    standard_entropy = 1 - 0.5 * log(2) + 0.5 * EULER

    def standard_sample(self, xp: Any, noise: Array) -> Array:
        return xp.sqrt(2 * exponential(xp, noise))

    def log_density(self, xp: Any, r: Array) -> Array:
        square = xp.minimum(r, float(xp.finfo(r.dtype).max) ** 0.5) ** 2
        return xp.log(r) - 0.5 * square

    def log_density_grad(self, xp: Any, r: Array) -> Array:
        return 1 / r - r


class Erlang(Scale):
    """q(z) = z^(k−1) e^(−z/θ)/(θᵏ (k − 1)!) on z > 0, with ``log_scale`` = log θ.

    A gamma distribution of fixed whole shape: z = −θ Σ log u_i, of k uniforms.

    Parameters
    ----------
    shape : int
        k ≥ 1.

    Examples
    --------
    >>> import numpy as np
    >>> q = Erlang(3)
    >>> noise = q.draw_noise(0, (5,))
    >>> noise.shape, q.rsample(noise, np.zeros(5)).shape
    ((3, 5), (5,))
    """

    def __init__(self, shape: int = 2):
        if not isinstance(shape, Real) or not 1 <= shape < inf or shape != int(shape):
            raise ParameterError(
                f"shape={shape!r} is no count of exponentials; choose 1, 2, 3 … or Gamma"
            )
        self.shape = int(shape)
        self.noise = ("uniform",) * self.shape
        self.tails = Tail("exponential", rate=self.shape, free=""), DOUBLE_EXPONENTIAL
        self.standard_mean = self.standard_variance = float(self.shape)
        psi = sum(1 / i for i in range(1, self.shape)) - EULER  # ψ(k)
        self.standard_entropy = self.shape + lgamma(self.shape) + (1 - self.shape) * psi

    def standard_sample(self, xp: Any, noise: Array) -> Array:
        exponentials = exponential(xp, noise)  # (k, …), or for k = 1 (…)
        return exponentials.sum(axis=0) if self.shape > 1 else exponentials

    def log_density(self, xp: Any, r: Array) -> Array:
        return (self.shape - 1) * xp.log(r) - r - lgamma(self.shape)

    def log_density_grad(self, xp: Any, r: Array) -> Array:
        return (self.shape - 1) / r - 1


class Gompertz(Positive):
    """q(z) = η/b exp(r − η(eʳ − 1)), r = z/b, z > 0: ``log_scale`` = log b, ``log_shape`` = log η.

    A rate of dying that grows as eʳ: z = b log(1 − log(u)/η). No closed KL to its own kind.

    Examples
    --------
    >>> import numpy as np
    >>> Gompertz().rsample(np.exp([-1.0]), np.zeros(1), np.zeros(1)).round(4)  # log 2
    array([0.6931])
    """

    parameters = ("log_scale", "log_shape")
    tails = (Tail("exponential", rate=1.0, free=""), Tail("triple exponential", free="order"))

    def rsample(self, noise: Array, log_scale: Array, log_shape: Array) -> Array:
        """z = b log(1 + E/η), with E = −log u."""
        xp = array_module(log_scale)
        return xp.exp(log_scale) * xp.log1p(exponential(xp, noise) * xp.exp(-log_shape))

    def rsample_backward(
        self, d_z: Array, noise: Array, log_scale: Array, log_shape: Array
    ) -> tuple[Array, Array]:
        """d_log_scale = d_z z,   d_log_shape = −d_z b E/(η + E)."""
        xp = array_module(log_scale)
        e = exponential(xp, noise)
        z = self.rsample(noise, log_scale, log_shape)
        return d_z * z, -d_z * xp.exp(log_scale) * e / (xp.exp(log_shape) + e)

    def location(self, log_scale: Array, log_shape: Array) -> Array:
        """E[z] = b e^η E₁(η)."""
        xp = array_module(log_scale)
        return xp.exp(log_scale) * scaled_exp1(xp.exp(log_shape))

    mean = location

    @rounded
    def std(self, log_scale: Array, log_shape: Array) -> Array:
        """b √Var[r], by 64-point Gauss-Legendre of the survival S(r) = exp(−η (eʳ − 1)).

        Var[r] = 2 ∫ (r − c) S dr − (∫ S dr)² from any c up to which S is 1, on to where it is 0.
        """
        xp = array_module(log_scale)
        eta = xp.exp(log_shape)
        c = xp.maximum(-log_shape - 30, 0)  # e⁻³⁰ and e⁻³⁶ are as good as 0
        width = xp.log1p(LOST / xp.maximum(eta, xp.finfo(eta.dtype).tiny)) - c
        first = second = 0 * width
        for node, weight in gauss_legendre(64):
            r = node * width
            survival = weight * width * xp.exp(-eta * xp.expm1(r + c))
            first, second = first + survival, second + r * survival
        return xp.exp(log_scale) * xp.sqrt(2 * second - first * first)

    def log_prob(self, z: Array, log_scale: Array, log_shape: Array) -> Array:
        """log η − log b + r − η (eʳ − 1), in nats; −∞ for z ≤ 0, z = ∞."""
        xp = array_module(log_scale)
        r = self._residual(xp, z, log_scale)
        log_q = log_shape - log_scale + r - xp.exp(log_shape) * xp.expm1(r)
        return xp.where((z <= 0) | (z == inf), -inf, log_q)

    def log_prob_backward(
        self, d_logp: Array, z: Array, log_scale: Array, log_shape: Array
    ) -> tuple[Array, tuple[Array, Array]]:
        """d_r = d_logp (1 − ηeʳ);   d_log_scale = −d_r r − d_logp,   d_log_shape by 1 − η(eʳ−1)."""
        xp = array_module(log_scale)
        r = self._residual(xp, z, log_scale)
        grown = xp.exp(log_shape) * xp.expm1(r)
        d_r = d_logp * (1 - grown - xp.exp(log_shape))
        return d_r * xp.exp(-log_scale), (-d_r * r - d_logp, d_logp * (1 - grown))

    def _residual(self, xp: Any, z: Array, log_scale: Array) -> Array:
        r = z * xp.exp(-log_scale)
        return xp.minimum(r, exponent_limit(xp, r.dtype))

    def entropy(self, log_scale: Array, log_shape: Array) -> Array:
        """1 + log b − log η − e^η E₁(η), in nats."""
        eta = array_module(log_shape).exp(log_shape)
        return 1 + log_scale - log_shape - scaled_exp1(eta)

    def entropy_backward(
        self, d_entropy: Array, log_scale: Array, log_shape: Array
    ) -> tuple[Array, Array]:
        """d_log_scale = d_entropy,   d_log_shape = −d_entropy η e^η E₁(η)."""
        eta = array_module(log_shape).exp(log_shape)
        return d_entropy + 0 * log_scale, -d_entropy * eta * scaled_exp1(eta)
