"""What a trained model is worth: bounds, likelihoods, and which latents it uses."""
from npvae.evaluation.bound import Elbo, elbo
from npvae.evaluation.chunks import decode, encode
from npvae.evaluation.importance import LogLikelihood, log_likelihood
from npvae.evaluation.latent import active_units

__all__ = [
    "Elbo", "LogLikelihood", "active_units", "decode", "elbo", "encode", "log_likelihood",
]  # fmt: skip
