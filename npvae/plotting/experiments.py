"""The figures of the paper's experiments: several models in one picture, in its layout."""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from npvae.plotting.style import COLOURS, DPI, GREY, INK, chart, label, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 5  # panels side by side, at most
FIRST = 1e5  # training samples where the paper's axes begin
GAP, TITLE = 18, 54  # dots between sheets, and above them
HIGH = 600  # dots of a sheet, at most; one for each of its pixels if it has more
INKS = (COLOURS[0], COLOURS[4], COLOURS[2])  # an algorithm each
Values = Sequence[float | None]


@dataclass(frozen=True)
class Trace:
    """What one algorithm did to one model, by training samples.

    Attributes
    ----------
    name : str
        The algorithm.
    samples : sequence of int
        Training samples evaluated.
    train, test : sequence of float or None
        Nats per datapoint after so many.
    published : mapping
        samples → (train, test) of the paper, either of them None.
    """

    name: str
    samples: Sequence[int]
    train: Values
    test: Values
    published: Mapping[float, tuple[float | None, float | None]]


def experiment(panels: Mapping[str, Sequence[Trace]], what: str) -> "Figure":
    """A panel for each model (figures 2 and 3): lines are ours, circles the paper's.

    Parameters
    ----------
    panels : mapping of str to sequence of Trace
        By their titles, in rows of five; empty ones are left out of their row.
    what : str
        On the vertical axes, in nats.

    Returns
    -------
    matplotlib.figure.Figure
    """
    every = list(panels.items())
    rows = [[panel for panel in every[i : i + COLUMNS] if panel[1]]
            for i in range(0, len(every), COLUMNS)]
    rows = [row for row in rows if row]
    columns = max(map(len, rows))
    fig = new_figure(max(2.6 * columns, 6), 2.7 * len(rows) + 0.5, layout="constrained")
    names: dict[str, str] = {}
    for trace in (trace for traces in panels.values() for trace in traces):
        names.setdefault(trace.name, INKS[len(names)])
    grid = fig.add_gridspec(len(rows), columns)
    for i, row in enumerate(rows):
        below = len(rows[i + 1]) if i + 1 < len(rows) else 0
        for j, (title, traces) in enumerate(row):
            ax = chart(fig, grid[i, j], title=title, x="training samples" if j >= below else "",
                       y=f"{what}, nats" if j == 0 else "")
            ax.set_xscale("log")
            for trace in traces:
                _trace(ax, trace, names[trace.name])
            _frame(ax, traces)
    _legend(fig, names, len(names) + 4 if columns >= 4 else 4)
    return fig


def _trace(ax: "Axes", trace: Trace, colour: str) -> None:
    for values, style, side in ((trace.train, "-", 0), (trace.test, (0, (2, 1.2)), 1)):
        points = [(s, v) for s, v in zip(trace.samples, values, strict=True) if v is not None]
        if points:
            ax.plot(*zip(*points, strict=True), color=colour, linestyle=style, linewidth=1.4)
        paper = [(s, pair[side]) for s, pair in trace.published.items() if pair[side] is not None]
        if paper:
            x, y = zip(*paper, strict=True)
            ax.scatter(x, y, s=22, zorder=3, linewidths=1.1,
                       facecolors=colour if side == 0 else "white", edgecolors=colour)


def _frame(ax: "Axes", traces: Sequence[Trace]) -> None:
    """Leave out how low a curve begins: where it goes is what there is to see."""
    ends = [value for t in traces for value in (t.train[-1], t.test[-1]) if value is not None]
    paper = [v for t in traces for pair in t.published.values() for v in pair if v is not None]
    low, high = min(ends + paper), max(ends + paper)
    span = high - low
    bottom = min(low - 0.1 * span, min(ends) - 0.8 * span)
    ax.set_ylim(bottom - 1, high + 0.1 * span + 1)
    if min(t.samples[-1] for t in traces) > FIRST:
        ax.set_xlim(left=FIRST)


def _legend(fig: "Figure", names: Mapping[str, str], columns: int) -> None:
    ax = fig.axes[0]
    handles: list[Any] = []
    for colour in names.values():
        handles += ax.plot([], [], color=colour, linewidth=1.4)
    keys = list(names)
    for text, style in (("training", "-"), ("test", (0, (2, 1.2)))):
        handles += ax.plot([], [], color=GREY, linestyle=style, linewidth=1.4)
        keys.append(text)
    for text, face in (("the paper, training", GREY), ("the paper, test", "white")):
        handles.append(ax.scatter([], [], s=22, facecolors=face, edgecolors=GREY))
        keys.append(text)
    fig.legend(handles, keys, loc="outside lower center", ncols=columns, frameon=False,
               fontsize=8, labelcolor=INK)


def sheets(panels: Mapping[str, np.ndarray]) -> "Figure":
    """Sheets of grey pixels side by side (figures 4 and 5).

    Parameters
    ----------
    panels : mapping of str to array (H, W)
        By their titles, 0 black and 1 white.

    Returns
    -------
    matplotlib.figure.Figure
    """
    most = max(pixels.shape[0] for pixels in panels.values())
    dots = max(1, HIGH // most)  # of a pixel: a whole number, so that files are small and true
    sizes = [(dots * pixels.shape[1], dots * pixels.shape[0]) for pixels in panels.values()]
    width, height = sum(w for w, _ in sizes) + GAP * (len(sizes) + 1), dots * most + TITLE + GAP
    fig, left = new_figure(width / DPI, height / DPI), GAP
    for (title, pixels), (w, h) in zip(panels.items(), sizes, strict=True):
        ax: Any = fig.add_axes((left / width, GAP / height, w / width, h / height))
        ax.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest", aspect="auto")
        label(ax, title)
        ax.spines[:].set_visible(False)
        ax.set(xticks=(), yticks=())
        left += w + GAP
    return fig
