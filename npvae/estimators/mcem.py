"""Monte Carlo EM as a scikit-learn-like class."""
from collections.abc import Callable
from functools import partial
from typing import Any, Self
from warnings import warn

from npvae import evaluation
from npvae.backend import Array
from npvae.errors import ParameterError
from npvae.estimators import building, coding, feature_names, gradient, scoring, training
from npvae.estimators.base import GenerativeModel
from npvae.models import MCEMModel
from npvae.training.monte_carlo import MonteCarloEM, chain_warning, new_chains


class MCEM(GenerativeModel):
    """The decoder of a :class:`~npvae.VAE`, trained by Monte Carlo EM (appendix E).

    There is no encoder, and so no lower bound. Each datapoint has a Markov chain instead, which
    starts at the prior and lives as long as the training. In a step the chains of a minibatch
    move once by Hamiltonian Monte Carlo, to sample p(z|x), and the parameters are updated along
    the gradient of log p(x, z) with that sample.

    Parameters
    ----------
    hidden : tuple of int
        Widths of the hidden layers from the data inwards, as for a VAE: the decoder goes through
        them in reverse.
    n_leapfrog : int
        Leapfrog steps of a move; their size is tuned to an acceptance of 90 %.
    n_updates : int
        Updates of the parameters with one sample. The paper's 5 are for black and white; where a
        variance is learned take 1, or it shrinks to what this very sample leaves over.
    latent_dim, activation, ..., tf32
        As :class:`~npvae.VAE` has them. ``binarize="dynamic"`` is not possible: a chain cannot
        follow a datapoint that is another one at every step.

    Attributes
    ----------
    history_ : dict of str to list
        One entry an epoch: ``epoch, log_joint, reconstruction, log_prior, acceptance,
        divergences, step_size, samples, seconds``. Nats per datapoint, of log p(x, z) =
        log p(x|z) + log p(z) at the samples: neither log p(x) nor a bound of it.
    n_features_in_ : int
        D.

    Examples
    --------
    >>> import npvae
    >>> X = npvae.data.load_digits().images[:500]
    >>> model = npvae.MCEM(latent_dim=2, hidden=(64,), epochs=3, random_state=0).fit(X)
    >>> model.transform(X[:10]).shape, model.sample(5, rng=0).shape
    ((10, 2), (5, 64))
    >>> model.history_["reconstruction"][0] < model.history_["reconstruction"][-1]
    True
    """

    n_leapfrog: int
    n_updates: int
    has_prior = True
    takes_validation = False
    in_memory = True  # as its chains are
    indivisible = "its Markov chains lie with the process that moves them"
    _noise_name = "z"

    def __init__(
        self, latent_dim: int = 2, hidden: tuple[int, ...] = (500,), activation: str = "tanh",
        likelihood: Any = "bernoulli", likelihood_mean: str = "linear",
        n_leapfrog: int = 10, n_updates: int = 5, parameter_prior: bool = False,
        optimizer: Any = "adam", learning_rate: float = 1e-3, batch_size: int = 100,
        epochs: int = 20, backend: str = "numpy", dtype: str = "float32",
        random_state: Any = None, verbose: bool | None = None,
        *, schedule: Any = "constant", binarize: str = "none", clip_norm: float | None = None,
        tf32: bool = False, likelihood_std: float | None = None, n_levels: int | None = None,
        initial_std: float | None = None, standardize: bool = True,
        likelihood_variance: str = "latent",
    ):  # fmt: skip
        self._store(locals())

    log_likelihood = scoring.log_likelihood
    sample = coding.sample

    def _check(self) -> None:
        if self._name("binarize") == "dynamic":
            raise ParameterError(
                "binarize='dynamic' makes a datapoint another one at every step, which its chain "
                "cannot follow; choose 'fixed'"
            )

    def _model(self, n_features: int) -> MCEMModel:
        return MCEMModel(building.decoder(self, n_features), self._likelihood(), n_features)

    # ---- training

    def _set_n_data(self, n_data: int) -> None:
        super()._set_n_data(n_data)
        state = self._state
        if len(state.chains.get("z", ())) != n_data:
            with self.engine_.backend.oom_guard():
                state.chains = new_chains(self.engine_, n_data, self.seed_, state.step)

    def _make_step(self) -> Callable[..., MonteCarloEM]:
        return partial(MonteCarloEM, n_leapfrog=self.n_leapfrog, n_updates=self.n_updates)

    def fit(self, X: Any, y: Any = None, *, validation: Any = None, **options: Any) -> Self:
        """Train on ``X`` from new parameters, with new chains.

        Parameters, errors and the checkpoint are those of :meth:`npvae.VAE.fit`, but for
        ``validation``: there is no bound of held-out data to compute after every epoch.

        Raises
        ------
        ParameterError
            If ``validation`` is given.
        NumericalError
            If the chains do not move.

        Warns
        -----
        UserWarning
            If at the end the chains are no samples of p(z|x) to rely on.
        """
        if validation is not None:
            raise ParameterError(
                "an MCEM has no encoder, and so no bound of validation data; leave them out, and "
                "call log_likelihood after training"
            )
        return training.fit(self, X, y, **options)._warn_of_chains()

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """One more pass over ``X``, in minibatches, from the parameters there are.

        The chains of the last call go on if they are as many as there are datapoints now; these
        are taken to be the same. Otherwise new chains start at the prior, and it takes some
        passes until they have found p(z|x).

        Raises
        ------
        DataError, ParameterError, NumericalError
            As :meth:`fit`; any number of datapoints will do.
        """
        return training.partial_fit(self, X, y)._warn_of_chains()

    def _warn_of_chains(self) -> Self:
        """Warn of chains that mixed badly."""
        if what := chain_warning(self._state.chains):
            warn(what, stacklevel=3)
        return self

    # ---- coding

    def transform(self, X: Any) -> Any:
        """Posterior means of z by annealed chains, with the same noise at every call.

        Slow beside an encoder: each datapoint takes thousands of passes through the decoder. Its
        8 chains find the best of many modes as a rule.   X (N, D) → (N, J)

        Raises
        ------
        DataError
            If ``X`` is not finite, of another width, or outside the likelihood's range.
        NotFittedError
            If there are no parameters yet.
        NumericalError
            If the chains of a datapoint do not move.
        """
        pixels, scale = coding.data_of(self, X)
        with self.engine_.backend.oom_guard():
            means = evaluation.posterior_means(
                self.engine_, pixels, scale, n_leapfrog=self.n_leapfrog, seed=self.seed_
            )
            return feature_names.as_asked(self, X, coding.as_input_type(X, means))

    # ---- the likelihood

    def score_samples(self, X: Any, n_samples: int | None = None) -> Array:
        """log p(x) of each datapoint in nats, by annealed chains.   X (N, D) → (N,)

        The noise follows from ``random_state`` and a row's values, the temperatures are 100:
        :meth:`log_likelihood` tells the error, and takes more.

        Parameters
        ----------
        X : array (N, D)
            Datapoints; binarised as in training.
        n_samples : int, optional
            Chains a datapoint; 16 if not given.

        Raises
        ------
        NumericalError
            If the chains do not move.
        DataError, ParameterError, NotFittedError
            As :meth:`log_likelihood`.
        """
        self._engine()
        return self.log_likelihood(X, n_samples, rng=self.seed_, n_temperatures=100).estimate

    def score(self, X: Any, y: Any = None, n_samples: int | None = None) -> float:
        """The mean of :meth:`score_samples`, in nats per datapoint."""
        return float(self.score_samples(X, n_samples).mean())

    # ---- the gradient

    def loss_and_grad(self, X: Any, z: Array | None = None) -> tuple[float, dict[str, Array]]:
        """Minus the mean log p(x, z) over ``X`` as one minibatch, and its gradient.

        Parameters
        ----------
        X : array (M, D)
            Datapoints.
        z : array (L, M, J), optional
            Latents, L of each datapoint; samples of the prior if not given.

        Returns
        -------
        loss : float
            Minus the mean log p(x, z), plus what is put on the weights, in nats per datapoint.
        gradient : dict of str to array
            ∂loss/∂parameter by name, copies.

        Raises
        ------
        DataError
            If ``X`` or ``z`` is not finite, of another shape, or out of range.
        NotFittedError
            If there are no parameters yet.
        """
        return gradient.loss_and_grad_at(self, X, z)
