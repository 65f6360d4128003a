"""The public classes: a scikit-learn interface to the layers below."""
from typing import TYPE_CHECKING

from npvae import lazy

if TYPE_CHECKING:
    from npvae.estimators.autoencoder import Autoencoder
    from npvae.estimators.full_vb import FullVB
    from npvae.estimators.many import fit_many
    from npvae.estimators.mcem import MCEM
    from npvae.estimators.model_file import load
    from npvae.estimators.onnx_file import load_onnx
    from npvae.estimators.state_dict import load_state_dict
    from npvae.estimators.vae import VAE
    from npvae.estimators.wake_sleep import WakeSleep

_HOMES = {
    "Autoencoder": "autoencoder", "FullVB": "full_vb", "MCEM": "mcem", "VAE": "vae",
    "WakeSleep": "wake_sleep", "fit_many": "many", "load": "model_file", "load_onnx": "onnx_file",
    "load_state_dict": "state_dict",
}  # fmt: skip
__getattr__ = lazy.names(__name__, {k: f"{__name__}.{v}" for k, v in _HOMES.items()})

__all__ = [
    "MCEM", "VAE", "Autoencoder", "FullVB", "WakeSleep", "fit_many", "load", "load_onnx",
    "load_state_dict",
]  # fmt: skip


def __dir__() -> list[str]:
    return __all__
