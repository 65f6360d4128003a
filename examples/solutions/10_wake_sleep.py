import numpy as np


def log_q_backward(d_log_q, mu, logvar, z):
    """d_log_q (M,), mu, logvar and z (M, J)"""
    variance = np.exp(logvar)
    d_mu = d_log_q[:, None] * (z - mu) / variance  # (M, J)
    d_logvar = d_log_q[:, None] * ((z - mu) ** 2 / variance - 1) / 2  # (M, J)
    return d_mu, d_logvar
