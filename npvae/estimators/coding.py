"""From data to latents and back, and from the prior to data."""
from typing import TYPE_CHECKING, Any

from npvae import evaluation, random
from npvae.backend import Array, array_module, is_device_array, to_numpy
from npvae.data import Dataset, check_data
from npvae.options import whole_number

if TYPE_CHECKING:
    from npvae.estimators.base import GenerativeModel


def transform(model: "GenerativeModel", X: Any) -> Array:
    """Posterior means of z, deterministic.   X (N, D) → (N, J)

    Where q(z|x) has no finite mean, another measure of where it lies: of a ``"cauchy"``, and of a
    ``"student-t"`` with ν ≤ 1, the median; of an ``"f"`` with ν₂ ≤ 2 and a ``"pareto"`` with α ≤ 1
    the geometric mean exp E[log z].

    Raises
    ------
    DataError
        If ``X`` is not finite, of another width, or outside the likelihood's range.
    NotFittedError
        If there are no parameters yet.
    """
    pixels, scale = data_of(model, X)
    with model.engine_.backend.oom_guard():
        return as_input_type(X, evaluation.encode(model.engine_, pixels, scale))


def inverse_transform(model: "GenerativeModel", Z: Any) -> Array:
    """Means of p(x|z).   Z (N, J) → (N, D)

    Raises
    ------
    DataError
        If ``Z`` is not finite or not J wide.
    NotFittedError
        If there are no parameters yet.
    """
    engine = model._engine()
    checked = check_data(Z, engine.model.decoder.n_in, xp=array_module(Z))
    with engine.backend.oom_guard():
        return as_input_type(Z, evaluation.decode(engine, checked))


def fit_transform(model: "GenerativeModel", X: Any, y: Any = None) -> Array:
    """``fit(X)``, then ``transform(X)``."""
    return model.fit(X, y).transform(X)


def sample(model: "GenerativeModel", n: int, rng: Any = None) -> Array:
    """Images from the prior: E[x|z] of ``n`` samples z ~ p(z), as in figure 5.   (n, D)

    On the backend's own kind of array, since none goes in.

    Parameters
    ----------
    n : int
        How many.
    rng : int, numpy.random.Generator or None
        Where z comes from.

    Raises
    ------
    ParameterError
        If ``n`` is less than 1, or ``rng`` cannot seed a generator.
    NotFittedError
        If there are no parameters yet.
    """
    engine = model._engine()
    whole_number("n", n)
    p = engine.model.prior
    eps = random.as_generator(rng).standard_normal((n, p.n_noise(engine.model.decoder.n_in)))
    with engine.backend.oom_guard():
        prior = engine.model.prior_at(engine.ctx)
        z, _ = prior.transform(prior.rsample(engine.xp.asarray(eps, dtype=engine.theta.dtype)))
        return evaluation.decode(engine, z)


# ---- what goes in and comes out: checked, and of one kind


def data_of(model: "GenerativeModel", X: Any) -> tuple[Array, float]:
    """Checked datapoints (N, D) in their own dtype, and the factor to scale them by."""
    return checked_data(model, X, model._engine().model.n_features)


def checked_data(model: "GenerativeModel", X: Any, n_features: int | None) -> tuple[Array, float]:
    """The same of ``n_features`` columns, or any number."""
    support = model._likelihood().support
    if isinstance(X, Dataset):
        return check_data(X.pixels, n_features, support, X.scale, name=X.name), X.scale
    return check_data(X, n_features, support, xp=array_module(X)), 1.0


def as_input_type(X: Any, result: Array) -> Array:
    """``result`` as the type of array that went in, NumPy's or CuPy's."""
    return array_module(X).asarray(result) if is_device_array(X) else to_numpy(result)
