"""A sweep: a run for every combination of a grid of settings, those of one architecture at once.

    data = "digits"                  # what all runs have, as in a config of `npvae train`
    epochs = 20

    [grid]                           # every combination of these
    kl_weight = [0.5, 1, 4]
    random_state = [0, 1, 2, 3]

A sweep's folder holds the file as ``sweep.toml``, and a run folder for each combination, by
number: :mod:`npvae.runs.run` says what is in one. A run is known again by its settings. So a sweep
that was interrupted or killed goes on when it is begun again, each run from its checkpoint; and one
whose grid has grown trains what is new.

Runs whose settings differ only in what :func:`npvae.fit_many` lets differ are trained together, the
others one after another.
"""
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from npvae.data.disk_rows import DiskRows
from npvae.errors import DataError, ModelFileError, NumericalError, ParameterError
from npvae.estimators.batchable import OWN, not_batched
from npvae.estimators.many import fit_together
from npvae.io import read_toml, to_json
from npvae.io.atomic import atomic_write
from npvae.io.locks import exclusive_folder
from npvae.runs.folders import contents
from npvae.runs.record import write_record
from npvae.runs.run import Run, open_run, train
from npvae.runs.settings import build, check, resolve_settings
from npvae.training import HistoryFile

FILE = "sweep.toml"
LARGEST = 10_000  # combinations
TOGETHER = 64  # runs in a batch: more are no faster, and take memory


@dataclass(frozen=True)
class Sweep:
    """A grid's runs, one a combination, in the order of the grid.

    Attributes
    ----------
    folder : Path
        Where they are.
    grid : dict of str to list
        The settings that are varied, and their values.
    runs : tuple of Run
        Their settings and folders, which need not be there yet.
    """

    folder: Path
    grid: Mapping[str, list[Any]]
    runs: tuple[Run, ...]

    def batches(self) -> list[list[Run]]:
        """The runs that have no model yet: those that can be trained together, and single ones."""
        found: dict[str, list[Run]] = {}
        for run in self.runs:
            if not run.model_file.exists():
                alone = str(run.folder) if not_batched(build(run.settings)) else ""
                common = {k: v for k, v in run.settings.items() if k not in OWN}
                found.setdefault(to_json(common) + alone, []).append(run)
        return [group[i : i + TOGETHER] for group in found.values()
                for i in range(0, len(group), TOGETHER)]  # fmt: skip


def read_grid(path: str | Path) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """What all runs of a sweep have, and the values of what is varied.

    Raises
    ------
    ModelFileError, ParameterError
        If the file cannot be read, or has no grid of lists.
    """
    common = read_toml(path)
    grid = common.pop("grid", None)
    if not isinstance(grid, dict) or not grid:
        raise ParameterError(f"{path} has no [grid]; list the values of one setting or more in it")
    for name, values in grid.items():
        if not isinstance(values, list) or not values:
            raise ParameterError(
                f"{path}: {name}={values!r:.80} in [grid] is no list of values; write "
                f"{name} = [{values!r:.80}], or move it above [grid]"
            )
        if name in common:
            raise ParameterError(f"{path}: {name} stands above [grid] and in it; leave one out")
        if any(value in values[:i] for i, value in enumerate(values)):
            raise ParameterError(f"{path}: {name}={values!r:.80} has a value twice; leave one out")
    return common, grid


def combinations(path: str | Path) -> tuple[dict[str, list[Any]], list[dict[str, Any]]]:
    """The grid of a file, and the settings of each run, the last name varying fastest.

    Raises
    ------
    ModelFileError, ParameterError, BackendError
        If the file cannot be read, or a model of its settings cannot be trained here.
    """
    common, grid = read_grid(path)
    points = [dict(zip(grid, values, strict=True)) for values in first(product(*grid.values()))]
    if len(points) > LARGEST:
        raise ParameterError(f"{path} has more than {LARGEST:,} combinations; vary less")
    found = []
    for point in points:
        try:
            settings = resolve_settings(common | point)
            check(settings)
        except ParameterError as error:
            raise ParameterError(f"{path}: {error}") from error
        found.append(settings)
    return grid, found


def first(points: Iterator[Any]) -> list[Any]:
    """So many as a sweep may have, and one more if there are more."""
    return [point for point, _ in zip(points, range(LARGEST + 1), strict=False)]


@contextmanager
def open_sweep(path: str | Path, folder: Path) -> Iterator[Sweep]:
    """The sweep of a grid file in a folder: a new one, or one to go on with.

    The folder is this process's own until the block ends.

    Raises
    ------
    ModelFileError
        If the folder holds something that is no sweep, is in use, or cannot be written to.
    ParameterError, BackendError
        As :func:`combinations`.
    """
    grid, settings = combinations(path)
    file = folder / FILE
    if folder.exists() and not folder.is_dir():
        raise ModelFileError(f"{folder} is a file; name a folder with --out")
    if folder.exists() and contents(folder) and not file.exists():
        raise ModelFileError(
            f"{folder} holds something that is no sweep; name another folder with --out"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with exclusive_folder(folder):
        with atomic_write(file) as copy:
            copy.write(Path(path).read_bytes())
        yield Sweep(folder, grid, tuple(place(folder, settings)))


def place(folder: Path, settings: Sequence[dict[str, Any]]) -> Iterator[Run]:
    """Each run where it was begun, or under the next number."""
    begun = {to_json(run.settings): run for run in
             (open_run(config.parent) for config in sorted(folder.glob("*/config.toml")))}
    numbers = [int(path.name) for path in folder.iterdir() if path.name.isdigit()]
    number = max(numbers, default=0)
    for one in settings:
        run = begun.get(to_json(one))
        if run is None:
            number += 1
            run = Run(folder / str(number), one)
        yield run


def train_batch(runs: Sequence[Run]) -> list[NumericalError | None]:
    """Train runs together, each from its checkpoint; why each failed, or None.

    One is trained as ever, and so is each of them where the data are left on the disk.

    Raises
    ------
    NpvaeError
        If nothing can be trained: the data are not there or others, a disk is full.
    KeyboardInterrupt
        On Ctrl-C, after the checkpoints.
    """
    with ExitStack() as stack:
        for run in runs:
            run.folder.mkdir(exist_ok=True)
            stack.enter_context(exclusive_folder(run.folder))
            run.write_config()
        if len(runs) == 1 or isinstance(runs[0].datasets()[0].pixels, DiskRows):
            return [train_alone(run) for run in runs]
        return train_together(runs)


def train_alone(run: Run) -> NumericalError | None:
    """One run, as ``npvae train`` trains it."""
    try:
        train(run, resume=True, quiet=True)
    except NumericalError as error:
        return error
    return None


def train_together(runs: Sequence[Run]) -> list[NumericalError | None]:
    """Several, of one architecture and the same data."""
    training, held_out, record = runs[0]._data
    for run in runs:
        if run.record() not in (None, record):
            raise DataError(
                f"{run.folder} was trained on other data than {runs[0].folder}; sweep in another "
                "folder, named with --out"
            )
        write_record(run.folder / "data.json", record)
    models = [build(run.settings) for run in runs]
    files = [HistoryFile(run.folder / "history.jsonl") for run in runs]
    errors = fit_together(
        models, training, held_out, [[file] for file in files], [run.checkpoint for run in runs]
    )
    for run, model, file, error in zip(runs, models, files, errors, strict=True):
        if error is None:
            file(model._state)  # also where no epoch was left to do
            model.save(run.model_file)
    return errors
