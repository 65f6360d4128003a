"""log p(x) on the way of a training (figure 3): of the first 1,000 training and test points.

The paper takes the estimator of appendix D, for which every datapoint, algorithm and moment
needs chains of its own, and which errs where the density fitted to them does. Of three latents
samples of the prior cover enough: they need neither chains nor an encoder, are the same for all
three algorithms, and what they are worth is kept beside the estimate.
"""
from math import log10
from pathlib import Path
from typing import Any

from npvae import evaluation
from npvae.io import read_jsonl, write_jsonl
from npvae.runs import Run
from npvae.training import TrainingState

POINTS, SAMPLES = 1000, 200_000


def marks(budget: float) -> list[int]:
    """After how many training samples: 1, 2, 5, 10, ... · 10⁵, and at the end.

    Examples
    --------
    >>> marks(1e6)
    [100000, 200000, 500000, 1000000]
    """
    scale = [10**k for k in range(5, 1 + max(5, int(log10(budget))))]
    return sorted({m * s for s in scale for m in (1, 2, 5) if m * s < budget} | {int(budget)})


def estimated(run: Run) -> int:
    """The last epoch after which there is an estimate; 0 if there is none."""
    return max((row["epoch"] for row in read_jsonl(file_of(run))), default=0)


def file_of(run: Run) -> Path:
    """Where the estimates are kept."""
    return run.folder / "likelihood.jsonl"


class MarginalLikelihood:
    """A callback of training that keeps a file of estimates, a row at each of :func:`marks`."""

    def __init__(self, run: Run):
        training, test = run.datasets()
        n = len(training)
        self.sets = {"train": training.first(min(POINTS, n))}
        if test is not None:
            self.sets["test"] = test.first(min(POINTS, len(test)))
        # marks come due at the end of the epoch that reaches them
        self.due = {-(-mark // n) for mark in marks(run.settings["epochs"] * n)}
        self.path = file_of(run)

    def __call__(self, state: TrainingState) -> None:
        """Estimate, if it is time to."""
        if state.epoch not in self.due:
            return
        rows = [row for row in read_jsonl(self.path) if row["epoch"] < state.epoch]
        xp = state.engine.xp
        row: dict[str, Any] = {"epoch": state.epoch, "samples": state.last()["samples"]}
        for name, dataset in self.sets.items():
            found = evaluation.prior_log_likelihood(
                state.engine, dataset.pixels, dataset.scale, n_samples=SAMPLES
            )
            row[name] = float(found.estimate.mean())
            row[f"{name}_effective_samples"] = float(xp.median(found.effective_sample_size))
        write_jsonl(self.path, [*rows, row])
