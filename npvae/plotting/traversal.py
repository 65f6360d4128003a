"""Paths through the latent space: along its axes, and from one datapoint to another."""
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from npvae.backend import to_numpy
from npvae.errors import ParameterError
from npvae.plotting.manifold import NORMAL, quantiles
from npvae.plotting.style import picture
from npvae.plotting.tiles import tile

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 10  # latents, where nobody names them


def traversals(
    model: Any, z: np.ndarray | None = None, latents: Sequence[int] | None = None, n: int = 11,
    image_shape: tuple[int, ...] | None = None,
) -> "Figure":  # fmt: skip
    """What each latent does by itself: it goes through its prior while the others stay.

    A latent takes the prior's quantiles at Φ(−2) to Φ(2), which for N(0, 1) is z = −2 to 2. One
    that the model does not use changes nothing.

    Parameters
    ----------
    model : VAE or the like
        With a prior and ``inverse_transform`` (n, J) → (n, D).
    z : array (J,), optional
        Where the others stay, as the code of a datapoint; the prior's median if not given.
    latents : sequence of int, optional
        Those shown, a row each, from 1 to J; the first ten if not given.
    n : int
        Images a row.
    image_shape : (int, int) or (int, int, 3), optional
        Height and width of an image; those that the model was trained on if not given.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ParameterError
        If there are no images to show, no such latent, fewer than two images a row, or no
        quantiles of the prior of one latent.
    """
    shape, J = _shape_of(model, image_shape, n), model.latent_dim
    shown = list(range(1, min(J, MOST) + 1)) if latents is None else list(latents)
    for j in shown:
        if not 1 <= j <= J:
            raise ParameterError(f"there is no latent {j}; choose from 1 to {J}")
    values = quantiles(model, [NORMAL.cdf(t) for t in np.linspace(-2, 2, n)])  # (n,)
    start = np.full(J, quantiles(model, [0.5])[0]) if z is None else np.asarray(z)  # (J,)
    codes = np.tile(start, (len(shown), n, 1))  # (rows, n, J)
    for row, j in enumerate(shown):
        codes[row, :, j - 1] = values
    x = to_numpy(model.inverse_transform(codes.reshape(-1, J)))  # (rows·n, D)
    title = "Latent traversals: one latent a row"
    fig, ax = picture(tile(x, shape, len(shown), n, _gap(shape)), title, 0.5)
    ax.set_xticks(_centres(n), [f"{value:.2g}".replace("-", "−") for value in values])
    ax.set_yticks(_centres(len(shown))[::-1], [f"$z_{{{j}}}$" for j in shown])
    ax.tick_params(length=0)
    return fig


def interpolations(
    model: Any, images: np.ndarray, n: int = 9, image_shape: tuple[int, ...] | None = None
) -> "Figure":
    """Straight paths in the latent space between datapoints, decoded.

    Parameters
    ----------
    model : VAE, Autoencoder or the like
        With ``transform`` (N, D) → (N, J) and ``inverse_transform`` (N, J) → (N, D).
    images : array (2P, D)
        P pairs of datapoints, one after the other: a row begins and ends with those of a pair.
    n : int
        Images between them, the first and the last of which are their reconstructions.
    image_shape : (int, int) or (int, int, 3), optional
        Height and width of an image; those that the model was trained on if not given.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ParameterError
        If there are no images to show, no pairs, or fewer than two images between.
    """
    shape = _shape_of(model, image_shape, n)
    if len(images) == 0 or len(images) % 2:
        raise ParameterError(f"{len(images)} datapoints are no pairs; give two for each path")
    ends = to_numpy(model.transform(images))  # (2P, J)
    t = np.linspace(0, 1, n)[:, None]  # a path in a convex support stays in it
    paths = (1 - t) * ends[::2, None] + t * ends[1::2, None]  # (P, n, J)
    paths = paths.reshape(-1, ends.shape[1])
    x = to_numpy(model.inverse_transform(paths)).reshape(len(images) // 2, n, -1)  # (P, n, D)
    rows = np.concatenate([images[::2, None], x, images[1::2, None]], axis=1)  # (P, n + 2, D)
    pixels = tile(rows.reshape(-1, x.shape[-1]), shape, len(rows), n + 2, _gap(shape))
    fig, ax = picture(pixels, "Paths between datapoints, straight in the latent space", 0.35)
    ticks = _centres(n + 2)
    ax.set_xticks([ticks[0], ticks[1 + n // 2], ticks[-1]], ["data", "decoded", "data"])
    ax.tick_params(length=0)
    return fig


def _shape_of(model: Any, image_shape: tuple[int, ...] | None, n: int) -> tuple[int, ...]:
    """The shape of the images of a row of ``n``."""
    if n < 2:
        raise ParameterError(f"n = {n} images are no path: choose 2 or more")
    shape = image_shape or model.image_shape_
    if shape is None:
        raise ParameterError("this model was not trained on images, which paths are shown by; "
                             "train it on a Dataset of images")
    return shape


def _centres(n: int) -> np.ndarray:
    """Of n cells of the unit interval."""
    return (np.arange(n) + 0.5) / n


def _gap(image_shape: tuple[int, ...]) -> int:
    return max(1, image_shape[0] // 12)
