"""The mathematics of each model, a forward page and a backward page, and what runs them."""
from typing import TYPE_CHECKING

from npvae import lazy

if TYPE_CHECKING:
    from npvae.models.autoencoder import AutoencoderModel
    from npvae.models.engine import Engine, Penalty, parameter_prior
    from npvae.models.full_vb import FullVBModel, ParameterKL
    from npvae.models.learned_prior import LearnedPriorModel
    from npvae.models.mcem import MCEMModel
    from npvae.models.model import Model, Noise
    from npvae.models.vae import VAEModel
    from npvae.models.wake_sleep import WakeSleepModel

_HOMES = {
    "autoencoder": ("AutoencoderModel",),
    "engine": ("Engine", "Penalty", "parameter_prior"),
    "full_vb": ("FullVBModel", "ParameterKL"),
    "learned_prior": ("LearnedPriorModel",),
    "mcem": ("MCEMModel",),
    "model": ("Model", "Noise"),
    "vae": ("VAEModel",),
    "wake_sleep": ("WakeSleepModel",),
}
__getattr__ = lazy.of_files(__name__, _HOMES)

__all__ = [
    "AutoencoderModel", "Engine", "FullVBModel", "LearnedPriorModel", "MCEMModel", "Model", "Noise",
    "ParameterKL", "Penalty", "VAEModel", "WakeSleepModel", "parameter_prior",
]  # fmt: skip
