import numpy as np


def kl_backward(d_kl, mu, logvar):
    """d_kl (M,), mu and logvar (M, J)"""
    d_mu = d_kl[:, None] * mu  # (M, J)
    d_logvar = d_kl[:, None] * (np.exp(logvar) - 1) / 2  # (M, J)
    return d_mu, d_logvar
