"""The way back of every likelihood whose forward pass leaves its slope, ∂(−log p)/∂a.

The slope costs next to nothing beside the value itself.
"""
from npvae.ops.declare import op
from npvae.ops.layouts import columns


@op(columns, "slope")
def nll_backward(xp, d_nll, slope, d_a, d_bias):
    """d_a = d_nll · slope, of every likelihood whose forward pass left ∂nll/∂a in ``slope``.

    d_nll (L, M), slope (L, M, Σ heads) → d_a (L, M, Σ heads), d_bias (Σ heads,)
    """
    xp.multiply(slope, d_nll[..., None], out=d_a)
    xp.sum(d_a, axis=(0, 1), out=d_bias)
