"""How the gradient flows along training: norms, the ways to q(z|x), histograms, activity."""
from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from npvae.errors import DataError, optional_import
from npvae.evaluation.latent import THRESHOLD
from npvae.plotting.style import COLOURS, GREY, INK, ONE, OTHER, chart, new_figure
from npvae.training.gradient_flow import EDGES, WAYS, FlowRecord, GradientFlow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WAY_COLOURS = {"sample": COLOURS[1], "kl": OTHER, "score": COLOURS[3]}


def gradient_flow(flow: GradientFlow | Sequence[FlowRecord]) -> "Figure":
    """The gradient along training.

    Above: the norm of each layer's weights; what reaches the heads of q(z|x), by the way that it
    comes; and how active each latent is. Below: histograms of each layer's gradient.

    Parameters
    ----------
    flow : GradientFlow or sequence of FlowRecord
        The callback of a training, or its records.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        If there is none.
    """
    records = flow.records if isinstance(flow, GradientFlow) else flow
    if not records:
        raise DataError("there is no record of the gradient to plot: train for an epoch first")
    epochs, last = [record.epoch for record in records], records[-1]
    layers = list(last.histograms)
    above = 1 + len(last.ways) + bool(last.activity)
    fig = new_figure(max(3.2 * above, 1.55 * len(layers)), 5.6, layout="constrained")
    parts: Any = fig.subfigures(2, 1, height_ratios=(3, 2))
    (top, bottom), grid = parts, parts[0].add_gridspec(1, above)
    ax = chart(top, grid[0], title="Norm of the gradient", x="epoch")
    weights = [name for name in last.norms if name.endswith(".weight")]
    for name, colour in zip(weights, cycle(COLOURS), strict=False):
        curve = [record.norms[name] for record in records]
        ax.plot(epochs, curve, color=colour, linewidth=1.4, label=name.removesuffix(".weight"))
    if any(record.norms[name] > 0 for record in records for name in weights):
        ax.set_yscale("log")
    ax.legend(frameon=False, fontsize=6, labelcolor=INK)
    for i, head in enumerate(last.ways):
        ax = chart(top, grid[1 + i], x="epoch", title=f"At {head} of q(z|x)")
        _ways(ax, records, head)
    if last.activity:
        ax = chart(top, grid[above - 1], x="epoch",
                   title="Var(E z) of each latent, of the prior's")
        ax.plot(epochs, [record.activity for record in records], color=ONE, linewidth=1)
        ax.axhline(THRESHOLD, color=OTHER, linewidth=1, linestyle=":")
        ax.set_yscale("log")
    for axes in top.axes:
        ticker = optional_import("matplotlib.ticker", "plot")
        axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True, min_n_ticks=1))
        axes.tick_params(which="minor", labelsize=6, colors=GREY, width=0.5, length=2)
    axes = bottom.subplots(1, len(layers), sharey=True, squeeze=False)[0]
    for ax, layer in zip(axes, layers, strict=True):
        _histogram(ax, np.array([record.histograms[layer] for record in records]), epochs, layer)
    axes[0].set_ylabel("log₁₀ |g|", fontsize=8, color=GREY)
    return fig


def _ways(ax: "Axes", records: Sequence[FlowRecord], head: str) -> None:
    """The share of each way, one on top of the other."""
    shares = {way: [record.share(head, way) for record in records]
              for way in WAYS if way in records[-1].ways[head]}  # fmt: skip
    ax.stackplot([record.epoch for record in records], *shares.values(), alpha=0.85,
                 labels=[WAYS[way] for way in shares], colors=[WAY_COLOURS[way] for way in shares])
    ax.set_ylim(0, 1)
    ax.legend(frameon=True, framealpha=0.85, edgecolor="none", fontsize=7, labelcolor=INK,
              loc="lower right")  # fmt: skip


def _histogram(ax: "Axes", counts: Any, epochs: Sequence[int], layer: str) -> None:
    """Histograms side by side, each as dark as the share of entries.   counts (n, bins)"""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax.imshow(shares.T, origin="lower", aspect="auto", cmap="Blues", vmin=0, vmax=0.4,
              extent=(epochs[0] - 0.5, epochs[-1] + 0.5, EDGES[0], EDGES[-1]))  # fmt: skip
    ax.set_title(layer, loc="left", fontsize=7, color=INK)
    ax.tick_params(labelsize=6, colors=GREY, width=0.5, length=2)
    for spine in ax.spines.values():
        spine.set(color=GREY, linewidth=0.5)
