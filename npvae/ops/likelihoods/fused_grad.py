"""The backward pass of every likelihood whose forward pass makes its gradient ∂(−log p)/∂a too.

The gradient costs next to nothing beside the value itself. And what a change of the data's units
adds to any −log p, which has no gradient.
"""
from npvae.ops.declare import op
from npvae.ops.elementary import sum_rows
from npvae.ops.layouts import columns, elements


@op(columns, "d_nll_d_a")
def nll_backward(xp, d_nll, d_nll_d_a, d_a, d_bias):
    """d_a = d_nll · ∂nll/∂a, which the forward pass left in ``d_nll_d_a``.

    d_nll (L, M), d_nll_d_a (L, M, Σ heads) → d_a (L, M, Σ heads), d_bias (Σ heads,)
    """
    xp.multiply(d_nll_d_a, d_nll[..., None], out=d_a)
    sum_rows(xp, d_a, d_bias)


@op(elements, "nll")
def nll_shift(xp, nll, nats):
    """nll ← nll + nats, in place.   nll (L, M)"""
    xp.add(nll, nats, out=nll)
