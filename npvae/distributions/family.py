"""What every family of this package shares: its parameters, its noise, and finite numbers.

A family says which real numbers it takes (each is valid, so that a head of an encoder may give
them), where its values lie, and what noise an element of its sample is made of. The member with
all parameters zero is the prior that its ``kl`` is to.

Values near 0 or 1 can be nearer than any float. So a family whose support has an end is defined by
its ``base``, the distribution of a y on the real line of which z is a function: the ratio of two
densities is the same at y as at z, and at y nothing is lost.
"""
from inspect import signature
from math import exp, inf, log
from typing import Any

from npvae.backend import Array, array_module
from npvae.distributions.numbers import takes_numbers
from npvae.distributions.tails import Tails
from npvae.errors import ParameterError
from npvae.random import HALF_CELL, as_generator


class Family:
    """A distribution with reparameterized samples.

    Its ``location(*params)`` is what a model's ``transform`` gives: E[z] where that is finite, and
    elsewhere what its docstring says.

    Attributes
    ----------
    parameters : tuple of str
        What the methods take after ``noise`` or ``z``, in order.
    support : str
        Where z lies: "real", "positive", "unit interval", "simplex", or "interval": one whose
        ends depend on the parameters.
    noise : tuple of str
        What an element of a sample is made of, "uniform" on (0, 1] or "normal". Noise of two
        numbers or more has an axis for them in front.
    joint : bool
        Whether log-density, entropy and KL are of all variables on the last axis together, and
        not of each.
    tails : (Tail, Tail), optional
        How fast the density falls at the two ends of its support: see
        :mod:`npvae.distributions.tails`. Those of a family that declares none are taken to be
        exponential, on an interval bounded.
    standard_variance : float, optional
        Of a variable of the member with all parameters 0; None where it has none or it is not
        known in closed form.
    """

    parameters: tuple[str, ...]
    support: str = "real"
    noise: tuple[str, ...] = ("uniform",)
    joint: bool = False
    tails: Tails | None = None
    standard_variance: float | None = None

    def __init_subclass__(cls) -> None:
        takes_numbers(cls)

    @property
    def base(self) -> Any:
        """The distribution of y, with z = :meth:`transform` (y); on the real line of z itself."""
        return self

    def transform(self, y: Array) -> tuple[Array, Any]:
        """The transform of the base variable: z and ∂z/∂y."""
        return y, 1

    def heads(self, J: int) -> dict[str, int]:
        """The encoder's heads for a posterior of J such variables."""
        return dict.fromkeys(self.parameters, J)

    def __eq__(self, other: object) -> bool:
        """Two of a class are one family if their options are the same."""
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(type(self))

    def __repr__(self) -> str:
        own = signature(type(self)).parameters
        options = ", ".join(f"{k}={v!r}" for k, v in vars(self).items() if k in own)
        return f"{type(self).__name__}({options})"

    def mean(self, *params: Any) -> Array:
        """E[z] of each variable; ∞ where it is, NaN where there is none.

        Raises
        ------
        ParameterError
            If the family does not say.
        """
        raise ParameterError(f"{self!r} gives no mean; give it a method mean(*params)")

    def std(self, *params: Any) -> Array:
        """The standard deviation of each variable; ∞ where it is, NaN where there is none.

        Raises
        ------
        ParameterError
            If the family does not say.
        """
        raise ParameterError(f"{self!r} gives no std; give it a method std(*params)")

    def draw_noise(self, rng: Any, shape: tuple[int, ...]) -> Array:
        """float64 noise for samples of ``shape``; ``rng`` an int, a Generator or None."""
        rng = as_generator(rng)
        drawn = [
            1 - rng.random(shape) if kind == "uniform" else rng.standard_normal(shape)
            for kind in self.noise
        ]
        return drawn[0] if len(drawn) == 1 else array_module(drawn[0]).stack(drawn)


class Positive(Family):
    """z = exp y on z > 0, kept within the floats, beyond which its derivative is 0."""

    support = "positive"

    @property
    def base(self) -> Any:
        """The distribution of y = log z."""
        return Logarithm(self)

    def transform(self, y: Array) -> tuple[Array, Any]:
        """z = exp y, and its derivative."""
        return clamped_exp(array_module(y), y)


class Logarithm(Family):
    """y = log z of a positive family: log q(y) = log q(z) + y."""

    def __init__(self, family: Any):
        self.family = family
        self.parameters, self.noise = family.parameters, family.noise

    def rsample(self, noise: Array, *params: Array) -> Array:
        """y = log z."""
        return array_module(noise).log(self._z(noise, params))

    def rsample_backward(self, d_y: Array, noise: Array, *params: Array) -> tuple[Array, ...]:
        """d_z = d_y/z, and on through z."""
        d_z = d_y / self._z(noise, params)
        return self.family.rsample_backward(d_z, noise, *params)

    def _z(self, noise: Array, params: tuple[Array, ...]) -> Array:
        z = self.family.rsample(noise, *params)
        xp = array_module(z)
        return xp.maximum(z, exp(-exponent_limit(xp, z.dtype)))

    def log_prob(self, y: Array, *params: Array) -> Array:
        """log q(z) + y, in nats; beyond what z can be, all that q has is less than there."""
        z, _ = self.family.transform(y)
        xp = array_module(y)
        log_q = self.family.log_prob(z, *params)
        return xp.where(y == inf, -inf, log_q + xp.minimum(y, exponent_limit(xp, y.dtype)))

    def log_prob_backward(
        self, d_logp: Array, y: Array, *params: Array
    ) -> tuple[Array, tuple[Array, ...]]:
        """d_y = d_z z + d_logp."""
        z, dz_dy = self.family.transform(y)
        d_z, d_params = self.family.log_prob_backward(d_logp, z, *params)
        return d_z * dz_dy + d_logp, d_params


def exponential(xp: Any, u: Array) -> Array:
    """−log u, a standard exponential; never 0."""
    return xp.maximum(-xp.log(u), HALF_CELL)


def exponent_limit(xp: Any, dtype: Any) -> float:
    """680, or in float32 59: exp y and e⁻ʸ up to there, times 10⁶ and more, are finite."""
    return log(float(xp.finfo(dtype).max)) - 30


def clamped_exp(xp: Any, y: Array) -> tuple[Array, Array]:
    """The exponential z = exp y with y clamped on both sides, and ∂z/∂y, for any finite y.

    Beyond ± :func:`exponent_limit` z stays where it is, and its derivative is 0.
    """
    limit = exponent_limit(xp, y.dtype)
    z = xp.exp(xp.minimum(xp.maximum(y, -limit), limit))
    return z, z * (xp.abs(y) < limit)


def log1p_square(xp: Any, r: Array) -> Array:
    """log(1 + r²), for any r: the square of the larger of 1 and |r| is taken out."""
    size = xp.where(r < 0, -r, r)
    ratio = xp.minimum(size, 1) / xp.maximum(size, 1)
    return 2 * xp.log(xp.maximum(size, 1)) + xp.log1p(ratio * ratio)


def log1p_square_grads(xp: Any, r: Array) -> tuple[Array, Array]:
    """r/(1 + r²) and r²/(1 + r²), half its derivatives by r and by log r; r and 1/r share one."""
    size = xp.abs(r)
    ratio = xp.minimum(size, 1) / xp.maximum(size, 1)
    share = 1 / (1 + ratio * ratio)  # of the larger of 1 and r²
    return xp.sign(r) * ratio * share, xp.where(size < 1, ratio * ratio * share, share)


def slack(xp: Any, a: Array, b: Array) -> Array:
    """How far rounding may have moved a sum of two numbers."""
    size = abs(a) + abs(b)
    return 8 * float(xp.finfo(size.dtype).eps) * size
