"""The mathematics of each model, a forward page and a backward page, and what runs them."""
from npvae.models.autoencoder import AutoencoderModel
from npvae.models.engine import Engine, Penalty, parameter_prior
from npvae.models.full_vb import FullVBModel, ParameterKL
from npvae.models.learned_prior import LearnedPriorModel
from npvae.models.mcem import MCEMModel
from npvae.models.model import Model, Noise
from npvae.models.vae import VAEModel
from npvae.models.wake_sleep import WakeSleepModel

__all__ = [
    "AutoencoderModel", "Engine", "FullVBModel", "LearnedPriorModel", "MCEMModel", "Model", "Noise",
    "ParameterKL", "Penalty", "VAEModel", "WakeSleepModel", "parameter_prior",
]  # fmt: skip
