import numpy as np


def nll_backward(d_nll, mean, logvar, x):
    """d_nll (M,), mean, logvar and x (M, D)"""
    sigma = np.exp(logvar / 2)
    r = (x - mean) / sigma
    d_mean = -d_nll[:, None] * r / sigma  # (M, D)
    d_logvar = d_nll[:, None] * (1 - r**2) / 2  # (M, D)
    return d_mean, d_logvar
