"""Two families on an interval: uniform and triangular.

Their ends move with the parameters: as posteriors they want a prior that is positive on all of
the interval. The KL to a normal is closed for both.
"""
from math import inf
from typing import Any

from npvae.backend import Array, array_module
from npvae.distributions.family import slack
from npvae.distributions.location_scale import FiniteVariance
from npvae.distributions.tails import BOUNDED
from npvae.ops.noise import tail_distance


class Uniform(FiniteVariance):
    """q(z) = 1/w on [loc, loc + w], with ``loc`` the lower end and ``log_scale`` = log w.

    z = loc + w u.

    Examples
    --------
    >>> import numpy as np
    >>> Uniform().kl(np.array([0.25, 0.75]), np.log([0.5, 0.5])).round(4)
    array([0.6931,    inf])
    """

    support = "interval"
    tails = (BOUNDED, BOUNDED)
    lower, upper = 0.0, 1.0
    standard_entropy = 0.0
    standard_mean = 0.5
    standard_variance = 1 / 12

    def standard_sample(self, xp: Any, noise: Array) -> Array:
        return noise

    def log_density(self, xp: Any, r: Array) -> Array:
        return 0 * r

    def log_density_grad(self, xp: Any, r: Array) -> Array:
        return 0 * r

    def kl(self, loc: Array, log_scale: Array) -> Array:
        """KL(q ‖ uniform on [0, 1]) = −log w in nats where q lies inside, else ∞."""
        xp = array_module(log_scale)
        scale = xp.exp(log_scale)
        rounding = slack(xp, 1 + scale, loc)
        outside = (loc < -rounding) | (loc + scale > 1 + rounding)
        return xp.where(outside, inf, -log_scale + 0 * loc)

    def kl_backward(self, d_kl: Array, loc: Array, log_scale: Array) -> tuple[Array, Array]:
        """d_loc = 0,   d_log_scale = −d_kl."""
        return 0 * d_kl * loc, -d_kl + 0 * log_scale


class Triangular(FiniteVariance):
    """q(z) = (1 − |r|)/w, r = (z − loc)/w, on |r| ≤ 1, with ``loc`` and ``log_scale`` = log w.

    z = loc ± w (1 − √2v), where v is the distance of u to the nearer of 0 and 1.

    Examples
    --------
    >>> import numpy as np
    >>> Triangular().rsample(np.array([0.125, 0.5, 1.0]), np.zeros(3), np.zeros(3)).round(4)
    array([-0.5,  0. ,  1. ])
    """

    support = "interval"
    tails = (BOUNDED, BOUNDED)
    lower, upper = -1.0, 1.0
    standard_entropy = 0.5
    standard_variance = 1 / 6

    def standard_sample(self, xp: Any, noise: Array) -> Array:
        sign, v = tail_distance(xp, noise)
        return sign * (1 - xp.sqrt(2 * v))

    def log_density(self, xp: Any, r: Array) -> Array:
        return xp.log(self._height(xp, r))

    def log_density_grad(self, xp: Any, r: Array) -> Array:
        return -xp.sign(r) / self._height(xp, r)

    def _height(self, xp: Any, r: Array) -> Array:
        """1 − |r|, of which rounding leaves at least its own size at the ends."""
        return xp.maximum(1 - xp.abs(r), xp.finfo(r.dtype).eps)
