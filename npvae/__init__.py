"""npvae: Auto-Encoding Variational Bayes from scratch, every gradient by hand.

    import npvae
    digits = npvae.data.load_digits()
    vae = npvae.VAE(latent_dim=2).fit(digits.images)

The public names below are loaded when first used, so importing npvae costs little more than
importing NumPy.
"""
from typing import TYPE_CHECKING

from npvae import lazy

__version__ = "0.1.0"

if TYPE_CHECKING:
    from npvae import (
        data,
        distributions,
        estimators,
        evaluation,
        explain,
        lab,
        optim,
        plotting,
        testing,
    )
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
    from npvae.estimators import (
        MCEM,
        VAE,
        Autoencoder,
        FullVB,
        WakeSleep,
        fit_many,
        load,
        load_onnx,
        load_state_dict,
    )
    from npvae.training import GradientFlow

_PACKAGES = (
    "data", "distributions", "estimators", "evaluation", "explain", "lab", "optim", "plotting",
    "testing",
)  # fmt: skip
_HOMES = {
    **dict.fromkeys(
        ("MCEM", "VAE", "Autoencoder", "FullVB", "WakeSleep", "fit_many", "load", "load_onnx",
         "load_state_dict"),
        "npvae.estimators"),
    **dict.fromkeys(
        ("BackendError", "DataError", "MissingExtraError", "ModelFileError", "NotFittedError",
         "NpvaeError", "NumericalError", "ParameterError"), "npvae.errors"),
    "GradientFlow": "npvae.training",
    **{package: f"npvae.{package}" for package in _PACKAGES},
}  # fmt: skip
__getattr__ = lazy.names(__name__, _HOMES)

__all__ = [
    "MCEM", "VAE", "Autoencoder", "BackendError", "DataError", "FullVB", "GradientFlow",
    "MissingExtraError", "ModelFileError", "NotFittedError", "NpvaeError", "NumericalError",
    "ParameterError", "WakeSleep", "data", "distributions", "estimators", "evaluation", "explain",
    "fit_many", "lab", "load", "load_onnx", "load_state_dict", "optim", "plotting", "testing",
]  # fmt: skip


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
