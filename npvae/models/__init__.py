"""The mathematics of each model, a forward page and a backward page, and what runs them."""
from npvae.models.autoencoder import AutoencoderModel
from npvae.models.engine import Engine, Model, Penalty, parameter_prior
from npvae.models.vae import Pass, VAEModel

__all__ = [
    "AutoencoderModel", "Engine", "Model", "Pass", "Penalty", "VAEModel", "parameter_prior",
]  # fmt: skip
