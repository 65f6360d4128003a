"""Real x with outliers: a location and a scale for each feature."""
from npvae.ops.declare import op
from npvae.ops.elementary import LOG_2, absolute, bounded_exp, halves
from npvae.ops.layouts import features, matrix
from npvae.ops.noise import from_median, placed, uniforms


@op(features, "nll x")
def laplace_nll(xp, a, bias, x, slope, nll):
    """−log p(x|z) = Σ_d log 2b + |r|,  r = (x − μ)/b,  with [μ | log b] = a + b′.

    The slopes are −sign(r)/b for μ and 1 − |r| for log b. 1/b is bounded as 1/σ is in
    :func:`normal_nll`.

    a (L, M, 2D) is used up; bias b′ (2D,), x (M, D) → slope (L, M, 2D), nll (L, M)
    """
    xp.add(a, bias, out=a)
    mean, logscale = halves(a)  # (L, M, D) each
    d_mean, d_logscale = halves(slope)
    xp.negative(logscale, out=d_mean)
    bounded_exp(xp, d_mean, d_mean)  # 1/b
    r = xp.subtract(mean, x, out=d_logscale)
    xp.multiply(r, d_mean, out=r)  # −r
    nll[...] = xp.einsum("lmd->lm", logscale)
    size = absolute(xp, r, logscale)  # |r|
    nll += xp.einsum("lmd->lm", size)
    nll += x.shape[-1] * LOG_2
    xp.sign(r, out=r)
    xp.multiply(d_mean, r, out=d_mean)
    xp.subtract(1, size, out=d_logscale)


@op(matrix, "x", uint64="seed stream", int64="step")
def laplace_draw(xp, seed, stream, step, a, bias, x):
    """x = μ ∓ b log 2v, with [μ | log b] = a + b′.

    step (1,), a (M, 2D), bias b′ (2D,) → x (M, D)
    """
    for part, heads, u in uniforms(xp, seed, stream, step, a, bias, x):
        sign, v = from_median(xp, u[..., 0])
        part[...] = placed(xp, heads, -sign * xp.log(2 * v))
