"""Real x: a mean and a variance for each feature, or one deviation for all that is given."""
from math import log

from npvae.ops.declare import op
from npvae.ops.elementary import (
    LOG_2PI,
    exp_below_sqrt_max,
    halves,
    logistic,
    soft_clip,
    soft_clip_backward,
    sum_rows,
)
from npvae.ops.layouts import columns_of_two, features, matrix, rows
from npvae.ops.noise import fill_noise


@op(rows, "residual", flags="sigmoid_mean")
def normal_nll(xp, a, bias, x, sigmoid_mean, limit, inv_sigma, residual, nll):
    """−log p(x|z) = ½ Σ_d log 2π + log σ² + r²,  r = (x − μ)/σ,  with [μ | log σ²] = a + b.

    With ``sigmoid_mean`` the mean is sigmoid of its half of a + b, which keeps it in (0, 1).
    Beyond ±``limit`` log σ² is soft-clipped; ∞ is no limit. Without one 1/σ is still kept below
    the square root of the largest number (σ ≥ 6e-20 in float32), so that a perfect prediction
    at a vanishing variance costs 0 · 1/σ = 0 and not 0 · ∞.

    a (L, M, 2D) in: products, out: [μ | log σ²]; bias (2D,), x (M, D)
    → inv_sigma and residual (L, M, D), nll (L, M)
    """
    xp.add(a, bias, out=a)
    mean, logvar = halves(a)  # (L, M, D) each
    if sigmoid_mean:
        logistic(xp, mean, mean)
    soft_clip(xp, logvar, limit)
    xp.multiply(logvar, -0.5, out=inv_sigma)
    exp_below_sqrt_max(xp, inv_sigma, inv_sigma)
    xp.subtract(x, mean, out=residual)
    xp.multiply(residual, inv_sigma, out=residual)  # r
    nll[...] = xp.einsum("lmd->lm", logvar) + xp.einsum("lmd,lmd->lm", residual, residual)
    nll += x.shape[-1] * LOG_2PI
    nll *= 0.5


@op(columns_of_two, "residual", flags="sigmoid_mean")
def normal_nll_backward(xp, d_nll, a, sigmoid_mean, limit, inv_sigma, residual, d_a, d_bias):
    """d_μ = −d_nll · r/σ  (times μ(1 − μ) under a sigmoid),   d_logvar = ½ d_nll · (1 − r²)
    (times the derivative of the soft clip).

    d_nll (L, M), a = [μ | log σ²] (L, M, 2D), inv_sigma and residual (L, M, D)
    → d_a (L, M, 2D), d_bias (2D,)
    """
    mean, logvar = halves(a)
    d_mean, d_logvar = halves(d_a)
    d = d_nll[..., None]  # (L, M, 1)
    xp.multiply(residual, inv_sigma, out=d_mean)
    xp.multiply(d_mean, -d, out=d_mean)
    if sigmoid_mean:
        xp.multiply(d_mean, mean, out=d_mean)
        xp.subtract(1, mean, out=d_logvar)  # working space until its own turn comes
        xp.multiply(d_mean, d_logvar, out=d_mean)
    xp.multiply(residual, residual, out=d_logvar)
    xp.subtract(1, d_logvar, out=d_logvar)
    xp.multiply(d_logvar, 0.5 * d, out=d_logvar)
    soft_clip_backward(xp, logvar, limit, d_logvar)
    sum_rows(xp, d_a, d_bias)


@op(matrix, "x", uint64="seed stream", int64="step", flags="sigmoid_mean")
def sample_normal(xp, seed, stream, step, a, bias, sigmoid_mean, limit, x):
    """x = μ + σ ν, ν ~ N(0, I), with [μ | log σ²] = a + b as in :func:`normal_nll`.

    step (1,), a (M, 2D) is used up, bias (2D,) → x (M, D)
    """
    fill_noise(xp, seed, stream, step, 0, x[None])
    xp.add(a, bias, out=a)
    mean, logvar = halves(a)  # (M, D) each
    if sigmoid_mean:
        logistic(xp, mean, mean)
    soft_clip(xp, logvar, limit)
    xp.multiply(logvar, 0.5, out=logvar)
    xp.exp(logvar, out=logvar)  # σ
    xp.multiply(x, logvar, out=x)
    xp.add(x, mean, out=x)


@op(features, "nll x", flags="sigmoid_mean")
def fixed_normal_nll(xp, a, bias, x, sigmoid_mean, std, d_nll_d_a, nll):
    """−log p(x|z) = Σ_d ½ r² + log σ + ½ log 2π,  r = (x − μ)/σ,  one σ = ``std`` for all pixels.

    μ = a + b, through a sigmoid if asked; d_nll_d_μ is −r/σ, times μ(1 − μ) then.

    a (L, M, D) is used up; bias (D,), x (M, D) → d_nll_d_a (L, M, D), nll (L, M)
    """
    xp.add(a, bias, out=a)  # μ
    if sigmoid_mean:
        logistic(xp, a, a)
    xp.subtract(a, x, out=d_nll_d_a)
    xp.multiply(d_nll_d_a, 1 / std, out=d_nll_d_a)  # −r
    nll[...] = xp.einsum("lmd,lmd->lm", d_nll_d_a, d_nll_d_a)
    nll *= 0.5
    nll += x.shape[-1] * (log(std) + 0.5 * LOG_2PI)
    xp.multiply(d_nll_d_a, 1 / std, out=d_nll_d_a)
    if sigmoid_mean:
        xp.multiply(d_nll_d_a, a, out=d_nll_d_a)
        xp.subtract(1, a, out=a)
        xp.multiply(d_nll_d_a, a, out=d_nll_d_a)
