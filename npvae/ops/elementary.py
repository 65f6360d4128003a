"""Functions of single numbers, and views of heads, that several ops share.

``out`` may be the argument itself, but for ``absolute``. All are defined on complex numbers too,
with branches by the real part, so that the complex step goes through.
"""
from math import log, pi

LOG_2, LOG_PI, LOG_2PI = log(2), log(pi), log(2 * pi)
TINY = 1e-30  # instead of 0 where a ratio of two small numbers tends to 1
BLOCK = 64  # rows that are summed one by one


def halves(a):
    """Two views of the last axis: (…, 2J) → (…, J), (…, J)."""
    middle = a.shape[-1] // 2
    return a[..., :middle], a[..., middle:]


def sum_rows(xp, a, out):
    """Σ over all axes but the last: sums of blocks of rows, and then the sum of these.

    Row by row each partial sum is rounded, and of thousands of rows that is the largest error of a
    gradient; this way a number of 256 rows or more is in 64 + n/64 roundings, not n.

    a (…, H) → out (H,)
    """
    rows = a.reshape(-1, a.shape[-1])
    whole = len(rows) // BLOCK * BLOCK
    if whole < 4 * BLOCK:  # of few the error is small, and one pass is faster
        xp.sum(rows, axis=0, out=out)
        return
    blocks = rows[:whole].reshape(-1, BLOCK, a.shape[-1])
    xp.sum(blocks.sum(axis=1), axis=0, out=out)
    xp.add(out, rows[whole:].sum(axis=0), out=out)


def logistic(xp, a, out):
    """1 / (1 + exp(−a)) = ½ + ½ tanh(½ a): one transcendental, and it overflows for no input."""
    xp.multiply(a, 0.5, out=out)
    xp.tanh(out, out=out)
    xp.multiply(out, 0.5, out=out)
    xp.add(out, 0.5, out=out)


def largest_exponent(xp, dtype):
    """Up to where eᵛ stays below the square root of the largest number."""
    return log(float(xp.finfo(dtype).max)) / 2


def exp_below_sqrt_max(xp, v, out):
    """The exponential eᵛ, capped at the square root of the largest number, so that products of two
    are finite; it may underflow to 0, unlike :func:`npvae.distributions.family.clamped_exp`.
    """
    xp.minimum(v, largest_exponent(xp, v.dtype), out=out)
    xp.exp(out, out=out)


def within(u, limit):
    """Whether |u| ≤ limit everywhere; not of NaN."""
    return bool(u.max() <= limit and u.min() >= -limit)


def soft_clip(xp, u, limit):
    """In place u ← c + e/(1 + |e|), with c = u clipped to ±limit and e = u − c.

    That is exactly u where |u| ≤ limit, and within ±(limit + 1) beyond. The derivative,
    1/(1 + |e|)², is continuous, and far out it is small but not 0: what is there comes back. Where
    nothing is beyond, as in nearly every minibatch, two looks at u are all that it costs.
    """
    if not within(u, limit):
        c = xp.minimum(xp.maximum(u, -limit), limit)
        e = u - c
        xp.add(c, e / (1 + absolute(xp, e, xp.empty_like(e))), out=u)


def soft_clip_backward(xp, clipped, limit, d):
    """In place d ← d / (1 + |e|)², by what :func:`soft_clip` made of u, c ± (1 − 1/(1 + |e|))."""
    if not within(clipped, limit):
        d *= (1 - xp.maximum(xp.abs(clipped) - limit, 0)) ** 2


def absolute(xp, v, out):
    """|v|, of complex numbers by the sign of their real part."""
    xp.negative(v, out=out)
    return xp.maximum(v, out, out=out)
