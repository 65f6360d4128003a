"""Noise of a step, sampled where it is used: ``step`` (1,) int64 lives on the device.

The generator is that of :mod:`npvae.random`: a function of (seed, stream, step, element) and of
nothing else.
"""
from typing import Any

from npvae import random
from npvae.ops.declare import op
from npvae.ops.elementary import exp_below_sqrt_max, halves
from npvae.ops.layouts import shaped_elements
from npvae.random import HALF_CELL

BLOCK = 8192  # numbers at a time: no step allocates as much as a batch
NORMAL_BLOCK = BLOCK // 2  # of those that are normal, which take more memory on the way


@op(shaped_elements, "eps", uint64="seed stream", int64="step start")
def fill_noise(xp, seed, stream, step, start, eps):
    """ε ~ N(0, I), ``start`` samples of the stream coming before.   step (1,) → eps (L, M, J)"""
    L, M, J = eps.shape
    rows = max(1, NORMAL_BLOCK // max(1, L * J))
    for first in range(0, M, rows):
        some = eps[:, first : first + rows]
        some[...] = xp.asarray(random.fill_noise(
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


def tail_distance(xp: Any, u: Any) -> tuple[Any, Any]:
    """Tail distance: which side of the median ½ a uniform u is on, −1 or 1, and its distance from
    the nearer end.
    """
    return xp.sign(u - 0.5), xp.minimum(u, xp.maximum(1 - u, HALF_CELL))


def location_scale(xp, heads, standard):
    """A location-scale variable μ + s · standard, with [μ | log s] = heads."""
    mean, scale = halves(heads)
    exp_below_sqrt_max(xp, scale, scale)
    return mean + scale * standard
