"""Scrambled Sobol points: the first L of a sequence that fills the unit cube evenly.

In base 2 the digits of point l in dimension j are those of l by a matrix of the dimension (Sobol
1967; direction numbers of Joe and Kuo 2008, which scipy has). Each is the same number every time,
so that an average over the points would be wrong by the same amount for ever. A random linear
scramble with a digital shift (Matoušek 1998),

    y_i = s_i + Σ_{c ≤ i} S_ic x_c   mod 2,        S_cc = 1, below it and s random bits

keeps how evenly they lie and makes each by itself uniform on the cube: an average over them is
right in the mean, and where f is smooth its variance falls faster than 1/L (Owen 1997). Here every
datapoint has a scramble of its own, of words that are a function of whatever noise is one of.
"""
from functools import cache

import numpy as np

from npvae.errors import optional_import

MOST = 21201  # dimensions that have direction numbers
FIRST = np.uint64(1 << 63)  # the first binary digit


def n_digits(L: int) -> int:
    """Binary digits that tell L points apart."""
    return (L - 1).bit_length()


def n_words(L: int, n: int) -> int:
    """Words that scramble L points in n dimensions: for each of these a shift, and one a digit."""
    return n * (1 + n_digits(L))


@cache
def sobol_points(L: int, n: int) -> np.ndarray:
    """The first L points in n dimensions, unscrambled, as whole numbers below 2^digits.

    (L, n) uint64

    Raises
    ------
    MissingExtraError
        Without scipy.

    Examples
    --------
    >>> sobol_points(4, 2).tolist()
    [[0, 0], [2, 2], [3, 1], [1, 3]]
    """
    sequence = optional_import("scipy.stats.qmc", "science").Sobol(n, scramble=False)
    x = sequence.random_base2(n_digits(L))[:L]  # multiples of 2^−digits
    return np.ldexp(x, n_digits(L)).astype(np.uint64)


def sobol_normals(words: np.ndarray, L: int, n: int) -> np.ndarray:
    """Φ⁻¹ of L scrambled points for each datapoint.   words (M, n_words) uint64 → (L, M, n) float64

    Examples
    --------
    >>> from npvae import random
    >>> eps = sobol_normals(random.words(0, 0, 0, 30).reshape(5, 6), L=4, n=2)
    >>> sorted(np.digitize(eps[:, 0, 0], [-0.6745, 0, 0.6745]).tolist())  # one in each quarter
    [0, 1, 2, 3]
    """
    points, digits = sobol_points(L, n)[:, None], n_digits(L)  # (L, 1, n)
    shift, *columns = np.moveaxis(words.reshape(len(words), 1 + digits, n), 1, 0)  # (M, n) each
    y = np.repeat(shift[None], L, axis=0)  # (L, M, n)
    for c, column in enumerate(columns):
        digit = points >> np.uint64(digits - 1 - c) & np.uint64(1)
        y ^= digit * ((column | FIRST) >> np.uint64(c))
    u = ((y >> np.uint64(11)) + 0.5) * 2.0**-53  # in the middle of its cell: never 0 or 1
    normals: np.ndarray = optional_import("scipy.special", "science").ndtri(u)
    return normals
