"""One of K levels for each feature, close ones with alike probabilities."""
from math import log

from npvae.ops.declare import op
from npvae.ops.elementary import TINY, exp_below_sqrt_max, halves, logistic
from npvae.ops.layouts import features, matrix
from npvae.ops.noise import location_scale, tail_distance, uniforms


@op(features, "nll x", scratch="scratch mask", int64="levels")
def discretized_logistic_nll(xp, a, bias, x, levels, d_nll_d_a, scratch, mask, nll):
    """−log p(x|z) = −Σ_d log(F(x + h) − F(x − h)): a logistic distribution, rounded to K levels.

    x is one of 0, 1/(K − 1), …, 1, h half the way to the next, and the first and the last level
    take what lies beyond them (Salimans et al. 2017). F(y) = sigmoid((y − μ)/s), [μ | log s] =
    a + b. With the distances of μ from the two edges, u = (±(x − μ) − h)/s,

        nll = Σ_edges softplus(u) − log(1 − e^−δ),        δ = 2h/s,

    each edge only where x has one, the last term where it has both: nothing is subtracted that
    was small. The gradient is Σ_edges ∓sigmoid(u)/s for μ, and δ/(e^δ − 1) − Σ_edges u·sigmoid(u)
    for log s. 1/s is bounded as in :func:`normal_nll`.

    a (L, M, 2D) is used up; bias (2D,), x (M, D), scratch (3, L, M, D), mask (M, D)
    → d_nll_d_a (L, M, 2D), nll (L, M)
    """
    h = 0.5 / (levels - 1)
    xp.add(a, bias, out=a)
    mean, logscale = halves(a)  # (L, M, D) each
    d_mean, d_logscale = halves(d_nll_d_a)

    delta, w, v = scratch
    xp.subtract(logscale, log(2 * h), out=logscale)  # −log δ
    xp.negative(logscale, out=delta)
    exp_below_sqrt_max(xp, delta, delta)
    xp.maximum(delta, TINY, out=delta)
    xp.negative(delta, out=w)
    xp.expm1(w, out=w)
    xp.negative(w, out=w)  # 1 − e^−δ
    inner = xp.greater(x, h, out=v[0])
    xp.less(x, 1 - h, out=mask)
    xp.multiply(mask, inner, out=mask)  # where x has both edges
    xp.minimum(delta, 1, out=v)
    xp.divide(w, v, out=v)
    xp.log(v, out=v)
    xp.maximum(logscale, 0, out=logscale)
    xp.subtract(logscale, v, out=v)  # −log(1 − e^−δ)
    nll[...] = xp.einsum("lmd,md->lm", v, mask)
    xp.subtract(1, w, out=v)
    xp.divide(v, w, out=w)
    xp.multiply(w, delta, out=w)  # δ/(e^δ − 1)
    xp.multiply(w, mask, out=d_logscale)

    inv_scale = xp.multiply(delta, levels - 1, out=logscale)
    u, y, v = scratch
    for lower in (True, False):
        xp.subtract(*((x, mean) if lower else (mean, x)), out=u)
        xp.subtract(u, h, out=u)
        xp.multiply(u, inv_scale, out=u)
        xp.greater(x, h, out=mask) if lower else xp.less(x, 1 - h, out=mask)
        logistic(xp, u, y)
        xp.subtract(1, y, out=v)
        xp.maximum(y, v, out=v)
        xp.log(v, out=v)  # max(u, 0) − softplus(u)
        nll -= xp.einsum("lmd,md->lm", v, mask)
        xp.multiply(y, mask, out=y)
        xp.multiply(y, u, out=v)
        xp.subtract(d_logscale, v, out=d_logscale)
        xp.maximum(u, 0, out=u)
        nll += xp.einsum("lmd,md->lm", u, mask)
        xp.negative(y, out=d_mean) if lower else xp.add(d_mean, y, out=d_mean)
    xp.multiply(d_mean, inv_scale, out=d_mean)


@op(matrix, "x", uint64="seed stream", int64="step levels")
def sample_discretized_logistic(xp, seed, stream, step, a, bias, levels, x):
    """x = μ ± s log((1 − v)/v), to the nearest of the levels k/(K − 1); [μ | log s] = a + b.

    step (1,), a (M, 2D), bias (2D,) → x (M, D)
    """
    for part, heads, u in uniforms(xp, seed, stream, step, a, bias, x):
        sign, v = tail_distance(xp, u[..., 0])
        y = location_scale(xp, heads, sign * xp.log((1 - v) / v))
        level = xp.floor(y * (levels - 1) + 0.5)
        part[...] = xp.minimum(xp.maximum(level, 0), levels - 1) / (levels - 1)
