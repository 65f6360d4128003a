"""Train curves side by side, each in a process and a run folder of its own.

A process is this package's own :mod:`~npvae.reproduce.worker` on a folder whose ``config.toml``
says all. Stopped in whatever way, a curve goes on from its last checkpoint when it is asked for
again; asked for with a larger budget, it goes on from where it ended.
"""
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from typing import Any

from npvae import runs
from npvae.errors import ModelFileError, NpvaeError
from npvae.io import read_jsonl
from npvae.io.locks import exclusive_folder
from npvae.ops.cpu.threads import processors
from npvae.reproduce.marginal import estimated
from npvae.reproduce.paper import Curve

POLL = 1.0  # seconds between two looks at how far curves are


class CurveError(NpvaeError):
    """A curve that could not be trained."""


@dataclass
class Training:
    """A curve on its way.

    Attributes
    ----------
    curve : Curve
        What is trained.
    run : Run
        Its folder and settings.
    marginal : bool
        Whether the marginal likelihood is estimated on the way.
    process : Popen or None
        None until it begins.
    """

    curve: Curve
    run: runs.Run
    marginal: bool = False
    process: subprocess.Popen | None = None

    @property
    def log(self) -> Path:
        """What the process prints."""
        return self.run.folder / "log.txt"

    def start(self, threads: int) -> None:
        """Begin, or go on."""
        own = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), str(threads))
        command = [sys.executable, "-m", "npvae.reproduce.worker", str(self.run.folder)]
        command += ["likelihood"] * self.marginal
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, env=os.environ | own, stdin=subprocess.PIPE, stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches it once, by way of this process
            )  # fmt: skip

    @property
    def finished(self) -> bool:
        """Whether the model is there, trained for as long as its settings say, and estimated."""
        epochs, model, checkpoint = (
            self.run.settings["epochs"], self.run.model_file, self.run.checkpoint
        )  # fmt: skip
        if not model.exists() or len(self.history) < epochs:
            return False
        if checkpoint.exists() and checkpoint.stat().st_mtime_ns > model.stat().st_mtime_ns:
            return False  # interrupted at the very end: the model is of another day
        return not self.marginal or estimated(self.run) >= epochs

    @property
    def history(self) -> list[dict[str, Any]]:
        """A row for each epoch so far."""
        return read_jsonl(self.run.folder / "history.jsonl")

    def progress_line(self) -> str:
        """How far it is, and its lower bound there, training's and test's, in 80 columns."""
        history, total = self.history, self.run.settings["epochs"]
        line = f"{self.curve.name:<24} {len(history) / total:>5.0%}"
        if not history:
            return line
        last = history[-1]
        line += f"   {last['samples']:>12,} samples"
        if "elbo" in last:  # Monte Carlo EM has no bound
            line += f"   {last['elbo']:.1f} / {last['validation_elbo']:.1f} nats"
        return line


def prepare(curve: Curve, budget: float, folder: Path) -> runs.Run:
    """The curve's run folder, made if it is not there, set to train to ``budget`` or beyond.

    Raises
    ------
    ModelFileError
        If the folder holds a run of other settings, or another process is training it.
    """
    settings = runs.resolve_settings(curve.settings(budget))
    if not (folder / "config.toml").exists():
        with runs.create(settings, folder) as run:
            return run
    reopen(curve, folder)
    with exclusive_folder(folder):
        settings["epochs"] = max(settings["epochs"], len(read_jsonl(folder / "history.jsonl")))
        run = runs.Run(folder, settings)
        run.write_config()
        return run


def reopen(curve: Curve, folder: Path) -> runs.Run:
    """The run of a curve as its folder has it, trained to wherever.

    Raises
    ------
    ModelFileError
        If it is of other settings.
    """
    run, settings = runs.open_run(folder), runs.resolve_settings(curve.settings(1))
    for key in sorted(settings.keys() | run.settings.keys()):
        old, new = run.settings.get(key), settings.get(key)
        if key != "epochs" and old != new:
            raise ModelFileError(
                f"{folder} holds a run with {key}={old!r}, and this curve has {new!r}; "
                "name another folder with --out"
            )
    return run


def train_curves(
    curves: Sequence[Curve], budget: float, folder: Path, jobs: int | None = None,
    marginal: bool = False,
) -> list[runs.Run]:
    """Train every curve to at least ``budget`` samples; their runs, in order.

    Parameters
    ----------
    curves : sequence of Curve
        Those that are trained already cost nothing.
    budget : float
        Training samples evaluated.
    folder : Path
        Holds a folder for each curve, by its name.
    jobs : int, optional
        Curves at a time; one a processor if not given. Processors are shared out among them.
    marginal : bool
        Estimate the marginal likelihood on the way.

    Raises
    ------
    CurveError
        If a curve failed, after the others are done; its ``log.txt`` tells why.
    KeyboardInterrupt
        On Ctrl-C, when every curve has left a checkpoint.
    """
    trainings = [Training(c, prepare(c, budget, folder / c.name), marginal) for c in curves]
    waiting = [t for t in trainings if not t.finished]
    jobs = min(jobs or processors(), max(1, len(waiting)))
    threads = max(1, processors() // jobs)
    running: list[Training] = []
    show = ProgressDisplay()
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(waiting.pop(0))
                running[-1].start(threads)
            sleep(POLL)
            show(running)
            for training in running[:]:
                if training.process is not None and training.process.poll() is not None:
                    running.remove(training)
                    end([training])
                    show.done(training)
    finally:
        end(running)  # those that an interrupt, or whatever was wrong here, has left
    for training in trainings:
        if not training.finished:
            said = training.log.read_text("utf-8").strip().splitlines() or ["it says nothing"]
            why = said[-1].removeprefix("npvae: error: ")
            raise CurveError(f"curve {training.curve.name} failed: {why}; see {training.log}")
    return [training.run for training in trainings]


def end(trainings: Sequence[Training]) -> None:
    """Have their processes checkpoint and end, and wait until they have."""
    processes = [training.process for training in trainings if training.process is not None]
    for process in processes:
        if process.stdin is not None:
            process.stdin.close()  # which is what a process goes on by
    for process in processes:
        process.wait()


class ProgressDisplay:
    """Progress: on a terminal all running curves, again and again; elsewhere each when done."""

    def __init__(self) -> None:
        self.lines = 0

    def __call__(self, running: Sequence[Training]) -> None:
        if sys.stdout.isatty():
            self.clear()
            print("\n".join(training.progress_line() for training in running), flush=True)
            self.lines = len(running)

    def clear(self) -> None:
        """Back to the first of the lines that will be written anew."""
        print(f"\x1b[{self.lines}A\x1b[J" * bool(self.lines), end="")
        self.lines = 0

    def done(self, training: Training) -> None:
        """A line that stays."""
        self.clear()
        print(training.progress_line(), flush=True)
