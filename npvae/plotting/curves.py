"""How training went: the lower bound by epoch, and the two terms that it is made of."""
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from npvae.errors import DataError, optional_import
from npvae.plotting.paper import INK, ONE, OTHER, chart, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

History = Mapping[str, Sequence[float | None]]


def learning_curve(history: History) -> "Figure":
    """The lower bound by epoch, above its reconstruction and KL terms.

    Parameters
    ----------
    history : dict of lists, one entry an epoch
        ``epoch``, and in nats per datapoint ``elbo``, ``reconstruction`` and ``kl``; may have
        ``validation_elbo``, with None where none was computed, and ``samples``, the
        datapoints seen so far. Where every KL is zero, as an auto-encoder's is, the bound
        *is* the reconstruction term and is shown alone.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        If the history has no epoch.
    """
    if not history.get("epoch"):
        raise DataError("the history has no epoch to draw: train the model for one first")
    x, has_kl = "epoch", any(history["kl"])
    if history.get("samples"):
        x += f" ({history['samples'][-1]:,} datapoints seen)"
    fig = new_figure(7, 5.4 if has_kl else 3.6, layout="constrained")
    grid = fig.add_gridspec(2 if has_kl else 1, 2, height_ratios=(2, 1)[:1 + has_kl])
    ax = chart(fig, grid[0, :], y="nats per datapoint", x="" if has_kl else x,
               title="Lower bound (ELBO)" if has_kl else "Reconstruction log-likelihood")
    for name, key, colour in (("training", "elbo", ONE),
                              ("validation", "validation_elbo", OTHER)):
        _line(ax, history, key, colour, name)
    ax.legend(frameon=False, fontsize=9, labelcolor=INK, loc="lower right")
    if has_kl:
        for column, key, title in ((0, "reconstruction", "Reconstruction, E[log p(x|z)]"),
                                   (1, "kl", "KL(q(z|x) ‖ p(z))")):
            ax = chart(fig, grid[1, column], title=title, x=x, y="nats per datapoint")
            _line(ax, history, key, ONE)
    return fig


def _line(ax: "Axes", history: History, key: str, colour: str, name: str = "") -> None:
    """Draw what there is of ``history[key]``; its last value goes into the legend."""
    every = zip(history["epoch"], history.get(key, ()), strict=False)
    points = [(epoch, value) for epoch, value in every if value is not None]
    if points:
        marker = "o" if len(points) <= 30 else ""
        ax.plot(*zip(*points, strict=True), color=colour, linewidth=1.6, marker=marker,
                markersize=3, label=f"{name}, {points[-1][1]:.2f} at the end".replace("-", "−"))
        ticker = optional_import("matplotlib.ticker", "plot")
        ax.xaxis.set_major_locator(ticker.MaxNLocator(integer=True, min_n_ticks=1))
