"""The ways there are to estimate log p(x), by name: which to take when.

=============  ==================================  =============================================
importance     samples of q(z|x)                   fast, where the encoder covers the posterior
annealed       chains led from the prior           needs no encoder, and serves many latents
harmonic       posterior samples (appendix D)      the paper's, for fewer than five latents
prior          samples of p(z)                     needs nothing, for a handful of latents
=============  ==================================  =============================================
"""
from typing import Any

from npvae import evaluation
from npvae.errors import ParameterError
from npvae.evaluation.importance import LogLikelihood
from npvae.models import Engine

# name → the function, and what it calls the number of samples that a datapoint is given
METHODS = {
    "importance": ("log_likelihood", "n_samples"),
    "annealed": ("annealed_log_likelihood", "n_chains"),
    "harmonic": ("harmonic_log_likelihood", "n_samples"),
    "prior": ("prior_log_likelihood", "n_samples"),
}


def marginal_likelihood(
    engine: Engine, X: Any, scale: float, method: str, n_samples: int | None, **options: Any
) -> LogLikelihood:
    """log p(x) of every row of ``X`` by one of :data:`METHODS`.

    Parameters
    ----------
    n_samples : int, optional
        Samples, or chains, a datapoint; the method's own number if None.
    **options
        Whatever else the method takes.

    Raises
    ------
    ParameterError
        If there is no such method, or it has no such option; and as the method does.
    """
    if method not in METHODS:
        raise ParameterError(f"method={method!r} is not known; choose from {', '.join(METHODS)}")
    function, number = METHODS[method]
    if n_samples is not None:
        options[number] = n_samples
    try:
        return getattr(evaluation, function)(engine, X, scale, **options)
    except TypeError as error:
        if "unexpected keyword" not in str(error):
            raise
        name = str(error).rpartition("argument ")[2]
        raise ParameterError(f"method={method!r} has no option {name}") from error
