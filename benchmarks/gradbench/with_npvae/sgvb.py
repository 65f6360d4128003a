"""The eval ``sgvb`` by npvae itself, through its public class."""
from typing import Any

import numpy as np

import npvae


def prepare(given: dict[str, Any]) -> tuple[npvae.VAE, np.ndarray, np.ndarray]:
    """A model in float64 with those parameters; x (M, D), ε (1, M, J)."""
    x, eps = np.array(given["x"]), np.array(given["eps"])[None]
    parameters = {name: np.array(values) for name, values in given["parameters"].items()}
    widths = {
        network: [len(b) for name, b in parameters.items()
                  if name.startswith(f"{network}.hidden") and name.endswith("bias")]
        for network in ("encoder", "decoder")
    }  # fmt: skip
    vae = npvae.VAE(
        eps.shape[-1], widths["encoder"], "tanh", decoder_hidden=widths["decoder"],
        dtype="float64", verbose=False,
    ).initialize(x.shape[1])  # fmt: skip
    return vae.set_parameters(parameters), x, eps


def objective(vae: npvae.VAE, x: np.ndarray, eps: np.ndarray) -> float:
    """Minus the lower bound, nats per datapoint."""
    return -vae.elbo(x, eps).total.mean()


def gradient(vae: npvae.VAE, x: np.ndarray, eps: np.ndarray) -> dict[str, np.ndarray]:
    """Its gradient, by name."""
    return vae.loss_and_grad(x, eps)[1]


FUNCTIONS = {"objective": objective, "gradient": gradient}
