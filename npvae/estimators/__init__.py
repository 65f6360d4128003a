"""The public classes: a scikit-learn interface to the layers below."""
from npvae.estimators.autoencoder import Autoencoder
from npvae.estimators.full_vb import FullVB
from npvae.estimators.many import fit_many
from npvae.estimators.mcem import MCEM
from npvae.estimators.model_file import load
from npvae.estimators.state_dict import load_state_dict
from npvae.estimators.vae import VAE
from npvae.estimators.wake_sleep import WakeSleep

__all__ = [
    "MCEM", "VAE", "Autoencoder", "FullVB", "WakeSleep", "fit_many", "load", "load_state_dict",
]  # fmt: skip


def __dir__() -> list[str]:
    return __all__
