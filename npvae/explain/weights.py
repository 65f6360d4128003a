"""A model as JSON: what it is, and its parameters as the bytes that they are."""
from math import isfinite
from typing import Any

import numpy as np

from npvae.backend import to_numpy
from npvae.distributions.likelihoods import (
    BernoulliLikelihood,
    ContinuousBernoulliLikelihood,
    FixedNormalLikelihood,
    LaplaceLikelihood,
    NormalLikelihood,
    PoissonLikelihood,
)
from npvae.distributions.priors import NORMAL, STANDARD_NORMAL
from npvae.errors import ParameterError
from npvae.estimators.base import GenerativeModel
from npvae.estimators.feature_names import known_names
from npvae.explain.page import pack
from npvae.models.vae import VAEModel
from npvae.models.wake_sleep import WakeSleepModel
from npvae.networks import MLP
from npvae.ops.elementary import largest_exponent

LIKELIHOODS: dict[type, str] = {  # those of static/ops.js: a closed form a feature
    BernoulliLikelihood: "bernoulli", ContinuousBernoulliLikelihood: "continuous-bernoulli",
    NormalLikelihood: "normal", FixedNormalLikelihood: "fixed-normal",
    LaplaceLikelihood: "laplace", PoissonLikelihood: "poisson",
}  # fmt: skip


def describe(model: GenerativeModel) -> dict[str, Any]:
    """A model as ``read_model`` of ``static/model.js`` takes it.

    Its parameters are in their own dtype, so none is rounded: the page computes in float64, and
    differs from a float32 model by that model's rounding alone.

    Parameters
    ----------
    model : VAE or WakeSleep
        With q(z|x) and p(z) normal, and a likelihood of one number a feature: any activation, any
        number of layers, standardized data too.

    Returns
    -------
    dict
        For JSON.

    Raises
    ------
    ParameterError
        If it is no model, or none that a page can hold.
    NotFittedError
        If there are no parameters yet.
    NumericalError
        If a parameter is not finite.

    Examples
    --------
    >>> import npvae
    >>> vae = npvae.VAE(latent_dim=2, hidden=(3,)).initialize(4)
    >>> found = describe(vae)
    >>> found["encoder"], found["likelihood"]["name"], found["shapes"]["encoder.hidden.0.weight"]
    ({'hidden': [3], 'heads': ['mean', 'logvar']}, 'bernoulli', [3, 4])
    """
    if not isinstance(model, GenerativeModel):
        raise ParameterError(f"{model!r:.60} is no model; npvae.load reads one from its file")
    engine = model._ready_engine()
    built = engine.model
    if not isinstance(built, VAEModel) or type(built) not in (VAEModel, WakeSleepModel):
        raise ParameterError(f"a page shows VAE and WakeSleep, and this is {type(model).__name__}; "
                             "train a VAE")
    if built.posterior != NORMAL or built.prior != STANDARD_NORMAL:
        raise ParameterError(
            f"a page shows normal latents, and this model has posterior={model.posterior!r} and "
            f"prior={model.prior!r}; train one with posterior='normal' and prior='normal'"
        )
    likelihood = built.likelihood
    if type(likelihood) not in LIKELIHOODS:
        raise ParameterError(
            f"a page has no formula for likelihood={model.likelihood!r}; train a model with one "
            f"of {', '.join(name for name in LIKELIHOODS.values() if name != 'fixed-normal')}"
        )
    parameters = {name: to_numpy(array) for name, array in model.parameters.items()}
    units, names = engine.standardization, known_names(model)
    dtype = np.dtype(engine.theta.dtype)
    flat = np.concatenate([array.ravel() for array in parameters.values()])
    return {
        "class": repr(model),
        "n_features": built.n_features,
        "latent_dim": built.decoder.n_in,
        "activation": built.encoder.activation,
        "encoder": _network(built.encoder),
        "decoder": _network(built.decoder),
        "likelihood": _likelihood(likelihood, dtype),
        "kl_weight": float(model.kl_weight),
        "standardization": units and {
            "shift": to_numpy(units.shift).tolist(), "scale": to_numpy(units.scale).tolist(),
        },
        "image_shape": model.image_shape_,
        "feature_names": None if names is None else list(names),
        "shapes": {name: list(array.shape) for name, array in parameters.items()},
        "parameters": pack(flat),
    }  # fmt: skip


def _network(mlp: MLP) -> dict[str, Any]:
    return {"hidden": list(mlp.hidden), "heads": list(mlp.heads)}


def _likelihood(likelihood: Any, dtype: np.dtype) -> dict[str, Any]:
    """What its formulas take beside arrays; no limit is None."""
    found = {"name": LIKELIHOODS[type(likelihood)], "log_scale": 0.0,
             "largest_exponent": largest_exponent(np, dtype)}  # fmt: skip
    if isinstance(likelihood, (NormalLikelihood, FixedNormalLikelihood)):
        found["sigmoid_mean"] = bool(likelihood.sigmoid_mean)
    if isinstance(likelihood, (NormalLikelihood, FixedNormalLikelihood, LaplaceLikelihood)):
        found["log_scale"] = likelihood.log_scale
    if isinstance(likelihood, (NormalLikelihood, LaplaceLikelihood)) and isfinite(likelihood.limit):
        found["limit"] = likelihood.limit
    if isinstance(likelihood, FixedNormalLikelihood):
        found["std"] = likelihood.std
    return found
