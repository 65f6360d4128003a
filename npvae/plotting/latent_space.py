"""The latent space: where the data are put, at the scale of the prior."""
from typing import TYPE_CHECKING, Any

import numpy as np

from npvae.backend import to_numpy
from npvae.data import Dataset
from npvae.plotting.inputs import read_labels, values_of
from npvae.plotting.manifold import NORMAL, has_quantiles, quantiles
from npvae.plotting.style import COLOURS, GREY, INK, chart, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FAINT = "#bbbbbb"
ELLIPSES = 30  # of as many datapoints: more could not be told apart
ANGLES = np.linspace(0, 2 * np.pi, 181)
CIRCLE = np.stack([np.cos(ANGLES), np.sin(ANGLES)])  # (2, 181)


def latent_scatter(
    model: Any, images: Any, labels: np.ndarray | None = None, training: Any = None
) -> "Figure":
    """A scatter plot of the latent codes of the data, at the prior's scale.

    Black circles hold the points within 1 and 2 deviations of the prior; of another prior than
    N(0, I) they are what its inverse CDF makes of those. An ellipse is one deviation of a
    q(z|x), of 30 evenly spaced datapoints. A latent without use lies at the middle, its
    ellipses as wide as the prior's.

    Parameters
    ----------
    model : VAE, Autoencoder or the like
        With ``transform`` (N, D) → (N, J), and ``posterior_of`` where ``has_bound``. Of more
        than two latents the two that vary most over the data are shown, as their axes say; a
        single one is spread out by label.
    images : array (N, D) or Dataset
        Data, best those held out; a Dataset has its own labels.
    labels : array (N,), optional
        Up to 20 whole numbers or names are told apart by colour, and more than 10 by shape
        too; other numbers are put on a colour scale.
    training : array (N', D) or Dataset, optional
        Shown faintly below, but not of a single latent whose labels are a scale.

    Returns
    -------
    matplotlib.figure.Figure
    """
    if labels is None and isinstance(images, Dataset):
        labels = images.labels
    images = values_of(model, images)
    z = to_numpy(model.transform(images))  # (N, J)
    N, J = z.shape
    variance = z.var(axis=0)
    shown = np.sort(np.argsort(-variance, kind="stable")[:2])
    axes = [f"$z_{{{j + 1}}}$" + f"   (variance {variance[j]:.2f})" * (J > 2) for j in shown]
    names, values = read_labels(labels, N)

    fig = new_figure(6.6, 5.9 if J > 1 else 4, layout="constrained")
    ax = chart(fig, title=f"Latent space: {N:,} datapoints" + ", by label" * (len(names) != 1),
               x=axes[0], y=axes[1] if J > 1 else "")
    if J > 1:
        ax.set_aspect("equal", adjustable="datalim")  # a distance is the same in any direction
    else:
        ax.set_yticks(range(len(names)), names) if names else ax.set_ylabel("label")
    if model.has_prior and has_quantiles(model):
        _prior(ax, model, J)
    if training is not None and (J > 1 or names):
        z_training = to_numpy(model.transform(values_of(model, training)))[:, shown]  # (N', 2 or 1)
        rows = np.arange(len(z_training)) % max(1, len(names))  # labels do not matter here
        dots = {"s": np.clip(2.5e4 / len(rows), 3, 16), "linewidths": 0}
        ax.scatter(z_training[:, 0], z_training[:, 1] if J > 1 else _jittered(rows, names),
                   color=FAINT, alpha=0.5, label="training data", **dots)
    x = z[:, shown[0]]
    y = z[:, shown[1]] if J > 1 else _jittered(values, names)
    paint = _colours(ax, values, names)  # (N, 4)
    if model.has_bound:
        some = np.unique(np.linspace(0, N - 1, min(N, ELLIPSES)).astype(int))
        _posteriors(ax, model.posterior_of(images[some]), shown, x[some], y[some], paint[some])
    dots = {"s": np.clip(2.5e4 / N, 4, 24), "linewidths": 0}
    second = values // 10 % 2 == 1 if names else np.zeros(N, bool)
    for marker, which in (("o", ~second), ("^", second)):
        ax.scatter(x[which], y[which], c=paint[which], marker=marker, **dots)
    _legend(fig, ax, names if len(names) > 1 and J > 1 else [])
    return fig


def _prior(ax: "Axes", model: Any, J: int) -> None:
    """The images of the circles of 1 and 2 deviations of N(0, I) under z = F⁻¹(Φ(u))."""
    for radius, style in ((1, "-"), (2, "--")):
        look: Any = {"color": INK, "linewidth": 0.9, "linestyle": style, "zorder": 3,
                     "label": f"prior, {radius} deviation{'s' * (radius > 1)}"}
        u = radius * (CIRCLE if J > 1 else np.array([[-1.0, 1.0]]))  # (2, 181) or (1, 2)
        z = quantiles(model, [NORMAL.cdf(v) for v in u.ravel()]).reshape(u.shape)
        if J > 1:
            ax.plot(*z, **look)
        else:
            for side, at in enumerate(z[0]):
                ax.axvline(at, **look | ({"label": None} if side else {}))


def _posteriors(
    ax: "Axes", q: Any, shown: np.ndarray, x: np.ndarray, y: np.ndarray, paint: np.ndarray
) -> None:
    """One deviation of every q(z|x): an ellipse around its code, or a line of a single latent."""
    std = to_numpy(q.std)[:, shown]  # (n, 2 or 1)
    roots = std[:, :, None] * np.eye(len(shown))  # (n, 2, 2): of the covariances
    if q.family.joint and len(shown) > 1:
        draws = to_numpy(q.sample(rng=0, n=1000))[:, :, shown]  # (1000, n, 2)
        roots = np.stack([np.linalg.cholesky(np.cov(draws[:, i].T)) for i in range(len(x))])
    ax.plot([], [], color=GREY, linewidth=0.7, label="q(z|x), 1 deviation")
    for root, *centre, colour in zip(roots, x, y, paint, strict=True):
        if np.isfinite(root).all():  # a Cauchy variable has none
            path = root @ CIRCLE if len(shown) > 1 else np.array([[-1, 1], [0, 0]]) * root
            ax.plot(centre[0] + path[0], centre[1] + path[1], color=colour, alpha=0.6,
                    linewidth=0.7)


def _jittered(values: np.ndarray, names: list[str]) -> np.ndarray:
    """Heights of a single latent's points: side by side around each label, evenly."""
    return values + 0.7 * (np.arange(len(values)) * 0.618 % 1 - 0.5) * bool(names)


def _colours(ax: "Axes", values: np.ndarray, names: list[str]) -> np.ndarray:
    """Of every datapoint, (N, 4); with a bar beside the chart where they are a scale's."""
    import matplotlib as mpl  # loaded by the figure

    if names:
        return mpl.colors.to_rgba_array(COLOURS)[values % 10]
    scale = mpl.cm.ScalarMappable(mpl.colors.Normalize(values.min(), values.max()), "viridis")
    if ax.get_ylabel() != "label":
        bar: Any = ax.figure.colorbar(scale, ax=ax)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=8, colors=GREY, width=0.6, length=3)
    return scale.to_rgba(values)


def _legend(fig: "Figure", ax: "Axes", names: list[str]) -> None:
    """Labels at the right; below, what else is drawn."""
    look: Any = {"frameon": False, "labelcolor": INK}
    handles, keys = ax.get_legend_handles_labels()
    if keys:
        fig.legend(handles, keys, loc="outside lower center", ncols=4, fontsize=8,
                   columnspacing=1.4, handlelength=1.6, **look)
    for k, name in enumerate(names):
        ax.scatter([], [], color=COLOURS[k % 10], marker="o^"[k // 10], s=24, label=name)
    if names:
        handles, keys = ax.get_legend_handles_labels()
        ax.legend(handles[-len(names):], keys[-len(names):], fontsize=9, handletextpad=0.2,
                  loc="center left", bbox_to_anchor=(1, 0.5), **look)
