"""Pictures of a model and of its training, as matplotlib figures.

Each function returns a ``matplotlib.figure.Figure`` that belongs to the caller: nothing global
is read or changed, and no window opens. matplotlib is the extra ``plot``, loaded by the first
picture and not by this import.

A model is anything with the public surface: ``transform``, ``inverse_transform``, ``latent_dim``
and ``image_shape_``; ``sample`` where ``has_prior``, and ``posterior_of`` where ``has_bound``. Data
are arrays or a :class:`~npvae.data.Dataset`. In a notebook a figure that ends a cell is shown.
"""
from npvae.plotting.curves import learning_curve, learning_curves
from npvae.plotting.data_space import reconstructions, samples
from npvae.plotting.estimators import gradient_estimators
from npvae.plotting.experiments import Trace, experiment, sheets
from npvae.plotting.gradient_flow import gradient_flow
from npvae.plotting.latent_space import latent_scatter
from npvae.plotting.manifold import manifold, manifold_pixels
from npvae.plotting.mistakes import mistakes
from npvae.plotting.run import write_plots
from npvae.plotting.style import save
from npvae.plotting.sweep import sweep
from npvae.plotting.tiles import tile
from npvae.plotting.traversal import interpolations, traversals

__all__ = [
    "Trace",
    "experiment",
    "gradient_estimators",
    "gradient_flow",
    "interpolations",
    "latent_scatter",
    "learning_curve",
    "learning_curves",
    "manifold",
    "manifold_pixels",
    "mistakes",
    "reconstructions",
    "samples",
    "save",
    "sheets",
    "sweep",
    "tile",
    "traversals",
    "write_plots",
]


def __dir__() -> list[str]:
    return __all__
