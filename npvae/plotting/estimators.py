"""Estimators of a gradient: variance, signal and bias of each, with their intervals."""
from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from npvae.errors import DataError, optional_import
from npvae.plotting.style import COLOURS, INK, ONE, OTHER, chart, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIDES = {"encoder": ONE, "decoder": OTHER}
MEASURES = {
    "variance": "Variance, tr Var g",
    "snr": "Signal-to-noise ratio, ‖E g‖/√tr Var g",
    "bias": "Bias, ‖E g − truth‖",
}


def gradient_estimators(rows: Sequence[Any]) -> "Figure":
    """A dot an estimator, for encoder and decoder; lines where samples or models are several.

    Parameters
    ----------
    rows : sequence
        Of :func:`npvae.lab.compare`. Bars are their 95 % intervals; of a bias, two standard errors.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        If there is no row.
    """
    if not rows:
        raise DataError("there is no row to plot; compare an estimator first")
    several = len({row["samples"] for row in rows}) > 1
    stages = list(dict.fromkeys(row["model"] for row in rows))
    if several or len(stages) > 1:
        return _lines(rows, stages, several)
    names = _names(rows)
    fig = new_figure(9, 1.3 + 0.42 * len(names), layout="constrained")
    for column, (measure, title) in enumerate(MEASURES.items()):
        ax = chart(fig, 131 + column, title=title)
        shown = [_dots(ax, rows, names, side, measure) for side in SIDES]
        ax.set_yticks(range(len(names)), names if column == 0 else [""] * len(names))
        ax.set_ylim(len(names) - 0.5, -0.5)
        errors = [2 * row["bias_se"] for row in rows if row["block"] in SIDES]
        if measure != "bias" and all(shown):
            ax.set_xscale("log")
        elif measure == "bias" and min(errors) > 0:  # a bias may be 0, and errors differ widely
            ax.set_xscale("symlog", linthresh=min(errors))
            ax.set_xlim(-min(errors) / 10, 1.5 * ax.dataLim.x1)
            ax.minorticks_off()
    _legend(fig, dict(SIDES))
    return fig


def _names(rows: Sequence[Any]) -> list[str]:
    """The estimators, each with its noise where that is of several kinds."""
    several = len({row["noise"] for row in rows}) > 1
    return list(dict.fromkeys(
        row["estimator"] + f", {row['noise']}" * several for row in rows
    ))  # fmt: skip


def _name(row: Any, names: Sequence[str]) -> str:
    """The one of the names that is the row's."""
    alone: str = row["estimator"]
    return alone if alone in names else f"{alone}, {row['noise']}"


def _dots(ax: "Axes", rows: Sequence[Any], names: list[str], side: str, measure: str) -> bool:
    """One side of the model; whether every number is positive, as a logarithm wants it."""
    some = [row for row in rows if row["block"] == side]
    y = np.array([names.index(_name(row, names)) for row in some], float)
    y += 0.13 if side == "decoder" else -0.13
    x, low, high = _ranges(some, measure)
    ax.errorbar(x, y, xerr=(x - low, high - x), fmt="o", color=SIDES[side], markersize=4,
                linewidth=1.4)  # fmt: skip
    return bool((low > 0).all())


def _lines(rows: Sequence[Any], stages: list[str], several: bool) -> "Figure":
    """Against the number of samples or, where that is one, along the models."""
    names = _names(rows)
    colours = dict(zip(names, cycle(COLOURS[::2] + COLOURS[1::2]), strict=False))
    ticker = optional_import("matplotlib.ticker", "plot")
    fig = new_figure(9, 6, layout="constrained")
    for i, side in enumerate(SIDES):
        for j, measure in enumerate(("variance", "snr")):
            ax = chart(fig, 221 + 2 * i + j, title=f"{side}: {MEASURES[measure]}",
                       x="samples" * several)  # fmt: skip
            ax.set_yscale("log")
            ax.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
            ax.yaxis.set_major_formatter("{x:g}")
            ax.yaxis.set_minor_locator(ticker.NullLocator())
            if several:
                ax.set_xscale("log")
                numbers = sorted({row["samples"] for row in rows})
                ax.set_xticks(numbers, [str(n) for n in numbers])
                ax.xaxis.set_minor_locator(ticker.NullLocator())
            else:
                ax.set_xticks(range(len(stages)), stages)
            for name in names:
                for stage in stages if several else [None]:
                    some = [row for row in rows if (row["block"], _name(row, names)) == (side, name)
                            and row["model"] in (stages if stage is None else [stage])
                            and row[measure] > 0]  # fmt: skip
                    x = np.array([row["samples"] if several else stages.index(row["model"])
                                  for row in some])  # fmt: skip
                    y, low, high = _ranges(some, measure)
                    low = np.where(low > 0, low, y)  # which no logarithm has
                    ax.errorbar(x, y, yerr=(y - low, high - y), fmt="o-", color=colours[name],
                                markersize=4, linewidth=1.4)  # fmt: skip
    _legend(fig, colours)
    return fig


def _ranges(rows: Sequence[Any], measure: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A measure of rows, and where its interval begins and ends."""
    value = np.array([row[measure] for row in rows])
    if measure == "bias":
        two = 2 * np.array([row["bias_se"] for row in rows])
        return value, np.maximum(value - two, 0), value + two
    low, high = (np.array([row[f"{measure}_{end}"] for row in rows]) for end in ("low", "high"))
    return value, low, high


def _legend(fig: "Figure", colours: dict[str, str]) -> None:
    ax = fig.axes[0]
    handles = [ax.plot([], [], "o-", color=colour, markersize=4)[0] for colour in colours.values()]
    fig.legend(handles, list(colours), loc="outside lower center", ncols=min(len(colours), 6),
               frameon=False, fontsize=8, labelcolor=INK)  # fmt: skip
