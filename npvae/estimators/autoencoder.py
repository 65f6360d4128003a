"""The plain auto-encoder as a scikit-learn-like class."""
from typing import Any

from npvae.estimators import building, gradient
from npvae.estimators.base import GenerativeModel
from npvae.memory import Layout
from npvae.models import AutoencoderModel, Penalty


class Autoencoder(GenerativeModel):
    """Encoder, code, decoder: reconstruction error plus ½ · l2 · ‖weights‖².

    It has no prior and no noise, so it codes and decodes but neither samples nor bounds a
    likelihood: ``score`` is minus the reconstruction error, in nats per datapoint. All
    parameters but ``l2`` are those of :class:`npvae.VAE`.

    Parameters
    ----------
    l2 : float
        Strength of the penalty on the weights.

    Examples
    --------
    >>> import npvae
    >>> X = npvae.data.load_digits().images
    >>> ae = npvae.Autoencoder(latent_dim=2, hidden=(64,), epochs=3, random_state=0).fit(X)
    >>> ae.inverse_transform(ae.transform(X)).shape
    (1797, 64)
    """

    l2: float

    def __init__(
        self, latent_dim: int = 2, hidden: tuple[int, ...] = (500,), activation: str = "tanh",
        likelihood: Any = "bernoulli", likelihood_mean: str = "linear", l2: float = 1e-5,
        optimizer: Any = "adam", learning_rate: float = 1e-3, batch_size: int = 100,
        epochs: int = 20, backend: str = "numpy", dtype: str = "float32",
        random_state: Any = None, verbose: bool | None = None,
        *, decoder_hidden: tuple[int, ...] | None = None, schedule: Any = "constant",
        binarize: str = "none", clip_norm: float | None = None,
        early_stopping: int | None = None, tf32: bool = False,
        likelihood_std: float | None = None, n_levels: int | None = None,
        initial_std: float | None = None, standardize: bool = True,
        likelihood_variance: str = "latent",
    ):  # fmt: skip
        self._store(locals())

    def _model(self, n_features: int) -> AutoencoderModel:
        encoder = building.encoder(self, n_features, {"code": self.latent_dim})
        return AutoencoderModel(encoder, building.decoder(self, n_features), self._likelihood())

    loss_and_grad = gradient.loss_and_grad

    def _penalty(self, layout: Layout, n_data: int) -> Penalty:
        return Penalty(self.l2)
