"""The last layer: from the decoder's products to −log p(x|z), summed over the D pixels.

Forward passes keep what their backward needs in buffers that the caller hands in; backward
passes write ∂loss/∂a for the products ``a`` and ∂loss/∂b for the bias. Both work on the L
samples of each datapoint at once; x (M, D) is shared by the L.

The Bernoulli and the normal have a backward op of their own. The others leave ``slope`` =
∂nll/∂a, which costs next to nothing beside nll itself, and share one: d_a = d_nll · slope.
"""
from math import expm1, lgamma, log, pi

from npvae.ops.activations import logistic
from npvae.ops.latent import halves

LOG_2, LOG_2PI = log(2), log(2 * pi)
TINY = 1e-30  # instead of 0 where a ratio of two small numbers tends to 1
# B₂ₙ/(2n)! for n = 1 … 7, of ½ coth(½l) − 1/l = Σ_n B₂ₙ/(2n)! l²ⁿ⁻¹; for |l| ≤ ½ the rest is 1e-17
SERIES = (1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000,
          1 / 74724249600)  # fmt: skip
NEAR = 0.5  # where it takes over
AT_NEAR = sum(c * NEAR ** (2 * n + 1) for n, c in enumerate(SERIES))
TABLE = [lgamma(k + 1) for k in range(256)]  # log k!
BLOCK = 2048  # counts looked up at a time: no step allocates as much as a batch


def bounded_exp(xp, v, out):
    """eᵛ, kept below the square root of the largest number: products of two stay finite.

    out may be v
    """
    xp.minimum(v, log(float(xp.finfo(v.dtype).max)) / 2, out=out)
    xp.exp(out, out=out)


def nll_backward(xp, d_nll, slope, d_a, d_bias):
    """d_a = d_nll · slope, of every likelihood whose forward pass left ∂nll/∂a in ``slope``.

    d_nll (L, M), slope (L, M, Σ heads) → d_a (L, M, Σ heads), d_bias (Σ heads,)
    """
    xp.multiply(slope, d_nll[..., None], out=d_a)
    xp.sum(d_a, axis=(0, 1), out=d_bias)


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
    bounded_exp(xp, inv_sigma, inv_sigma)
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


def fixed_normal_nll(xp, a, bias, x, sigmoid_mean, std, slope, nll):
    """−log p(x|z) = Σ_d ½ r² + log σ + ½ log 2π,  r = (x − μ)/σ,  one σ = ``std`` for all pixels.

    μ = a + b, through a sigmoid if asked; its slope is −r/σ, times μ(1 − μ) then.

    a (L, M, D) is used up; bias (D,), x (M, D) → slope (L, M, D), nll (L, M)
    """
    xp.add(a, bias, out=a)  # μ
    if sigmoid_mean:
        logistic(xp, a, a)
    xp.subtract(a, x, out=slope)
    xp.multiply(slope, 1 / std, out=slope)  # −r
    nll[...] = xp.einsum("lmd,lmd->lm", slope, slope)
    nll *= 0.5
    nll += x.shape[-1] * (log(std) + 0.5 * LOG_2PI)
    xp.multiply(slope, 1 / std, out=slope)
    if sigmoid_mean:
        xp.multiply(slope, a, out=slope)
        xp.subtract(1, a, out=a)
        xp.multiply(slope, a, out=slope)


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
    size = _absolute(xp, r, logscale)  # |r|
    nll += xp.einsum("lmd->lm", size)
    nll += x.shape[-1] * LOG_2
    xp.sign(r, out=r)
    xp.multiply(d_mean, r, out=d_mean)
    xp.subtract(1, size, out=d_logscale)


def poisson_nll(xp, a, bias, x, slope, scratch, nll):
    """−log p(x|z) = Σ_d exp(l) − x·l + log x!, with the log-rates l = a + b; the slope exp(l) − x.

    Rates are kept below the square root of the largest number (e⁴⁴ in float32).

    a (L, M, D) is used up; bias (D,), counts x (M, D), scratch (M, D) → slope (L, M, D), nll (L, M)
    """
    xp.add(a, bias, out=a)  # l
    bounded_exp(xp, a, slope)
    log_factorial(xp, x, scratch)
    xp.multiply(a, x, out=a)
    xp.subtract(slope, a, out=a)  # of large counts all but little cancels: before it is summed
    xp.add(a, scratch, out=a)
    nll[...] = xp.einsum("lmd->lm", a)
    xp.subtract(slope, x, out=slope)


def log_factorial(xp, x, out):
    """log x! of whole numbers x ≥ 0 of any shape: from a table, and beyond it by Stirling's series.

    The first term that the series leaves out is 1/(1260 x⁵), 1e-15.
    """
    table, counts, results = xp.asarray(TABLE), x.real.reshape(-1), out.reshape(-1)
    for start in range(0, counts.size, BLOCK):
        n = counts[start : start + BLOCK]
        result = table[xp.minimum(n, len(TABLE) - 1).astype("int64")]
        if n.max() >= len(TABLE):
            m = xp.maximum(n, len(TABLE)).astype("float64")
            by_series = (m + 0.5) * xp.log(m) - m + 0.5 * LOG_2PI
            by_series += (1 / 12 - 1 / (360 * m * m)) / m
            result = xp.where(n < len(TABLE), result, by_series)
        results[start : start + BLOCK] = result


def continuous_bernoulli_nll(xp, a, bias, x, slope, scratch, nll):
    """−log p(x|z) = Σ_d κ(l) − x·l,  κ(l) = log ∫₀¹ eˣˡ dx = log((eˡ − 1)/l),  l = a + b.

    This is the Bernoulli's formula with what it takes to integrate to one over [0, 1] instead
    of adding up to one over {0, 1} (Loaiza-Ganem, Cunningham 2019): λ = sigmoid(l), and κ is
    softplus less log C(λ). The slope is κ′(l) − x, κ′ being the mean of x:

        κ(l)  = max(l, 0) + log(w/t),               t = |l|,  w = 1 − e⁻ᵗ
        κ′(l) = ½ ± (1/w − 1/t − ½)                 the sign being that of l

    w/t loses no digit however small t is. The difference of 1/w and 1/t does, so where t < ½
    its Taylor series about λ = ½ stands for it. The two are joined without a branch: the series
    takes l cut off at ±½, the difference takes t from ½ on, less its value at ½.

    a (L, M, D) is used up; bias (D,), x (M, D), scratch (2, L, M, D)
    → slope (L, M, D), nll (L, M)
    """
    t, near = scratch
    xp.add(a, bias, out=a)  # l
    x_l = xp.einsum("lmd,md->lm", a, x)
    xp.add(_absolute(xp, a, t), TINY, out=t)
    w = xp.negative(t, out=slope)
    xp.expm1(w, out=w)
    xp.negative(w, out=w)
    xp.divide(w, t, out=near)
    xp.log(near, out=near)  # log(w/t)
    xp.subtract(xp.einsum("lmd->lm", near), x_l, out=nll)
    xp.minimum(a, NEAR, out=near)
    xp.maximum(near, -NEAR, out=near)  # l, cut off
    xp.maximum(a, 0, out=a)
    nll += xp.einsum("lmd->lm", a)

    xp.maximum(t, NEAR, out=t)
    xp.maximum(w, -expm1(-NEAR), out=w)
    xp.divide(1, w, out=w)
    xp.divide(1, t, out=t)
    far = xp.subtract(w, t, out=slope)
    xp.subtract(far, 0.5 + AT_NEAR, out=far)  # 0 where t ≤ ½
    xp.multiply(far, 1 / NEAR, out=far)
    square = xp.multiply(near, near, out=t)
    a[...] = SERIES[-1]
    for c in SERIES[-2::-1]:
        xp.multiply(a, square, out=a)
        xp.add(a, c, out=a)
    xp.add(far, a, out=slope)
    xp.multiply(slope, near, out=slope)
    xp.add(slope, 0.5, out=slope)  # κ′
    xp.subtract(slope, x, out=slope)


def categorical_nll(xp, a, bias, x, slope, scratch, mask, nll):
    """−log p(x|z) = Σ_d log Σ_k exp(l_kd) − l_cd,  l = a + b: one of K levels for each feature.

    x = c/(K − 1) says which. The slope is p_kd, the softmax, less one where k = c. Logits lie
    level by level, D of them each, so that sums over levels run along whole rows.

    a (L, M, KD) is used up; bias (KD,), x (M, D), scratch (L, M, D), mask (M, D)
    → slope (L, M, KD), nll (L, M)
    """
    L, M, D = scratch.shape
    xp.add(a, bias, out=a)
    l, p = a.reshape(L, M, -1, D), slope.reshape(L, M, -1, D)
    xp.max(l, axis=2, out=scratch)
    xp.subtract(l, scratch[:, :, None], out=l)  # ≤ 0, and 0 somewhere
    xp.exp(l, out=p)
    xp.sum(p, axis=2, out=scratch)
    xp.divide(p, scratch[:, :, None], out=p)
    xp.log(scratch, out=scratch)
    nll[...] = xp.einsum("lmd->lm", scratch)
    c = xp.multiply(x, l.shape[2] - 1, out=scratch[0])
    xp.rint(c, out=c)
    for k in range(l.shape[2]):
        xp.equal(c, k, out=mask)
        nll -= xp.einsum("lmd,md->lm", l[:, :, k], mask)
        xp.subtract(p[:, :, k], mask, out=p[:, :, k])


def discretized_logistic_nll(xp, a, bias, x, levels, slope, scratch, mask, nll):
    """−log p(x|z) = −Σ_d log(F(x + h) − F(x − h)): a logistic distribution, rounded to K levels.

    x is one of 0, 1/(K − 1), …, 1, h half the way to the next, and the first and the last level
    take what lies beyond them (Salimans et al. 2017). F(y) = sigmoid((y − μ)/s), [μ | log s] =
    a + b. With the distances of μ from the two edges, u = (±(x − μ) − h)/s,

        nll = Σ_edges softplus(u) − log(1 − e^−δ),        δ = 2h/s,

    each edge only where x has one, the last term where it has both: nothing is subtracted that
    was small. The slopes are Σ_edges ∓sigmoid(u)/s for μ, and δ/(e^δ − 1) − Σ_edges u·sigmoid(u)
    for log s. 1/s is bounded as in :func:`normal_nll`.

    a (L, M, 2D) is used up; bias (2D,), x (M, D), scratch (3, L, M, D), mask (M, D)
    → slope (L, M, 2D), nll (L, M)
    """
    h = 0.5 / (levels - 1)
    xp.add(a, bias, out=a)
    mean, logscale = halves(a)  # (L, M, D) each
    d_mean, d_logscale = halves(slope)

    delta, w, v = scratch
    xp.subtract(logscale, log(2 * h), out=logscale)  # −log δ
    xp.negative(logscale, out=delta)
    bounded_exp(xp, delta, delta)
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


def _absolute(xp, v, out):
    """|v|, on complex numbers by the sign of their real part."""
    xp.negative(v, out=out)
    return xp.maximum(v, out, out=out)
