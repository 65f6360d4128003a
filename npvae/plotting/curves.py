"""How training went: the lower bound by epoch, and the two terms that it is made of."""
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

from npvae.errors import DataError, NotFittedError, optional_import
from npvae.plotting.style import COLOURS, INK, ONE, OTHER, chart, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

History = Mapping[str, Sequence[float | None]]


def learning_curve(fitted: Any) -> "Figure":
    """The lower bound by epoch, above its reconstruction and KL terms.

    Parameters
    ----------
    fitted : VAE or the like, or dict of lists
        A fitted model, or its ``history_``, with one entry an epoch:
        ``epoch``, and in nats per datapoint ``elbo``, ``reconstruction`` and ``kl``; may have
        ``validation_elbo``, with None where none was computed, and ``samples``, the
        datapoints seen so far. Where every KL is zero, as an auto-encoder's is, the bound
        *is* the reconstruction term and is shown alone. Of Monte Carlo EM, which has no bound,
        ``log_joint`` stands in its place, above ``reconstruction`` and ``log_prior``.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    NotFittedError
        If the model has not been fitted.
    DataError
        If the history has no epoch.
    """
    history = _history(fitted)
    if not history.get("epoch"):
        raise DataError("the history has no epoch to plot: train the model for one first")
    whole, title, part = ("elbo", "Lower bound (ELBO)", ("kl", "KL(q(z|x) ‖ p(z))"))
    if "log_joint" in history:
        whole, title, part = ("log_joint", "log p(x, z)", ("log_prior", "log p(z)"))
    x, has_parts = "epoch", any(history[part[0]])
    if history.get("samples"):
        x += f" ({history['samples'][-1]:,} datapoints seen)"
    fig = new_figure(7, 5.4 if has_parts else 3.6, layout="constrained")
    grid = fig.add_gridspec(2 if has_parts else 1, 2, height_ratios=(2, 1)[:1 + has_parts])
    ax = chart(fig, grid[0, :], y="nats per datapoint", x="" if has_parts else x,
               title=title if has_parts else "Reconstruction log-likelihood")
    for name, key, colour in (("training", whole, ONE),
                              ("validation", "validation_elbo", OTHER)):
        _line(ax, history, key, colour, name)
    ax.legend(frameon=False, fontsize=9, labelcolor=INK, loc="lower right")
    if has_parts:
        reconstruction = ("reconstruction", "Reconstruction, E[log p(x|z)]")
        for column, (key, title) in enumerate((reconstruction, part)):
            ax = chart(fig, grid[1, column], title=title, x=x, y="nats per datapoint")
            _line(ax, history, key, ONE)
    return fig


def learning_curves(fitted: Mapping[str, Any]) -> "Figure":
    """The lower bound by epoch of several models: held-out data in full lines, training in dots.

    Parameters
    ----------
    fitted : dict of str to what :func:`learning_curve` takes
        By the names that the legend has.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    NotFittedError
        If a model has not been fitted.
    DataError
        If a history has no epoch.
    """
    fig = new_figure(7, 4.2, layout="constrained")
    ax = chart(fig, title="Lower bound (ELBO)", x="epoch", y="nats per datapoint")
    for colour, (name, one) in zip(cycle(COLOURS[::4]), fitted.items(), strict=False):
        history = _history(one)
        if not history.get("epoch"):
            raise DataError(f"the history of {name} has no epoch to plot: train it for one first")
        for key, style, what in (("validation_elbo", "-", "held out"), ("elbo", ":", "training"),
                                 ("log_joint", ":", "log p(x, z)")):
            _line(ax, history, key, colour, f"{name}, {what}", style)
    ax.legend(frameon=False, fontsize=9, labelcolor=INK, loc="lower right")
    return fig


def _history(fitted: Any) -> History:
    """That of a model, or what is one already."""
    if isinstance(fitted, Mapping):
        return fitted
    try:
        return fitted.history_
    except AttributeError as error:
        what = type(fitted).__name__
        raise NotFittedError(f"this {what} has no history yet; call fit(X)") from error


def _line(
    ax: "Axes", history: History, key: str, colour: str, name: str = "", style: str = "-"
) -> None:  # fmt: skip
    """Draw what there is of ``history[key]``; its last value goes into the legend."""
    every = zip(history["epoch"], history.get(key, ()), strict=False)
    points = [(epoch, value) for epoch, value in every if value is not None]
    if points:
        marker = "o" if len(points) <= 30 else ""
        last = f"{points[-1][1]:.2f}".replace("-", "−")
        ax.plot(*zip(*points, strict=True), color=colour, linewidth=1.6, linestyle=style,
                marker=marker, markersize=3, label=f"{name}, {last} at the end")
        ticker = optional_import("matplotlib.ticker", "plot")
        ax.xaxis.set_major_locator(ticker.MaxNLocator(integer=True, min_n_ticks=1))
