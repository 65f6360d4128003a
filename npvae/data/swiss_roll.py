"""The swiss roll: a sheet rolled up in space, with a true latent that can be known."""
from math import pi

import numpy as np

from npvae.data.dataset import Dataset
from npvae.errors import ParameterError


def make_swiss_roll(n: int, rng: int | np.random.Generator | None = None) -> Dataset:
    """``n`` samples of a sheet rolled up in three dimensions.

        t = 1.5π (1 + 2u),   x = (t cos t, 21v, t sin t) / 10,   u, v ~ U(0, 1)

    The usual roll, divided by 10 so that its coordinates are of order one. They are negative
    in places, so they ask for a normal likelihood with a linear mean.

    Parameters
    ----------
    n : int
        Number of points, at least 1.
    rng : int, numpy.random.Generator or None
        A seed, a generator, or None for different points at every call.

    Returns
    -------
    Dataset
        pixels (n, 3) float32; labels (n,) float32 are ``t``, the position along the roll.

    Raises
    ------
    ParameterError
        If ``n`` is not positive.

    Examples
    --------
    >>> make_swiss_roll(500, rng=0)
    Dataset(swiss-roll: 500 datapoints of 3, float32, labels)
    """
    if n < 1:
        raise ParameterError(f"n = {n} points make no swiss roll: ask for 1 or more")
    u, v = np.random.default_rng(rng).random((2, n))
    t = 1.5 * pi * (1 + 2 * u)
    points = np.stack([t * np.cos(t), 21 * v, t * np.sin(t)], axis=1) / 10  # (n, 3)
    return Dataset(points.astype(np.float32), t.astype(np.float32), name="swiss-roll")
