"""The model file: save and load, with all that rebuilds the model."""
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from npvae import random
from npvae.backend import to_numpy
from npvae.errors import ModelFileError, NpvaeError, ParameterError
from npvae.estimators.arguments import resolve_option, serialize
from npvae.estimators.feature_names import checked_names, keep_names, known_names
from npvae.io import check_arrays, read_archive, write_archive
from npvae.training import standardization_in

if TYPE_CHECKING:
    from npvae.estimators.base import GenerativeModel
MODELS: dict[str, type["GenerativeModel"]] = {}  # class name → class
UNSAVED = ("verbose", "backend", "tf32")  # of no concern to a file


def save(model: "GenerativeModel", path: str | Path) -> None:
    """Write the model to one ``.npz`` that :func:`npvae.load` and ``numpy.load`` read.

    Raises
    ------
    ModelFileError
        If it cannot be written; a file that stood there is left as it was.
    ParameterError
        If ``set_params`` has described another model since, or an argument is an object of a
        class that is not npvae's.
    NumericalError
        If a parameter is not finite; a file that stood there is left as it was.
    NotFittedError
        If there are no parameters yet.
    """
    engine = model._engine()
    check_described(model)
    with engine.backend.oom_guard():
        engine.check_parameters()
    arrays = {name: to_numpy(array) for name, array in model.parameters.items()}
    if engine.standardization is not None:
        arrays |= {k: to_numpy(v) for k, v in engine.standardization.arrays().items()}
    write_archive(path, "model", config_of(model) | {"epoch": model._state.epoch}, arrays)


def check_described(model: "GenerativeModel") -> None:
    """Raise a ParameterError if ``set_params`` has described another model since it was built."""
    same = model._model(model.n_features_in_) == model.engine_.base
    same &= type(model._objective()) is type(model.engine_.objective)
    slots = resolve_option("optimizer", model.optimizer).slots
    if not (same and slots == tuple(model._state.moments)):
        raise ParameterError(
            "set_params changed the model or its optimizer after it was fitted; call fit again"
        )


def config_of(model: "GenerativeModel") -> dict[str, Any]:
    """The config of a model file, enough to rebuild the model."""
    return {
        "class": type(model).__name__,
        "params": params_of(model) | {"random_state": model.seed_},
        "n_features": model.n_features_in_,
        "n_data": model.n_data_,
        "image_shape": serialize("", model.image_shape_),
        "feature_names": None if (names := known_names(model)) is None else list(names),
    }


def params_of(model: "GenerativeModel") -> dict[str, Any]:
    """The constructor's arguments, serialized; without what gave the seed."""
    params = model.get_params() | {"random_state": None}
    return {k: serialize(k, v) for k, v in params.items() if k not in UNSAVED}


def defaults_of(model: "GenerativeModel") -> dict[str, Any]:
    """Their defaults, which are those of a file of the time before there was such an argument."""
    defaults = signature(type(model)).parameters
    known = {name: serialize(name, defaults[name].default) for name in params_of(model)}
    return known | {"standardize": model.standardize}  # their data were not, whoever asks


def load(path: str | Path, backend: str = "numpy") -> Any:
    """The model that was saved to ``path``.

    Parameters
    ----------
    path : path
        A file written by ``save``.
    backend : str
        Where to put it, whichever backend wrote it: ``"numpy"``, ``"cupy"`` or ``"auto"``.

    Returns
    -------
    VAE or Autoencoder
        Ready to transform, sample and score, or to train further with ``partial_fit``: from the
        epoch that it had reached, but by an optimiser and by noise that begin anew.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, not a model, or its arrays do not fit its config.
    """
    config, arrays = read_archive(path, "model")
    try:
        cls = MODELS[config["class"]]
        params = {k: tuple(v) if isinstance(v, list) else v for k, v in config["params"].items()}
        model = cls(**(params | {"backend": backend, "verbose": False}))
        n_features, n_data = int(config["n_features"]), int(config["n_data"])
        image_shape, epoch = config["image_shape"], int(config.get("epoch", 0))
        names = checked_names(config.get("feature_names"), n_features)
        model._check_params()
        model.seed_ = random.as_seed(params["random_state"])
        layout = model._model(n_features).layout()
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, NpvaeError) as error:
        raise ModelFileError(
            f"{path}: its config is not one that this npvae can build "
            f"({type(error).__name__}: {error}); save the model anew"
        ) from error
    units = standardization_in(path, arrays, n_features)
    check_arrays(path, arrays, layout.shapes)
    theta = np.concatenate([arrays[name].ravel() for name in layout.shapes])
    model._attach(n_features, theta, n_data)
    if units is not None:
        model.engine_.standardize(units)
    model._state.epoch = epoch  # the order of the data and the weight of the KL follow from it
    model.image_shape_ = tuple(image_shape) if image_shape else None
    keep_names(model, names)
    return model
