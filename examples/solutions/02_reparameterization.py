import numpy as np


def sample_backward(d_z, mu, logvar, eps):
    """d_z (L, J), mu and logvar (J,), eps (L, J)"""
    d_mu = d_z.sum(axis=0)  # (J,)
    d_logvar = (d_z * eps).sum(axis=0) * np.exp(logvar / 2) / 2  # (J,)
    return d_mu, d_logvar
