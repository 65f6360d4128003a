"""How well a model explains data: its lower bound, tighter ones, and log p(x) itself."""
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from npvae import evaluation, random
from npvae.backend import Array
from npvae.distributions.compatibility import support_covers
from npvae.errors import ParameterError
from npvae.estimators.coding import as_input_type, checked_result, data_of
from npvae.estimators.gradient import check_noise
from npvae.evaluation.methods import marginal_likelihood
from npvae.options import whole_number

if TYPE_CHECKING:
    from npvae.estimators.base import GenerativeModel


def bound(model: "GenerativeModel", X: Any, eps: Array | None = None) -> evaluation.Elbo:
    """The bound and its parts, on the engine's device."""
    pixels, scale = data_of(model, X)
    if eps is not None:
        eps = check_noise(model, eps, len(pixels))
    L = model.n_samples if eps is None else len(eps)
    with model.engine_.backend.oom_guard():
        result = evaluation.elbo(
            model.engine_, pixels, scale, seed=model.seed_, n_samples=L, eps=eps
        )
        checked_result(model, result.total)
        return result


def score_samples(model: "GenerativeModel", X: Any) -> Array:
    """The lower bound of each datapoint, in nats.   X (N, D) → (N,)

    Raises
    ------
    DataError, NotFittedError, NumericalError
        As :meth:`transform`.
    """
    return as_input_type(X, bound(model, X).total)


def score(model: "GenerativeModel", X: Any, y: Any = None) -> float:
    """The mean lower bound, in nats per datapoint; errors as in :meth:`transform`."""
    return float(bound(model, X).total.mean())


def elbo(model: "GenerativeModel", X: Any, eps: Array | None = None) -> evaluation.Elbo:
    """The lower bound of each datapoint and its parts, in nats.

    Parameters
    ----------
    X : array (N, D)
        Datapoints.
    eps : array (L, N, J), optional
        Noise; of L = ``n_samples`` samples, a function of ``random_state``, if not given.

    Returns
    -------
    Elbo
        ``total``, ``reconstruction`` and ``kl``, each (N,).

    Raises
    ------
    DataError
        If ``X`` or ``eps`` is not finite, of another shape, or out of range.
    NotFittedError
        If there are no parameters yet.
    NumericalError
        If a parameter is not finite.
    """
    parts = vars(bound(model, X, eps))
    return evaluation.Elbo(**{name: as_input_type(X, part) for name, part in parts.items()})


def iwae_bound(
    model: "GenerativeModel", X: Any, k: int | Sequence[int] = (1, 10, 100, 1000),
    n_samples: int = 5000, rng: Any = None, progress: Callable[[Iterable], Iterable] = iter,
) -> evaluation.BoundCurve:  # fmt: skip
    """The bound by k samples of q(z|x), which closes in on log p(x) (Burda et al. 2016).

    Parameters
    ----------
    X : array (N, D)
        Datapoints.
    k : int or sequence of int
        Samples that share a bound; k = 1 is the lower bound of eq. 3.
    n_samples : int
        In all, for each datapoint: at least the largest k.
    rng, progress
        As :meth:`log_likelihood` has them.

    Returns
    -------
    BoundCurve
        ``estimate`` and ``standard_error`` (K, N), ``effective_sample_size`` (N,).

    Raises
    ------
    ParameterError, DataError, NotFittedError, NumericalError
        As :meth:`log_likelihood`; or if a k is less than 1 or does not divide ``n_samples``.
    """
    engine = model._engine()
    pixels, scale = data_of(model, X)
    k = tuple(k) if isinstance(k, Iterable) else (k,)
    for name, value in (("n_samples", n_samples), *(("k", one) for one in k)):
        whole_number(name, value)
    with engine.backend.oom_guard():
        result = evaluation.iwae_bound(
            engine, pixels, scale, k=k, n_samples=n_samples, seed=random.as_seed(rng, "rng"),
            progress=progress,
        )  # fmt: skip
        checked_result(model, result.estimate)
    return result_as_input_type(X, result)


def log_likelihood(
    model: "GenerativeModel", X: Any, n_samples: int | None = None, rng: Any = None,
    progress: Callable[[Iterable], Iterable] = iter, *, method: str | None = None,
    **options: Any,
) -> evaluation.LogLikelihood:  # fmt: skip
    """log p(x) of each datapoint, in nats.

    Parameters
    ----------
    X : array (N, D)
        Datapoints.
    n_samples : int, optional
        Samples a datapoint, or chains under ``"annealed"``; memory does not grow with it.
        Of the method's own number if not given: 5,000 for importance sampling.
    rng : int, numpy.random.Generator or None
        Where the noise comes from.
    progress : callable
        Wraps the iterable of chunks, as tqdm does.
    method : str, optional
        ``"importance"``: samples of q(z|x). ``"annealed"``: chains from the prior to the
        posterior. ``"harmonic"``: the paper's appendix D, for fewer than five latents.
        ``"prior"``: samples of p(z), for a handful of latents. If not given the first; the
        second for a model without an encoder, the last where q(z|x) stays on an interval.
    **options
        Of the method, as :mod:`npvae.evaluation` has them: ``n_temperatures=1000``.

    Returns
    -------
    LogLikelihood
        ``estimate``, ``standard_error`` and ``effective_sample_size``, each (N,). It prints
        as a sentence that says what it is worth.

    Raises
    ------
    ParameterError
        If there is no such method or option, ``n_samples`` is too few for a standard error,
        ``rng`` cannot seed a generator, or the method does not serve this model.
    NumericalError
        If a parameter is not finite, chains do not move, or samples are worth nothing.
    DataError, NotFittedError
        As :meth:`transform`.
    """
    engine = model._engine()
    pixels, scale = data_of(model, X)
    q = engine.model.posterior
    first = "annealed" if q is None else "importance" if support_covers(q.name) else "prior"
    if options.keys() & {"seed", "scale"}:
        raise ParameterError("the noise comes from rng, and X is not scaled; leave them out")
    counts = {"n_samples": n_samples} | options
    for name in ("n_samples", "n_chains", "n_temperatures", "n_leapfrog", "warm_up"):
        if counts.get(name) is not None:
            whole_number(name, counts[name])
    with engine.backend.oom_guard():
        result = marginal_likelihood(
            engine, pixels, scale, method or first, n_samples,
            seed=random.as_seed(rng, "rng"), progress=progress, **options,
        )  # fmt: skip
        checked_result(model, result.estimate)
    return result_as_input_type(X, result)


def result_as_input_type(X: Any, result: Any) -> Any:
    """A result with its estimates as the type of array that went in."""
    columns = ("estimate", "standard_error", "effective_sample_size")
    return replace(result, **{name: as_input_type(X, vars(result)[name]) for name in columns})
