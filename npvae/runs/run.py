"""A training run as a folder: its configuration, history, checkpoint and model.

    config.toml       every setting, enough to repeat the run
    data.json         what it was trained on, and which rows were held out
    history.jsonl     one line an epoch
    checkpoint.npz    where to go on from, after every epoch and on Ctrl-C
    model.npz         the trained model: this file alone rebuilds it
    gradient_flow.jsonl   how the gradient flowed, some epochs
    report.html       all of it on a page, also while the run trains
    plots/*.png       what to look at

While a process trains, the folder is its own (:mod:`npvae.io.locks`).
"""
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from npvae.data import Dataset
from npvae.data.catalogue import LOADERS
from npvae.data.disk_rows import DiskRows
from npvae.errors import DataError, ModelFileError, ParameterError
from npvae.estimators import load
from npvae.estimators.base import GenerativeModel
from npvae.io import read_jsonl, write_toml
from npvae.io.locks import exclusive_folder
from npvae.runs.folders import contents, first_vacant, vacant_folder
from npvae.runs.record import DataRecord, read_record, write_record
from npvae.runs.report import Report, ReportFile, read_flow
from npvae.runs.settings import build, check, load_data, resolve_settings
from npvae.training import (
    ALONE,
    Communicator,
    GradientFlow,
    HistoryFile,
    TrainingState,
    change_data,
)

RECORDS = 25  # of the gradient's flow, about so many in a run
SHOWN = 5000  # rows of data on the disk, where none are held out


@dataclass(frozen=True)
class Run:
    """One folder and its settings."""

    folder: Path
    settings: dict[str, Any]
    new_data: bool = False  # whether others may have taken the place of those it was trained on

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.npz"

    @property
    def model_file(self) -> Path:
        return self.folder / "model.npz"

    def write_config(self) -> None:
        """Keep the settings beside what they lead to."""
        write_toml(self.folder / "config.toml", self.settings)

    def record(self) -> DataRecord | None:
        """What is known of the data; None before the first training, and of npvae 0.1."""
        return read_record(self.folder / "data.json")

    def datasets(self) -> tuple[Dataset, Dataset | None]:
        """Data to train on, and data held out for validation, if any is; read once.

        Raises
        ------
        DataError
            If the data are not there, or are not those that the run was trained on.
        """
        return self._data[:2]

    @cached_property
    def _data(self) -> tuple[Dataset, Dataset | None, DataRecord]:
        """Those, and what will be known of them."""
        record, name = self.record(), self.settings["data"]
        if record is not None and name not in LOADERS and not Path(name).exists():
            raise DataError(
                f"{name}, which {self.folder} was trained on, is not there: say with --data where "
                "it is now"
            )
        dataset = load_data(self.settings)
        if record is None:
            record = DataRecord.of(dataset, held_out_rows(self.settings, dataset))
        elif why := record.difference(dataset):
            if not self.new_data:
                raise DataError(
                    f"{name} is not what {self.folder} was trained on: {why}; name with --data "
                    "where those are now, or these if they are meant; to train on these, resume "
                    "with --new-data"
                )
            record = record.for_new(dataset)
        training, held_out = record.split(dataset)
        if self.settings["validation"] == "test":
            held_out = load_data(self.settings, split="test")
        return training.first(self.settings["n_train"]), held_out, record

    def held_out(self, name: str | None = None) -> Dataset:
        """Held-out data: MNIST's test set, else the validation rows.

        Parameters
        ----------
        name : str, optional
            Of data to use instead. A file that holds what the run was trained on, wherever it is
            now, is that: of it too the rows held out are used.

        Raises
        ------
        DataError
            If there is none, or the run's data are not those that it was trained on.
        """
        if name is not None:
            dataset, record = load_data(self.settings, name), self.record()
            own = record is not None and name not in LOADERS and not record.difference(dataset)
            return (record.split(dataset)[1] if record and own else None) or dataset
        if self.settings["data"] == "mnist":
            return load_data(self.settings, split="test")
        held_out = self.datasets()[1]
        if held_out is None:
            raise DataError(f"{self.folder} held no data out; name some with --data")
        return held_out


def held_out_rows(settings: dict[str, Any], dataset: Dataset) -> tuple[int, ...]:
    """The rows to hold out of new data."""
    n, rows = settings["validation"], len(dataset)
    if n is None:
        n = min(max(rows // 10, 1), 5000, rows - 1)
    if n in ("test", 0):
        return ()
    if isinstance(dataset.pixels, DiskRows):  # too many to number
        chosen = np.random.default_rng(0).choice(rows, n, replace=False, shuffle=False)
        return tuple(sorted(chosen.tolist()))
    numbered = Dataset(np.arange(rows)[:, None], name=dataset.name)
    return tuple(numbered.split(n, seed=0)[1].pixels[:, 0].tolist())


@contextmanager
def create(settings: dict[str, Any], folder: str | Path | None = None) -> Iterator[Run]:
    """A new run in an empty or new folder, which is this process's own until the block ends.

    It is the first vacant ``runs/<data>-<number>`` if none is named. A block that fails before
    anything is trained leaves no folder.

    Raises
    ------
    ParameterError, BackendError
        If no such model can be trained here.
    FolderNotEmpty, FolderInUse
        If the folder holds something, or another process is making a run of it.
    ModelFileError
        If the folder cannot be made or written to.
    """
    check(settings)
    with ExitStack() as stack:
        if folder is None:
            place = first_vacant(Path("runs", Path(str(settings["data"])).stem), stack)
        else:
            place = stack.enter_context(vacant_folder(Path(folder)))
        run = Run(place, settings)
        try:
            run.write_config()
            yield run
        except Exception:
            if contents(place) <= (untrained := {"config.toml", "data.json"}):
                with suppress(OSError):
                    for name in untrained:
                        (place / name).unlink(missing_ok=True)
            raise


def open_run(folder: str | Path, options: dict[str, Any] | None = None) -> Run:
    """A run that was begun before; ``options`` over its settings.

    Raises
    ------
    ModelFileError
        If the folder is missing or is no run.
    """
    folder = Path(folder)
    config = folder / "config.toml"
    if not config.is_file():
        raise ModelFileError(f"{folder} is not a run folder: it has no config.toml; check the path")
    return Run(folder, resolve_settings(options or {}, config))


@contextmanager
def reopen_run(
    folder: str | Path, options: dict[str, Any], new_data: bool = False
) -> Iterator[Run]:
    """A run to go on with: :func:`open_run`, with ``options``, which :func:`train` keeps.

    The folder is this process's own until the block ends. With ``new_data`` others may have taken
    the place of the data that it was trained on.

    Raises
    ------
    ParameterError
        If an option cannot be used, or asks for fewer epochs than the run has had.
    BackendError
        If the backend cannot run here.
    FolderInUse
        If another process is training the run.
    ModelFileError
        If the folder is missing, is no run, or cannot be written to.
    """
    open_run(folder)  # a run, before a lock is put into it
    with exclusive_folder(Path(folder)):
        run = open_run(folder, options)
        run = replace(run, new_data=new_data)
        check(run.settings)
        done = len(read_jsonl(run.folder / "history.jsonl"))
        if options.get("epochs", done) < done:
            raise ParameterError(
                f"epochs={options['epochs']} is less than the {done} that {run.folder} has had; "
                "ask for more, or leave it out"
            )
        yield run


def train(
    run: Run, resume: bool = False, callbacks: Iterable[Callable[[TrainingState], Any]] = (),
    quiet: bool = False, comm: Communicator = ALONE,
) -> tuple[GenerativeModel, Dataset]:  # fmt: skip
    """Train, or go on training, and save; the model, and the data to show it on.

    Parameters
    ----------
    run : Run
        Its settings are kept in its folder, once its data are found to be as they were.
    resume : bool
        Go on from the checkpoint, if there is one.
    callbacks : iterable of callable
        Called after every epoch.
    quiet : bool
        Say nothing.
    comm : Communicator
        The processes that train together. This is rank 0, and the others :func:`assist`.

    Raises
    ------
    NpvaeError
        If the data are others, or training fails.
    """
    with comm.together():
        model = build(run.settings)
        if model.verbose is None:
            model.verbose = True  # a run says how it goes also to a file or a pipe
        if quiet:
            model.verbose = False
        training, held_out, record = run._data
        resume = resume and run.checkpoint.exists()  # before the first nothing is lost by starting
        if resume and run.record() not in (None, record):
            change_data(run.checkpoint, len(training))
        write_record(run.folder / "data.json", record)
        run.write_config()
    comm.from_root((replace(run, folder=run.folder.resolve()), resume))
    with comm.together():  # the others read the data
        pass
    history = HistoryFile(run.folder / "history.jsonl")
    every = max(1, run.settings["epochs"] // RECORDS)
    flow = GradientFlow(every=every, records=read_flow(run.folder) if resume else ())
    following = [flow] if model.takes_validation else []  # what does not has no encoder either
    report = ReportFile(Report(run.folder, run.settings, {}, state="running"), flow)
    try:
        model.fit(
            training,
            validation=held_out if model.takes_validation else None,
            callbacks=[history, *following, report, *callbacks],
            checkpoint=run.checkpoint,
            resume=resume,
            comm=comm,
        )
    except BaseException:
        with suppress(ModelFileError):  # of a full disk there is word already
            report.end("stopped")
        raise
    history(model._state)  # also where no epoch was left to do
    model.save(run.model_file)
    report(model._state)
    report.end("finished")
    if held_out is None and isinstance(training.pixels, DiskRows):
        held_out = training.first(min(len(training), SHOWN))
    return model, training if held_out is None else held_out


def assist(comm: Communicator) -> None:
    """What every rank but the first does while that one trains a run, and writes into its folder.

    Raises
    ------
    NpvaeError, KeyboardInterrupt
        What has ended the training, on whichever rank it was.
    """
    with comm.together():  # rank 0 has found the data and written what it can
        pass
    run, resume = comm.from_root(None)
    with comm.together():
        model = build(run.settings)
        model.verbose = False
        training, held_out = run.datasets()
    model.fit(
        training, validation=held_out if model.takes_validation else None,
        checkpoint=run.checkpoint, resume=resume, comm=comm,
    )  # fmt: skip


def find_model(path: str | Path) -> tuple[GenerativeModel, Run | None]:
    """The model of a run folder or of a model file, and the run if it is one.

    Raises
    ------
    ModelFileError
        If there is no model there.
    """
    path = Path(path)
    if path.is_dir() and not (path / "encoder.onnx").exists():  # which an export has
        run = open_run(path)
        if not run.model_file.exists():
            raise ModelFileError(
                f"{path} has no model.npz yet; finish it with: npvae train --resume {path}"
            )
        return load(run.model_file), run
    return load(path), None
