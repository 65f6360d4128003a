"""How training goes, for whoever watches it.

On a terminal and in a notebook it is one line, written over again and again
(:mod:`npvae.training.live`). Where nobody may be watching, or tqdm is not installed, it is plain
lines, few enough for any log.
"""
import os
import sys
import threading
from types import TracebackType
from typing import Self

from npvae.training.state import TrainingState

MOST = 20  # plain lines of a training


class Progress:
    """Told of every step and epoch; says nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        """Leave the screen as one that others may write to, also after an error."""

    def step(self, state: TrainingState) -> None:
        """One or more steps are done: call it as often as you like."""

    def epoch(self, state: TrainingState) -> None:
        """An epoch is done, and stands in the history."""


class PlainLines(Progress):
    """At most 20 lines: the first epoch, evenly spaced ones, and the last.

    Parameters
    ----------
    done, epochs : int
        Epochs that there have been, and how many there are to be.
    """

    def __init__(self, done: int, epochs: int):
        self.done, self.epochs = done, epochs
        self.unsaid: TrainingState | None = None  # of the last epoch, if it had no line

    def epoch(self, state: TrainingState) -> None:
        """A line, if it is time for one."""
        k, n, gaps = state.epoch - self.done, self.epochs - self.done, MOST - 1
        if k == 1 or k * gaps // n > (k - 1) * gaps // n:
            print(epoch_line(state, self.epochs), flush=True)
            self.unsaid = None
        else:
            self.unsaid = state

    def __exit__(self, *error: object) -> None:
        """Training may end before its last epoch; that it did so is not left out."""
        if self.unsaid is not None:
            print(epoch_line(self.unsaid, self.epochs), flush=True)


def progress_of(
    verbose: bool | None, state: TrainingState, epochs: int, n_batches: int, whole: bool = True
) -> Progress:
    """What shows the progress of a training.

    Parameters
    ----------
    verbose : bool or None
        None stands for "if somebody watches": on a terminal and in a notebook.
    state : TrainingState
        Where it begins.
    epochs, n_batches : int
        Where it ends, and the steps of an epoch.
    whole : bool
        Whether it is a training, and not one of the passes of the caller's own loop.
    """
    if not is_told(verbose, whole):
        return Progress()
    if whole and is_watched() and can_redraw():
        try:
            from npvae.training import live
        except ImportError:  # tqdm is an extra
            pass
        else:
            line = live.NotebookLine if in_notebook() else live.TerminalLine
            return live.LiveLine(line, state, epochs, n_batches)
    return PlainLines(state.epoch, epochs)


def is_told(verbose: bool | None, whole: bool = True) -> bool:
    """Whether anything is to be printed."""
    return whole and is_watched() if verbose is None else bool(verbose)


def is_watched() -> bool:
    """Whether stdout is a terminal or a notebook, and this the thread that writes to it."""
    if threading.current_thread() is not threading.main_thread():
        return False
    return in_notebook() or sys.stdout.isatty()


def can_redraw() -> bool:
    """Whether stdout knows how to go back to the start of a line, and the characters of curves."""
    try:
        "▁".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return os.environ.get("TERM") != "dumb" or in_notebook()


def in_notebook() -> bool:
    """Whether stdout is what a Jupyter kernel makes of it."""
    kernel = sys.modules.get("ipykernel.iostream")  # loaded long ago, if so
    return kernel is not None and isinstance(sys.stdout, kernel.OutStream)


def headline(history: dict[str, list]) -> tuple[str, list[float]]:
    """What training maximises, by name, and its values so far: of held-out data if there are any.

    Without noise there is no bound, and of Monte Carlo EM neither.

    Examples
    --------
    >>> headline({"epoch": [1, 2], "kl": [1.0, 2.0], "elbo": [-30.0, -25.0]})
    ('ELBO', [-30.0, -25.0])
    """
    name, key = "ELBO", "elbo"
    if "log_joint" in history:
        name, key = "log p(x, z)", "log_joint"
    elif not any(history.get("kl", [])):
        name, key = "log p(x|z)", "reconstruction"
    if "validation_elbo" in history:
        name, key = f"held out {name}", "validation_elbo"
    return name, [value for value in history.get(key, []) if value is not None]


def epoch_line(state: TrainingState, epochs: int) -> str:
    """The newest epoch in one line, of ASCII, which every file takes."""
    row = state.last()
    line = f"epoch {row['epoch']:>{len(str(epochs))}}/{epochs}"
    if "log_joint" in row:
        line += f"   log p(x, z) {row['log_joint']:.3f} = {row['reconstruction']:.3f}"
        line += f" + log p(z) {row['log_prior']:.3f}   accepted {row['acceptance']:.0%}"
    elif state.engine.model.n_noise:
        line += f"   ELBO {row['elbo']:.3f} = {row['reconstruction']:.3f} - KL {row['kl']:.3f}"
    else:  # no noise and no bound: an auto-encoder
        line += f"   reconstruction {row['reconstruction']:.3f}"
    if row.get("objective") is not None:
        line += f"   objective {row['objective']:.3f}"
    if "parameter_kl" in row:
        line += f"   parameters' KL {row['parameter_kl']:.3f}"
    if "validation_elbo" in row:
        line += f"   held out {row['validation_elbo']:.3f}"
    return f"{line} nats   {row['seconds']:.1f} s"
