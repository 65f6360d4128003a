"""The model file: save and load, with all that rebuilds the model."""
from inspect import signature
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from npvae import estimators, install, random, training
from npvae.backend import get_backend, to_numpy
from npvae.errors import ModelFileError, NpvaeError, ParameterError
from npvae.estimators.arguments import resolve_option, serialize
from npvae.estimators.feature_names import checked_names, keep_names, known_names
from npvae.estimators.golden import check_golden, golden_vectors, take_golden
from npvae.io import check_arrays, newer_file, read_archive, shared, write_archive
from npvae.memory import aligned
from npvae.options import whole_number, widths

if TYPE_CHECKING:
    from npvae.estimators.base import GenerativeModel
MODELS: dict[str, type["GenerativeModel"]] = {}  # class name → class
UNSAVED = ("verbose", "backend", "tf32")  # of no concern to a file


def save(model: "GenerativeModel", path: str | Path) -> None:
    """Write the model to one ``.npz`` that :func:`npvae.load` and ``numpy.load`` read.

    A name without a suffix is used as it is: ``save("m")`` writes the file ``m``, and ``load("m")``
    reads it. A name that ends in another format's suffix is refused.

    Raises
    ------
    ModelFileError
        If it cannot be written; a file that stood there is left as it was.
    ParameterError
        If ``set_params`` has described another model since, an argument is an object of a class
        that is not npvae's, or the name promises another format.
    NumericalError
        If a parameter is not finite; a file that stood there is left as it was.
    NotFittedError
        If there are no parameters yet.
    """
    config, arrays = contents_of(model)
    write_archive(path, "model", config, arrays | golden_vectors(model))


def contents_of(model: "GenerativeModel") -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Config and arrays of a model file, checked as :func:`save` says."""
    engine = model._engine()
    check_trainable(model)
    with engine.backend.oom_guard():
        engine.check_parameters()
    arrays = {name: to_numpy(array) for name, array in model.parameters.items()}
    if engine.standardization is not None:
        arrays |= {k: to_numpy(v) for k, v in engine.standardization.arrays().items()}
    return config_of(model) | {"epoch": model._state.epoch}, arrays


def check_described(model: "GenerativeModel") -> None:
    """Raise a ParameterError if the arguments describe another model than the parameters are of."""
    same = model._model(model.n_features_in_) == model.engine_.base
    if not (same and (model.standardize or model.standardization_ is None)):
        raise changed_after_fit(model, "the parameters are of another model")


def check_trainable(model: "GenerativeModel") -> None:
    """The same, and if they describe another objective or optimizer than it was trained with."""
    check_described(model)
    same = type(model._objective()) is type(model.engine_.objective)
    slots = resolve_option("optimizer", model.optimizer).slots
    if not (same and slots == tuple(model._state.moments)):
        raise changed_after_fit(model, "the parameters were trained in another way")


def changed_after_fit(model: "GenerativeModel", so: str) -> ParameterError:
    """What to raise, with the arguments that have changed."""
    before = {name: repr(value) for name, value in model._built_from.items()}
    now = {name: repr(value) for name, value in model.get_params().items()}
    changes = ", ".join(f"{k}={v} (was {before[k]})" for k, v in now.items() if v != before[k])
    return ParameterError(
        f"{changes or 'an argument'} was set after the {type(model).__name__} was fitted, and "
        f"{so}; call fit again, or set it back"
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


def as_written(params: dict[str, Any]) -> dict[str, Any]:
    """A file's arguments, and what they meant when there was no ``likelihood_variance``: a learned
    log σ² without a bound.
    """
    p, learned = params.get("likelihood"), ("normal", "laplace")
    if "likelihood_variance" in params:
        return params
    if isinstance(p, dict):
        if p.get("name") in learned:
            p = p | {"variance": "unbounded"}
        p = resolve_option("likelihood", p)
        return params | {"likelihood": serialize("likelihood", p)}
    if p in learned and params.get("likelihood_std") is None:
        return params | {"likelihood_variance": "unbounded"}
    return params


def load(path: str | Path, backend: str = "numpy", check: bool = False,
         mmap: bool = False) -> Any:  # fmt: skip
    """The model that was saved to ``path``.

    Parameters
    ----------
    path : path
        A file written by ``save``, or what ``export`` wrote as ``"safetensors"`` or ``"onnx"``.
    backend : str
        Where to put it, whichever backend wrote it: ``"numpy"``, ``"cupy"`` or ``"auto"``.
    check : bool
        Whether to compute the file's golden vectors again, inputs that the model made up when it
        was saved: to 1e-5 of each output's scale, or 1e-10 in float64, whatever the version, the
        device and the compiled ops.
    mmap : bool
        Whether to map the parameters, copied only where they are written, so that processes which
        load one file share its memory. They are mapped from a file beside it, ``path`` + ``.map``,
        which is written if it is not there or is not what ``path`` holds, verified as ever.

    Returns
    -------
    VAE or Autoencoder
        Ready to transform, sample and score, or to train further with ``partial_fit``: from the
        epoch that it had reached, but by an optimiser and by noise that begin anew.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, not a model, or its arrays do not fit its config; or if
        the check finds that the model computes something else here.
    ParameterError
        If a model on a GPU is to be mapped.
    MissingExtraError
        If it is of another format whose package is not installed.

    Warns
    -----
    UserWarning
        If there is nothing to check by, in a file of an older version or of another format.
    """
    if Path(path).suffix.casefold() == ".safetensors":
        from npvae.export import safetensors  # formats cost nothing where none is read

        config, arrays = safetensors.read(path)
    elif (Path(path) / "encoder.onnx").is_file():
        from npvae.export import onnx

        config, arrays = onnx.read(path)
    else:
        config, arrays = read_archive(path, "model")
    try:
        cls, params = described(path, config, len(arrays))
        model = cls(**(params | {"backend": backend, "verbose": False}))
        n_features, n_data, epoch, image_shape = sizes_of(config)
        names = checked_names(config.get("feature_names"), n_features)
        model._check_params()
        whole_number("random_state", params["random_state"], least=0)
        model.seed_ = random.as_seed(params["random_state"])
        layout = model._model(n_features).layout()
    except ModelFileError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, NpvaeError) as error:
        raise ModelFileError(
            f"{path}: its config is not one that this npvae can build "
            f"({type(error).__name__}: {str(error)[:200]}); save the model anew, or update npvae "
            f"if a newer one wrote it: {install.update()}"
        ) from error
    units = training.standardization_in(path, arrays, n_features)
    golden = take_golden(path, arrays, n_features, model.latent_dim)
    check_arrays(path, arrays, layout.shapes)
    theta = aligned(np.empty, layout.size, np.dtype(model._name("dtype")))  # (P,)
    parts = [arrays[name].ravel() for name in layout.shapes]
    np.concatenate(parts, out=theta, casting="unsafe")
    if mmap:
        if get_backend(backend).name != "numpy":
            raise ParameterError("mmap=True is for backend='numpy'; a GPU has memory of its own")
        theta = shared(path, theta)
    # the order of the data and the weight of the KL follow from the epoch
    model._attach(n_features, theta, n_data, epoch)
    training.adopt_standardization(path, model.engine_, units)
    model.image_shape_ = image_shape
    keep_names(model, names)
    if unknown := sorted(config.keys() - config_of(model).keys() - {"epoch"}):
        raise newer_file(path, unknown[0])
    if check:
        check_golden(path, model, golden)
    return model


def described(
    path: str | Path, config: dict[str, Any], n_arrays: int
) -> tuple[type["GenerativeModel"], dict[str, Any]]:
    """The class that a config names, and the arguments for it."""
    name, params = config["class"], config["params"]
    if name in estimators.__all__:
        getattr(estimators, name)  # npvae's own are imported when asked for
    cls = MODELS.get(name)
    if cls is None:
        raise ModelFileError(
            f"{path}: holds a {name!r:.60}, a class that is not here; import the "
            f"module that defines it, or update npvae: {install.update()}"
        )
    if not isinstance(params, dict):
        raise ParameterError(f"its params are a {type(params).__name__}, not a JSON object")
    if unknown := sorted(params.keys() - set(cls._parameter_names())):
        raise newer_file(path, unknown[0])
    params = as_written(params)
    params = {k: tuple(v) if isinstance(v, list) else v for k, v in params.items()}
    if any(isinstance(v, tuple) and len(v) > n_arrays for v in params.values()):
        raise ParameterError(f"it claims more layers than the {n_arrays} arrays there are")
    return cls, params


def sizes_of(config: dict[str, Any]) -> tuple[int, int, int, Any]:
    """D, N, the epoch, and the shape of an image, each held to be what it can be."""
    n_features, n_data, epoch = config["n_features"], config["n_data"], config.get("epoch", 0)
    whole_number("n_features", n_features)
    whole_number("n_data", n_data)
    whole_number("epoch", epoch, least=0)
    if (shape := config["image_shape"]) is None:
        return n_features, n_data, epoch, None
    widths("image_shape", shape)
    if prod(shape) != n_features:
        raise ParameterError(f"image_shape={shape} is not of {n_features} features")
    return n_features, n_data, epoch, tuple(shape)
