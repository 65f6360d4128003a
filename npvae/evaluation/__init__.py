"""What a trained model is worth: bounds, likelihoods, and which latents it uses."""
from npvae.evaluation.annealed import AnnealedLogLikelihood, annealed_log_likelihood
from npvae.evaluation.bound import Elbo, elbo
from npvae.evaluation.chunks import decode, encode
from npvae.evaluation.harmonic import HarmonicLogLikelihood, harmonic_log_likelihood
from npvae.evaluation.importance import LogLikelihood, log_likelihood
from npvae.evaluation.iwae import BoundCurve, iwae
from npvae.evaluation.latent import active_units
from npvae.evaluation.posterior import Posterior

__all__ = [
    "AnnealedLogLikelihood", "BoundCurve", "Elbo", "HarmonicLogLikelihood", "LogLikelihood",
    "Posterior", "active_units", "annealed_log_likelihood", "decode", "elbo", "encode",
    "harmonic_log_likelihood", "iwae", "log_likelihood",
]  # fmt: skip
