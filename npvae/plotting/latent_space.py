"""The latent space, from both sides: what is decoded there, and where the data are put."""
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from npvae.distributions.priors import MixturePrior
from npvae.errors import ParameterError
from npvae.estimators.arguments import resolve_posterior, resolve_prior
from npvae.plotting.style import COLOURS, GREY, INK, chart, new_figure, picture
from npvae.plotting.tiles import tile

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NORMAL = NormalDist()


def manifold(model: Any, image_shape: tuple[int, int], n: int = 20) -> "Figure":
    """The two-dimensional manifold that a decoder has learned (figure 4 of the paper).

    The unit square is cut into n × n cells. Through the prior's inverse CDF their centres become
    latents, z = Φ⁻¹((i + ½)/n) for N(0, I), so that each cell holds an equal share of the prior.

    Parameters
    ----------
    model : VAE or the like
        With two latents, and ``inverse_transform`` (n², 2) → (n², D).
    image_shape : (int, int)
        Height and width of an image.
    n : int
        Images a side.

    Returns
    -------
    matplotlib.figure.Figure
        z₁ grows from left to right and z₂ from bottom to top, as in :func:`latent_scatter`.

    Raises
    ------
    ParameterError
        If the model has another number of latents, or a prior without quantiles, or n is less
        than 1.
    """
    pixels = manifold_pixels(model, image_shape, n)
    fig, ax = picture(pixels, "The 2-D manifold: each cell an equal share of the prior", 0.5)
    shares = [NORMAL.cdf(deviation) for deviation in range(-2, 3)]
    ticks = [f"{z:.2g}".replace("-", "−") for z in quantiles(model, shares)]
    ax.set_xticks(shares, ticks)
    ax.set_yticks(shares, ticks)
    ax.set_xlabel("$z_1$", labelpad=2)
    ax.set_ylabel("$z_2$", labelpad=2)
    return fig


def manifold_pixels(model: Any, image_shape: tuple[int, int], n: int = 20) -> np.ndarray:
    """The grey pixels of :func:`manifold`, whose arguments and errors these are, without axes."""
    if model.latent_dim != 2:
        raise ParameterError(f"a manifold needs 2 latent dimensions, and this model has "
                             f"{model.latent_dim}: train one with latent_dim=2, or plot samples")
    if n < 1:
        raise ParameterError(f"n = {n} images a side make no manifold: choose 1 or more")
    centres = quantiles(model, [(i + 0.5) / n for i in range(n)])
    z2, z1 = np.meshgrid(centres[::-1], centres, indexing="ij")  # rows are read from the top
    x = model.inverse_transform(np.stack([z1.ravel(), z2.ravel()], axis=1))  # (n², D)
    return tile(x, image_shape, n, n, gap=1)  # or small digits would run into one another


def quantiles(model: Any, shares: list[float]) -> np.ndarray:
    """Quantiles of a latent's prior, its inverse CDF.

    Raises
    ------
    ParameterError
        If a sample of the prior is no function of one uniform number a latent.
    """
    prior: Any = resolve_prior(model.prior, resolve_posterior(model.posterior), 1)
    eps = np.array([NORMAL.inv_cdf(share) for share in shares])
    if not has_quantiles(model):
        raise ParameterError(f"prior={prior.name!r} has no quantiles of one latent by itself, of "
                             "which a manifold is made: plot samples")
    p_z = prior.variables.standard(np.zeros(1))
    below, above = p_z.rsample(np.array([[-1.0], [1.0]]))
    z, _ = p_z.transform(p_z.rsample(eps[:, None] if below < above else -eps[:, None]))
    return z[:, 0]


def has_quantiles(model: Any) -> bool:
    """Whether :func:`quantiles` has an answer."""
    prior = resolve_prior(model.prior, resolve_posterior(model.posterior), 1)
    family = prior.variables.family
    return not isinstance(prior, MixturePrior) and len(family.noise) == 1 and not family.joint


def latent_scatter(model: Any, images: np.ndarray, labels: np.ndarray | None = None) -> "Figure":
    """A scatter plot of the latent codes of the data.

    Parameters
    ----------
    model : VAE, Autoencoder or the like
        With ``transform`` (N, D) → (N, J). Of more than two latents the two that vary most
        over the data are shown, as their axes say; a single one is spread out by label.
    images : array (N, D)
        Data.
    labels : array (N,), optional
        Up to 20 whole numbers or names are told apart by colour, and more than 10 by shape
        too; other numbers are put on a colour scale.

    Returns
    -------
    matplotlib.figure.Figure
    """
    z = model.transform(images)  # (N, J)
    N, J = z.shape
    variance = z.var(axis=0)
    shown = np.sort(np.argsort(-variance, kind="stable")[:2])
    axes = [f"$z_{{{j + 1}}}$" + f"   (variance {variance[j]:.2f})" * (J > 2) for j in shown]
    names, values = _read(labels, N)

    fig = new_figure(6.6, 5.6 if J > 1 else 4, layout="constrained")
    ax = chart(fig, title=f"Latent space: {N:,} datapoints" + ", by label" * (len(names) != 1),
               x=axes[0], y=axes[1] if J > 1 else "")
    x = z[:, shown[0]]
    if J > 1:
        y = z[:, shown[1]]
        ax.set_aspect("equal", adjustable="datalim")  # a distance is the same in any direction
    else:
        y = values + 0.7 * (np.arange(N) * 0.618 % 1 - 0.5) * bool(names)  # side by side, evenly
        ax.set_yticks(range(len(names)), names) if names else ax.set_ylabel("label")

    dots = {"s": np.clip(2.5e4 / N, 4, 24), "linewidths": 0}
    if not names:
        points = ax.scatter(x, y, c=values, cmap="viridis", **dots)
        if J > 1:
            bar = fig.colorbar(points, ax=ax)
            bar.outline.set_visible(False)
            bar.ax.tick_params(labelsize=8, colors=GREY, width=0.6, length=3)
        return fig
    colours = np.array(COLOURS)
    for marker, first in (("o", 0), ("^", 10)):
        some = values // 10 * 10 == first
        ax.scatter(x[some], y[some], c=colours[values[some] - first], marker=marker, **dots)
    if len(names) > 1 and J > 1:
        for k, name in enumerate(names):
            ax.scatter([], [], color=COLOURS[k % 10], marker="o^"[k // 10], s=24, label=name)
        ax.legend(frameon=False, fontsize=9, labelcolor=INK, handletextpad=0.2,
                  loc="center left", bbox_to_anchor=(1, 0.5))
    return fig


def _read(labels: np.ndarray | None, N: int) -> tuple[list[str], np.ndarray]:
    """Names and each datapoint's index into them; or no names and a value each."""
    if labels is not None:
        labels = np.asarray(labels)
        names, index = np.unique(labels, return_inverse=True)
        if len(names) <= 20 and labels.dtype.kind != "f":
            return [str(name) for name in names], index
        if labels.dtype.kind in "uif":
            return [], labels
    return [""], np.zeros(N, int)  # no labels, or more names than can be told apart
