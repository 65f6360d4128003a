"""x in {0, 1}, or grey values as its probabilities, from logits. It has a backward of its own."""
from npvae import random
from npvae.ops.declare import op
from npvae.ops.elementary import sum_rows
from npvae.ops.layouts import columns, elements, rows
from npvae.ops.noise import BLOCK


@op(rows, "y", scratch="scratch")
def bernoulli_nll(xp, a, bias, x, y, scratch, nll):
    """−log p(x|z) = Σ_d softplus(l) − x·l from the logits l = a + b, never from y.

    softplus(l) − x·l = (max(l, 0) − x·l) + log(1 + e), e = e^−|l|, neither of which is below 0 at
    any logit: each is summed by itself, and nothing large is left to cancel between the two.
    y = sigmoid(l) is 1 / (1 + e), or e / (1 + e) where l ≤ 0, which keeps the digits of the
    smallest probabilities: those of the pixels that are always black.

    a (L, M, D) is used up; bias (D,), x (M, D), scratch (L, M, D) → y (L, M, D), nll (L, M)
    """
    xp.add(a, bias, out=a)  # l
    xp.multiply(a, x, out=scratch)
    xp.maximum(a, 0, out=y)
    xp.subtract(y, scratch, out=scratch)
    linear = xp.einsum("lmd->lm", scratch)  # einsum sums rows at a third of sum's cost
    xp.negative(a, out=scratch)
    xp.minimum(a, scratch, out=scratch)
    e = xp.exp(scratch, out=scratch)
    xp.log1p(e, out=y)
    xp.add(linear, xp.einsum("lmd->lm", y), out=nll)
    xp.greater(a, 0, out=y)
    xp.maximum(y, e, out=y)  # e where l ≤ 0, else 1
    xp.add(e, 1, out=e)
    xp.divide(y, e, out=y)


@op(columns, "y")
def bernoulli_nll_backward(xp, d_nll, x, y, d_a, d_bias):
    """d_a = d_nll · (y − x): what is predicted less what is there.

    d_nll (L, M), x (M, D), y (L, M, D) → d_a (L, M, D), d_bias (D,)
    """
    xp.subtract(y, x, out=d_a)
    xp.multiply(d_a, d_nll[..., None], out=d_a)
    sum_rows(xp, d_a, d_bias)


@op(elements, "x", uint64="seed stream", int64="step start")
def sample_bernoulli(xp, seed, stream, step, start, x):
    """x ← 1 where x > u, else 0, in place, with u uniform on [0, 1).   step (1,), x any shape

    ``start`` elements of the stream come before.
    """
    flat = x.reshape(-1)
    for first in range(0, flat.size, BLOCK):
        grey = flat[first : first + BLOCK]
        u = random.thresholds(seed, stream, int(step[0]), len(grey), start + first)
        xp.greater(grey, xp.asarray(u), out=grey)
