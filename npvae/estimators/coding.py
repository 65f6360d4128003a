"""From data to latents and back, and from the prior to data."""
from collections.abc import Mapping
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from npvae import evaluation, random
from npvae.backend import Array, array_module, as_input_type
from npvae.data import Dataset, check_data
from npvae.distributions.support import Support
from npvae.estimators.feature_names import as_asked, check_latent_names, check_names, known_names
from npvae.options import whole_number

if TYPE_CHECKING:
    from npvae.estimators.base import GenerativeModel
    from npvae.evaluation import LikelihoodDistribution, PosteriorDistribution


def transform(model: "GenerativeModel", X: Any) -> Any:
    """Posterior means of z, deterministic.   X (N, D) → (N, J)

    ``X`` is an array, a sparse matrix, a :class:`~npvae.data.Dataset` or a table, of the columns
    that ``fit`` had. A table comes back where :meth:`set_output` has asked for one.

    Where q(z|x) has no finite mean, another measure of where it lies: of a ``"cauchy"``, and of a
    ``"student-t"`` with ν ≤ 1, the median; of an ``"f"`` with ν₂ ≤ 2 and a ``"pareto"`` with α ≤ 1
    the geometric mean exp E[log z].

    Raises
    ------
    DataError
        If ``X`` is not finite, of other columns, or outside the likelihood's range.
    NotFittedError
        If there are no parameters yet.
    NumericalError
        If a parameter is not finite.
    """
    pixels, scale = data_of(model, X)
    with model.engine_.backend.oom_guard():
        z = evaluation.encode(model.engine_, pixels, scale)
        return as_asked(model, X, as_input_type(X, checked_result(model, z)))


def inverse_transform(model: "GenerativeModel", Z: Any) -> Array:
    """Means of p(x|z).   Z (N, J) → (N, D)

    Raises
    ------
    DataError
        If ``Z`` is not finite or not J wide.
    NotFittedError
        If there are no parameters yet.
    NumericalError
        If a parameter is not finite.
    """
    engine = model._ready_engine()
    checked = checked_codes(model, Z)
    with engine.backend.oom_guard():
        return as_input_type(Z, checked_result(model, evaluation.decode(engine, checked)))


def fit_transform(model: "GenerativeModel", X: Any, y: Any = None) -> Any:
    """``fit(X)``, then ``transform(X)``."""
    return model.fit(X, y).transform(X)


def reconstruct(model: "GenerativeModel", X: Any) -> Array:
    """Means of p(x|z) at z = ``transform(X)``.   X (N, D) → (N, D)

    In the model's dtype. ``likelihood_of(transform(X)).sample(rng)`` draws x instead.

    Raises
    ------
    DataError
        If ``X`` is not finite, of another width, or outside the likelihood's range.
    NotFittedError
        If there are no parameters yet.
    NumericalError
        If a parameter is not finite.
    """
    return model.inverse_transform(model.transform(X))


def posterior_of(model: "GenerativeModel", X: Any) -> "PosteriorDistribution":
    """q(z|x) of each datapoint: parameters by name, mean, deviation and samples.

    Parameters
    ----------
    X : array (N, D)
        Datapoints.

    Returns
    -------
    PosteriorDistribution
        ``parameters``, ``mean`` and ``std`` (N, J), and ``sample(rng, n=None)``; arrays of the
        kind that went in, in the model's dtype. It stays as it is when the model trains on.

    Raises
    ------
    DataError
        If ``X`` is not finite, of another width, or outside the likelihood's range.
    NotFittedError
        If there are no parameters yet.
    NumericalError
        If a parameter is not finite.
    """
    pixels, scale = data_of(model, X)
    with model.engine_.backend.oom_guard():
        result = evaluation.posterior_of(model.engine_, pixels, scale)
        for parameter in result.parameters.values():
            checked_result(model, parameter)
        return replace(result, parameters=of_input_type(X, result.parameters))


def likelihood_of(model: "GenerativeModel", Z: Any) -> "LikelihoodDistribution":
    """p(x|z) of each latent: parameters by name, mean, deviation and samples.

    Parameters
    ----------
    Z : array (N, J)
        Latents.

    Returns
    -------
    LikelihoodDistribution
        ``parameters``, ``mean`` (that of :meth:`inverse_transform`) and ``std`` (N, D), and
        ``sample(rng, n=None)``; arrays of the kind that went in, in the model's dtype. It stays
        as it is when the model trains on.

    Raises
    ------
    DataError
        If ``Z`` is not finite or not J wide.
    NotFittedError
        If there are no parameters yet.
    NumericalError
        If a parameter is not finite.
    """
    engine = model._ready_engine()
    checked = checked_codes(model, Z)
    with engine.backend.oom_guard():
        result = evaluation.likelihood_of(engine, checked)
        checked_result(model, result.mean)
        parameters, mean = of_input_type(Z, result.parameters), as_input_type(Z, result.mean)
        return replace(result, parameters=parameters, mean=mean)


def sample(model: "GenerativeModel", n: int, rng: Any = None, draw: bool = False) -> Array:
    """Images from the prior: E[x|z] of ``n`` samples z ~ p(z), as in figure 5.   (n, D)

    Or with ``draw`` samples of p(x) itself, x ~ p(x|z) of the same z. On the backend's own kind of
    array, since none goes in, in the model's dtype.

    Parameters
    ----------
    n : int
        How many.
    rng : int, numpy.random.Generator or None
        Where z comes from, and after it the noise of x.
    draw : bool
        Whether to draw x from p(x|z): a mean has less variance than data have, and is no
        datum where those are counts or levels.

    Raises
    ------
    ParameterError
        If ``n`` is less than 1, or ``rng`` cannot seed a generator.
    NotFittedError
        If there are no parameters yet.
    NumericalError
        If a parameter is not finite.
    """
    engine = model._ready_engine()
    whole_number("n", n)
    p, generator = engine.model.prior, random.as_generator(rng)
    eps = generator.standard_normal((n, p.n_noise(engine.model.decoder.n_in)))
    with engine.backend.oom_guard():
        prior = engine.model.prior_at(engine.ctx)
        z, _ = prior.transform(prior.rsample(engine.xp.asarray(eps, dtype=engine.theta.dtype)))
        if draw:
            return checked_result(model, evaluation.draw(engine, z, random.as_seed(generator)))
        return checked_result(model, evaluation.decode(engine, z))


# ---- what goes in and comes out: checked, and of one kind


def data_of(model: "GenerativeModel", X: Any) -> tuple[Array, float]:
    """Checked datapoints (N, D) in their own dtype, and the factor to scale them by."""
    engine = model._ready_engine()
    if type(X) is not np.ndarray or "feature_names_in_" in vars(model):
        check_names(known_names(model), X, type(model).__name__)
    built, dtype = engine.model, engine.theta.dtype
    return checked_by(built.likelihood.support, X, built.n_features, dtype)


def checked_data(model: "GenerativeModel", X: Any, n_features: int | None) -> tuple[Array, float]:
    """The same for the likelihood that the arguments name, of any number of columns if None."""
    dtype = np.dtype(model._name("dtype"))
    return checked_by(model._likelihood().support, X, n_features, dtype)


def checked_by(
    support: Support, X: Any, n_features: int | None, dtype: Any
) -> tuple[Array, float]:
    """The same where all must lie in ``support`` and be finite in ``dtype``."""
    if isinstance(X, Dataset):
        X = X.scaled_for(support)
        pixels = check_data(X.pixels, n_features, support, X.scale, dtype=dtype, name=X.name)
        return pixels, X.scale
    return check_data(X, n_features, support, dtype=dtype, xp=array_module(X)), 1.0


def checked_codes(model: "GenerativeModel", Z: Any) -> Array:
    """Checked latents (N, J)."""
    engine = model.engine_
    if type(Z) is not np.ndarray:
        check_latent_names(model, Z)
    n_latents, dtype = engine.model.decoder.n_in, engine.theta.dtype
    return check_data(Z, n_latents, dtype=dtype, xp=array_module(Z))


def of_input_type(X: Any, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Each as the type of array that went in, and with memory of its own."""
    return {name: as_input_type(X, array.copy()) for name, array in arrays.items()}


def checked_result(model: "GenerativeModel", result: Array) -> Array:
    """``result`` as it is, if no parameter is to blame for numbers in it that are not finite.

    Views of parameters that were given out long ago may be written to at any time. A sum of
    squares costs a fifth of looking at each; where it overflows the parameters are looked at. A
    device would have to be waited for, and is not asked.
    """
    if type(result) is np.ndarray and not np.vdot(result, result) < inf:
        model._engine().check_parameters()
    return result
