"""x in [0, 1], with the density that grey values need, from logits."""
from math import expm1

from npvae.ops.declare import op
from npvae.ops.elementary import TINY, absolute
from npvae.ops.layouts import features, matrix
from npvae.ops.noise import uniforms
from npvae.random import HALF_CELL

# B₂ₙ/(2n)! for n = 1 … 7, of ½ coth(½l) − 1/l = Σ_n B₂ₙ/(2n)! l²ⁿ⁻¹; for |l| ≤ ½ the rest is 1e-17
SERIES = (1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000,
          1 / 74724249600)  # fmt: skip
NEAR = 0.5  # where it takes over
AT_NEAR = sum(c * NEAR ** (2 * n + 1) for n, c in enumerate(SERIES))


@op(features, "nll x", scratch="scratch")
def continuous_bernoulli_nll(xp, a, bias, x, d_nll_d_a, scratch, nll):
    """−log p(x|z) = Σ_d κ(l) − x·l,  κ(l) = log ∫₀¹ eˣˡ dx = log((eˡ − 1)/l),  l = a + b.

    This is the Bernoulli's formula with what it takes to integrate to one over [0, 1] instead
    of adding up to one over {0, 1} (Loaiza-Ganem, Cunningham 2019): λ = sigmoid(l), and κ is
    softplus less log C(λ). The gradient is κ′(l) − x, κ′ being the mean of x:

        κ(l)  = max(l, 0) + log(w/t),               t = |l|,  w = 1 − e⁻ᵗ
        κ′(l) = ½ ± (1/w − 1/t − ½)                 the sign being that of l

    w/t loses no digit however small t is. The difference of 1/w and 1/t does, so where t < ½
    its Taylor series about λ = ½ stands for it. The two are joined without a branch: the series
    takes l cut off at ±½, the difference takes t from ½ on, less its value at ½.

    a (L, M, D) is used up; bias (D,), x (M, D), scratch (2, L, M, D)
    → d_nll_d_a (L, M, D), nll (L, M)
    """
    t, near = scratch
    xp.add(a, bias, out=a)  # l
    xp.multiply(a, x, out=d_nll_d_a)
    xp.maximum(a, 0, out=near)
    xp.subtract(near, d_nll_d_a, out=near)  # ≥ 0, and no more than |l|: before it is summed
    nll[...] = xp.einsum("lmd->lm", near)
    xp.add(absolute(xp, a, t), TINY, out=t)
    w = xp.negative(t, out=d_nll_d_a)
    xp.expm1(w, out=w)
    xp.negative(w, out=w)
    xp.divide(w, t, out=near)
    xp.log(near, out=near)  # log(w/t)
    nll += xp.einsum("lmd->lm", near)
    xp.minimum(a, NEAR, out=near)
    xp.maximum(near, -NEAR, out=near)  # l, cut off

    xp.maximum(t, NEAR, out=t)
    xp.maximum(w, -expm1(-NEAR), out=w)
    xp.divide(1, w, out=w)
    xp.divide(1, t, out=t)
    far = xp.subtract(w, t, out=d_nll_d_a)
    xp.subtract(far, 0.5 + AT_NEAR, out=far)  # 0 where t ≤ ½
    xp.multiply(far, 1 / NEAR, out=far)
    square = xp.multiply(near, near, out=t)
    a[...] = SERIES[-1]
    for c in SERIES[-2::-1]:
        xp.multiply(a, square, out=a)
        xp.add(a, c, out=a)
    xp.add(far, a, out=d_nll_d_a)
    xp.multiply(d_nll_d_a, near, out=d_nll_d_a)
    xp.add(d_nll_d_a, 0.5, out=d_nll_d_a)  # κ′
    xp.subtract(d_nll_d_a, x, out=d_nll_d_a)


@op(matrix, "x", uint64="seed stream", int64="step")
def sample_continuous_bernoulli(xp, seed, stream, step, a, bias, x):
    """x = log(1 + u (e⁻ᵗ − 1))/(−t), t = |l|, of logits −t, turned round where l = a + b > 0.

    step (1,), a (M, D), bias (D,) → x (M, D)
    """
    for part, l, u in uniforms(xp, seed, stream, step, a, bias, x):
        t = xp.abs(l) + TINY
        y = xp.minimum(-xp.log1p(xp.minimum(u[..., 0], 1 - HALF_CELL) * xp.expm1(-t)) / t, 1)
        part[...] = xp.where(l > 0, 1 - y, y)
