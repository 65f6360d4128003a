"""Which models can be trained in one batched computation, and why others cannot."""
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from npvae import random
from npvae.backend import get_backend
from npvae.errors import ParameterError
from npvae.estimators.model_file import MODELS, params_of
from npvae.models import AutoencoderModel, VAEModel
from npvae.models.latent import NormalLatent

if TYPE_CHECKING:
    from npvae.estimators.base import GenerativeModel
# What may differ from model to model: numbers of a step, and where it begins and ends.
OWN = ("learning_rate", "schedule", "kl_weight", "kl_warmup", "random_state", "initial_std",
       "epochs", "early_stopping")  # fmt: skip


def check_batchable(models: "Sequence[GenerativeModel]") -> None:
    """Raise a ParameterError unless all can be trained, and in one batch.

    Raises
    ------
    BackendError
        If the backend cannot run here.
    """
    if not models:
        raise ParameterError("models is empty; pass one or more")
    first, place = dict[str, Any](), dict[int, int]()
    for i, model in enumerate(models):
        if type(model).__name__ not in MODELS:
            raise ParameterError(
                f"models[{i}] is a {type(model).__name__}; pass VAEs, or Autoencoders"
            )
        if (j := place.setdefault(id(model), i)) != i:
            raise ParameterError(f"models[{i}] is models[{j}]; pass a model of its own for each")
        try:
            settings = shared_settings(model)
        except ParameterError as error:
            raise ParameterError(f"models[{i}]: {error}") from error
        first = first or settings
        for name, value in settings.items():
            if value != first.get(name):
                raise ParameterError(
                    f"models[{i}] has {name}={value!r:.80} and models[0] {first.get(name)!r:.80}; "
                    f"in one batch only {', '.join(OWN[:-1])} and {OWN[-1]} may differ: fit them "
                    "apart"
                )


def shared_settings(model: "GenerativeModel") -> dict[str, Any]:
    """The settings that all models of a batch have in common, by name; JSON.

    Raises
    ------
    ParameterError
        If the model cannot be trained at all, or in no batch.
    """
    model._check_params()
    if not isinstance(model.random_state, (np.random.Generator, np.random.RandomState)):
        random.as_seed(model.random_state)
    if why := not_batched(model):
        raise ParameterError(f"{why}, which is not trained in a batch; fit it by itself")
    settings = {k: v for k, v in params_of(model).items() if k not in OWN}
    backend = get_backend(model.backend, bool(model.tf32))
    return {"class": type(model).__name__, "backend": backend.name, "tf32": backend.tf32} | settings


def not_batched(model: "GenerativeModel") -> str:
    """What of a model the batched step does not have; empty if all is there."""
    formulas = model._model(1)
    if type(formulas) not in (VAEModel, AutoencoderModel):
        learned = isinstance(formulas, VAEModel) and model.prior != "normal"
        return f"prior={model.prior!r}" if learned else f"it is a {type(model).__name__}"
    if isinstance(formulas, VAEModel) and not isinstance(formulas.latent, NormalLatent):
        return f"posterior={model.posterior!r} with prior={model.prior!r}"
    if model._name("noise") == "sobol":
        return "noise='sobol'"
    try:
        params_of(model)
    except ParameterError:
        return "one of its arguments is an object of a class of your own"
    return ""
