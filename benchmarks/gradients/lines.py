"""Lines in log-log: what was found of each estimator, its closed form, and the slopes of both."""
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from npvae.lab.comparison import Gradient
from npvae.lab.statistics import BATCHES, student
from npvae.plotting.style import COLOURS, INK

T = student(BATCHES - 1)


def slope(x: Sequence[float], y: np.ndarray, error: np.ndarray) -> tuple[float, float]:
    """Of log y by log x, by weighted least squares, and its standard error; error is log y's."""
    weight, at = error**-2.0, np.log(x)
    at = at - weight @ at / weight.sum()
    weight = weight * at / (weight @ at**2)
    return float(weight @ np.log(y)), float(np.sqrt(weight**2 @ error**2))


def variances(
    found: Sequence[Gradient], closed_form: Mapping[str, float], **at: float
) -> list[dict[str, Any]]:
    """Rows of JSON, at a value of what is varied."""
    return [
        {"estimator": row.estimator, **at, "variance": row.variance, "low": row.variance_low,
         "high": row.variance_high, "closed_form": closed_form[row.estimator]}
        for row in found
    ]  # fmt: skip


def draw_lines(
    ax: Any, rows: Sequence[Any], by: str, names: Mapping[str, str], far: Callable[[float], bool]
) -> dict[str, Any]:
    """Dots with intervals, lines of closed forms; the slopes over those x that are far enough."""
    slopes = {}
    ax.set(xscale="log", yscale="log")
    for colour, (name, label) in zip(COLOURS[::2], names.items(), strict=False):
        some = [row for row in rows if row["estimator"] == name and row[by] > 0]
        x, variance, low, high, closed = (
            np.array([row[key] for row in some])
            for key in (by, "variance", "low", "high", "closed_form")
        )
        error, taken = np.log(high / low) / (2 * T), np.array([far(value) for value in x])
        found, theory = (slope(x[taken], y[taken], error[taken]) for y in (variance, closed))
        slopes[label] = {"slope": found[0], "standard_error": found[1], "closed_form": theory[0]}
        ax.plot(x, closed, color=colour, linewidth=1)
        label += f": slope {found[0]:+.3f} ± {found[1]:.3f}"
        ax.errorbar(x, variance, yerr=(variance - low, high - variance), fmt="o", color=colour,
                    markersize=4, label=label)  # fmt: skip
    ax.legend(frameon=False, fontsize=8, labelcolor=INK)
    return slopes
