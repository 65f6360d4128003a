"""Minus the lower bound of a Bernoulli VAE, once, in NumPy's notation.

NumPy evaluates it on real and on complex numbers; JAX, autograd and MyGrad differentiate it.
``maximum`` and ``where``, which not all of these do well, are products with a mask.
"""
from typing import Any

Array = Any


def positive(a: Array) -> Array:
    """max(a, 0); NumPy orders complex numbers by their real parts."""
    return a * (a > 0)


def softplus(xp: Any, a: Array) -> Array:
    """log(1 + eᵃ) = max(a, 0) + log(1 + e^−|a|), with −|a| = a − 2 max(a, 0)."""
    above = positive(a)
    return above + xp.log1p(xp.exp(a - 2 * above))


def sigmoid(xp: Any, a: Array) -> Array:
    """1 / (1 + e^−a), which overflows for no a in this form."""
    return 0.5 + 0.5 * xp.tanh(0.5 * a)


ACTIVATIONS = {
    "tanh": lambda xp, a: xp.tanh(a),
    "relu": lambda xp, a: positive(a),
    "sigmoid": sigmoid,
    "softplus": softplus,
    "elu": lambda xp, a: positive(a) + xp.expm1(a - positive(a)),
    "leaky_relu": lambda xp, a: positive(a) + 0.01 * (a - positive(a)),
    "silu": lambda xp, a: a * sigmoid(xp, a),
    "identity": lambda xp, a: a,
}


def loss(
    xp: Any, theta: dict[str, Array], x: Array, eps: Array, activation: Any = ACTIVATIONS["tanh"]
) -> Array:
    """By SGVB B with one sample, mean over the minibatch, in nats per datapoint.

    theta by npvae's names, x (M, D), eps (M, J)
    """

    def layer(name: str, h: Array) -> Array:
        return h @ theta[f"{name}.weight"].T + theta[f"{name}.bias"]

    def hidden(network: str, h: Array) -> Array:
        i = 0
        while f"{network}.hidden.{i}.weight" in theta:
            h, i = activation(xp, layer(f"{network}.hidden.{i}", h)), i + 1
        return h

    h = hidden("encoder", x)
    mu, logvar = layer("encoder.mean", h), layer("encoder.logvar", h)  # (M, J)
    sigma = xp.exp(0.5 * logvar)
    l = layer("decoder.logits", hidden("decoder", mu + sigma * eps))  # (M, D)
    kl = 0.5 * (mu * mu + sigma * sigma - 1 - logvar)
    return ((softplus(xp, l) - x * l).sum() + kl.sum()) / len(x)
