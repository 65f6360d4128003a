"""The last layer: from the decoder's products to −log p(x|z), summed over the D pixels.

One file a family: −log p(x|z), its way back, and the sampling of x. Forward passes keep what
their backward needs in buffers that the caller hands in; backward passes write ∂loss/∂a for the
products ``a`` and ∂loss/∂b for the bias. Both work on the L samples of each datapoint at once;
x (M, D) is shared by the L. Most leave ``slope`` = ∂nll/∂a, and share ``slopes.nll_backward``.
"""
