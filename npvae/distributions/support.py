"""Where the data of a likelihood lie, and what to say about those that lie elsewhere."""
from math import inf
from typing import Any

from npvae.backend import Array
from npvae.records import dataclass

OFF = 0.01  # of a step: what rounding of the data may add up to


@dataclass(frozen=True)
class Support:
    """The numbers from ``low`` to ``high``; with a ``step``, the whole multiples of it.

    Attributes
    ----------
    fault : str
        What is wrong with another number, and what to do: an error's message after "X[0, 0] = 2 ".

    Examples
    --------
    >>> import numpy as np
    >>> COUNTS.excludes(np, np.array([0.0, 1.5, 7.0, -1.0]))
    array([False,  True, False,  True])
    """

    low: float = -inf
    high: float = inf
    step: float | None = None
    fault: str = ""

    def excludes(self, xp: Any, x: Array, rounding: float = 0.0) -> Array:
        """Which elements of ``x`` lie elsewhere, by more than ``rounding`` beyond the ends."""
        outside = (x < self.low - rounding) | (x > self.high + rounding)
        if self.step is None:
            return outside
        steps = x * (1 / self.step)
        return outside | (abs(steps - xp.rint(steps)) > OFF)


REALS = Support()
COUNTS = Support(
    0, 2.0**53, 1,
    "is no count, as the Poisson likelihood needs: a whole number from 0 on; undo the scaling "
    "of the data if they are counts, or choose likelihood='normal'",
)  # fmt: skip


def unit_interval(likelihood: str) -> Support:
    """[0, 1], which a likelihood of this name needs."""
    return Support(
        0, 1, None,
        f"lies outside [0, 1], as the {likelihood} likelihood needs; divide 8-bit pixels by 255, "
        "or choose likelihood='normal'",
    )  # fmt: skip


def levels(K: int, likelihood: str) -> Support:
    """0, 1/(K − 1), …, 1, of which a likelihood of this name gives the probabilities."""
    return Support(
        0, 1, 1 / (K - 1),
        f"is none of the {K} levels 0, {f'1/{K - 1}, …, ' if K > 2 else ''}1 of the {likelihood} "
        f"likelihood; divide levels 0 … {K - 1} by {K - 1}, set n_levels to how many there are, "
        "or choose likelihood='normal'",
    )  # fmt: skip
