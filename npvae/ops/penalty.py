"""A quadratic penalty on the weights: the paper's prior on θ, and the L2 regulariser.

The one gradient with two sources: ``l2_backward`` adds to what the network's backward wrote.
"""
from npvae.ops.declare import op
from npvae.ops.layouts import elements, one_block


@op(one_block, "weights", returns=True)
def l2(xp, weights, strength):
    """½ · strength · Σ w².   weights (W,) → a number"""
    return 0.5 * strength * xp.dot(weights, weights)


@op(elements, "weights", scratch="scratch")
def l2_backward(xp, weights, strength, scratch, d_weights):
    """d_w += strength · w.   weights, scratch and d_weights (W,)"""
    xp.multiply(weights, strength, out=scratch)
    xp.add(d_weights, scratch, out=d_weights)
