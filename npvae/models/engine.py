"""A model at work: its mathematics, its parameters and its buffers on one device.

The models of this package are formulas without arrays. An :class:`Engine` gives one the flat
vectors θ and ∂loss/∂θ, named views of both, a workspace, and the objective to train it by.

    loss = objective + ½ · strength · ‖weights‖² + constant

The last two terms are there when weights are penalised: an L2 regulariser, or the paper's
prior N(0, I) on the parameters, which adds −log N(θ; 0, I) / N for each of N datapoints. A model
may have a penalty of another kind in their place.
"""
from dataclasses import replace
from threading import local
from typing import Any

from npvae.backend import Array, Backend
from npvae.distributions.likelihood import Standardizable
from npvae.errors import NumericalError, ParameterError
from npvae.memory import Context, Layout, Views, Workspace, aligned
from npvae.models.model import Model, Noise
from npvae.objectives import ELBO, Loss, Objective
from npvae.ops import Ops
from npvae.ops.elementary import LOG_2PI
from npvae.records import dataclass
from npvae.standardization import Standardization

LOWER_BOUND = ELBO()


@dataclass(frozen=True)
class Penalty:
    """½ · strength · ‖weights‖² + constant, in nats per datapoint."""

    strength: float = 0.0
    constant: float = 0.0

    def value(self, engine: "Engine") -> Array:
        """What it adds to the loss: a number, left on the device."""
        weights = engine.theta[engine.weights]
        return engine.ops.l2(weights, self.strength) + self.constant

    def backward(self, engine: "Engine") -> None:
        """Add its gradient to what the model's backward wrote; nothing where it has no strength."""
        if not self.strength:
            return
        theta, grad = engine.theta[engine.weights], engine.grad[engine.weights]
        scratch = engine.work("update.scratch", engine.theta.size)[engine.weights]
        engine.ops.l2_backward(theta, self.strength, scratch, grad)

    def report(self, engine: "Engine") -> dict[str, float]:
        """What the history tells of it after an epoch, by column."""
        return {}


NO_PENALTY = Penalty()


def parameter_prior(n_weights: int, n_data: int) -> Penalty:
    """−log N(weights; 0, I) / N.

    Examples
    --------
    >>> parameter_prior(n_weights=2, n_data=1)          # log 2π for two weights at zero
    Penalty(strength=1.0, constant=1.8378770664093453)
    """
    return Penalty(1 / n_data, 0.5 * n_weights * LOG_2PI / n_data)


class ThreadBuffers(local):
    """What a thread writes to: a gradient and the buffers of a pass, made when it first asks.

    A thread's are let go when it ends, and all of them with the engine.
    """

    def __init__(self, backend: Backend, layout: Layout, theta: Array):
        # zeros, unlike zeros_like, takes no memory until it is written: a model that only
        # codes and decodes never pays for its gradient
        self.grad = aligned(backend.xp.zeros, theta.size, theta.dtype)
        P, G = layout.views(theta), layout.views(self.grad)
        self.ctx = Context(backend.ops, P, G, Workspace(backend.xp, theta.dtype))
        self.passes: dict[Any, Any] = {}  # over few rows, captured: npvae/evaluation/few_rows.py


class Engine:
    """A model with its arrays.

    Several threads may use one engine at a time: they share the parameters, and each has a context
    of its own.

    Parameters
    ----------
    model : Model
        The mathematics.
    backend : Backend
        Where the arrays live.
    theta : array (P,)
        All parameters; their dtype is that of every computation.
    penalty : Penalty
        On the weights.
    objective : Objective
        What is minimised.
    standardization : Standardization, optional
        Of the data: the model sees x̃, in units of its own, and tells of x.

    Attributes
    ----------
    mine : ThreadBuffers
        Where the thread that asks computes.
    weights : slice
        Where in theta the weights are.
    base : Model
        The model of x̃ alone, as it was given.
    max_width : int
        Numbers of a sample in the widest array of a pass.
    found_finite : bool
        Whether theta was looked through, and nobody was given views of it to write to since.
    """

    def __init__(
        self, model: Model, backend: Backend, theta: Array, penalty: Penalty = NO_PENALTY,
        objective: Objective = LOWER_BOUND, standardization: Standardization | None = None,
    ):  # fmt: skip
        self.model, self.backend, self.penalty, self.objective = model, backend, penalty, objective
        self.xp, self.layout = backend.xp, model.layout()
        self.theta, self.mine = theta, ThreadBuffers(backend, self.layout, theta)
        self.weights = slice(self.layout.n_weights)
        self.max_width = max(self.layout.max_width, model.max_width)
        self.found_finite = False
        self.base = model
        self.standardization: Standardization | None = None
        if standardization is not None:
            self.standardize(standardization)

    def standardize(self, standardization: Standardization) -> None:
        """See data by this standardization from now on.

        Raises
        ------
        ParameterError
            If it is none for data of this model.
        """
        shift, scale = (
            self.backend.asarray(a, "float64")
            for a in (standardization.shift, standardization.scale)
        )
        likelihood, D = self.base.likelihood, self.base.n_features
        if not (isinstance(likelihood, Standardizable) and likelihood.standardizes()):
            raise ParameterError(
                f"{likelihood!r} takes data in their own units; leave the standardization out"
            )
        if shift.shape != (D,) or scale.shape != (D,):
            raise ParameterError(
                f"a standardization of shapes {shift.shape} and {scale.shape} is none of {D} "
                "features; take it from the model that the parameters come from"
            )
        if not bool((self.xp.isfinite(shift) & self.xp.isfinite(scale) & (scale > 0)).all()):
            raise ParameterError(
                "a scale of the standardization is not above 0, or a number in it not finite; take "
                "it from the model that the parameters come from"
            )
        self.model = self.base.with_likelihood(likelihood.standardized(scale))
        self.standardization = Standardization(shift, scale)

    def __reduce__(self) -> Any:
        return Engine, (  # not the buffers
            self.base, self.backend, self.theta, self.penalty, self.objective, self.standardization
        )  # fmt: skip

    @property
    def ctx(self) -> Context:
        """The operations, named views of theta and grad, and the buffers of a pass."""
        return self.mine.ctx

    @property
    def grad(self) -> Array:
        """∂loss/∂θ (P,), as this thread's last backward pass wrote it."""
        return self.mine.grad

    @property
    def ops(self) -> Ops:
        """Those of the context."""
        return self.ctx.ops

    @property
    def P(self) -> Views:
        """Named views of theta."""
        return self.ctx.P

    @property
    def work(self) -> Workspace:
        """The buffers of a pass."""
        return self.ctx.work

    def context(self, work: Workspace) -> Context:
        """The same parameters, with other buffers."""
        return replace(self.ctx, work=work)

    def forward(self, x: Array, noise: Noise) -> Any:
        """x (M, D) → the cache of the model, with the terms that its objective wants."""
        return self.model.forward(self.ctx, x, noise, self.objective.analytic_kl)

    def loss(self, loss: Loss) -> Array:
        """What is minimised: a number in nats per datapoint, left on the device."""
        return self._penalised(loss.nll.mean() + loss.kl.mean())

    def loss_and_grad(self, x: Array, noise: Noise) -> Array:
        """The loss of a minibatch x (M, D); its gradient is left in ``grad``."""
        cache = self.forward(x, noise)
        loss = self.objective(self.ctx, cache.terms)
        value = self.loss(loss)
        self.model.backward(self.ctx, cache, loss.seeds)
        self.penalty.backward(self)
        return value

    def check_parameters(self) -> None:
        """Raise a NumericalError that names the first parameter with NaN or infinity in it."""
        finite = self.xp.isfinite
        if not bool(finite(self.theta).all()):
            named = self.layout.named(self.theta).items()
            name = next(name for name, view in named if not bool(finite(view).all()))
            raise NumericalError(
                f"the parameter {name} holds NaN or infinity; fit the model again, with a lower "
                "learning rate, or load one that was saved before"
            )
        self.found_finite = True

    @property
    def exact(self) -> bool:
        """Whether what :meth:`loss_and_grad` gives is a loss and its derivative."""
        return self.objective.exact and self.model.descends

    def differentiated(self, at: Context, x: Array, noise: Noise) -> Array:
        """What ``grad`` is the derivative of: the loss, or a surrogate.

        Of a surrogate all that is held, samples and their weights, is held at the parameters of
        ``at``.
        """
        if self.exact:
            return self.loss(self.objective(self.ctx, self.forward(x, noise).terms))
        cache = self.model.forward(at, x, noise, self.objective.analytic_kl)
        seeds = self.objective(at, cache.terms).seeds
        if self.objective.analytic_kl and self.model.descends:  # no row of coefficients: all by z
            terms = self.forward(x, noise).terms
            kl = seeds.kl * terms.kl
            return self._penalised((seeds.theta * terms.nll).sum() + kl.sum())
        return self._penalised(self.model.surrogate(self.ctx, at, x, noise, seeds))

    def _penalised(self, loss: Array) -> Array:
        return loss + self.penalty.value(self) if self.penalty.strength else loss
