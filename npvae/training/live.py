"""One line that says how training goes, written over again and again, by tqdm.

    epoch 37/300 ███████▌          410 steps/s  01:43 left  ELBO −23.41 ▁▅▆▇▇▇███
"""
import io
import shutil
import sys
from collections.abc import Sequence
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from typing import Any

from tqdm import tqdm
from tqdm.utils import ObjectWrapper

from npvae.training.progress import Progress, headline
from npvae.training.state import TrainingState

WIDTH = 78  # at most: in 80 columns it leaves room for the ^C of Ctrl-C
HEIGHTS = "▁▂▃▄▅▆▇█"
RUNNING = "epoch {epoch} {bar} {speed} steps/s  {remaining} left  {bound}"
ENDED = "epoch {epoch} {bar} {speed} steps/s  {elapsed}  {bound}"


class TerminalLine(tqdm):
    """On a terminal. What others print meanwhile appears above it."""

    monitor_interval = 0  # no thread that looks after it: every step does

    def __init__(self, total: int, initial: int, file: Any = None):
        self.epoch, self.bound = "", ""
        width = min(WIDTH, shutil.get_terminal_size().columns - 2)
        super().__init__(total=total, initial=initial, file=file or sys.stdout, ncols=width,
                         miniters=1, bar_format=RUNNING, ascii=False)  # fmt: skip

    @property
    def format_dict(self) -> dict[str, Any]:
        """What ``bar_format`` may name."""
        values = super().format_dict
        rate = values["rate"] or (values["n"] - values["initial"]) / (values["elapsed"] or 1)
        speed = f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
        return values | {"epoch": self.epoch, "bound": self.bound, "speed": f"{speed:>5}"}

    def above(self) -> ExitStack:
        """While it lasts, printed lines push this one down."""
        stack = ExitStack()
        for stream, redirect in ((sys.stdout, redirect_stdout), (sys.stderr, redirect_stderr)):
            lines = Above(stream, self)
            stack.callback(lines.finish)
            stack.enter_context(redirect(lines))
        return stack

    def end(self) -> None:
        """Leave the line as it is, without the ^C of an interrupt, and go to the next."""
        self.fp.write("\r\x1b[K")
        self.bar_format = ENDED
        self.close()


class Above(ObjectWrapper):
    """A stream whose lines go above the line of progress, when they are whole."""

    def __init__(self, stream: Any, below: TerminalLine):
        super().__init__(stream)
        self.wrapper_setattr("below", below)
        self.wrapper_setattr("rest", "")

    def write(self, text: str) -> int:
        """Write the lines that ``text`` completes."""
        lines, end, rest = (self.rest + text).rpartition("\n")
        self.wrapper_setattr("rest", rest)
        if end:
            self.below.clear()
            self._wrapped.write(lines + end)
            self._wrapped.flush()
            self.below.refresh()
        return len(text)

    def finish(self) -> None:
        """End a line that was left open."""
        if self.rest:
            self.write("\n")


class NotebookLine(TerminalLine):
    """In a notebook: an output of its own, which is replaced; what is printed has another."""

    def __init__(self, total: int, initial: int):
        from IPython.display import display

        nothing = {"text/plain": ""}
        self.handle = display(nothing, raw=True, display_id=True)
        super().__init__(total, initial, io.StringIO())

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Replace the output."""
        self.handle.update({"text/plain": str(self)}, raw=True)

    def above(self) -> ExitStack:
        """Nothing has to move."""
        return ExitStack()


class LiveLine(Progress):
    """The line of a training.

    Parameters
    ----------
    line : type
        What draws it.
    state : TrainingState
        Where it begins.
    epochs, n_batches : int
        Where it ends, and the steps of an epoch.
    """

    def __init__(
        self, line: type[TerminalLine], state: TrainingState, epochs: int, n_batches: int
    ):  # fmt: skip
        self.line, self.state, self.epochs, self.total = line, state, epochs, epochs * n_batches

    def __enter__(self) -> "LiveLine":
        self.bar = self.line(self.total, self.state.step)
        self.redirected = self.bar.above()
        self.describe(self.state, self.state.epoch + 1)
        return self

    def __exit__(self, *error: object) -> None:
        self.redirected.close()
        self.describe(self.state, self.state.epoch)
        self.bar.end()

    def step(self, state: TrainingState) -> None:
        """Draw it again, if that was not just done: a microsecond otherwise."""
        self.bar.update(state.step - self.bar.n)

    def epoch(self, state: TrainingState) -> None:
        """Another epoch, and another value of the bound."""
        self.describe(state, state.epoch + 1)

    def describe(self, state: TrainingState, epoch: int) -> None:
        """The parts of the line that change from epoch to epoch."""
        self.bar.epoch = f"{min(epoch, self.epochs)}/{self.epochs}"
        name, values = headline(state.history)
        if values:
            last = f"{values[-1]:.2f}".replace("-", "−")
            self.bar.bound = f"{name} {last} {sparkline(values)}"


def sparkline(values: Sequence[float], width: int = 10) -> str:
    """A small curve: as many of the values, evenly spaced, from the lowest to the highest.

    Examples
    --------
    >>> sparkline([-40.0, -30.0, -26.0, -25.0, -25.0])
    '▁▆███     '
    """
    n, low, high = min(len(values), width), min(values), max(values)
    some = [values[i * (len(values) - 1) // max(1, n - 1)] for i in range(n)]
    step = (high - low) / (len(HEIGHTS) - 1) or 1
    return "".join(HEIGHTS[round((value - low) / step)] for value in some).ljust(width)
