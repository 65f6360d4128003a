"""Initialization of a decoder's output biases: at the density of all data, whatever z is.

A Bernoulli decoder whose biases are 0 begins at grey, a normal one at a deviation of 1. The
quickest way from there to what all data have in common is by the hidden units, of which there are
many. So the encoder moves every z to where these are of one sign, and the other half of a small
latent space decodes to negatives and noise: it stays unused for long. Biases that have the
moments of the data leave the hidden units, and all of the space, to what tells data apart: the
mean of each feature, and one variance for all, since a feature that hardly varies would begin as
if it were known to be off by many of its deviations.
"""

from npvae.backend import Array, array_module


def logit_of_mean(mean: Array, n: int) -> Array:
    """The logit of a mean (D,) of n datapoints; one more at either end keeps it finite.

    Examples
    --------
    >>> import numpy as np
    >>> logit_of_mean(np.array([0.0, 0.5]), n=8)
    array([-2.19722458,  0.        ])
    """
    xp = array_module(mean)
    p = xp.minimum(xp.maximum(mean, 0), 1)  # a normal may have data beyond
    return xp.log((p + 1 / n) / (1 - p + 1 / n))
