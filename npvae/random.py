"""Noise as a pure function of (seed, stream, step, element).

A counter-based generator (Philox; Salmon et al. 2011) has no state to carry along: block
number ``b`` of a stream is computed from ``b`` alone. So the noise of a step is the same
before and after a resume, on one worker or eight, on a CPU or a GPU, and any range of
elements can be drawn without drawing those before it.

    key     = (seed, stream)
    counter = (block of four 64-bit words, step, row, 0)

A uniform takes one 64-bit word an element; normals are made in pairs out of two words by the
Box-Muller transform, so that element ``e`` needs words ``2⌊e/2⌋`` and ``2⌊e/2⌋ + 1``. Training
leaves ``row`` at 0; in evaluation it is a hash of a row's values (:mod:`npvae.ops.row_noise`).
"""
from __future__ import annotations

from math import pi
from typing import Any

import numpy as np

from npvae.errors import ParameterError

# Streams: one for each use of noise, so that no two uses ever share a random number.
(
    INITIALIZE, PERMUTE, POSTERIOR, BINARIZE, EVALUATE, BINARIZE_ONCE, CHAINS, DREAM, PARAMETERS,
    ROWS, DRAW, COMPARE,
) = range(12)  # fmt: skip

HALF_CELL = 2.0**-54  # uniforms lie 2⁻⁵³ apart: u = 1 stands for the middle of its cell


def _philox(
    seed: int, stream: int, step: int, block: int = 0, row: int = 0
) -> np.random.Philox:
    key = np.array((seed, stream), np.uint64)  # NumPy would make floats of a seed above 2⁶³
    counter = np.array((block, step, row, 0), np.uint64)
    return np.random.Philox(key=key, counter=counter)


def words(
    seed: int, stream: int, step: int, count: int, start: int = 0, row: int = 0
) -> np.ndarray:
    """``count`` 64-bit words of a stream from word ``start`` on.   (count,) uint64

    Examples
    --------
    >>> bool((words(1, 0, 7, 10)[3:] == words(1, 0, 7, 7, start=3)).all())
    True
    """
    block, skip = divmod(start, 4)
    return _philox(seed, stream, step, block, row).random_raw(skip + count)[skip:]


def uniform(
    seed: int, stream: int, step: int, count: int, start: int = 0, row: int = 0
) -> np.ndarray:
    """``count`` numbers uniform on (0, 1], 53 bits each.   (count,) float64"""
    u = (words(seed, stream, step, count, start, row) >> np.uint64(11)).astype(np.float64)
    u += 1.0
    u *= 2.0**-53
    return u


def thresholds(seed: int, stream: int, step: int, count: int, start: int = 0) -> np.ndarray:
    """``count`` numbers uniform on [0, 1), 24 bits each, two a word.   (count,) float32

    Exact in float32 and never 1, so that ``x > u`` is always true for x = 1 and never for 0.
    """
    first = start - start % 2
    n_words = (start + count - first + 1) // 2
    bits = words(seed, stream, step, n_words, first // 2).astype("<u8").view("<u4")
    u = (bits >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)
    return u[start - first :][:count]


def normal(
    seed: int, stream: int, step: int, count: int, start: int = 0, row: int = 0
) -> np.ndarray:
    """``count`` independent standard normals, elements ``start`` on.   (count,) float64

    Box-Muller: ``√(−2 log u₁) · (cos 2πu₂, sin 2πu₂)``. No value exceeds 8.6 in magnitude.

    Examples
    --------
    >>> bool((normal(1, 0, 7, 10)[3:] == normal(1, 0, 7, 7, start=3)).all())
    True
    """
    first = start - start % 2  # pairs are whole: begin at an even element
    n_pairs = (start + count - first + 1) // 2
    u = uniform(seed, stream, step, 2 * n_pairs, first, row)
    radius, angle = np.sqrt(-2.0 * np.log(u[0::2])), (2.0 * pi) * u[1::2]
    z = np.empty(2 * n_pairs)
    np.multiply(radius, np.cos(angle), out=z[0::2])
    np.multiply(radius, np.sin(angle), out=z[1::2])
    return z[start - first : start - first + count]


def fill_noise(
    seed: int, stream: int, step: int, L: int, J: int, M: int, start: int = 0
) -> np.ndarray:
    """ε of L samples for each of M datapoints, ``start`` samples coming before.   (L, M, J) float64

    Samples are counted datapoint by datapoint, so the noise of a datapoint does not depend
    on how a batch is cut into chunks or shared out among workers.
    """
    eps = normal(seed, stream, step, M * L * J, start * J)
    return eps.reshape(M, L, J).swapaxes(0, 1)


def permutation(seed: int, epoch: int, n: int, window: int = 0) -> np.ndarray:
    """The order in which epoch ``epoch`` visits ``n`` datapoints, or those of a window of it, which
    are numbered from 1.   (n,) int64
    """
    return np.random.Generator(_philox(seed, PERMUTE, epoch, row=window)).permutation(n)


def as_generator(
    rng: int | np.random.Generator | None, name: str = "rng"
) -> np.random.Generator:
    """A generator from what scientific Python calls ``rng`` (SPEC 7): an int, one, or None.

    Raises
    ------
    ParameterError
        If ``rng``, called ``name``, is something else, or a negative int.
    """
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        raise ParameterError(
            f"{name}={rng!r} cannot seed a generator; pass a non-negative int, a "
            "numpy.random.Generator, or None"
        ) from error


def as_seed(random_state: Any, name: str = "random_state") -> int:
    """A 64-bit seed: the int itself, a fresh one for None, or one drawn from a generator.

    Raises
    ------
    ParameterError
        If ``random_state``, called ``name``, is a negative or too large int, or something else.
    """
    if isinstance(random_state, (int, np.integer)):
        if 0 <= random_state < 2**64:
            return int(random_state)
        raise ParameterError(f"{name}={random_state} is outside 0 … 2⁶⁴−1; choose another")
    if isinstance(random_state, np.random.RandomState):  # scikit-learn's checks pass these
        return int(random_state.randint(2**31))
    return int(as_generator(random_state, name).integers(2**63))
