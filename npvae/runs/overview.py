"""What there is in a folder of runs, and how two of them compare."""
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from npvae.errors import ModelFileError, NpvaeError
from npvae.estimators import scoring
from npvae.evaluation import Elbo
from npvae.io import read_jsonl, read_toml
from npvae.runs.run import Run, find_model
from npvae.runs.settings import MODELS

BOUNDS = ("validation_elbo", "elbo", "log_joint")  # what a history is judged by, the best first
BOUND_SAMPLES = 10  # of z for each datapoint


@dataclass(frozen=True)
class RunSummary:
    """One run folder in a line.

    Attributes
    ----------
    folder : Path
        Where it is.
    began : datetime
        When it was begun, or last resumed.
    settings : dict
        Its config.toml; empty where that is damaged.
    history : list of dict
        One an epoch.
    finished : bool
        Whether it has a model.
    fault : str
        What is wrong with it, if it cannot be read.
    """

    folder: Path
    began: datetime
    settings: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    finished: bool = False
    fault: str = ""

    def columns(self) -> dict[str, list[Any]]:
        """The history by column, as a model's ``history_`` has it."""
        return {key: [row.get(key) for row in self.history] for key in
                dict.fromkeys(key for row in self.history for key in row)}  # fmt: skip

    def best(self) -> tuple[str, int, float] | None:
        """What it is judged by, the epoch with the most of it, and how much in nats."""
        for key in BOUNDS:
            found = [(row[key], row["epoch"]) for row in self.history if row.get(key) is not None]
            if found:
                value, epoch = max(found)
                return key, epoch, value
        return None


def summarise(folder: Path) -> RunSummary:
    """The summary of a run folder.

    Raises
    ------
    ModelFileError
        If it is no run folder.
    """
    config = folder / "config.toml"
    if not config.is_file():
        raise ModelFileError(f"{folder} is not a run folder: it has no config.toml; check the path")
    began = datetime.fromtimestamp(config.stat().st_mtime)
    try:
        rows = read_jsonl(folder / "history.jsonl")
        if not all(map(is_epoch, rows)):
            raise ModelFileError(f"{folder / 'history.jsonl'} is damaged; delete it to do without")
        finished = (folder / "model.npz").is_file()
        return RunSummary(folder, began, read_toml(config), rows, finished)
    except NpvaeError as error:
        return RunSummary(folder, began, fault=str(error))


def is_epoch(row: Any) -> bool:
    """Whether a line of a history is one: an epoch, with numbers or nothing to judge it by."""
    if not (isinstance(row, dict) and isinstance(row.get("epoch"), int)):
        return False
    return all(isinstance(row.get(key), float | int | None) for key in BOUNDS)


def runs_in(folder: Path) -> list[RunSummary]:
    """The runs directly in a folder, in the order in which they were begun; or the run that it is.

    Raises
    ------
    ModelFileError
        If there is no such folder.
    """
    if not folder.is_dir():
        raise ModelFileError(f"{folder} is no folder of runs; npvae train makes runs/, in which "
                             "it leaves what it trains")
    own = [folder] if (folder / "config.toml").is_file() else []
    found = own or (path.parent for path in folder.glob("*/config.toml"))
    return sorted(map(summarise, found), key=lambda run: (run.began, run.folder))


def differences(first: RunSummary, other: RunSummary) -> Iterator[tuple[str, Any, Any]]:
    """Settings in which two runs differ: the name, and the value of each, or None."""
    for name in dict.fromkeys([*first.settings, *other.settings]):
        values = first.settings.get(name), other.settings.get(name)
        if values[0] != values[1]:
            yield name, *values


def why_not_comparable(first: Run, other: Run) -> str:
    """Why bounds of two runs are not of the same thing; empty if they are.

    A bound is on log p(x), so both must have been trained on the same x, binarised alike, hold
    out the same rows, and give either both a probability or both a density.
    """
    one, two = first.settings, other.settings
    for run in (first, other):
        if not MODELS[run.settings["model"]].has_bound:
            return f"model {run.settings['model']} has none"
        if not run.model_file.exists():
            return f"{run.folder} has no model.npz yet"
    for name in ("data", "scale", "binarize", "validation"):
        if one.get(name) != two.get(name):
            return f"their {name} differs, {one.get(name)} and {two.get(name)}"
    if one["validation"] == 0 and one["data"] != "mnist":  # which has a test set
        return "they held no data out"
    names = {str(settings.get("likelihood")) for settings in (one, two)}
    if len(names) > 1 and not names <= {"normal", "laplace", "continuous-bernoulli"}:
        return f"log p(x) of a {' and of a '.join(sorted(names))} likelihood are of different kinds"
    return ""


def bounds(first: Run, other: Run) -> tuple[Elbo, Elbo]:
    """ELBOs of the rows that both runs held out.   (N,) each

    Raises
    ------
    ModelFileError
        If one has no model.
    DataError
        If they held nothing out.
    """
    X = first.held_out()
    models = (find_model(run.folder)[0] for run in (first, other))
    one, two = (scoring.elbo(model, X, n_samples=BOUND_SAMPLES) for model in models)
    return one, two
