"""The variational auto-encoder as a scikit-learn-like class."""
from collections.abc import Callable, Iterable
from typing import Any

from npvae import evaluation, random
from npvae.distributions import Normal
from npvae.estimators.arguments import one_of, whole_number
from npvae.estimators.base import GenerativeModel
from npvae.memory import Layout
from npvae.models import Penalty, VAEModel, parameter_prior
from npvae.networks import MLP
from npvae.objectives import ESTIMATORS

Array = Any


class VAE(GenerativeModel):
    """Auto-Encoding Variational Bayes (Kingma & Welling 2013).

    Parameters
    ----------
    latent_dim : int
        J, the number of latent variables.
    hidden : tuple of int
        Widths of the encoder's hidden layers, from the data inwards; may be empty.
    decoder_hidden : tuple of int, optional
        Widths of the decoder's, from the latents outwards; the encoder's reversed if None.
    activation : str
        ``"tanh"``, ``"relu"``, ``"sigmoid"``, ``"softplus"``, ``"elu"`` or ``"identity"``.
    likelihood : str
        p(x|z): ``"bernoulli"`` for data in [0, 1], or ``"normal"`` with learned variance.
    likelihood_mean : str
        ``"linear"`` or ``"sigmoid"``: the mean of a normal likelihood.
    posterior, prior : str
        q(z|x) and p(z): ``"normal"``, with diagonal covariance and N(0, I).
    estimator : str
        ``"A"`` (eq. 6) or ``"B"`` (eq. 7).
    n_samples : int
        The paper's L, samples of z a datapoint and step.
    parameter_prior : bool
        Add log N(weights; 0, I) / N to the objective.
    optimizer : str or Optimizer
        ``"adam"``, ``"adamw"``, ``"adagrad"``, ``"rmsprop"``, ``"sgd"``, ``"momentum"``,
        ``"nesterov"``, or one of :mod:`npvae.optim` with other constants.
    schedule : str or Schedule
        Of the learning rate: ``"constant"``, ``"step"``, ``"cosine"`` or ``"warmup"``.
    learning_rate : float
        Before the schedule.
    batch_size, epochs : int
        M, and passes over the data.
    binarize : str
        ``"none"``, ``"threshold"``, ``"fixed"`` or ``"dynamic"``: what becomes of grey pixels.
    clip_norm : float, optional
        Largest norm of the gradient.
    early_stopping : int, optional
        Epochs without a better validation bound after which to stop, at the best parameters.
    backend : str
        ``"numpy"``, ``"cupy"`` or ``"auto"``.
    dtype : str
        ``"float32"`` or ``"float64"``.
    tf32 : bool
        On a GPU, let products of float32 round their factors to ten bits of fraction: faster.
    random_state : int, Generator or None
        Everything random follows from it.
    verbose : bool
        One line an epoch, on a terminal.

    Attributes
    ----------
    history_ : dict of str to list
        One entry an epoch: ``epoch, elbo, reconstruction, kl, samples, seconds`` and, with
        validation data, ``validation_elbo`` and its parts; nats per datapoint.
    n_features_in_ : int
        D.

    Examples
    --------
    >>> import npvae
    >>> X = npvae.data.load_digits().images
    >>> vae = npvae.VAE(latent_dim=2, hidden=(64,), epochs=3, random_state=0).fit(X)
    >>> vae.transform(X).shape, vae.sample(5, rng=0).shape
    ((1797, 2), (5, 64))
    >>> vae.history_["elbo"][0] < vae.history_["elbo"][-1]
    True
    """

    posterior: str
    prior: str
    estimator: str
    parameter_prior: bool

    def __init__(
        self, latent_dim: int = 2, hidden: tuple[int, ...] = (500,), activation: str = "tanh",
        likelihood: str = "bernoulli", likelihood_mean: str = "linear",
        posterior: str = "normal", prior: str = "normal",
        estimator: str = "B", n_samples: int = 1, parameter_prior: bool = False,
        optimizer: Any = "adam", learning_rate: float = 1e-3, batch_size: int = 100,
        epochs: int = 20, backend: str = "numpy", dtype: str = "float32",
        random_state: Any = None, verbose: bool = True,
        *, decoder_hidden: tuple[int, ...] | None = None, schedule: Any = "constant",
        binarize: str = "none", clip_norm: float | None = None,
        early_stopping: int | None = None, tf32: bool = False,
    ):  # fmt: skip
        self._store(locals())

    def _check_params(self) -> None:
        super()._check_params()
        one_of("posterior", self.posterior, ("normal",))
        one_of("prior", self.prior, ("normal",))
        one_of("estimator", self.estimator, ESTIMATORS)

    def _model(self, n_features: int) -> VAEModel:
        J, likelihood = self.latent_dim, self._likelihood()
        encoder_widths, decoder_widths = self._widths()
        q = Normal()
        return VAEModel(
            MLP("encoder", n_features, encoder_widths, q.heads(J), self.activation),
            MLP("decoder", J, decoder_widths, likelihood.heads(n_features), self.activation),
            likelihood,
            ESTIMATORS[self.estimator],
        )

    def _penalty(self, layout: Layout, n_data: int) -> Penalty:
        return parameter_prior(layout.n_weights, n_data) if self.parameter_prior else Penalty()

    def elbo(self, X: Any, eps: Array | None = None) -> evaluation.Elbo:
        """The lower bound of each datapoint and its parts, in nats.

        Parameters
        ----------
        X : array (N, D)
            Datapoints.
        eps : array (L, N, J), optional
            Noise; L = ``n_samples`` draws that depend on ``random_state`` alone if not given.

        Returns
        -------
        Elbo
            ``total``, ``reconstruction`` and ``kl``, each (N,).

        Raises
        ------
        DataError
            If ``X`` or ``eps`` is not finite, of another shape, or out of range.
        NotFittedError
            If there are no parameters yet.
        """
        bound = self._bound(X, eps)
        return evaluation.Elbo(
            self._like(X, bound.total),
            self._like(X, bound.reconstruction),
            self._like(X, bound.kl),
        )

    def sample(self, n: int, rng: Any = None) -> Array:
        """Images from the prior: E[x|z] for ``n`` draws z ~ N(0, I), as in figure 5.   (n, D)

        On the backend's own kind of array, since none goes in.

        Parameters
        ----------
        n : int
            How many.
        rng : int, numpy.random.Generator or None
            Where z comes from.

        Raises
        ------
        ParameterError
            If ``n`` is less than 1, or ``rng`` cannot seed a generator.
        NotFittedError
            If there are no parameters yet.
        """
        engine = self._engine()
        whole_number("n", n)
        Z = random.as_generator(rng).standard_normal((n, engine.model.n_noise))
        with engine.backend.room():
            return evaluation.decode(engine, engine.xp.asarray(Z, dtype=engine.theta.dtype))

    def log_likelihood(
        self, X: Any, n_samples: int = 5000, rng: Any = None,
        progress: Callable[[Iterable], Iterable] = iter,
    ) -> evaluation.LogLikelihood:  # fmt: skip
        """log p(x) of each datapoint by importance sampling, in nats.

        Parameters
        ----------
        X : array (N, D)
            Datapoints.
        n_samples : int
            Samples a datapoint; memory does not grow with it.
        rng : int, numpy.random.Generator or None
            Where the noise comes from.
        progress : callable
            Wraps the iterable of chunks, as tqdm does.

        Returns
        -------
        LogLikelihood
            ``estimate``, ``standard_error`` and ``effective_sample_size``, each (N,).

        Raises
        ------
        ParameterError
            If ``n_samples`` is less than 2, or ``rng`` cannot seed a generator.
        DataError, NotFittedError
            As :meth:`transform`.
        """
        engine = self._engine()
        pixels, scale = self._data(X)
        whole_number("n_samples", n_samples)
        with engine.backend.room():
            result = evaluation.log_likelihood(
                engine, pixels, scale,
                n_samples=n_samples, seed=random.as_seed(rng), progress=progress,
            )  # fmt: skip
        return evaluation.LogLikelihood(
            self._like(X, result.estimate),
            self._like(X, result.standard_error),
            self._like(X, result.effective_sample_size),
            n_samples,
        )
