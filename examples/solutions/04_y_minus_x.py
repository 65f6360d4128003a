import numpy as np


def nll_backward(d_nll, l, x):
    """d_nll (M,), l and x (M, D)"""
    y = 1 / (1 + np.exp(-l))
    d_l = d_nll[:, None] * (y - x)  # (M, D)
    return d_l
