"""The pictures of a run folder."""
from dataclasses import replace
from pathlib import Path
from typing import Any

from npvae.data import Dataset
from npvae.errors import ModelFileError
from npvae.io.atomic import StrPath
from npvae.plotting.curves import History, learning_curve
from npvae.plotting.data_space import reconstructions, samples
from npvae.plotting.latent_space import latent_scatter
from npvae.plotting.manifold import has_quantiles, manifold
from npvae.plotting.style import save

FEW = 200  # where there is no encoder, and a code is the mean of a chain
MOST = 5000  # datapoints that are encoded: enough to see, and within memory for any data set


def write_plots(
    model: Any, history: History, dataset: Dataset, folder: StrPath, training: Dataset | None = None
) -> list[Path]:  # fmt: skip
    """Write every picture that this model, its history and its data allow.

    Parameters
    ----------
    model : VAE, Autoencoder or the like
        Fitted. Where it declares ``has_prior`` False there is none to sample from or
        to show the manifold of.
    history : dict of lists
        As :func:`learning_curve` takes it; an empty one is passed over.
    dataset : Dataset
        Best held-out data. Of more than 5,000 datapoints, evenly spaced ones are used.
    folder : str or path-like
        Made if it is not there.
    training : Dataset, optional
        Shown faintly in the latent space.

    Returns
    -------
    list of pathlib.Path
        Of ``learning_curve.png``, ``reconstructions.png``, ``samples.png``, ``manifold.png``
        and ``latent.png``, those that apply; older pictures of these names are replaced.

    Raises
    ------
    ModelFileError
        If the folder cannot be made or written to.
    MissingExtraError
        Without matplotlib.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelFileError(f"{folder}: cannot be made: {error.strerror or error}; "
                             "choose a folder that you may write to") from error
    most = MOST if model.takes_validation else FEW
    dataset = _thinned(dataset, most)
    shape, written = dataset.image_shape, list[Path]()
    is_cloud = shape is None and dataset.pixels.shape[1] in (2, 3)

    def write(name: str, fig: Any) -> None:
        written.append(save(fig, folder / f"{name}.png"))

    if history.get("epoch"):
        write("learning_curve", learning_curve(history))
    write("reconstructions", reconstructions(model, dataset))
    if model.has_prior:
        write("samples", samples(model, shape, n=2000 if is_cloud else 100))
        if shape and model.latent_dim == 2 and has_quantiles(model):
            write("manifold", manifold(model, shape))
    below = None if training is None else _thinned(training, most)
    write("latent", latent_scatter(model, dataset, training=below))
    return written


def _thinned(dataset: Dataset, most: int) -> Dataset:
    """At most that many datapoints, evenly spaced."""
    every = -(-len(dataset) // most)
    labels = None if dataset.labels is None else dataset.labels[::every]
    return replace(dataset, pixels=dataset.pixels[::every], labels=labels)
