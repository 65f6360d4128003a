"""The explorer: a latent space to move through by hand, decoded while one looks."""
from typing import Any

import numpy as np

from npvae.backend import to_numpy
from npvae.data import Dataset
from npvae.errors import DataError, ParameterError
from npvae.estimators import VAE, WakeSleep
from npvae.estimators.coding import data_of
from npvae.explain.page import pack, page
from npvae.explain.weights import describe
from npvae.plotting.inputs import read_labels, shape_of

Model = VAE | WakeSleep
N_PRIOR = 2000  # samples of the prior, where there are no data
N_DECODED = 1000  # codes that are decoded for the range of each feature


def explore(
    model: Model, data: Any = None, labels: Any = None, embed_data: bool = False
) -> str:
    """A page to explore the latent space of a model with: one file of HTML.

    Whoever opens it moves through a plane of the latent space and sees E[x|z]; chooses a datapoint,
    or draws one, and sees q(z|x), its reconstruction and its ELBO; goes from one point to another;
    and saves what they see. The page computes all of it, from the model that is in it.

    Parameters
    ----------
    model : VAE or WakeSleep
        As :func:`describe` takes it.
    data : array (N, D) or Dataset, optional
        Of which the page has codes: mean and log variance of q(z|x), and ELBO, of each. If
        not given it has 2,000 samples of the prior.
    labels : array (N,), optional
        Shown by colour; those of a Dataset if not given.
    embed_data : bool
        Whether the page holds the data too, and shows a datapoint beside its reconstruction.

    Returns
    -------
    str
        HTML, to be written as UTF-8.

    Raises
    ------
    ParameterError
        If a page cannot hold such a model, or ``embed_data`` has no data to put in.
    DataError
        If there is not one label a datapoint; or as :meth:`npvae.VAE.transform`.
    NotFittedError, NumericalError
        As :meth:`npvae.VAE.transform`.

    Examples
    --------
    >>> import npvae
    >>> vae = npvae.VAE(latent_dim=2, hidden=(8,)).initialize(64)
    >>> explore(vae)[:15]
    '<!DOCTYPE html>'
    """
    described = describe(model)  # before all else: it may be refused
    if embed_data and data is None:
        raise ParameterError("there are no data to put into the page; name some, with data= or "
                             "--data")  # fmt: skip
    shape = shape_of(model, None, data)
    points = _prior(model) if data is None else _codes(model, data, labels, embed_data)
    name = data.name if isinstance(data, Dataset) else ""
    z = points.pop("z")
    some = z[np.linspace(0, len(z) - 1, min(len(z), N_DECODED)).astype(int)]
    x = to_numpy(model.inverse_transform(some))  # (n, D)
    counts = described["likelihood"]["name"] == "poisson"
    return page("explore", f"Latent space of {name}" if name else "Latent space", {
        "model": described | {"image_shape": shape},
        "points": points,
        "low": [] if shape else x.min(axis=0).tolist(),  # of each feature
        "high": [] if shape else x.max(axis=0).tolist(),
        "white": (float(x.max()) if counts else 0) or 1.0,  # of an image
        "binarized": model._name("binarize") != "none",
    })  # fmt: skip


def _prior(model: Model) -> dict[str, Any]:
    """Samples of the prior, which have no posterior."""
    z = np.random.default_rng(0).standard_normal((N_PRIOR, model.latent_dim), np.float32)
    return {"z": z, "n": len(z), "mean": pack(z)} | _labels(None, len(z))


def _codes(model: Model, data: Any, labels: Any, embed_data: bool) -> dict[str, Any]:
    """What the page knows of the data: the columns of ``npvae encode``."""
    q = model.posterior_of(data).parameters
    z, logvar, elbo = map(to_numpy, (q["mu"], q["logvar"], model.score_samples(data)))
    if labels is None and isinstance(data, Dataset):
        labels = data.labels
    N, given = len(z), np.shape(labels)
    if labels is not None and given != (N,):
        raise DataError(f"labels of shape {given} are not one for each of {N} datapoints; "
                        "give as many")  # fmt: skip
    found = {"z": z, "n": N, "mean": pack(z), "logvar": pack(logvar), "elbo": pack(elbo)}
    if embed_data:
        pixels, scale = data_of(model, data)
        rows = to_numpy(pixels[:N])  # dense, if they were not
        stored = rows.dtype.name in ("uint8", "float32", "float64")
        found |= {"rows": pack(rows if stored else rows.astype(float)), "scale": float(scale)}
    return found | _labels(labels, N)


def _labels(labels: Any, n: int) -> dict[str, Any]:
    """Names, and which each point has; or without names a value of each on a scale."""
    names, values = read_labels(labels, n)
    return {"names": names, "labels": pack(values.astype(np.int32 if names else np.float32))}
