"""Estimators of log p(x), by name, and which to take when.

=============  ==================================  =============================================
importance     samples of q(z|x)                   fast, where the encoder covers the posterior
annealed       chains led from the prior           needs no encoder, and serves many latents
harmonic       posterior samples (appendix D)      the paper's, for fewer than five latents
prior          samples of p(z)                     needs nothing, for a handful of latents
=============  ==================================  =============================================
"""
from inspect import signature
from typing import TYPE_CHECKING, Any

from npvae import evaluation
from npvae.errors import ParameterError
from npvae.models import Engine

if TYPE_CHECKING:
    from npvae.evaluation.importance import LogLikelihood

# name → the function, and what it calls the number of samples that a datapoint is given
METHODS = {
    "importance": ("log_likelihood", "n_samples"),
    "annealed": ("annealed_log_likelihood", "n_chains"),
    "harmonic": ("harmonic_log_likelihood", "n_samples"),
    "prior": ("prior_log_likelihood", "n_samples"),
}


def marginal_likelihood(
    engine: Engine, X: Any, scale: float, method: str, n_samples: int | None, **options: Any
) -> "LogLikelihood":
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
    if not isinstance(method, str) or method not in METHODS:
        raise ParameterError(f"method={method!r} is not known; choose from {', '.join(METHODS)}")
    function, number = METHODS[method]
    estimate = getattr(evaluation, function)
    unknown = options.keys() - signature(estimate).parameters.keys()
    if unknown:
        raise ParameterError(f"method={method!r} has no option {min(unknown)!r}")
    if n_samples is not None:
        if number in options:
            raise ParameterError(f"{number} is what n_samples says already; leave one of them out")
        options[number] = n_samples
    return estimate(engine, X, scale, **options)
