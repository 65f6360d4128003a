"""One of K levels for each feature, each with a probability of its own, from logits."""
from npvae.ops.declare import op
from npvae.ops.layouts import features_of_levels, matrix_of_levels
from npvae.ops.noise import uniforms


@op(features_of_levels, "d_nll_d_a x", scratch="scratch mask")
def categorical_nll(xp, a, bias, x, d_nll_d_a, scratch, mask, nll):
    """−log p(x|z) = Σ_d log Σ_k exp(l_kd) − l_cd,  l = a + b: one of K levels for each feature.

    x = c/(K − 1) says which. The gradient is p_kd, the softmax, less one where k = c. Logits lie
    level by level, D of them each, so that sums over levels run along whole rows.

    a (L, M, KD) is used up; bias (KD,), x (M, D), scratch (L, M, D), mask (M, D)
    → d_nll_d_a (L, M, KD), nll (L, M)
    """
    L, M, D = scratch.shape
    xp.add(a, bias, out=a)
    l, p = a.reshape(L, M, -1, D), d_nll_d_a.reshape(L, M, -1, D)
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


@op(matrix_of_levels, "bias x", uint64="seed stream", int64="step")
def sample_categorical(xp, seed, stream, step, a, bias, x):
    """x = c/(K − 1), where the cumulative sum of exp(l_k) first reaches u of the whole; l = a + b.

    step (1,), a (M, KD), bias (KD,) → x (M, D)
    """
    for part, l, u in uniforms(xp, seed, stream, step, a, bias, x):
        l = l.reshape(len(l), -1, part.shape[1])  # (m, K, D)
        weight = xp.exp(l - l.max(axis=1)[:, None]).astype("float64")
        wanted = u[..., 0] * weight.sum(axis=1)
        below, level = xp.zeros_like(wanted), xp.zeros_like(wanted)
        for k in range(l.shape[1] - 1):
            below += weight[:, k]
            level += below < wanted
        part[...] = level / (l.shape[1] - 1)
