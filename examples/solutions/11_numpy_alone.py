import numpy as np


def decode_backward(d_l, z, W2, b2, W3, b3):
    """d_l (M, D), z (M, J)"""
    h = np.tanh(z @ W2.T + b2)  # (M, H)
    d_z = ((d_l @ W3) * (1 - h**2)) @ W2  # (M, J)
    return d_z
