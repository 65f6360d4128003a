import numpy as np


def latent_backward(d_z, d_kl, mu, logvar, eps):
    """d_z (M, J), d_kl (M,), mu, logvar and eps (M, J)"""
    sigma = np.exp(logvar / 2)
    d_mu = d_z + d_kl[:, None] * mu  # (M, J) by way of z, and of the KL
    d_logvar = d_z * eps * sigma / 2 + d_kl[:, None] * (sigma**2 - 1) / 2  # (M, J) the same
    return d_mu, d_logvar
