"""Learning curves of the runs, for the figures and the tables."""
from dataclasses import dataclass
from typing import Any

import numpy as np

from npvae.io import read_jsonl
from npvae.reproduce.paper import PUBLISHED, Curve
from npvae.runs import Run

POINTS = 24  # kept for each factor of ten in samples: as fine as a figure shows


@dataclass(frozen=True)
class LearningCurve:
    """A learning curve by training samples, in nats per datapoint.

    Attributes
    ----------
    samples, train, test : list
        As many numbers in each; None where there is none.
    """

    samples: list[Any]
    train: list[Any]
    test: list[Any]

    def at(self, samples: float) -> tuple[float | None, float | None]:
        """Train and test at the first point that has reached so many samples."""
        i = int(np.searchsorted(self.samples, samples))
        return self.train[i], self.test[i]

    def thinned(self) -> "LearningCurve":
        """Points evenly spaced on a logarithmic axis, the last among them: enough to draw."""
        step = np.floor(POINTS * np.log10(self.samples))
        keep = np.flatnonzero(np.append(step[1:] != step[:-1], True))
        samples, train, test = (
            [column[i] for i in keep] for column in (self.samples, self.train, self.test)
        )
        return LearningCurve(samples, train, test)


def bound(run: Run) -> LearningCurve:
    """The lower bound: of training the mean over an epoch, while the parameters move."""
    return learning_curve(read_jsonl(run.folder / "history.jsonl"), "elbo", "validation_elbo")


def likelihood(run: Run) -> LearningCurve:
    """The marginal likelihood, where it was estimated."""
    return learning_curve(read_jsonl(run.folder / "likelihood.jsonl"), "train", "test")


def learning_curve(rows: list[dict[str, Any]], train: str, test: str) -> LearningCurve:
    """The learning curve in two columns of a file's rows."""

    def column(key: str) -> list[float | None]:
        return [None if row.get(key) is None else round(row[key], 3) for row in rows]

    return LearningCurve([row["samples"] for row in rows], column(train), column(test))


@dataclass(frozen=True)
class Comparison:
    """One row of a table: the paper's value and ours after the same number of samples.

    Attributes
    ----------
    curve : str
        Its name.
    samples : int
        Where the two are compared; where ours ends if the paper shows nothing so early.
    paper, ours : (train, test)
        In nats per datapoint; None where there is no value.
    end : (samples, train, test)
        The paper's at the end of its curve.
    epochs : int
        Of ours.
    """

    curve: str
    samples: int
    paper: tuple[float | None, float | None]
    ours: tuple[float | None, float | None]
    end: tuple[float, float, float | None]
    epochs: int


def compare(curve: Curve, line: LearningCurve) -> Comparison:
    """What the paper's figure shows of this curve, beside ours."""
    published = PUBLISHED[curve.name]
    last = max(published)
    reached = [samples for samples in published if samples <= line.samples[-1]]
    at = max(reached, default=float(line.samples[-1]))
    paper = published.get(at, (None, None))
    end, epochs = (last, *published[last]), line.samples[-1] // curve.n_train
    return Comparison(curve.name, int(at), paper, line.at(at), end, epochs)


ONE_EPOCH = " *"  # after the name of such a curve
HEADER = ("curve", "samples", "paper", "ours", "difference", "ours, test", "paper's end")


def table(rows: list[Comparison]) -> str:
    """All of them as text that is also a Markdown table."""
    cells = [HEADER, tuple("---" for _ in HEADER)]
    for row in rows:
        (paper, _), (ours, test) = row.paper, row.ours
        gap = None if paper is None or ours is None else ours - paper
        samples, train, held_out = row.end
        at, end = (f"{n:.1e}".replace("e+0", "e") for n in (row.samples, samples))
        last = f"{format_nats(train)} / {format_nats(held_out)} at {end}"
        name = row.curve + ONE_EPOCH * (row.epochs == 1)
        cells.append((name, at, format_nats(paper), format_nats(ours),
                      format_nats(gap, "+.1f"), format_nats(test), last))  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in cells]
    if any(row.epochs == 1 for row in rows):
        note = "one epoch so far: its training bound is the mean over it, from the first step on"
        lines += ["", f"{ONE_EPOCH.strip()} {note}"]
    return "\n".join(lines)


def format_nats(value: float | None, form: str = ".1f") -> str:
    """Format a number, or a dash if there is none."""
    return "–" if value is None else format(value, form).replace("-", "−")
