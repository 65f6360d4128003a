"""Real x with outliers: a location and a scale for each feature."""
from npvae.ops.declare import op
from npvae.ops.elementary import (
    LOG_2,
    absolute,
    exp_below_sqrt_max,
    halves,
    soft_clip,
    soft_clip_backward,
)
from npvae.ops.layouts import features, matrix
from npvae.ops.noise import location_scale, tail_distance, uniforms


@op(features, "nll x")
def laplace_nll(xp, a, bias, x, limit, d_nll_d_a, nll):
    """−log p(x|z) = Σ_d log 2b + |r|,  r = (x − μ)/b,  with [μ | log b] = a + b′.

    The gradient is −sign(r)/b for μ and 1 − |r| for log b, times the derivative of the soft clip:
    log b and 1/b are bounded as log σ² and 1/σ are in :func:`normal_nll`.

    a (L, M, 2D) is used up; bias b′ (2D,), x (M, D) → d_nll_d_a (L, M, 2D), nll (L, M)
    """
    xp.add(a, bias, out=a)
    mean, logscale = halves(a)  # (L, M, D) each
    d_mean, d_logscale = halves(d_nll_d_a)
    soft_clip(xp, logscale, limit)
    xp.negative(logscale, out=d_mean)
    exp_below_sqrt_max(xp, d_mean, d_mean)  # 1/b
    r = xp.subtract(mean, x, out=d_logscale)
    xp.multiply(r, d_mean, out=r)  # −r
    size = absolute(xp, r, mean)  # |r|
    xp.sign(r, out=r)
    xp.multiply(d_mean, r, out=d_mean)
    xp.subtract(1, size, out=d_logscale)
    soft_clip_backward(xp, logscale, limit, d_logscale)
    xp.add(logscale, size, out=logscale)  # they may cancel: before they are summed
    nll[...] = xp.einsum("lmd->lm", logscale)
    nll += x.shape[-1] * LOG_2


@op(matrix, "x", uint64="seed stream", int64="step")
def sample_laplace(xp, seed, stream, step, a, bias, limit, x):
    """x = μ ∓ b log 2v, with [μ | log b] = a + b′ as in :func:`laplace_nll`.

    step (1,), a (M, 2D), bias b′ (2D,) → x (M, D)
    """
    for part, heads, u in uniforms(xp, seed, stream, step, a, bias, x):
        soft_clip(xp, halves(heads)[1], limit)
        sign, v = tail_distance(xp, u[..., 0])
        part[...] = location_scale(xp, heads, -sign * xp.log(2 * v))
