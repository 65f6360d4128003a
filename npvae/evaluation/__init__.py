"""What a trained model is worth: bounds, likelihoods, and which latents it uses."""
from typing import TYPE_CHECKING

from npvae import lazy

if TYPE_CHECKING:
    from npvae.evaluation.annealed import AnnealedLogLikelihood, annealed_log_likelihood
    from npvae.evaluation.bound import Elbo, elbo
    from npvae.evaluation.chunks import decode, encode
    from npvae.evaluation.conditional import (
        LikelihoodDistribution,
        PosteriorDistribution,
        draw,
        likelihood_of,
        posterior_of,
    )
    from npvae.evaluation.harmonic import HarmonicLogLikelihood, harmonic_log_likelihood
    from npvae.evaluation.importance import LogLikelihood, log_likelihood
    from npvae.evaluation.iwae import BoundCurve, iwae_bound
    from npvae.evaluation.latent import active_units, prior_variance
    from npvae.evaluation.log_joint import LogJointTarget
    from npvae.evaluation.means import posterior_means
    from npvae.evaluation.prior import prior_log_likelihood

_HOMES = {
    "annealed": ("AnnealedLogLikelihood", "annealed_log_likelihood"),
    "bound": ("Elbo", "elbo"),
    "chunks": ("decode", "encode"),
    "conditional": (
        "LikelihoodDistribution", "PosteriorDistribution", "draw", "likelihood_of", "posterior_of",
    ),
    "harmonic": ("HarmonicLogLikelihood", "harmonic_log_likelihood"),
    "importance": ("LogLikelihood", "log_likelihood"),
    "iwae": ("BoundCurve", "iwae_bound"),
    "latent": ("active_units", "prior_variance"),
    "means": ("posterior_means",),
    "log_joint": ("LogJointTarget",),
    "prior": ("prior_log_likelihood",),
}
__getattr__ = lazy.of_files(__name__, _HOMES)

__all__ = [
    "AnnealedLogLikelihood",
    "BoundCurve",
    "Elbo",
    "HarmonicLogLikelihood",
    "LikelihoodDistribution",
    "LogJointTarget",
    "LogLikelihood",
    "PosteriorDistribution",
    "active_units",
    "annealed_log_likelihood",
    "decode",
    "draw",
    "elbo",
    "encode",
    "harmonic_log_likelihood",
    "iwae_bound",
    "likelihood_of",
    "log_likelihood",
    "posterior_means",
    "posterior_of",
    "prior_log_likelihood",
    "prior_variance",
]  # fmt: skip


def __dir__() -> list[str]:
    return __all__
