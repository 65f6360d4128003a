import numpy as np


def network_backward(d_a, x, W1, W2, W3):
    """d_a (M, K)"""
    h1 = np.tanh(x @ W1.T)
    h2 = np.tanh(h1 @ W2.T)
    d_W3 = d_a.T @ h2  # (K, H)
    d_a2 = (d_a @ W3) * (1 - h2**2)  # (M, H)
    d_W2 = d_a2.T @ h1  # (H, H)
    d_a1 = (d_a2 @ W2) * (1 - h1**2)  # (M, H)
    d_W1 = d_a1.T @ x  # (H, D)
    d_x = d_a1 @ W1  # (M, D)
    return d_x, d_W1, d_W2, d_W3
