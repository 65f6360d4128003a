"""What mistakes do to training: a panel each, beside the model without it."""
from collections.abc import Sequence
from math import ceil, copysign, isfinite, log10
from typing import TYPE_CHECKING, Any

from npvae.errors import DataError
from npvae.plotting.style import GREY, INK, ONE, OTHER, chart, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RUNAWAY = 1000.0  # nats: beyond this an axis is logarithmic
CURVES: dict[str, tuple[str, dict[str, Any]]] = {  # of a Finding, and how each is drawn
    "right": ("without the mistake", {"color": GREY, "linewidth": 3, "alpha": 0.5}),
    "worth": ("what its parameters are worth", {"color": ONE, "linewidth": 1.4}),
    "reported": ("what it reports", {"color": OTHER, "linewidth": 1.4, "linestyle": (0, (4, 1))}),
}


def mistakes(findings: Sequence[Any]) -> "Figure":
    """Held-out bounds by epoch: reported, worth, and of the model without the mistake.

    Parameters
    ----------
    findings : sequence of Finding
        Of :func:`npvae.testing.zoo.study`.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        If there is none.
    """
    if not findings:
        raise DataError("there is no finding to plot; study a mistake first")
    columns = min(len(findings), 3)
    rows = ceil(len(findings) / columns)
    fig = new_figure(3.2 * columns + 1.5 * (columns == 1), 2.2 * rows + 0.8, layout="constrained")
    grid = fig.add_gridspec(rows, columns)
    for i, found in enumerate(findings):
        title = found.name.replace("-", " ").replace("kl", "KL")
        ax = chart(fig, grid[divmod(i, columns)], title=title,
                   x="epoch" * (i + columns >= len(findings)), y="nats" * (i % columns == 0))
        for name, (_, style) in CURVES.items():
            curve = vars(found)[name]
            ax.plot(range(1, len(curve) + 1), curve, **style)
        ends = [curve[-1] for curve in (found.reported, found.worth) if curve]
        ends = [end for end in ends if isfinite(end) and end]
        reach = max((1.4 * abs(end - found.right[-1]) for end in ends), default=0.0) + 2
        if reach < RUNAWAY:
            ax.set_ylim(found.right[-1] - reach, found.right[-1] + reach)
        else:
            ax.set_yscale("symlog", linthresh=RUNAWAY)
            ax.set_yticks([0, *(copysign(10.0 ** int(log10(abs(end))), end) for end in ends)])
            ax.minorticks_off()
        ax.set_xlim(0, len(found.right) + 1)
        verdict = "the gradient check sees it" if found.is_seen else "the gradient check passes"
        ax.text(0.97, 0.06, verdict, transform=ax.transAxes, ha="right", fontsize=7,
                color=ONE if found.is_seen else OTHER,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5})  # fmt: skip
    handles = [fig.axes[0].plot([], [], **style)[0] for _, style in CURVES.values()]
    fig.legend(handles, [label for label, _ in CURVES.values()], loc="outside lower center",
               ncols=3 if columns > 1 else 1, frameon=False, fontsize=8, labelcolor=INK)
    return fig

