"""Full variational Bayes as a scikit-learn-like class."""
from typing import Any, Self

import numpy as np

from npvae import random
from npvae.backend import Array, array_module, is_device_array
from npvae.errors import DataError
from npvae.estimators import building, coding, gradient, scoring
from npvae.estimators.base import GenerativeModel
from npvae.memory import Layout
from npvae.models import FullVBModel, ParameterKL

LOGVAR = -6.0  # log σ_θ² at first: small beside the weights, and within reach of what it should be


class FullVB(GenerativeModel):
    """A VAE with a distribution over its decoder's parameters too (the paper's appendix F).

    Every weight and bias of the decoder has the prior N(0, 1) and a posterior N(μ_θ, σ_θ²), and a
    step of training samples them all once. The KL divergence of the two, over N, is part of the
    loss and told apart from the bound: ``history_["parameter_kl"]`` and :attr:`parameter_kl`.

    What codes, decodes, samples and scores is the decoder at μ_θ, so all of that is as a
    :class:`~npvae.VAE` of these parameters would do it; but ``history_["elbo"]`` is the mean over
    the steps of an epoch, at the parameters that each of them sampled.

    Parameters
    ----------
    latent_dim, hidden, ..., tf32
        As :class:`~npvae.VAE` has them, but for ``parameter_prior``, which is inherent, and for
        the priors that learn.

    Examples
    --------
    >>> import npvae
    >>> X = npvae.data.load_digits().images
    >>> model = npvae.FullVB(latent_dim=2, hidden=(64,), epochs=3, random_state=0).fit(X)
    >>> model.history_["elbo"][0] < model.history_["elbo"][-1]
    True
    >>> model.parameters["decoder.logits.weight.logvar"].shape
    (64, 64)
    """

    has_prior = has_bound = True

    def __init__(
        self, latent_dim: int = 2, hidden: tuple[int, ...] = (500,), activation: str = "tanh",
        likelihood: Any = "bernoulli", likelihood_mean: str = "linear",
        posterior: Any = "normal", prior: Any = "normal",
        estimator: Any = "B", n_samples: int = 1,
        optimizer: Any = "adam", learning_rate: float = 1e-3, batch_size: int = 100,
        epochs: int = 20, backend: str = "numpy", dtype: str = "float32",
        random_state: Any = None, verbose: bool | None = None,
        *, decoder_hidden: tuple[int, ...] | None = None, schedule: Any = "constant",
        binarize: str = "none", clip_norm: float | None = None,
        early_stopping: int | None = None, tf32: bool = False,
        kl_weight: float = 1.0, kl_warmup: int = 0, free_bits: float = 0.0,
        likelihood_std: float | None = None, n_levels: int | None = None,
        initial_std: float | None = None, standardize: bool = True,
        likelihood_variance: str = "latent", noise: str = "independent",
    ):  # fmt: skip
        self._store(locals())

    _check = building.check_bound

    elbo = scoring.elbo
    iwae_bound = scoring.iwae_bound
    log_likelihood = scoring.log_likelihood
    posterior_of = coding.posterior_of
    sample = coding.sample

    def _model(self, n_features: int) -> FullVBModel:
        return FullVBModel(**vars(building.vae_model(self, n_features)))

    def _penalty(self, layout: Layout, n_data: int) -> ParameterKL:
        return ParameterKL(1 / n_data)

    def initialize(self, n_features: int) -> Self:
        """As :meth:`npvae.VAE.initialize`, and every log σ_θ² at its first value."""
        super().initialize(n_features)
        engine = self.engine_
        with engine.backend.oom_guard():
            engine.P["theta.logvar"][...] = LOGVAR
        return self

    @property
    def parameter_kl(self) -> float:
        """KL(q(θ)‖p(θ)) / N, nats per datapoint, which is no part of the ``elbo``.

        N is that of the last training; 1 before it.

        Raises
        ------
        NotFittedError
            If there are no parameters yet.
        """
        engine = self._ready_engine()
        with engine.backend.oom_guard():
            return float(engine.penalty.value(engine))

    def loss_and_grad(
        self, X: Any, eps: Array | None = None, zeta: Array | None = None
    ) -> tuple[float, dict[str, Array]]:
        """The training loss of ``X`` as one minibatch, and its gradient.

        Parameters
        ----------
        X : array (M, D)
            Datapoints.
        eps : array (L, M, J), optional
            Noise of the latents; a function of ``random_state`` if not given.
        zeta : array (Q,), optional
            Noise of the decoder's Q parameters, in the order of :attr:`parameters`; that of the
            first step of training if not given.

        Returns
        -------
        loss : float
            Minus the mean lower bound over ``X`` at θ = μ_θ + σ_θ ζ, plus :attr:`parameter_kl`,
            in nats per datapoint.
        gradient : dict of str to array
            ∂loss/∂parameter by name, copies.

        Raises
        ------
        DataError
            If ``X``, ``eps`` or ``zeta`` is not finite, of another shape, or out of range.
        NotFittedError
            If there are no parameters yet.
        """
        engine = self._engine()
        Q = engine.P["theta.mu"].size
        if zeta is None:
            zeta = random.normal(self.seed_, random.PARAMETERS, 0, Q)
        zeta = zeta if is_device_array(zeta) else np.asarray(zeta)
        if zeta.shape != (Q,) or not bool(array_module(zeta).isfinite(zeta).all()):
            raise DataError(f"zeta of shape {zeta.shape} must be ({Q},), all finite")
        with engine.backend.oom_guard():
            zeta = engine.backend.asarray(zeta, engine.theta.dtype)
        return gradient.loss_and_grad_at(self, X, eps, zeta=zeta)
