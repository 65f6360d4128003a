"""What became of a grid of settings: a panel for each that was varied, a dot for each run."""
from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from npvae.plotting.style import INK, ONE, OTHER, chart, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ACROSS = 3  # panels in a row


def sweep(
    grid: Mapping[str, Sequence[Any]], results: Sequence[tuple[Mapping[str, Any], float]]
) -> "Figure":
    """The bound of every run by each setting that was varied, and the median at each value.

    Parameters
    ----------
    grid : mapping of str to sequence
        The values of each setting, in the order in which they are shown, evenly spaced.
    results : sequence of (mapping of str to value, float)
        Of each run its value of every setting in the grid, and its bound in nats.

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows = -(-len(grid) // ACROSS)
    across = min(len(grid), ACROSS)
    fig = new_figure(max(4, 3 * across), 3 * rows, layout="constrained")
    cells = fig.add_gridspec(rows, across)
    top = None
    for i, (name, values) in enumerate(grid.items()):
        ax = chart(fig, cells[i // across, i % across], title=name,
                   y="" if i % across else "best ELBO, nats per datapoint")  # fmt: skip
        top = top or ax
        ax.sharey(top)
        at = [[bound for point, bound in results if same(point[name], value)] for value in values]
        for x, bounds in enumerate(at):
            ax.plot([x] * len(bounds), bounds, "o", color=ONE, ms=5, alpha=0.6, mec="none",
                    label=None if x else "a run")  # fmt: skip
        known = [(x, median(bounds)) for x, bounds in enumerate(at) if bounds]
        ax.plot([x for x, _ in known], [y for _, y in known], color=OTHER, lw=1.5, label="median")
        ax.set_xticks(range(len(values)), [str(value) for value in values], color=INK)
        ax.set_xlim(-0.5, len(values) - 0.5)
    if top is not None:
        top.legend(frameon=False, fontsize=9, labelcolor=INK)
    return fig


def same(one: Any, other: Any) -> bool:
    """Whether two values of a setting are one: a list of widths may come as a tuple."""
    several = isinstance(one, (list, tuple)) and isinstance(other, (list, tuple))
    return list(one) == list(other) if several else one == other
