"""Noise that belongs to a datapoint and not to its place: keyed by the values of a row.

In training the noise of a datapoint follows from where it stands in the batch. What a trained model
says of a datapoint must not: a row has to be scored alike alone, among others, and in any order. So
its noise is a function of (seed, stream, step, key, element), the key being a hash of its values.

These are plain functions of arrays, for evaluation alone: no step of training calls them, and they
make arrays on the way. The generator is that of :mod:`npvae.random`, Philox4x64-10 (Salmon et al.
2011), with the key in the third word of the counter; written for arrays, since every row has
another counter.
"""
from math import pi

from npvae import random

M0, M1 = 0xD2E7470EE14C6C93, 0xCA5A826395121157
W0, W1 = 0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B
LOW, ALL = 2**32 - 1, 2**64 - 1
FEW = 16  # rows


def row_keys(xp, x):
    """A hash of each row's values: equal rows have equal keys.   x (M, D) real → (M,) uint64

    The row's bits, 64 at a time, times random odd weights; the upper half of each product folded
    into the lower, where a sum keeps it; and the sum mixed (MurmurHash3's finaliser), so that every
    bit depends on all.
    """
    M, D = x.shape
    whole = xp.zeros((M, -(-D * x.dtype.itemsize // 8) * 8 // x.dtype.itemsize), x.dtype)
    whole[:, :D] += x  # and −0 becomes 0
    bits = whole.view("uint64")  # (M, B)
    bits ^= bits >> 32  # of a round number all that is not 0 stands in the upper half
    product = bits * xp.asarray(random.words(0, random.ROWS, 0, bits.shape[1]) | 1)
    h = (product ^ (product >> 32)).sum(axis=1, dtype="uint64")
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        h = (h ^ (h >> 33)) * factor
    return h ^ (h >> 33)


def fill_row_noise(xp, seed, stream, step, start, keys, eps):
    """ε ~ N(0, I) of samples number ``start`` on of each row.   keys (M,) uint64 → eps (L, M, J)

    Element e of a row's stream is that of :func:`npvae.random.normal`, whose pairs of words it
    takes: sample l has the elements from (start + l) J on.
    """
    L, M, J = eps.shape
    if M <= FEW:  # the calls of NumPy's generator cost less than those of many passes
        for m in range(M):
            z = random.normal(seed, stream, step, L * J, start * J, int(keys[m]))
            eps[:, m] = xp.asarray(z.reshape(L, J))
        return
    first, last = start * J, (start + L) * J
    words = philox(xp, seed, stream, step, keys, first // 4, (last + 3) // 4)  # (M, 4 B)
    u = ((words >> 11).astype("float64") + 1) * 2.0**-53  # uniform on (0, 1]
    radius, angle = xp.sqrt(-2 * xp.log(u[:, 0::2])), (2 * pi) * u[:, 1::2]  # Box-Muller
    z = xp.stack([radius * xp.cos(angle), radius * xp.sin(angle)], axis=-1).reshape(M, -1)
    skip = first % 4
    eps[...] = z[:, skip : skip + L * J].reshape(M, L, J).swapaxes(0, 1)


def binarize_rows(xp, seed, stream, keys, x):
    """x ← 1 where x > u, else 0, in place, u uniform on (0, 1] by the row.   keys (M,), x (M, D)

    A grey value is the probability of a one, to 2⁻⁵³: of u = 1 there is no need, for 1 > 1 is
    false, so the largest u is taken to lie just below it.
    """
    D = x.shape[1]
    words = philox(xp, seed, stream, 0, keys, 0, -(-D // 4))[:, :D]
    xp.greater(x, (words >> 11).astype("float64") * 2.0**-53, out=x)


def philox(xp, seed, stream, step, keys, first, last):
    """Words of the blocks ``first`` to ``last`` of each key's stream.   keys (M,) → (M, 4 B) uint64

    Block b has the counter (b + 1, step, key, 0): NumPy adds one before it makes a block.
    """
    blocks = xp.arange(first + 1, last + 1, dtype="uint64")
    a = blocks[None, :] + 0 * keys[:, None]  # (M, B)
    b, c, d = 0 * a + step, 0 * a + keys[:, None], 0 * a
    for i in range(10):
        k0, k1 = (seed + i * W0) & ALL, (stream + i * W1) & ALL
        a, b, c, d = (
            high(c, M1) ^ b ^ k0, c * M1,
            high(a, M0) ^ d ^ k1, a * M0,
        )  # fmt: skip
    return xp.stack([a, b, c, d], axis=-1).reshape(len(keys), -1)


def high(a, factor):
    """The upper 64 bits of a · factor, by halves of 32."""
    f_low, f_high, a_low, a_high = factor & LOW, factor >> 32, a & LOW, a >> 32
    middle = a_high * f_low + (a_low * f_low >> 32)
    return a_high * f_high + (middle >> 32) + (a_low * f_high + (middle & LOW) >> 32)
