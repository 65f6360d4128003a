"""One gradient, by every library: as one writes it there, in float32.

Each function takes an activation, and gives a function of (θ by name, x (M, D), ε (M, J)) →
(loss, gradient by name), NumPy arrays on both sides. It raises an ImportError without its library,
and a KeyError for an activation that the library does not have.
"""
import os
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from common import bound

import npvae
from npvae.backend import get_backend

Theta = dict[str, np.ndarray]
Gradient = Callable[[Theta, np.ndarray, np.ndarray], tuple[float, Theta]]


def by_npvae(activation: str, backend: str = "numpy", exact_products: bool = False) -> Gradient:
    """npvae; or with matrix products in float64, rounded, to tell their error from that of ops."""
    from common.workload import replace_ops

    get_backend(backend)  # raises where there is none

    def exactly(a: Any, b: Any, out: Any) -> Any:
        out[...] = np.matmul(a, b, dtype=np.float64)
        return out

    def gradient(theta: Theta, x: np.ndarray, eps: np.ndarray) -> tuple[float, Theta]:
        vae = model(theta, activation, x.dtype.name, backend)
        if exact_products:
            replace_ops(vae.engine_, gemm=exactly)
        return vae.loss_and_grad(x, eps[None])

    return gradient


def model(theta: Theta, activation: str, dtype: str, backend: str = "numpy") -> npvae.VAE:
    """A VAE with those parameters."""

    def widths(network: str) -> list[int]:
        return [len(b) for name, b in theta.items()
                if name.startswith(f"{network}.hidden") and name.endswith("bias")]  # fmt: skip

    return npvae.VAE(
        len(theta["encoder.mean.bias"]), widths("encoder"), activation,
        decoder_hidden=widths("decoder"), dtype=dtype, backend=backend, verbose=False,
    ).initialize(len(theta["decoder.logits.bias"])).set_parameters(theta)  # fmt: skip


def by_torch(activation: str) -> Gradient:
    """PyTorch's own layers, activations and loss."""
    import torch
    from torch.nn import functional as F

    f = {
        "tanh": torch.tanh, "relu": F.relu, "sigmoid": torch.sigmoid, "softplus": F.softplus,
        "elu": F.elu, "leaky_relu": F.leaky_relu, "gelu": F.gelu, "silu": F.silu,
        "identity": torch.nn.Identity(),
    }[activation]  # fmt: skip

    def gradient(theta: Theta, x: np.ndarray, eps: np.ndarray) -> tuple[float, Theta]:
        P = {name: torch.tensor(W, requires_grad=True) for name, W in theta.items()}
        x, eps = torch.tensor(x), torch.tensor(eps)

        def layer(name: str, h: Any) -> Any:
            return F.linear(h, P[f"{name}.weight"], P[f"{name}.bias"])

        def hidden(network: str, h: Any) -> Any:
            for i in range(sum(name.startswith(f"{network}.hidden") for name in P) // 2):
                h = f(layer(f"{network}.hidden.{i}", h))
            return h

        h = hidden("encoder", x)
        mu, logvar = layer("encoder.mean", h), layer("encoder.logvar", h)
        l = layer("decoder.logits", hidden("decoder", mu + torch.exp(0.5 * logvar) * eps))
        nll = F.binary_cross_entropy_with_logits(l, x, reduction="sum")
        loss = (nll + 0.5 * torch.sum(mu * mu + logvar.exp() - 1 - logvar)) / len(x)
        loss.backward()
        return float(loss.detach()), {name: W.grad.numpy() for name, W in P.items()}

    return gradient


def by_jax(activation: str) -> Gradient:
    """JAX, compiled, with its own activations."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import jax

    own = {
        "relu": jax.nn.relu, "sigmoid": jax.nn.sigmoid, "softplus": jax.nn.softplus,
        "elu": jax.nn.elu, "leaky_relu": jax.nn.leaky_relu, "silu": jax.nn.silu,
        "gelu": partial(jax.nn.gelu, approximate=False), "tanh": jax.numpy.tanh,
        "identity": jax.nn.identity,
    }[activation]  # fmt: skip
    loss = partial(bound.loss, jax.numpy, activation=lambda xp, a: own(a))
    compiled = jax.jit(jax.value_and_grad(loss))

    def gradient(theta: Theta, x: np.ndarray, eps: np.ndarray) -> tuple[float, Theta]:
        value, grads = compiled(theta, x, eps)
        return float(value), {name: np.asarray(g) for name, g in grads.items()}

    return gradient


def by_autograd(activation: str) -> Gradient:
    """autograd."""
    import autograd.numpy as anp
    from autograd import value_and_grad
    from autograd.scipy.special import erf

    known = bound.ACTIVATIONS | {"gelu": lambda xp, a: 0.5 * a * (1 + erf(a / 2**0.5))}
    return value_and_grad(partial(bound.loss, anp, activation=known[activation]))


def by_mygrad(activation: str) -> Gradient:
    """MyGrad."""
    import mygrad as mg

    f = bound.ACTIVATIONS[activation]

    def gradient(theta: Theta, x: np.ndarray, eps: np.ndarray) -> tuple[float, Theta]:
        P = {name: mg.tensor(W) for name, W in theta.items()}
        value = bound.loss(mg, P, x, eps, f)
        value.backward()
        return float(value), {name: np.array(W.grad) for name, W in P.items()}

    return gradient


def by_thinc(activation: str) -> Gradient:
    """thinc: its products and activations; the bound by hand, as its users write losses."""
    from thinc.api import get_ops

    ops = get_ops("cpu")
    f, f_backward = {
        "tanh": (np.tanh, lambda d, a, h: d * (1 - h * h)),
        "relu": (ops.relu, lambda d, a, h: ops.backprop_relu(d, h)),
        "sigmoid": (ops.sigmoid, lambda d, a, h: ops.backprop_sigmoid(d, h)),
        "gelu": (ops.gelu, lambda d, a, h: ops.backprop_gelu(d, a)),
        "silu": (ops.swish, lambda d, a, h: ops.backprop_swish(d, a, h)),
    }[activation]

    def gradient(theta: Theta, x: np.ndarray, eps: np.ndarray) -> tuple[float, Theta]:
        d: Theta = {}

        def layer(name: str, h: np.ndarray) -> np.ndarray:
            return ops.affine(h, theta[f"{name}.weight"], theta[f"{name}.bias"])

        def layer_backward(name: str, d_a: np.ndarray, h: np.ndarray) -> np.ndarray:
            d[f"{name}.weight"] = ops.gemm(d_a, h, trans1=True)
            d[f"{name}.bias"] = d_a.sum(axis=0)
            return ops.gemm(d_a, theta[f"{name}.weight"])

        def hidden(network: str, h: np.ndarray) -> tuple[np.ndarray, list[Any]]:
            cache = []
            for i in range(sum(name.startswith(f"{network}.hidden") for name in theta) // 2):
                a = layer(name := f"{network}.hidden.{i}", h)
                cache.append((name, h, a, f(a)))
                h = cache[-1][-1]
            return h, cache

        def hidden_backward(d_h: np.ndarray, cache: list[Any]) -> np.ndarray:
            for name, h_in, a, h in reversed(cache):
                d_h = layer_backward(name, np.ascontiguousarray(f_backward(d_h, a, h)), h_in)
            return d_h

        M = np.float32(len(x))
        h_e, encoder = hidden("encoder", x)
        mu, logvar = layer("encoder.mean", h_e), layer("encoder.logvar", h_e)
        sigma = np.exp(0.5 * logvar)
        h_d, decoder = hidden("decoder", mu + sigma * eps)
        l = layer("decoder.logits", h_d)
        kl = 0.5 * (mu * mu + sigma * sigma - 1 - logvar)
        loss = ((bound.softplus(np, l) - x * l).sum() + kl.sum()) / M
        d_z = hidden_backward(layer_backward("decoder.logits", (ops.sigmoid(l) - x) / M, h_d),
                              decoder)  # fmt: skip
        d_mu = d_z + mu / M
        d_logvar = 0.5 * (d_z * sigma * eps + (sigma * sigma - 1) / M)
        d_h = layer_backward("encoder.mean", d_mu, h_e)
        d_h += layer_backward("encoder.logvar", d_logvar, h_e)
        hidden_backward(d_h, encoder)
        return float(loss), d

    return gradient


GRADIENTS: dict[str, Callable[[str], Gradient]] = {
    "npvae": by_npvae,
    "npvae, products in float64": partial(by_npvae, exact_products=True),
    "npvae, CuPy": partial(by_npvae, backend="cupy"),
    "PyTorch": by_torch,
    "JAX": by_jax,
    "autograd": by_autograd,
    "MyGrad": by_mygrad,
    "thinc": by_thinc,
}
