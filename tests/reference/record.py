"""Write the reference numbers and files: run once, at commit 56df49b, and never to pass a test.

    python -m tests.reference.record

A test that fails against them says that npvae computes something else than it did then. Where
that is meant, say so in the test, beside the configurations concerned; these files stay. What it
reads of npvae's internals, to press Ctrl-C within an epoch, is that commit's.
"""
import os
import shutil
import signal
import tempfile
import warnings
from pathlib import Path
from unittest.mock import patch

import numpy as np

from npvae import cli

from .configurations import GRADIENTS, HISTORIES, LIKELIHOOD, Configuration, dataset
from .measure import HERE, gradient, history, likelihood, pack
from .stored import (
    CHECKPOINTS,
    FILES,
    MODELS,
    RUN,
    checkpoint_file,
    held_out,
    loaded,
    model_file,
    resumed,
    run_history,
    run_outputs,
)


def record() -> None:
    """Everything, into this folder."""
    for file, measure, table in (
        ("gradients.npz", gradient, GRADIENTS), ("histories.npz", history, HISTORIES),
        ("likelihoods.npz", likelihood, LIKELIHOOD),
    ):  # fmt: skip
        np.savez_compressed(HERE / file, **pack({c.name: measure(c) for c in table}))
    shutil.rmtree(FILES, ignore_errors=True)
    FILES.mkdir()
    warnings.simplefilter("ignore", UserWarning)  # short chains are no samples to rely on
    for c in MODELS:
        c.model().fit(dataset(c.data), **held_out(c)).save(model_file(c))
    for c in CHECKPOINTS:
        write_checkpoint(c)
    run_npvae([*RUN, "--out", str(FILES / "run")])
    expected = {c.name: loaded(c) for c in MODELS}
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(FILES, folder, dirs_exist_ok=True)
        expected |= {f"{c.name}, resumed": resumed(c, Path(folder)) for c in CHECKPOINTS}
        run = Path(folder, "run")
        expected["run"] = run_outputs(run) | run_history(run)
        run_npvae(["train", "--resume", str(run), "--epochs", "6"])
        expected["run, resumed"] = run_outputs(run) | run_history(run)
    np.savez_compressed(FILES / "expected.npz", **pack(expected))


def write_checkpoint(c: Configuration) -> None:
    """Train, and leave the checkpoint of the last epoch, or that of Ctrl-C in a certain step."""
    kind = next(k for k in type_of_course(c) if "one_step" in vars(k))
    whole_step, steps = kind.one_step, []

    def step(*arguments, **options):
        steps.append(1)
        if len(steps) == c.fit.get("steps"):
            os.kill(os.getpid(), signal.SIGINT)
        return whole_step(*arguments, **options)

    with patch.object(kind, "one_step", step):
        try:
            c.model().fit(dataset(c.data), checkpoint=checkpoint_file(c), **held_out(c))
        except KeyboardInterrupt:
            assert "steps" in c.fit
        else:
            assert "steps" not in c.fit


def type_of_course(c: Configuration) -> tuple[type, ...]:
    """The class whose steps a training takes, and its bases."""
    course = c.model()._course()
    return getattr(course, "func", course).__mro__


def run_npvae(argv: list[str]) -> None:
    """One command, and no plots."""
    assert cli.main(argv) == 0
    folder = argv[argv.index("--out" if "--out" in argv else "--resume") + 1]
    shutil.rmtree(Path(folder, "plots"), ignore_errors=True)


if __name__ == "__main__":
    record()
