"""npvae: Auto-Encoding Variational Bayes from scratch, every gradient by hand.

    import npvae
    digits = npvae.data.load_digits()
    vae = npvae.VAE(latent_dim=2).fit(digits.images)

The public names below are loaded when first used, so importing npvae costs little more than
importing NumPy.
"""
import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from npvae import data, distributions, estimators, evaluation, optim, plotting, testing
    from npvae.errors import (
        BackendError,
        DataError,
        MissingExtraError,
        ModelFileError,
        NotFittedError,
        NpvaeError,
        NumericalError,
        ParameterError,
    )  # fmt: skip
    from npvae.estimators import VAE, Autoencoder, load

_HOME = {
    **dict.fromkeys(("VAE", "Autoencoder", "load"), "npvae.estimators"),
    **dict.fromkeys(
        ("BackendError", "DataError", "MissingExtraError", "ModelFileError", "NotFittedError",
         "NpvaeError", "NumericalError", "ParameterError"), "npvae.errors"),
}  # fmt: skip
_ROOMS = ("data", "distributions", "estimators", "evaluation", "optim", "plotting", "testing")

__all__ = [
    "VAE", "Autoencoder", "BackendError", "DataError", "MissingExtraError", "ModelFileError",
    "NotFittedError", "NpvaeError", "NumericalError", "ParameterError", "data", "distributions",
    "estimators", "evaluation", "load", "optim", "plotting", "testing",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
    elif name in _ROOMS:
        value = importlib.import_module(f"npvae.{name}")
    else:
        raise AttributeError(f"module 'npvae' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
