"""The standardization in a file, a model or a checkpoint: the units in which it was trained."""
from pathlib import Path

import numpy as np

from npvae.errors import ModelFileError, ParameterError
from npvae.io import check_arrays
from npvae.models import Engine
from npvae.standardization import NAMES, Standardization


def standardization_in(
    path: str | Path, arrays: dict[str, np.ndarray], n_features: int
) -> Standardization | None:
    """Take the standardization out of a file's arrays; None if it has none, as older files.

    Raises
    ------
    ModelFileError
        If it is none for data of so many features.
    """
    found = {name: arrays.pop(name) for name in NAMES if name in arrays}
    if not found:
        return None
    check_arrays(path, found, dict.fromkeys(NAMES, (n_features,)))
    shift, scale = (found[name].astype(np.float64) for name in NAMES)
    return Standardization(shift, scale)


def adopt_standardization(path: str | Path, engine: Engine, units: Standardization | None) -> None:
    """Have a model see data by the standardization of a file, if that has one.

    Raises
    ------
    ModelFileError
        If it is none for data of this model.
    """
    try:
        if units is not None:
            engine.standardize(units)
    except ParameterError as error:
        raise ModelFileError(f"{path}: {error}") from error
