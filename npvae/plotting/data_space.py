"""What the decoder makes: reconstructions of data, and samples from the prior.

Images are tiled. Other data in two or three dimensions are scattered, with more a line each.
"""
from math import ceil, prod, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from npvae.backend import to_numpy
from npvae.plotting.inputs import Shape, shape_of, values_of
from npvae.plotting.style import GREY, INK, ONE, chart, label, new_figure, picture
from npvae.plotting.tiles import tile

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS, BANDS = 12, 3  # of reconstructed images


def reconstructions(model: Any, images: Any, image_shape: Shape = None) -> "Figure":
    """Data above, or beside, what is left of them after the latent code.

    Parameters
    ----------
    model : VAE, Autoencoder or the like
        With ``transform`` (N, D) → (N, J) and ``inverse_transform`` (N, J) → (N, D).
    images : array (N, D) or Dataset
        Images in [0, 1], of which up to 36 evenly spaced ones are shown; or other data.
    image_shape : (int, int) or (int, int, 3), optional
        Height and width of an image. If not given, that of the Dataset, or of the images that the
        model was fitted on; data are no images if those were none.

    Returns
    -------
    matplotlib.figure.Figure
    """
    image_shape, images = shape_of(model, image_shape, images), values_of(model, images)
    if image_shape is not None:
        return _image_pairs(model, _some(images, COLUMNS * BANDS), image_shape)
    D = images.shape[1]
    if D in (2, 3):
        return _scatter_pair(model, images)
    x = _some(images, 6)
    x_hat = model.inverse_transform(model.transform(x))
    fig = new_figure(7.5, 4.5, layout="constrained")
    for i in range(len(x)):
        ax = chart(fig, 231 + i, title="Data and reconstruction" * (i == 0), x="feature")
        ax.plot(x[i], color=GREY, linewidth=1, label="data")
        ax.plot(x_hat[i], color=ONE, linewidth=1.4, label="reconstruction")
    fig.legend(*ax.get_legend_handles_labels(), frameon=False, fontsize=9, labelcolor=INK,
               ncols=2, loc="outside upper right")
    return fig


def samples(
    model: Any, image_shape: Shape = None, n: int = 100, rng: int | np.random.Generator | None = 0,
    draw: bool = False,
) -> "Figure":  # fmt: skip
    """Means of p(x|z) with z from the prior, or draws of x.

    Parameters
    ----------
    model : VAE or the like
        With ``sample(n, rng)`` → (n, D).
    image_shape : (int, int) or (int, int, 3), optional
        Height and width of an image; of those that the model was fitted on if not given.
    n : int
        How many.
    rng : int, numpy.random.Generator or None
        Given to ``model.sample``.
    draw : bool
        Whether to draw x from p(x|z): ``model.sample(n, rng, draw=True)``.

    Returns
    -------
    matplotlib.figure.Figure
    """
    x = to_numpy(model.sample(n, rng, draw=True) if draw else model.sample(n, rng))  # (n, D)
    image_shape = shape_of(model, image_shape)
    title = f"{n:,} {'draws of x' if draw else 'samples'} from the prior"
    if image_shape is not None:
        cols = ceil(sqrt(n))
        return picture(tile(x, image_shape, ceil(n / cols), cols, _gap(image_shape)), title)[0]
    fig = new_figure(6, 5, layout="constrained")
    if x.shape[1] in (2, 3):
        _points(fig, 111, x, ONE, title)
    else:
        ax = chart(fig, title=title, x="feature")
        ax.plot(x.T, color=ONE, linewidth=0.8, alpha=max(0.1, n**-0.5))
    return fig


def _some(x: np.ndarray, most: int) -> np.ndarray:
    """At most that many rows, evenly spaced."""
    return x[np.linspace(0, len(x) - 1, min(len(x), most)).astype(int)]


def _image_pairs(model: Any, x: np.ndarray, image_shape: tuple[int, ...]) -> "Figure":
    h, w, *colours = image_shape
    x_hat = model.inverse_transform(model.transform(x))
    gap, cols = _gap(image_shape), min(len(x), COLUMNS)
    white = max(1, x.max())  # above 1 where the pixels are counts
    x_hat = np.minimum(x_hat, white)
    line = np.full((len(x), gap * prod(image_shape[1:])), white, x.dtype)
    # An image is a row of D pixels in reading order, so what comes after it lies below it.
    pairs = np.concatenate([x, line, x_hat, line, line], axis=1)  # (N, (2h + 3 gap)·w)
    pixels = tile(pairs, (2 * h + 3 * gap, w, *colours), ceil(len(x) / cols), cols, gap)
    return picture(pixels[:-2 * gap], "Data, each with its reconstruction below")[0]


def _gap(image_shape: tuple[int, ...]) -> int:
    """White pixels between images."""
    return max(1, image_shape[0] // 12)


def _scatter_pair(model: Any, x: np.ndarray) -> "Figure":
    z = to_numpy(model.transform(x))  # (N, J)
    fig = new_figure(9, 4, layout="constrained")
    _points(fig, 121, x, z[:, 0], "Data, coloured by $z_1$")
    ax = _points(fig, 122, model.inverse_transform(z), z[:, 0], "Reconstruction")
    for axis in "xyz"[:x.shape[1]]:  # one scale for both
        getattr(ax, f"set_{axis}lim")(getattr(fig.axes[0], f"get_{axis}lim")())
    return fig


def _points(fig: "Figure", where: int, x: np.ndarray, colour: Any, title: str) -> "Axes":
    """Scatter x (N, 2 or 3)."""
    ax: Any  # of either projection
    if x.shape[1] == 2:
        ax = chart(fig, where, title=title, x="$x_1$", y="$x_2$")
    else:
        ax = fig.add_subplot(where, projection="3d", elev=15, azim=-78)
        label(ax, title, "$x_1$", "$x_2$")
        ax.set_zlabel("$x_3$", fontsize=9, color=GREY)
        ax.grid(False)
    ax.scatter(*x.T, c=colour, s=6, linewidths=0)
    return ax
