"""The last layer: from the decoder's products to −log p(x|z), summed over the D pixels.

Forward passes keep what their backward needs in buffers that the caller hands in; backward
passes write ∂loss/∂a for the products ``a`` and ∂loss/∂b for the bias. Both work on the L
samples of each datapoint at once; x (M, D) is shared by the L.
"""
from math import log, pi

from npvae.ops.activations import logistic
from npvae.ops.latent import halves

LOG_2PI = log(2 * pi)


def bernoulli_nll(xp, a, bias, x, y, scratch, nll):
    """−log p(x|z) = Σ_d softplus(l) − x·l from the logits l = a + b, never from y.

    softplus(l) = max(l, 0) − log max(y, 1 − y), with y = sigmoid(l): the argument of the
    logarithm stays in [½, 1], so no finite logit overflows and no probability is clipped.

    a (L, M, D) is used up; bias (D,), x (M, D), scratch (L, M, D) → y (L, M, D), nll (L, M)
    """
    xp.add(a, bias, out=a)  # l
    x_l = xp.einsum("lmd,md->lm", a, x)  # Σ_d x·l   (L, M)
    logistic(xp, a, y)
    xp.subtract(1, y, out=scratch)
    xp.maximum(y, scratch, out=scratch)
    xp.log(scratch, out=scratch)  # −log(1 + exp(−|l|))
    xp.maximum(a, 0, out=a)
    xp.subtract(a, scratch, out=a)  # softplus(l)
    xp.subtract(xp.einsum("lmd->lm", a), x_l, out=nll)  # einsum sums rows at a third of sum's cost


def bernoulli_nll_backward(xp, d_nll, x, y, d_a, d_bias):
    """d_a = d_nll · (y − x): what is predicted less what is there.

    d_nll (L, M), x (M, D), y (L, M, D) → d_a (L, M, D), d_bias (D,)
    """
    xp.subtract(y, x, out=d_a)
    xp.multiply(d_a, d_nll[..., None], out=d_a)
    xp.sum(d_a, axis=(0, 1), out=d_bias)


def normal_nll(xp, a, bias, x, sigmoid_mean, inv_sigma, residual, nll):
    """−log p(x|z) = ½ Σ_d log 2π + log σ² + r²,  r = (x − μ)/σ,  with [μ | log σ²] = a + b.

    With ``sigmoid_mean`` the mean is sigmoid of its half of a + b, which keeps it in (0, 1).
    1/σ is kept below the square root of the largest number (σ ≥ 6e-20 in float32), so that
    a perfect prediction at a vanishing variance costs 0 · 1/σ = 0 and not 0 · ∞.

    a (L, M, 2D) in: products, out: [μ | log σ²]; bias (2D,), x (M, D)
    → inv_sigma and residual (L, M, D), nll (L, M)
    """
    xp.add(a, bias, out=a)
    mean, logvar = halves(a)  # (L, M, D) each
    if sigmoid_mean:
        logistic(xp, mean, mean)
    xp.multiply(logvar, -0.5, out=inv_sigma)
    xp.minimum(inv_sigma, log(float(xp.finfo(a.dtype).max)) / 2, out=inv_sigma)
    xp.exp(inv_sigma, out=inv_sigma)
    xp.subtract(x, mean, out=residual)
    xp.multiply(residual, inv_sigma, out=residual)  # r
    nll[...] = xp.einsum("lmd->lm", logvar) + xp.einsum("lmd,lmd->lm", residual, residual)
    nll += x.shape[-1] * LOG_2PI
    nll *= 0.5


def normal_nll_backward(xp, d_nll, a, sigmoid_mean, inv_sigma, residual, d_a, d_bias):
    """d_μ = −d_nll · r/σ  (times μ(1 − μ) under a sigmoid),   d_logvar = ½ d_nll · (1 − r²).

    d_nll (L, M), a = [μ | log σ²] (L, M, 2D), inv_sigma and residual (L, M, D)
    → d_a (L, M, 2D), d_bias (2D,)
    """
    mean, _ = halves(a)
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
    xp.sum(d_a, axis=(0, 1), out=d_bias)
