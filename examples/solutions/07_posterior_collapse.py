import numpy as np


def free_kl_backward(d, mu, logvar, free_nats):
    """d a number, mu and logvar (M, J), free_nats λ"""
    M = len(mu)
    above = 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).mean(axis=0) > free_nats  # (J,)
    d_mu = d * above * mu / M  # (M, J)
    d_logvar = d * above * (np.exp(logvar) - 1) / 2 / M  # (M, J)
    return d_mu, d_logvar
