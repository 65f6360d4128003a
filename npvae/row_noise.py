"""Noise that belongs to a datapoint and not to its place: keyed by the values of a row.

In training the noise of a datapoint follows from where it stands in the batch. What a trained model
says of a datapoint must not: a row has to be scored alike alone, among others, and in any order. So
its noise is a function of (seed, stream, step, key, element), the key being a hash of its values.

The generator is that of :mod:`npvae.random`, Philox4x64-10 (Salmon et al. 2011), with the key in
the third word of the counter; written for arrays, since every row has another counter. It runs on
the host: a device is handed the noise.
"""
from functools import cache
from math import pi

import numpy as np

from npvae import random

M0, M1 = 0xD2E7470EE14C6C93, 0xCA5A826395121157
W0, W1 = 0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B
LOW, ALL = 2**32 - 1, 2**64 - 1
FEW = 16  # rows, for which the calls of NumPy's generator cost less than those of many passes


def row_keys(x: np.ndarray) -> np.ndarray:
    """A hash of each row's values: equal rows have equal keys.   x (M, D) real → (M,) uint64

    Of the values in float32, whatever the model's dtype, so that the same model in another dtype
    has the same noise. Their bits, 64 at a time, times random odd weights; the upper half of each
    product folded into the lower, where a sum keeps it; and the sum mixed (MurmurHash3's
    finaliser), so that every bit depends on all.

    Examples
    --------
    >>> a, b, c = row_keys(np.array([[1.0, 2.0], [2.0, 1.0], [1.0, 2.0]]))
    >>> bool(a == c), bool(a == b)
    (True, False)
    """
    M, D = x.shape
    whole = np.zeros((M, D + D % 2), np.float32)
    with np.errstate(over="ignore"):
        whole[:, :D] += x  # and −0 becomes 0
    bits = whole.view(np.uint64)  # (M, B)
    bits ^= bits >> np.uint64(32)  # of a round number all that is not 0 is in the upper half
    product = bits * _weights(bits.shape[1])
    h = (product ^ (product >> np.uint64(32))).sum(axis=1, dtype=np.uint64)
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        h = (h ^ (h >> np.uint64(33))) * np.uint64(factor)
    return h ^ (h >> np.uint64(33))


@cache
def _weights(n: int) -> np.ndarray:
    """Random odd numbers.   (n,) uint64"""
    return random.words(0, random.ROWS, 0, n) | np.uint64(1)


def row_normals(
    seed: int, stream: int, step: int, keys: np.ndarray, L: int, J: int, start: int = 0
) -> np.ndarray:
    """Samples ``start`` to start + L of every row, standard normal.   keys (M,) → (L, M, J)

    Element e of a row's stream is that of :func:`npvae.random.normal` with the row's key: sample l
    has the J elements from (start + l) J on.
    """
    M, first, last = len(keys), start * J, (start + L) * J
    if M <= FEW:
        rows = [random.normal(seed, stream, step, L * J, first, int(key)) for key in keys]
        return np.reshape(rows, (M, L, J)).swapaxes(0, 1)
    words = _philox(seed, stream, step, keys, first // 4, (last + 3) // 4)  # (M, 4 B)
    u = ((words >> np.uint64(11)).astype(np.float64) + 1) * 2.0**-53  # uniform on (0, 1]
    radius, angle = np.sqrt(-2 * np.log(u[:, 0::2])), (2 * pi) * u[:, 1::2]  # Box-Muller
    z = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1).reshape(M, -1)
    skip = first % 4
    return z[:, skip : skip + L * J].reshape(M, L, J).swapaxes(0, 1)


def row_thresholds(seed: int, stream: int, keys: np.ndarray, D: int) -> np.ndarray:
    """Numbers uniform on [0, 1): where a grey value is above its own, a pixel is white.   (M, D)"""
    words = _philox(seed, stream, 0, keys, 0, -(-D // 4))[:, :D]
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _philox(
    seed: int, stream: int, step: int, keys: np.ndarray, first: int, last: int
) -> np.ndarray:
    """Words of the blocks ``first`` to ``last`` of each key's stream.   keys (M,) → (M, 4 B) uint64

    Block b has the counter (b + 1, step, key, 0): NumPy adds one before it makes a block.
    """
    a, c = np.broadcast_arrays(np.arange(first + 1, last + 1, dtype=np.uint64), keys[:, None])
    b, d = np.full_like(a, step), np.zeros_like(a)  # (M, B) each
    for i in range(10):
        k0, k1 = np.uint64((seed + i * W0) & ALL), np.uint64((stream + i * W1) & ALL)
        a, b, c, d = (
            _high(c, M1) ^ b ^ k0, c * np.uint64(M1),
            _high(a, M0) ^ d ^ k1, a * np.uint64(M0),
        )  # fmt: skip
    return np.stack([a, b, c, d], axis=-1).reshape(len(keys), -1)


def _high(a: np.ndarray, factor: int) -> np.ndarray:
    """The upper 64 bits of a · factor, by halves of 32."""
    half, low = np.uint64(32), np.uint64(LOW)
    f_low, f_high = np.uint64(factor & LOW), np.uint64(factor >> 32)
    a_low, a_high = a & low, a >> half
    middle = a_high * f_low + (a_low * f_low >> half)
    return a_high * f_high + (middle >> half) + (a_low * f_high + (middle & low) >> half)
