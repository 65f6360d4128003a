"""Noise of a step, drawn where it is used: ``step`` (1,) int64 lives on the device.

What is drawn is told in :mod:`npvae.random`: a function of (seed, stream, step, element) and of
nothing else.
"""
from npvae import random
from npvae.ops.declare import op
from npvae.ops.elementary import bounded_exp, halves
from npvae.ops.layouts import shaped_elements

BLOCK = 8192  # numbers at a time: no step allocates as much as a batch
NORMAL_BLOCK = BLOCK // 2  # of those that are normal, which take more room on the way
HALF_CELL = 2.0**-54  # uniforms lie 2⁻⁵³ apart: u = 1 stands for the middle of its cell


@op(shaped_elements, "eps", uint64="seed stream", int64="step start")
def posterior_noise(xp, seed, stream, step, start, eps):
    """ε ~ N(0, I), ``start`` samples of the stream coming before.   step (1,) → eps (L, M, J)"""
    L, M, J = eps.shape
    rows = max(1, NORMAL_BLOCK // max(1, L * J))
    for first in range(0, M, rows):
        some = eps[:, first : first + rows]
        some[...] = xp.asarray(random.posterior_noise(
            seed, stream, int(step[0]), L, J, some.shape[1], start + first * L
        ))  # fmt: skip


def uniforms(xp, seed, stream, step, a, bias, x, each=1):
    """Some rows at a time: x, the heads a + bias, and float64 uniforms on (0, 1].

    step (1,), a (M, Σ heads), bias (Σ heads,), x (M, D) → (m, D), (m, Σ heads), (m, D, each)
    """
    M, D = x.shape
    rows = max(1, BLOCK // a.shape[1])
    for start in range(0, M, rows):
        some = slice(start, start + rows)
        count, before = x[some].size * each, start * D * each
        u = random.uniform(seed, stream, int(step[0]), count, before)
        yield x[some], a[some].real + bias.real, xp.asarray(u.reshape(-1, D, each))


def from_median(xp, u):
    """Which side of ½ a uniform u is on, −1 or 1, and how far it is from the nearer end."""
    return xp.sign(u - 0.5), xp.minimum(u, xp.maximum(1 - u, HALF_CELL))


def placed(xp, heads, standard):
    """μ + s · standard, with [μ | log s] = heads."""
    mean, scale = halves(heads)
    bounded_exp(xp, scale, scale)
    return mean + scale * standard
