"""What every family of this room shares: its parameters, its noise, and numbers that stay finite.

A family says which real numbers it takes (each is valid, so that a head of an encoder may give
them), where its values lie, and what noise an element of its sample is made of. The member with
all parameters zero is the prior that its ``kl`` is to.
"""
from math import log
from typing import Any

from npvae.backend import array_module
from npvae.random import as_generator

Array = Any
HALF_CELL = 2.0**-54  # uniforms lie 2⁻⁵³ apart: u = 1 stands for the middle of its cell


class Family:
    """A distribution with reparameterized samples.

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
    """

    parameters: tuple[str, ...]
    support: str = "real"
    noise: tuple[str, ...] = ("uniform",)

    def heads(self, J: int) -> dict[str, int]:
        """The encoder's heads for a posterior of J such variables."""
        return dict.fromkeys(self.parameters, J)

    def draw_noise(self, rng: Any, shape: tuple[int, ...]) -> Array:
        """float64 noise for samples of ``shape``; ``rng`` an int, a Generator or None."""
        rng = as_generator(rng)
        drawn = [
            1 - rng.random(shape) if kind == "uniform" else rng.standard_normal(shape)
            for kind in self.noise
        ]
        return drawn[0] if len(drawn) == 1 else array_module(drawn[0]).stack(drawn)


def exponential(xp: Any, u: Array) -> Array:
    """−log u, a standard exponential; never 0."""
    return xp.maximum(-xp.log(u), HALF_CELL)


def folded(xp: Any, u: Array) -> tuple[Array, Array]:
    """Which side of the median u is on, −1 or 1, and how far it is from the nearer end."""
    return xp.sign(u - 0.5), xp.minimum(u, xp.maximum(1 - u, HALF_CELL))


def exponent_limit(xp: Any, dtype: Any) -> float:
    """680, or in float32 59: exp y and e⁻ʸ up to there, times 10⁶ and more, are finite."""
    return log(float(xp.finfo(dtype).max)) - 30


def finite_exp(xp: Any, y: Array) -> tuple[Array, Array]:
    """z = exp y, and ∂z/∂y, for any finite y.

    Beyond ± :func:`exponent_limit` z stays where it is, and its slope is 0.
    """
    limit = exponent_limit(xp, y.dtype)
    z = xp.exp(xp.minimum(xp.maximum(y, -limit), limit))
    return z, z * (xp.abs(y) < limit)


def slack(xp: Any, *numbers: Array) -> Array:
    """How far rounding may have moved a sum of these numbers."""
    size: Array = 1.0
    for number in numbers:
        size = size + abs(number)
    return 8 * float(xp.finfo(size.dtype).eps) * size
