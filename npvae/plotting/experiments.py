"""The figures of the paper's experiments: several models in one picture, in its layout."""
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import log10
from typing import TYPE_CHECKING, Any

import numpy as np

from npvae.errors import optional_import
from npvae.plotting.style import COLOURS, DPI, GREY, INK, chart, label, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 5  # panels side by side, at most
FIRST = 1e5  # training samples where the paper's axes begin
FAR, STRIP = 3, 0.2  # so many times our samples are off the scale; shown in so much of it
GAP, TITLE = 18, 54  # dots between sheets, and above them
HIGH = 600  # dots of a sheet, at most; one for each of its pixels if it has more
INKS = (COLOURS[0], COLOURS[4], COLOURS[2])  # an algorithm each
Values = Sequence[float | None]
Place = Callable[[float], float | None]  # where a value after so many samples is drawn, if it is


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

    A square is a curve of one point. The paper's last values, if they are after many more samples
    than ours, stand at the right of a dotted line, with their number of samples.

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
            for trace, place in zip(traces, _frame(ax, traces), strict=True):
                _trace(ax, trace, names[trace.name], place)
    lone = any(len(trace.samples) == 1 for traces in panels.values() for trace in traces)
    _legend(fig, names, len(names) + 4 + lone if columns >= 4 else 4, lone)
    return fig


def _trace(ax: "Axes", trace: Trace, colour: str, place: Place) -> None:
    """Lines of one algorithm, and the paper's circles at the ``place`` of their samples."""
    for values, style, side in ((trace.train, "-", 0), (trace.test, (0, (2, 1.2)), 1)):
        points = [(s, v) for s, v in zip(trace.samples, values, strict=True) if v is not None]
        face = colour if side == 0 else "white"
        if points:
            marker = "s" if len(points) == 1 else ""  # which would be no line
            ax.plot(*zip(*points, strict=True), color=colour, linestyle=style, linewidth=1.4,
                    marker=marker, markersize=4, markerfacecolor=face)
        for s, pair in trace.published.items():
            x, y = place(s), pair[side]
            if x is None or y is None:
                continue
            ax.scatter(x, y, s=22, zorder=3, linewidths=1.1, facecolors=face, edgecolors=colour)


def _frame(ax: "Axes", traces: Sequence[Trace]) -> list[Place]:
    """Limits and ticks of a panel, and where each algorithm's values of the paper are drawn.

    The last, of a much longer training than ours, stand in a strip at the right, off the scale,
    or the curves would have half of the panel; others as far off are left out. Algorithms stand
    side by side, or they would hide one another.
    """
    ticker = optional_import("matplotlib.ticker", "plot")
    first, last = (pick(t.samples[end] for t in traces) for pick, end in ((min, 0), (max, -1)))
    left = FIRST if min(t.samples[-1] for t in traces) > 10 * FIRST else first
    points = [(s, v) for t in traces for values in (t.train, t.test)
              for s, v in zip(t.samples, values, strict=True) if v is not None]
    ends = [value for t in traces for value in (t.train[-1], t.test[-1]) if value is not None]
    paper = [v for t in traces for pair in t.published.values() for v in pair if v is not None]
    low, high = min(ends + paper), max(ends + paper)
    span = max(high - low, 1)
    # how low a curve begins is left out: where it goes is what there is to see
    lately, ever = (min(v for s, v in points if s >= start) for start in (last / FAR, left))
    bottom = min(low, lately, max(ever, min(ends) - 0.8 * span))
    ax.set_ylim(bottom - 0.12 * span, high + 0.08 * span)
    if left < FIRST:
        left = min(s for s, v in points if v >= bottom)
    decades = max(log10(last / left), 0.3)
    published = [s for t in traces for s in t.published]
    far = max((s for s in published if s > FAR * last), default=None)
    strip = log10(last) + 0.06 * decades
    right = strip + STRIP * decades if far else log10(max([last, *published])) + 0.06 * decades

    def place(k: int, s: float) -> float | None:
        aside = (k + 0.5) / len(traces)  # of the width there is for the algorithms
        if s > FAR * last:
            return 10 ** (strip + aside * STRIP * decades) if s == far else None
        crowded = published.count(s) > 1
        return 10 ** (log10(s) + crowded * 0.05 * (aside - 0.5) * decades)

    ax.set_xlim(10 ** (log10(left) - 0.02 * decades), 10**right)
    scale = [m * 10**e for e in range(int(log10(left)), int(right) + 1) for m in (1, 2, 5)]
    ticks = [s for s in scale if left <= s <= (last if far else 10**right)]
    ticks = [s for s in ticks if log10(s) % 1 == 0] if len(ticks) > 5 else ticks
    ax.set_xticks(ticks, minor=False)
    ax.xaxis.set_major_formatter(ticker.LogFormatterSciNotation(minor_thresholds=(99, 99)))
    ax.xaxis.set_minor_locator(ticker.NullLocator())
    if far:
        ax.axvline(10**strip, color=GREY, linewidth=0.6, linestyle=":")
        exact = ticker.LogFormatterSciNotation(minor_thresholds=(99, 99))(far)
        ax.text(1, 1.03, f"after {exact}", color=GREY, fontsize=8, ha="right", va="bottom",
                transform=ax.transAxes)
    return [partial(place, k) for k in range(len(traces))]


def _legend(fig: "Figure", names: Mapping[str, str], columns: int, lone: bool) -> None:
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
    if lone:
        handles += ax.plot([], [], "s", color=GREY, markersize=4)
        keys.append("one point so far")
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
