"""Wake-sleep as a scikit-learn-like class."""
from typing import Any

from npvae import random
from npvae.backend import Array
from npvae.errors import ParameterError
from npvae.estimators import building, coding, gradient, scoring
from npvae.estimators.base import GenerativeModel
from npvae.models import WakeSleepModel
from npvae.options import whole_number


class WakeSleep(GenerativeModel):
    """The networks of a :class:`~npvae.VAE`, trained by wake-sleep (Hinton et al. 1995).

    The decoder learns from the data, with z sampled from the encoder; the encoder from dreams, x
    sampled from the decoder. It is judged by the same lower bound, which is what ``loss_and_grad``
    returns as its loss beside the gradients of the wake and of the sleep phase.

    Parameters
    ----------
    latent_dim, hidden, ..., tf32
        As :class:`~npvae.VAE` has them, but for ``estimator``: the bound is that of eq. 7.

    Examples
    --------
    >>> import npvae
    >>> X = npvae.data.load_digits().images
    >>> model = npvae.WakeSleep(latent_dim=2, hidden=(64,), epochs=3, random_state=0).fit(X)
    >>> model.history_["elbo"][0] < model.history_["elbo"][-1]
    True
    """

    has_prior = has_bound = True
    indivisible = "what it dreams is noise of the whole minibatch"

    def __init__(
        self, latent_dim: int = 2, hidden: tuple[int, ...] = (500,), activation: str = "tanh",
        likelihood: Any = "bernoulli", likelihood_mean: str = "linear",
        posterior: Any = "normal", prior: Any = "normal",
        n_samples: int = 1, parameter_prior: bool = False,
        optimizer: Any = "adam", learning_rate: float = 1e-3, batch_size: int = 100,
        epochs: int = 20, backend: str = "numpy", dtype: str = "float32",
        random_state: Any = None, verbose: bool | None = None,
        *, decoder_hidden: tuple[int, ...] | None = None, schedule: Any = "constant",
        binarize: str = "none", clip_norm: float | None = None,
        early_stopping: int | None = None, tf32: bool = False,
        likelihood_std: float | None = None, n_levels: int | None = None,
        initial_std: float | None = None, standardize: bool = True,
        likelihood_variance: str = "latent", noise: str = "independent",
    ):  # fmt: skip
        self._store(locals())

    elbo = scoring.elbo
    iwae_bound = scoring.iwae_bound
    log_likelihood = scoring.log_likelihood
    posterior_of = coding.posterior_of
    sample = coding.sample

    def _check(self) -> None:
        q, p = self._latents()
        if (q.name, p.name) != ("normal", "normal"):
            raise ParameterError(
                f"wake-sleep dreams from N(0, I) and learns a normal q(z|x) from that, not "
                f"posterior={q.name!r} and prior={p.name!r}; choose 'normal' for both, or a VAE"
            )
        building.check_coupling(self)

    def _model(self, n_features: int) -> WakeSleepModel:
        vae = building.vae_model(self, n_features)
        return WakeSleepModel(vae.encoder, vae.decoder, vae.likelihood)

    def loss_and_grad(
        self, X: Any, eps: Array | None = None, dream: int = 0
    ) -> tuple[float, dict[str, Array]]:
        """Minus the lower bound of ``X`` as one minibatch, and what the parameters follow instead.

        Parameters
        ----------
        X : array (M, D)
            Datapoints.
        eps : array (L, M, J), optional
            Noise of the samples of q(z|x), and the latents that are dreamed of; a function of
            ``random_state`` if not given.
        dream : int
            Which sample of the dreamed pixels of p(x|z): that of this step of training, of
            the same ``random_state``.

        Returns
        -------
        loss : float
            Minus the mean lower bound, plus the parameter prior if there is one, in nats per
            datapoint.
        gradient : dict of str to array
            Of the wake loss for the decoder, −log p(x|z), and of the sleep loss for the encoder,
            −log q(z|x); both with the parameter prior if there is one. By name, copies.

        Raises
        ------
        DataError
            If ``X`` or ``eps`` is not finite, of another shape, or out of range.
        ParameterError
            If ``dream`` is no whole number of at least 0.
        NotFittedError
            If there are no parameters yet.
        """
        engine = self._engine()
        whole_number("dream", dream, least=0)
        step = engine.work.constant(dream, 1, dtype="int64")
        return gradient.loss_and_grad_at(self, X, eps, dream=(self.seed_, random.DREAM, step))
