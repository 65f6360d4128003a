import numpy as np


def log_ratio_backward(d_r, mu, logvar, eps):
    """d_r (M,), mu, logvar and eps (M, J)"""
    sigma = np.exp(logvar / 2)
    d_z = d_r[:, None] * (mu + sigma * eps)  # (M, J) from ½ z²
    d_mu = d_z  # (M, J)
    d_logvar = d_z * eps * sigma / 2 - d_r[:, None] / 2  # (M, J)
    return d_mu, d_logvar
