"""The last layer: from the decoder's products to −log p(x|z), summed over the D pixels.

One file a family: −log p(x|z), its backward pass, and the sampling of x. Forward passes cache what
their backward needs in buffers that the caller hands in; backward passes write ∂loss/∂a for the
products ``a`` and ∂loss/∂b for the bias. Both work on the L samples of each datapoint at once;
x (M, D) is shared by the L. Most fuse their gradient ∂nll/∂a into the forward pass, which leaves
it in ``d_nll_d_a``, and share ``fused_grad.nll_backward``.
"""
