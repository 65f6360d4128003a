"""Standardization: real-valued data in units of their own, as part of the model.

A network that starts at weights of about 1/√in expects inputs near 0 of deviation near 1, and its
optimiser moves a bias by about a learning rate a step. Data have units: a column in millimetres or
in metres, at 1 ± 0.01 or at 10⁶. So a model with a real-valued likelihood sees

    x̃ = (x − shift) / scale,        shift and scale of each feature, (D,)

and its parameters live in the units of x̃. What goes in and what comes out are in the data's:

    log p(x) = log p(x̃) − Σ_d log scale_d,        E[x|z] = scale · E[x̃|z] + shift

The bound is then the same whatever units and offsets a feature has, up to this change of variables.
"""
from collections.abc import Callable, Iterator
from math import inf
from typing import Any

from npvae.backend import Array, array_module
from npvae.records import dataclass

NAMES = ("standardization.shift", "standardization.scale")  # in a file


@dataclass(frozen=True, eq=False)
class Standardization:
    """A change of units of each feature.

    Attributes
    ----------
    shift, scale : array (D,) float64
        On the device that computes.

    Examples
    --------
    >>> import numpy as np
    >>> units = Standardization(np.array([1000.0, 0.0]), np.array([10.0, 1.0]))
    >>> units.standardize(np.array([[1010.0, 3.0]]))
    array([[1., 3.]])
    >>> units.restore(np.array([[1.0, 3.0]], dtype="float32"))
    array([[1010.,    3.]], dtype=float32)
    """

    shift: Array
    scale: Array

    def standardize(self, x: Array, factor: float = 1.0) -> Array:
        """Data (M, D) times ``factor`` → x̃ (M, D) float64: rounded after the shift, not before."""
        return (x * factor - self.shift) / self.scale

    def arrays(self) -> dict[str, Array]:
        """Both by their names in a file."""
        return dict(zip(NAMES, (self.shift, self.scale), strict=True))

    def restore(self, x: Array) -> Array:
        """x̃ (…, D) → x, in its dtype."""
        return (x * self.scale + self.shift).astype(x.dtype)


def feature_moments(chunks: Callable[[], Iterator[Array]], N: int) -> tuple[Array, Array]:
    """Mean and deviation of each feature, in float64.   (D,) each; 0 where a feature is constant.

    In two passes, for a mean of the squares less the square of the mean has no digits left where
    the data lie far from 0. Deviations are squared in units of the largest of them, which
    overflows nowhere.

    Parameters
    ----------
    chunks : callable
        Gives the N datapoints anew, some (M, D) float64 at a time.
    """
    mean: Any = 0
    low, high = inf, -inf  # type: Any, Any
    for x in chunks():
        xp = array_module(x)
        mean = mean + (x / N).sum(axis=0)
        low, high = xp.minimum(low, x.min(axis=0)), xp.maximum(high, x.max(axis=0))
    mean = xp.minimum(xp.maximum(mean, low), high)  # where a rounding has led outside
    reach = xp.maximum(high - mean, mean - low)  # the largest deviation
    constant = reach <= 4 * xp.finfo(xp.float64).eps * xp.maximum(abs(low), abs(high))
    reach = xp.where(constant, 1, reach)
    squares: Any = 0
    for x in chunks():
        squares = squares + (((x - mean) / reach) ** 2).sum(axis=0)
    return mean, xp.where(constant, 0, reach * xp.sqrt(squares / N))
