"""How well a model explains data: its lower bound, tighter ones, and log p(x) itself."""
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from warnings import warn

from npvae import evaluation, random, training
from npvae.backend import Array
from npvae.distributions import BernoulliLikelihood
from npvae.distributions.compatibility import support_covers
from npvae.errors import ParameterError
from npvae.estimators.coding import as_input_type, checked_result, data_of
from npvae.estimators.gradient import check_noise
from npvae.evaluation.bound import N_SAMPLES
from npvae.evaluation.chunks import BUDGET, chunks
from npvae.evaluation.methods import marginal_likelihood
from npvae.options import whole_number

if TYPE_CHECKING:
    from npvae.estimators.base import GenerativeModel


def default_n_samples(model: "GenerativeModel") -> int:
    """Samples of a datapoint's bound where nobody says how many: those of training, or 4."""
    return max(model.n_samples, N_SAMPLES) if model._engine().model.n_noise else 1


def scored_data(model: "GenerativeModel", X: Any) -> tuple[Array, float]:
    """Checked datapoints as the model was trained to see them, and the factor to scale them by."""
    pixels, scale = data_of(model, X)
    with model.engine_.backend.oom_guard():
        return binarize_held_out(model, pixels, scale)


def binarize_held_out(model: "GenerativeModel", pixels: Array, scale: float) -> tuple[Array, float]:
    """Binarise data as in training: by a threshold, or by a sample that follows from a row."""
    binarize = model._name("binarize")
    if binarize == "threshold":
        return pixels * scale > 0.5, 1.0
    if binarize in ("fixed", "dynamic"):
        return training.binarized_by_row(model.engine_, pixels, scale, model.seed_), 1.0
    return pixels, scale


def bound(
    model: "GenerativeModel", X: Any, eps: Array | None = None, n_samples: int | None = None
) -> "evaluation.Elbo":
    """The bound and its parts, on the engine's device."""
    pixels, scale = scored_data(model, X)
    if n_samples is not None:
        whole_number("n_samples", n_samples)
    if eps is not None:
        eps = check_noise(model, eps, len(pixels))
    L = (n_samples or default_n_samples(model)) if eps is None else len(eps)
    with model.engine_.backend.oom_guard():
        result = evaluation.elbo(
            model.engine_, pixels, scale, seed=model.seed_, n_samples=L, eps=eps
        )
        checked_result(model, result.total)
        return result


def score_samples(model: "GenerativeModel", X: Any, n_samples: int | None = None) -> Array:
    """The lower bound of each datapoint, in nats.   X (N, D) → (N,)

    A row's bound depends, beside the model, on its values alone: it is the same, to rounding,
    wherever the row stands and whatever stands beside it.

    Parameters
    ----------
    X : array (N, D)
        Datapoints; binarised as in training.
    n_samples : int, optional
        Samples of z a datapoint; those of training, and 4 at least, if not given.

    Raises
    ------
    DataError, NotFittedError, NumericalError
        As :meth:`transform`.
    ParameterError
        If ``n_samples`` is no whole number of at least 1.
    """
    return as_input_type(X, bound(model, X, None, n_samples).total)


def score(
    model: "GenerativeModel", X: Any, y: Any = None, n_samples: int | None = None
) -> float:
    """The mean lower bound, in nats per datapoint, as :meth:`score_samples` has it."""
    return float(bound(model, X, None, n_samples).total.mean())


def elbo(
    model: "GenerativeModel", X: Any, eps: Array | None = None, n_samples: int | None = None
) -> "evaluation.Elbo":
    """The lower bound of each datapoint and its parts, in nats.

    Parameters
    ----------
    X : array (N, D)
        Datapoints; binarised as in training.
    eps : array (L, N, J), optional
        Noise. If not given it follows from ``random_state`` and a row's values.
    n_samples : int, optional
        L, where ``eps`` is not given; that of training, and 4 at least, if this is neither. Of 2
        or more there is a standard error.

    Returns
    -------
    Elbo
        ``total``, ``reconstruction``, ``kl`` and ``standard_error``, each (N,).

    Raises
    ------
    ParameterError
        If ``n_samples`` is not a whole number of at least 1, or given along with ``eps``.
    DataError
        If ``X`` or ``eps`` is not finite, of another shape, or out of range.
    NotFittedError
        If there are no parameters yet.
    NumericalError
        If a parameter is not finite.
    """
    if eps is not None and n_samples is not None:
        raise ParameterError("eps says how many samples there are; leave out n_samples")
    parts = vars(bound(model, X, eps, n_samples))
    return evaluation.Elbo(**{name: as_input_type(X, part) for name, part in parts.items()})


def iwae_bound(
    model: "GenerativeModel", X: Any, k: int | Sequence[int] = (1, 10, 100, 1000),
    n_samples: int = 5000, rng: Any = None, progress: Callable[[Iterable], Iterable] = iter,
) -> "evaluation.BoundCurve":  # fmt: skip
    """The bound by k samples of q(z|x), which closes in on log p(x) (Burda et al. 2016).

    Parameters
    ----------
    X : array (N, D)
        Datapoints.
    k : int or sequence of int
        Samples that share a bound, in any order; k = 1 is the lower bound of eq. 3. Where each
        divides the next, and the last of them ``n_samples``, no estimate is below the one before.
    n_samples : int
        In all, for each datapoint: at least twice the largest k.
    rng, progress
        As :meth:`log_likelihood` has them.

    Returns
    -------
    BoundCurve
        ``estimate`` and ``standard_error`` (K, N), ``effective_sample_size`` and ``pareto_k``
        (N,).

    Raises
    ------
    ParameterError, DataError, NotFittedError, NumericalError
        As :meth:`log_likelihood`; or if a k is less than 1, or ``n_samples`` less than twice it.

    Warns
    -----
    UserWarning
        As :meth:`log_likelihood`.
    """
    engine = model._engine()
    pixels, scale = scored_data(model, X)
    warn_of_grey(model, pixels, scale)
    k = tuple(k) if isinstance(k, Iterable) else (k,)
    for name, value in (("n_samples", n_samples), *(("k", one) for one in k)):
        whole_number(name, value)
    with engine.backend.oom_guard():
        result = evaluation.iwae_bound(
            engine, pixels, scale, k=k, n_samples=n_samples, seed=random.as_seed(rng, "rng"),
            progress=progress,
        )  # fmt: skip
        return checked_estimate(model, X, result)


def log_likelihood(
    model: "GenerativeModel", X: Any, n_samples: int | None = None, rng: Any = None,
    progress: Callable[[Iterable], Iterable] = iter, *, method: str | None = None,
    **options: Any,
) -> "evaluation.LogLikelihood":  # fmt: skip
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
        ``estimate``, ``standard_error``, ``effective_sample_size`` and ``pareto_k``, each (N,).
        It prints as a sentence that says what it is worth.

    Raises
    ------
    ParameterError
        If there is no such method or option, ``n_samples`` is too few for a standard error,
        ``rng`` cannot seed a generator, or the method does not serve this model.
    NumericalError
        If a parameter is not finite, chains do not move, or samples are worth nothing.
    DataError, NotFittedError
        As :meth:`transform`.

    Warns
    -----
    UserWarning
        If the Pareto shape k̂ of a datapoint's weights is above 0.7: its standard error says
        nothing then, and the estimate may be far too low. If q(z|x) has lighter tails than the
        prior. If pixels are grey under a Bernoulli likelihood, which is no density of them.
    """
    engine = model._engine()
    pixels, scale = scored_data(model, X)
    warn_of_grey(model, pixels, scale)
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
        return checked_estimate(model, X, result)


def checked_estimate(model: "GenerativeModel", X: Any, result: Any) -> Any:
    """A result with its estimates as the type of array that went in, and a warning of its doubt."""
    checked_result(model, result.estimate)
    columns = ("estimate", "standard_error", "effective_sample_size", "pareto_k")
    result = replace(result, **{name: as_input_type(X, vars(result)[name]) for name in columns})
    if result.doubt:
        warn(result.doubt, stacklevel=3)
    return result


def warn_of_grey(model: "GenerativeModel", pixels: Array, scale: float) -> None:
    """Warn once if pixels (N, D) are neither 0 nor 1 where a Bernoulli takes them as such."""
    if not isinstance(model._likelihood(), BernoulliLikelihood):
        return
    for start, stop in chunks(len(pixels), max(1, BUDGET // pixels.shape[1])):
        x = pixels[start:stop] * scale  # 0 or 1, but for a rounding of the scale
        if bool((abs(x * (1 - x)) > 1e-6).any()):
            warn(
                "pixels are grey, and likelihood='bernoulli' is no density of grey pixels: what is "
                "estimated compares models as the paper does, and is not their log p(x); "
                "likelihood='continuous-bernoulli' is one",
                stacklevel=3,
            )
            return
