"""From a file back to a model: the file alone is enough."""
from pathlib import Path
from typing import Any

import numpy as np

from npvae import random
from npvae.errors import ModelFileError, NpvaeError
from npvae.estimators.base import GenerativeModel
from npvae.io import check_arrays, read_archive


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
        cls = GenerativeModel.MODELS[config["class"]]
        params = {k: tuple(v) if isinstance(v, list) else v for k, v in config["params"].items()}
        model = cls(**(params | {"backend": backend, "verbose": False}))
        n_features, n_data = int(config["n_features"]), int(config["n_data"])
        image_shape, epoch = config["image_shape"], int(config.get("epoch", 0))
        model._check_params()
        model.seed_ = random.as_seed(params["random_state"])
        layout = model._model(n_features).layout()
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, NpvaeError) as error:
        raise ModelFileError(
            f"{path}: its config is not one that this npvae can build "
            f"({type(error).__name__}: {error}); save the model anew"
        ) from error
    check_arrays(path, arrays, layout.shapes)
    theta = np.concatenate([arrays[name].ravel() for name in layout.shapes])
    model._attach(n_features, theta, n_data)
    model._state.epoch = epoch  # the order of the data and the weight of the KL follow from it
    model.image_shape_ = tuple(image_shape) if image_shape else None
    return model
