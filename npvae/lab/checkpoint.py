"""A comparison on disk, so that one that was interrupted goes on to the same numbers.

Draw i is a function of (seed, i), so what is kept of the draws so far is all that there is to keep;
beside it stands what they are draws of.
"""
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from npvae.backend import Array, array_module, to_numpy
from npvae.errors import ModelFileError
from npvae.io import check_arrays, read_archive, write_archive
from npvae.io.atomic import StrPath
from npvae.lab.draws import Draws
from npvae.models import Engine

Settings = Mapping[str, Any]


def described(value: Any) -> str:
    """What an object says of itself, without where in memory it is."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def model_settings(engine: Engine, x: Array, every: Sequence[Draws]) -> dict[str, str]:
    """What the draws of one model are a function of, beside the seed."""
    parameters, units = sha256(to_numpy(engine.theta).tobytes()), engine.standardization
    for array in units.arrays().values() if units is not None else ():
        parameters.update(to_numpy(array).tobytes())
    return {
        "estimators": "; ".join(
            f"{described(d.objective)}, {d.samples}, {d.noise}" for d in every if d.asked
        ),
        "model": described(engine.base),
        "dtype": str(engine.theta.dtype),
        "parameters": parameters.hexdigest()[:16],
        "X": sha256(to_numpy(x).tobytes()).hexdigest()[:16],
    }


def save_draws(path: StrPath, settings: Settings, every: Sequence[Draws]) -> None:
    """Write how far they are to ``path``, atomically.

    Raises
    ------
    ModelFileError
        If it cannot be written; what stood there before is left as it was.
    """
    progress = [draws.n_draws for draws in every]
    arrays = {name: to_numpy(array) for name, array in arrays_of(every).items()}
    write_archive(path, "comparison", {**settings, "progress": progress}, arrays)


def load_draws(path: StrPath, settings: Settings, every: Sequence[Draws]) -> None:
    """Bring ``every`` to where :func:`save_draws` left them.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, or of a comparison with other settings, another model or
        other data.
    """
    found, arrays = read_archive(path, "comparison")
    for name, value in settings.items():
        if found.get(name) != value:
            raise ModelFileError(
                f"{path} was made with {name}={found.get(name)!r:.80}, not {value!r:.80}; resume "
                "with the settings it was made with, or start anew"
            )
    progress, most = found.get("progress"), settings["n_draws"]
    if not (
        isinstance(progress, list) and len(progress) == len(every)
        and all(type(n) is int and 0 <= n <= most for n in progress)
    ):  # fmt: skip
        raise ModelFileError(
            f"{path}: damaged: {progress!r:.80} is no progress of {most} draws; start anew"
        )
    into = arrays_of(every)
    check_arrays(path, arrays, {name: array.shape for name, array in into.items()})
    for name, array in into.items():
        array[...] = array_module(array).asarray(arrays[name])
    for draws, n in zip(every, progress, strict=True):
        draws.n_draws = n


def arrays_of(every: Sequence[Draws]) -> dict[str, Array]:
    """All that is kept of draws, by name."""
    names = ("means", "squares", "seconds", "shift")
    own = {f"{i}.{name}": vars(d)[name] for i, d in enumerate(every) for name in names}
    return own | {f"{i}.state.{k}": v for i, d in enumerate(every) for k, v in d.state.items()}
