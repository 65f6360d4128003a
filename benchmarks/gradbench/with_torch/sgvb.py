"""The eval ``sgvb`` by PyTorch, eager, in float64."""
from typing import Any

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, linear

Tensors = dict[str, torch.Tensor]


def prepare(given: dict[str, Any]) -> tuple[Tensors, torch.Tensor, torch.Tensor]:
    theta = {
        name: torch.tensor(values, dtype=torch.float64, requires_grad=True)
        for name, values in given["parameters"].items()
    }
    x, eps = (torch.tensor(given[name], dtype=torch.float64) for name in ("x", "eps"))
    return theta, x, eps


def loss(theta: Tensors, x: torch.Tensor, eps: torch.Tensor) -> torch.Tensor:
    """Minus the lower bound, as :func:`common.bound.loss` has it."""

    def layer(name: str, h: torch.Tensor) -> torch.Tensor:
        return linear(h, theta[f"{name}.weight"], theta[f"{name}.bias"])

    def hidden(network: str, h: torch.Tensor) -> torch.Tensor:
        for i in range(sum(name.startswith(f"{network}.hidden") for name in theta) // 2):
            h = layer(f"{network}.hidden.{i}", h).tanh()
        return h

    h = hidden("encoder", x)
    mu, logvar = layer("encoder.mean", h), layer("encoder.logvar", h)  # (M, J)
    logits = layer("decoder.logits", hidden("decoder", mu + (0.5 * logvar).exp() * eps))
    nll = binary_cross_entropy_with_logits(logits, x, reduction="sum")
    kl = 0.5 * (mu * mu + logvar.exp() - 1 - logvar)
    return (nll + kl.sum()) / len(x)


def gradient(theta: Tensors, x: torch.Tensor, eps: torch.Tensor) -> Tensors:
    """Its gradient, by name."""
    grads = torch.autograd.grad(loss(theta, x, eps), list(theta.values()))
    return dict(zip(theta, grads, strict=True))


@torch.no_grad
def objective(theta: Tensors, x: torch.Tensor, eps: torch.Tensor) -> torch.Tensor:
    """The loss alone."""
    return loss(theta, x, eps)


FUNCTIONS = {"objective": objective, "gradient": gradient}
