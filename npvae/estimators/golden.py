"""Golden vectors: inputs that a model has made up and what it gave for them, kept in its file.

Whoever loads the file may ask whether the model still gives the same: in another version of npvae
or of NumPy, on another device, with compiled ops or without. No row is anybody's data.

    golden.z       (8, J)    samples of the prior, or of N(0, I) where there is none
    golden.mean    (8, D)    E[x|z] at these
    golden.x       (8, D)    samples of p(x|z) at these
    golden.code    (8, J)    what ``transform`` gives of these, where there is an encoder

The same means to 1e-5 of an output's scale, or 1e-10 in float64: sums of hundreds of products in
another order differ by less, and another model by more.
"""
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from warnings import warn

import numpy as np

from npvae import evaluation
from npvae.backend import to_numpy
from npvae.errors import ModelFileError
from npvae.io import check_arrays

if TYPE_CHECKING:
    from npvae.estimators.base import GenerativeModel
Arrays = dict[str, np.ndarray]
N = 8  # rows
TOLERANCE = {"float32": 1e-5, "float64": 1e-10}  # of an output's scale


def golden_vectors(model: "GenerativeModel") -> Arrays:
    """Inputs and outputs by their names in a file; none where one is beyond the finite numbers."""
    from npvae.estimators.exporting import synthetic_rows

    with np.errstate(all="ignore"):
        x, z = synthetic_rows(model, N)
        arrays = {"golden.z": z, "golden.x": x}
        arrays |= outputs(model, arrays)
    if "golden.code" not in arrays:
        del arrays["golden.x"]
    return arrays if all(np.isfinite(array).all() for array in arrays.values()) else {}


def outputs(model: "GenerativeModel", inputs: Arrays) -> Arrays:
    """What the model gives for golden inputs."""
    engine, found = model._ready_engine(), {}
    with engine.backend.oom_guard(), suppress(NotImplementedError):  # of a model without an encoder
        found["golden.mean"] = to_numpy(evaluation.decode(engine, inputs["golden.z"]))
        if "golden.x" in inputs:
            found["golden.code"] = to_numpy(evaluation.encode(engine, inputs["golden.x"]))
    return found


def take_golden(path: str | Path, arrays: Arrays, n_features: int, latent_dim: int) -> Arrays:
    """Take golden vectors out of a file's arrays; none of an older file.

    Raises
    ------
    ModelFileError
        If they are none of such a model.
    """
    golden = {name: arrays.pop(name) for name in [*arrays] if name.startswith("golden.")}
    widths = {"z": latent_dim, "mean": n_features, "x": n_features, "code": latent_dim}
    names = ["z", "mean", "x", "code"][: 4 if len(golden) > 2 else 2]  # two without an encoder
    if golden:
        check_arrays(path, golden, {f"golden.{name}": (N, widths[name]) for name in names})
    return golden


def check_golden(path: str | Path, model: "GenerativeModel", golden: Arrays) -> None:
    """Raise a ModelFileError unless the model gives for golden inputs what it gave when saved.

    Warns
    -----
    UserWarning
        If there are none, for the file was written before there were any.
    """
    if not golden:
        warn(f"{path}: has no golden vectors, as files of older versions have none, so nothing was "
             "checked; save it anew where it is known to be right", stacklevel=3)  # fmt: skip
    for name, found in outputs(model, golden).items() if golden else ():
        coarser = min(found.dtype, golden[name].dtype)  # a model may be loaded in another dtype
        least, wanted = TOLERANCE.get(coarser.name, 1e-5), golden[name].astype(np.float64)
        rounding = 4 * np.finfo(found.dtype).eps * np.abs(wanted).max()  # of numbers far from 0
        scale = max(np.abs(wanted - wanted.mean(axis=0)).max(), rounding / least)
        apart = np.abs(found - wanted).max()
        if not apart <= least * scale:
            raise ModelFileError(
                f"{path}: {name} comes out {apart / scale:.1g} of its scale from what it was when "
                f"saved, and {least:g} would be rounding; this NumPy, device or build of npvae "
                "computes another model: try NPVAE_PURE_PYTHON=1 or another backend"
            )
