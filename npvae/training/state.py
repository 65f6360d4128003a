"""Where a training run stands: all that a resume needs, beside the data and the settings.

Batches and noise are functions of (seed, epoch, step), so a few numbers and the flat vectors
are the whole state, and a resumed run continues bit for bit.
"""
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from warnings import warn

from npvae.backend import Array, to_numpy
from npvae.errors import ModelFileError
from npvae.io import check_arrays, newer_file, read_archive, write_archive
from npvae.models import Engine
from npvae.optim import State
from npvae.training.progress_check import COUNTERS, check_progress
from npvae.training.units import adopt_standardization, standardization_in

History = dict[str, list]


@dataclass
class TrainingState:
    """Progress of one run.

    Attributes
    ----------
    engine : Engine
        Parameters and buffers.
    moments : dict of str to array (P,)
        The optimiser's state.
    epoch, batch, step : int
        Finished epochs; finished batches of the next one; steps since the start.
    sums : list of float
        Sums over the unfinished epoch's datapoints of reconstruction and KL, in nats.
    objective : list of float
        The same, of what was maximised; zeros where that is the bound itself.
    history : dict of str to list
        One entry an epoch.
    best : array (P,) or None
        Parameters of the epoch with the best validation bound, of those after the warm-up.
    best_epoch, best_elbo : int, float or None
        That epoch and that bound; 0 and None where there is none.
    chains : dict of str to array
        Where a Monte Carlo algorithm's Markov chains stand.
    objective_state : dict of str to array
        What the objective carries from step to step.
    """

    engine: Engine
    moments: State
    epoch: int = 0
    batch: int = 0
    step: int = 0
    sums: list[float] = field(default_factory=lambda: [0.0, 0.0])
    objective: list[float] = field(default_factory=lambda: [0.0, 0.0])
    history: History = field(default_factory=dict)
    best: Array | None = None
    best_epoch: int = 0
    best_elbo: float | None = None
    chains: State = field(default_factory=dict)
    objective_state: State = field(default_factory=dict)

    def state_arrays(self) -> dict[str, Array]:
        """State arrays beside θ, that a step leaves to the next, by their names in a checkpoint."""
        groups = {
            "optimizer": self.moments, "chains": self.chains, "objective": self.objective_state
        }  # fmt: skip
        return {f"{group}.{k}": v for group, arrays in groups.items() for k, v in arrays.items()}

    def begin_epoch(self) -> None:
        """No batch of it is done."""
        self.batch, self.sums, self.objective = 0, [0.0, 0.0], [0.0, 0.0]

    def record(self, row: dict[str, Any]) -> None:
        """Append one epoch to the history; None where an epoch lacks what others have."""
        epochs = max(map(len, self.history.values()), default=0)
        for key in dict.fromkeys([*self.history, *row]):  # in one order, whatever the hashes
            column = self.history.setdefault(key, [None] * epochs)
            column.append(row.get(key))

    def last(self) -> dict[str, Any]:
        """The newest entry of the history."""
        return {key: values[-1] for key, values in self.history.items()}


def save_checkpoint(path: str | Path, state: TrainingState, config: dict[str, Any]) -> None:
    """Write everything that a resume needs to ``path``, atomically.

    Raises
    ------
    ModelFileError
        If it cannot be written; what stood there before is left as it was.
    """
    arrays = {"theta": state.engine.theta} | state.state_arrays()
    if state.engine.standardization is not None:
        arrays |= state.engine.standardization.arrays()
    if state.best is not None:
        arrays["best"] = state.best
    progress = {name: getattr(state, name) for name in COUNTERS}
    progress["twins"] = state.engine.backend.twins
    write_archive(
        path,
        "checkpoint",
        config | {"progress": progress},
        {name: to_numpy(array) for name, array in arrays.items()},
    )


def change_data(path: str | Path, n_data: int) -> None:
    """Make a checkpoint one of ``n_data`` other datapoints: its unfinished epoch begins anew.

    Steps are counted as if there had been as many before, so that noise is a function of the epoch.

    Raises
    ------
    ModelFileError
        If the file cannot be read or written.
    """
    config, arrays = read_archive(path, "checkpoint")
    with suppress(KeyError, TypeError):  # a damaged one, which load_checkpoint tells of
        progress, batch_size = config["progress"], flatten_config(config)["batch_size"]
        progress["step"] = progress["epoch"] * -(-n_data // min(batch_size, n_data))
        progress |= {"batch": 0, "sums": [0.0, 0.0], "objective": [0.0, 0.0]}
    write_archive(path, "checkpoint", config | {"n_data": n_data}, arrays)


def flatten_config(config: dict[str, Any]) -> dict[str, Any]:
    """A config without its groups, so that a difference is one setting's.

    Examples
    --------
    >>> flatten_config({"class": "VAE", "params": {"latent_dim": 2, "hidden": [500]}})
    {'class': 'VAE', 'latent_dim': 2, 'hidden': [500]}
    """
    groups = (v if isinstance(v, dict) else {k: v} for k, v in config.items())
    return {name: value for group in groups for name, value in group.items()}


def load_checkpoint(
    path: str | Path, state: TrainingState, config: dict[str, Any],
    complete: Callable[[dict[str, Any]], dict[str, Any]] = dict,
) -> None:  # fmt: skip
    """Bring ``state`` to where :func:`save_checkpoint` left one.

    ``complete`` adds to its settings those that a file of an older npvae may lack. The learning
    rate may be another.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, or belongs to a run with other settings.
    """
    found, arrays = read_archive(path, "checkpoint")
    progress = found.pop("progress", {})
    found, config = flatten_config(found), flatten_config(config)
    found |= {k: v for k, v in complete(found).items() if k in config}
    for key in sorted(found.keys() | config.keys(), key=lambda k: (k != "class", k)):
        if key not in config:
            raise newer_file(path, key)
        if key != "learning_rate" and found.get(key) != config[key]:
            raise ModelFileError(
                f"{path} was made with {key}={found.get(key)!r:.80}, not {config[key]!r:.80}; "
                "resume with the settings it was made with, or start anew"
            )
    batch_size = min(config["batch_size"], config["n_data"])
    check_progress(path, progress, -(-config["n_data"] // batch_size))
    before, here = progress.get("twins"), state.engine.backend.twins
    if isinstance(before, str) and before != here:
        warn(
            f"{path} was made with compiled ops for {before:.20}, and here they are for {here}: "
            "what follows differs in the last bits", stacklevel=2,
        )  # fmt: skip
    into = {"theta": state.engine.theta} | state.state_arrays()
    expected = {name: array.shape for name, array in into.items()}
    units = standardization_in(path, arrays, state.engine.model.n_features)
    if "best" in arrays:
        expected["best"] = state.engine.theta.shape
    check_arrays(path, arrays, expected)
    adopt_standardization(path, state.engine, units)
    for name in COUNTERS:
        setattr(state, name, progress[name])
    for name, array in into.items():
        array[...] = state.engine.backend.asarray(arrays[name])
    if "best" in arrays:
        state.best = state.engine.backend.asarray(arrays["best"])
