"""What the constructor's arguments describe: a network, a likelihood, a way to train.

scikit-learn's conventions hold: the constructor stores its arguments and checks nothing, and
``fit`` checks them. On this page they are checked, and turned into what they name.
"""
from collections.abc import Callable
from typing import Any

from npvae.backend import array_module
from npvae.data import Dataset, check_data
from npvae.distributions import Likelihood
from npvae.distributions.likelihoods import LIKELIHOODS, likelihood
from npvae.errors import ParameterError
from npvae.estimators.arguments import flag, named, one_of, positive, whole_number, widths
from npvae.estimators.params import Parametrized
from npvae.memory import Layout
from npvae.models import Model, Penalty
from npvae.objectives import KLTerm
from npvae.ops import ACTIVATIONS
from npvae.optim import OPTIMIZERS, SCHEDULES, Optimizer, Schedule
from npvae.training import BINARIZE, Course

Array = Any


class Configured(Parametrized):
    """A model as its constructor's arguments describe it; without parameters as yet."""

    # Constructor arguments that every subclass stores.
    latent_dim: int
    hidden: Any
    decoder_hidden: Any
    activation: str
    likelihood: str
    likelihood_mean: str
    likelihood_std: float | None
    n_levels: int | None
    initial_std: float | None
    optimizer: Any
    schedule: Any
    learning_rate: float
    batch_size: int
    epochs: int
    binarize: str
    clip_norm: float | None
    early_stopping: int | None
    backend: str
    tf32: bool
    dtype: str
    random_state: Any
    verbose: bool
    n_samples: int = 1

    # ---- what a subclass supplies

    def _model(self, n_features: int) -> Model:
        raise NotImplementedError

    def _penalty(self, layout: Layout, n_data: int) -> Penalty:
        raise NotImplementedError

    def _kl_term(self) -> KLTerm:
        """How the KL enters what is minimised; as in the lower bound."""
        return KLTerm()

    def _course(self) -> Callable[..., Course]:
        """What makes the course of training of state, batches and recipe."""
        return Course

    # ---- checking

    def _check_params(self) -> None:
        """Raise a ParameterError for the first constructor argument that cannot be used."""
        for name in ("latent_dim", "batch_size", "epochs", "n_samples"):
            whole_number(name, getattr(self, name))
        self._widths()
        for name in ("parameter_prior", "tf32"):
            flag(name, getattr(self, name, False))
        one_of("activation", self.activation, ACTIVATIONS)
        self._check_likelihood()
        one_of("binarize", self.binarize, BINARIZE)
        one_of("dtype", self.dtype, ("float32", "float64"))
        self._optimizer()
        self._schedule()
        positive("learning_rate", self.learning_rate)
        if self.initial_std is not None:
            positive("initial_std", self.initial_std)
        if self.clip_norm is not None:
            positive("clip_norm", self.clip_norm)
        if self.early_stopping is not None:
            whole_number("early_stopping", self.early_stopping)

    def _widths(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Hidden widths of encoder and decoder."""
        encoder = widths("hidden", self.hidden)
        if self.decoder_hidden is None:
            return encoder, encoder[::-1]
        return encoder, widths("decoder_hidden", self.decoder_hidden)

    def _check_likelihood(self) -> None:
        """Raise a ParameterError unless the likelihood is known and has the options given."""
        name, K = self.likelihood, self.n_levels
        one_of("likelihood", name, LIKELIHOODS)
        one_of("likelihood_mean", self.likelihood_mean, ("linear", "sigmoid"))
        if self.likelihood_mean == "sigmoid" and name not in ("normal", "bernoulli"):
            raise ParameterError(  # a Bernoulli's mean is one anyhow
                f"likelihood_mean='sigmoid' is for likelihood='normal'; the mean of {name!r} has "
                "no such choice, so leave it 'linear'"
            )
        if self.likelihood_std is not None:
            positive("likelihood_std", self.likelihood_std)
            if name != "normal":
                raise ParameterError(
                    f"likelihood_std={self.likelihood_std} is that of likelihood='normal'; "
                    f"likelihood={name!r} has none to set"
                )
        if K is None and name == "categorical":
            raise ParameterError(
                "n_levels=None leaves likelihood='categorical' without categories; set n_levels "
                "to how many levels a feature has, or choose 'discretized-logistic'"
            )
        if K is not None:
            whole_number("n_levels", K)
            if K < 2 or name not in ("categorical", "discretized-logistic"):
                raise ParameterError(
                    f"n_levels={K} must be 2 or more, and is for likelihood='categorical' or "
                    f"'discretized-logistic', not {name!r}"
                )

    def _likelihood(self) -> Likelihood:
        return likelihood(
            self.likelihood, self.likelihood_mean == "sigmoid", self.likelihood_std, self.n_levels
        )

    def _optimizer(self) -> Optimizer:
        return named("optimizer", self.optimizer, OPTIMIZERS)

    def _schedule(self) -> Schedule:
        return named("schedule", self.schedule, SCHEDULES)

    def _check_data(self, X: Any, n_features: int | None) -> tuple[Array, float]:
        support = self._likelihood().support
        if isinstance(X, Dataset):
            return check_data(X.pixels, n_features, support, X.scale, name=X.name), X.scale
        return check_data(X, n_features, support, xp=array_module(X)), 1.0
