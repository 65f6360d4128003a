"""Four families on the real line: Laplace, Cauchy, logistic and Gumbel.

Each is the inverse of its CDF at uniform noise (the first way of section 2.4), moved and
stretched (the second). The noise u and 1 − u give opposite samples where the density is even.
"""
from math import inf, log, nan, pi
from typing import Any

from npvae.backend import Array, array_module
from npvae.distributions.family import (
    clamped_exp,
    exponent_limit,
    exponential,
    log1p_square,
    log1p_square_grads,
)
from npvae.distributions.location_scale import FiniteVariance, LocationScale
from npvae.distributions.special import digamma, gammaln
from npvae.distributions.tails import EXPONENTIAL, Tail
from npvae.ops.noise import tail_distance

EULER = 0.5772156649015329  # γ = −ψ(1)
CAUCHY = Tail("polynomial", rate=2.0, free="")
GUMBEL = Tail("double exponential", free="order")  # e^(|y|/β)


class Laplace(FiniteVariance):
    """q(z) = exp(−|z − loc|/b)/2b on the reals, with ``loc`` and ``log_scale`` = log b.

    z = loc ∓ b log 2v, where v is the distance of u to the nearer of 0 and 1.

    Examples
    --------
    >>> import numpy as np
    >>> Laplace().rsample(np.array([0.25, 0.5, 0.75]), np.zeros(3), np.zeros(3)).round(4)
    array([-0.6931,  0.    ,  0.6931])
    """

    standard_entropy = 1 + log(2)
    tails = (EXPONENTIAL, EXPONENTIAL)
    standard_variance = 2.0

    def standard_sample(self, xp: Any, noise: Array) -> Array:
        sign, v = tail_distance(xp, noise)
        return -sign * xp.log(2 * v)

    def log_density(self, xp: Any, r: Array) -> Array:
        return -xp.abs(r) - log(2)

    def log_density_grad(self, xp: Any, r: Array) -> Array:
        return -xp.sign(r)

    def kl(self, loc: Array, log_scale: Array) -> Array:
        """KL(q ‖ Laplace(0, 1)) = |loc| + b exp(−|loc|/b) − 1 − log b, in nats."""
        xp = array_module(log_scale)
        scale, distance = xp.exp(log_scale), xp.abs(loc)
        return distance + scale * xp.exp(-distance / scale) - 1 - log_scale

    def kl_backward(self, d_kl: Array, loc: Array, log_scale: Array) -> tuple[Array, Array]:
        """With e = exp(−|loc|/b): d_loc = ±d_kl (1 − e), d_log_scale = d_kl (e (b + |loc|) − 1)."""
        xp = array_module(log_scale)
        scale, distance = xp.exp(log_scale), xp.abs(loc)
        d_loc = -d_kl * xp.sign(loc) * xp.expm1(-distance / scale)
        return d_loc, d_kl * (xp.exp(-distance / scale) * (scale + distance) - 1)


class Cauchy(LocationScale):
    """q(z) = 1/(πγ (1 + r²)), r = (z − loc)/γ, on the reals: ``loc`` and ``log_scale`` = log γ.

    z = loc + γ tan(π (u − ½)). It has neither mean nor variance, nor a finite KL to a normal.

    Examples
    --------
    >>> import numpy as np
    >>> Cauchy().rsample(np.array([0.25, 0.5, 0.75]), np.zeros(3), np.zeros(3)).round(4)
    array([-1.,  0.,  1.])
    """

    standard_entropy = log(4 * pi)
    tails = (CAUCHY, CAUCHY)

    def location(self, loc: Array, log_scale: Array) -> Array:
        """The median: there is no mean."""
        return loc

    def standard_sample(self, xp: Any, noise: Array) -> Array:
        sign, v = tail_distance(xp, noise)
        return sign * xp.cos(pi * v) / xp.sin(pi * v)

    def log_density(self, xp: Any, r: Array) -> Array:
        return -log(pi) - log1p_square(xp, r)

    def log_density_grad(self, xp: Any, r: Array) -> Array:
        return -2 * log1p_square_grads(xp, r)[0]

    def mean(self, loc: Array, log_scale: Array) -> Array:
        """NaN: there is none."""
        return nan + 0 * loc + 0 * log_scale

    def std(self, loc: Array, log_scale: Array) -> Array:
        """NaN: about no mean there is no deviation."""
        return self.mean(loc, log_scale)

    def kl(self, loc: Array, log_scale: Array) -> Array:
        """KL(q ‖ Cauchy(0, 1)) = log(((1 + γ)² + loc²)/4γ) (Chyzak, Nielsen 2019), in nats."""
        xp = array_module(log_scale)
        root = xp.exp(0.5 * log_scale)
        a, b = 0.5 * (1 / root - root), 0.5 * loc / root
        return xp.log1p(a * a + b * b)

    def kl_backward(self, d_kl: Array, loc: Array, log_scale: Array) -> tuple[Array, Array]:
        """With n = (1 + γ)² + loc²: d_loc = 2 d_kl loc/n, d_log_scale = d_kl (γ² − 1 − loc²)/n."""
        scale = array_module(log_scale).exp(log_scale)
        t = loc / (1 + scale)
        n = 1 + t * t  # over (1 + γ)², which may be too large
        return 2 * d_kl * t / (1 + scale) / n, d_kl * ((scale - 1) / (scale + 1) - t * t) / n


class Logistic(FiniteVariance):
    """q(z) = 1/(4s cosh²(r/2)), r = (z − loc)/s, on the reals: ``loc`` and ``log_scale`` = log s.

    z = loc + s log(u/(1 − u)). Between two logistic distributions no closed KL is known.

    Examples
    --------
    >>> import numpy as np
    >>> Logistic().rsample(np.array([0.25, 0.5, 0.75]), np.zeros(3), np.zeros(3)).round(4)
    array([-1.0986,  0.    ,  1.0986])
    """

    standard_entropy = 2.0
    tails = (EXPONENTIAL, EXPONENTIAL)
    standard_variance = pi**2 / 3

    def standard_sample(self, xp: Any, noise: Array) -> Array:
        sign, v = tail_distance(xp, noise)
        return sign * xp.log((1 - v) / v)

    def log_density(self, xp: Any, r: Array) -> Array:
        distance = xp.abs(r)  # the density is even: no overflow
        return -distance - 2 * xp.log1p(xp.exp(-distance))

    def log_density_grad(self, xp: Any, r: Array) -> Array:
        return -xp.tanh(0.5 * r)


class Gumbel(FiniteVariance):
    """q(z) = exp(−r − e⁻ʳ)/β, r = (z − loc)/β, on the reals: ``loc`` and ``log_scale`` = log β.

    The limit of maxima: z = loc − β log E, with E = −log u an exponential variable.

    Examples
    --------
    >>> import numpy as np
    >>> Gumbel().rsample(np.exp([-1.0]), np.zeros(1), np.zeros(1))  # the mode
    array([0.])
    """

    standard_entropy = 1 + EULER
    standard_mean = EULER
    standard_variance = pi**2 / 6
    sign: int = 1
    tails = (GUMBEL, EXPONENTIAL)

    def standard_sample(self, xp: Any, noise: Array) -> Array:
        return -self.sign * xp.log(exponential(xp, noise))

    def log_density(self, xp: Any, r: Array) -> Array:
        y = xp.minimum(-self.sign * r, exponent_limit(xp, r.dtype))  # or e^y would stop before y
        return xp.where(-self.sign * r == inf, -inf, y - clamped_exp(xp, y)[0])

    def log_density_grad(self, xp: Any, r: Array) -> Array:
        return self.sign * (clamped_exp(xp, -self.sign * r)[0] - 1)

    def kl(self, loc: Array, log_scale: Array) -> Array:
        """KL(q ‖ Gumbel(0, 1)) = loc + γβ + e⁻ˡᵒᶜ Γ(1 + β) − 1 − γ − log β, in nats."""
        scale, tail = self._tail(loc, log_scale)
        return self.sign * loc + EULER * (scale - 1) + (tail - 1) - log_scale

    def kl_backward(self, d_kl: Array, loc: Array, log_scale: Array) -> tuple[Array, Array]:
        """With t = e⁻ˡᵒᶜ Γ(1+β): d_loc = d_kl (1−t), d_log_scale = d_kl (β (γ + t ψ(1+β)) − 1)."""
        scale, tail = self._tail(loc, log_scale)
        by_scale = scale * (EULER + tail * digamma(1 + scale)) - 1
        return self.sign * d_kl * (1 - tail), d_kl * by_scale

    def _tail(self, loc: Array, log_scale: Array) -> tuple[Array, Array]:
        """β, and E[e⁻ᶻ]."""
        xp = array_module(log_scale)
        scale = xp.exp(log_scale)
        return scale, clamped_exp(xp, gammaln(1 + scale) - self.sign * loc)[0]


class GumbelMinimum(Gumbel):
    """The limit of minima: −z is a Gumbel variable. It is the logarithm of a Weibull."""

    sign = -1
    standard_mean = -EULER
    tails = (EXPONENTIAL, GUMBEL)
