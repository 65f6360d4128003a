"""What the decoder makes of the whole latent plane."""
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from npvae.distributions.priors import MixturePrior
from npvae.errors import ParameterError
from npvae.estimators.arguments import resolve_posterior, resolve_prior
from npvae.plotting.inputs import Shape, shape_of
from npvae.plotting.style import picture
from npvae.plotting.tiles import tile

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NORMAL = NormalDist()


def manifold(model: Any, image_shape: Shape = None, n: int = 20) -> "Figure":
    """The two-dimensional manifold that a decoder has learned (figure 4 of the paper).

    The unit square is cut into n × n cells. Through the prior's inverse CDF their centres become
    latents, z = Φ⁻¹((i + ½)/n) for N(0, I), so that each cell holds an equal share of the prior.

    Parameters
    ----------
    model : VAE or the like
        With two latents, and ``inverse_transform`` (n², 2) → (n², D).
    image_shape : (int, int) or (int, int, 3), optional
        Height and width of an image; of those that the model was fitted on if not given.
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
        than 1, or there is no shape of an image.
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


def manifold_pixels(model: Any, image_shape: Shape = None, n: int = 20) -> np.ndarray:
    """The grey pixels of :func:`manifold`, whose arguments and errors these are, without axes."""
    if model.latent_dim != 2:
        raise ParameterError(f"a manifold needs 2 latent dimensions, and this model has "
                             f"{model.latent_dim}: train one with latent_dim=2, or plot samples")
    if n < 1:
        raise ParameterError(f"n = {n} images a side make no manifold: choose 1 or more")
    centres = quantiles(model, [(i + 0.5) / n for i in range(n)])
    z2, z1 = np.meshgrid(centres[::-1], centres, indexing="ij")  # rows are read from the top
    x = model.inverse_transform(np.stack([z1.ravel(), z2.ravel()], axis=1))  # (n², D)
    image_shape = shape_of(model, image_shape)
    if image_shape is None:
        raise ParameterError("this model was not trained on images, which a manifold shows: give "
                             "image_shape=(height, width), or plot samples")
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
        raise ParameterError(f"prior={prior.name!r} has no quantiles of one latent by itself, "
                             "along which it would be shown: plot samples or interpolations")
    p_z = prior.variables.standard(np.zeros(1))
    below, above = p_z.rsample(np.array([[-1.0], [1.0]]))
    z, _ = p_z.transform(p_z.rsample(eps[:, None] if below < above else -eps[:, None]))
    return z[:, 0]


def has_quantiles(model: Any) -> bool:
    """Whether :func:`quantiles` has an answer."""
    prior = resolve_prior(model.prior, resolve_posterior(model.posterior), 1)
    family = prior.variables.family
    return not isinstance(prior, MixturePrior) and len(family.noise) == 1 and not family.joint
