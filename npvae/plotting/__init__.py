"""Pictures of a model and of its training, as matplotlib figures.

Each function returns a ``matplotlib.figure.Figure`` that belongs to the caller: nothing global
is read or changed, and no window opens. matplotlib is the extra ``plot``, loaded by the first
picture and not by this import.

A model is anything with the public surface: ``transform``, ``inverse_transform`` and
``latent_dim``, and ``sample`` where it has a prior.
"""
from npvae.plotting.curves import learning_curve
from npvae.plotting.data_space import reconstructions, samples
from npvae.plotting.experiments import Trace, experiment, sheets
from npvae.plotting.latent_space import latent_scatter
from npvae.plotting.manifold import manifold, manifold_pixels
from npvae.plotting.run import write_plots
from npvae.plotting.style import save
from npvae.plotting.tiles import tile
from npvae.plotting.traversal import interpolations, traversals

__all__ = [
    "Trace",
    "experiment",
    "interpolations",
    "latent_scatter",
    "learning_curve",
    "manifold",
    "manifold_pixels",
    "reconstructions",
    "samples",
    "save",
    "sheets",
    "tile",
    "traversals",
    "write_plots",
]


def __dir__() -> list[str]:
    return __all__
