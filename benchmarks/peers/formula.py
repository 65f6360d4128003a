"""The loss once, for every library that differentiates NumPy's notation by itself.

Written with what is cheap to differentiate: a product with a mask instead of ``maximum`` or
``where``, whose gradients cost NumPy's tapes several passes. A compiler gains no less from it.
"""
from typing import Any

import numpy as np
from common.workload import BETA1, BETA2, EPSILON, RATE, Workload

Array = Any


def positive(a: Array) -> Array:
    """max(a, 0)"""
    return a * (a > 0)


def mlp(layers: list[Array], h: Array, activation: Any) -> Array:
    """[W, b, W, b, ...], h (M, in) → (M, out); the last layer is linear."""
    *hidden, W, b = layers
    for V, c in zip(hidden[::2], hidden[1::2], strict=True):
        h = activation(h @ V.T + c)
    return h @ W.T + b


def loss(work: Workload, xp: Any, theta: list[Array], x: Array, eps: Array) -> Array:
    """Minus the lower bound of SGVB B, mean over the minibatch.   x (M, D), eps (M, J)"""
    activation = {"tanh": xp.tanh, "relu": positive}[work.activation]
    split = 2 * work.n_encoder
    heads = mlp(theta[:split], x, activation)  # (M, 2J)
    mu, logvar = heads[:, : work.J], heads[:, work.J :]
    sigma = xp.exp(0.5 * logvar)
    logits = mlp(theta[split:], mu + sigma * eps, activation)  # (M, D)
    above = positive(logits)
    softplus = above + xp.log1p(xp.exp(logits - 2 * above))  # overflow-safe: l − 2 max(l, 0) = −|l|
    nll = xp.sum(softplus - x * logits)
    kl = 0.5 * xp.sum(mu * mu + sigma * sigma - 1 - logvar)
    return (nll + kl) / work.M


def adam(theta: list, grads: list, means: list, squares: list, scratch: list, t: int) -> None:
    """Adam's step number ``t`` on lists of NumPy arrays, in place, without temporaries."""
    c = np.sqrt(1 - BETA2**t)
    rate, epsilon = np.float32(RATE * c / (1 - BETA1**t)), np.float32(EPSILON * c)
    for W, g, m, s, a in zip(theta, grads, means, squares, scratch, strict=True):
        m *= BETA1
        m += np.multiply(g, 1 - BETA1, out=a)
        s *= BETA2
        np.multiply(g, g, out=a)
        s += np.multiply(a, 1 - BETA2, out=a)
        np.sqrt(s, out=a)
        a += epsilon
        np.divide(m, a, out=a)
        W -= np.multiply(a, rate, out=a)


def gather(work: Workload, rows: np.ndarray) -> np.ndarray:
    """The minibatch.   rows (M,) → (M, D) float32"""
    return np.multiply(work.data.pixels[rows], work.data.scale, dtype=np.float32)
