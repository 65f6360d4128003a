"""A model at work: its mathematics, its parameters and its buffers on one device.

The models of this room are formulas without arrays. An :class:`Engine` gives one the flat
vectors θ and ∂loss/∂θ, named views of both, and a workspace; training, evaluation and the
gradient checker all drive it by the same three calls.

    loss = mean_m (mean_l nll + mean_l kl) + ½ · strength · ‖weights‖² + constant

The KL may enter with a weight and with free bits, which are the engine's and no part of a model:
whatever is minimised, a forward pass gives the terms of the lower bound.

The last two terms are there when weights are penalised: an L2 regulariser, or the paper's
prior N(0, I) on the parameters, which adds −log N(θ; 0, I) / N for each of N datapoints. A model
may have a penalty of another kind in their place.
"""
from dataclasses import dataclass
from math import log, pi
from typing import Any, Protocol

from npvae.backend import Array, Backend
from npvae.memory import Layout, Views, Workspace, aligned
from npvae.models.vae import Pass
from npvae.networks import MLP
from npvae.objectives import Draw, KLTerm
from npvae.objectives.kl_term import PLAIN
from npvae.ops import Ops


class Model(Protocol):
    """What an engine asks of a model's mathematics."""

    @property
    def n_features(self) -> int:
        """Width of the data, D."""

    @property
    def decoder(self) -> MLP:
        """z → heads of the likelihood."""

    @property
    def n_noise(self) -> int:
        """Noise variables a sample."""

    def layout(self) -> Layout:
        """Names and shapes of all parameters."""

    def forward(
        self, ops: Ops, P: Views, x: Array, eps: Array, work: Workspace, draw: Draw = None
    ) -> Pass:
        """The terms of the loss."""

    def backward(
        self, ops: Ops, P: Views, G: Views, x: Array, eps: Array, kept: Pass, work: Workspace
    ) -> None:
        """The gradient of their mean, written into G; of the KL as ``kept.weighed`` has it."""

    def decode(self, ops: Ops, P: Views, z: Array, work: Workspace, out: Array) -> None:
        """z (M, J) → E[x|z], written into ``out`` (M, D)."""


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
        """Add its gradient to what the model's backward wrote."""
        theta, grad = engine.theta[engine.weights], engine.grad[engine.weights]
        scratch = engine.work("update.scratch", engine.theta.size)[engine.weights]
        engine.ops.l2_backward(theta, self.strength, scratch, grad)

    def report(self, engine: "Engine") -> dict[str, float]:
        """What the history tells of it after an epoch, by column."""
        return {}


def parameter_prior(n_weights: int, n_data: int) -> Penalty:
    """−log N(weights; 0, I) / N.

    Examples
    --------
    >>> parameter_prior(n_weights=2, n_data=1)          # log 2π for two weights at zero
    Penalty(strength=1.0, constant=1.8378770664093453)
    """
    return Penalty(1 / n_data, 0.5 * n_weights * log(2 * pi) / n_data)


class Engine:
    """A model with its arrays.

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
    kl_term : KLTerm
        How the KL enters the loss.

    Attributes
    ----------
    grad : array (P,)
        ∂loss/∂θ, as the last :meth:`backward` wrote it.
    P, G : dict of str to array
        Named views of theta and grad.
    work : Workspace
        The buffers of a step.
    weights : slice
        Where in theta the weights are.
    """

    def __init__(
        self, model: Model, backend: Backend, theta: Array, penalty: Penalty = Penalty(),
        kl_term: KLTerm = PLAIN,
    ):  # fmt: skip
        self.model, self.backend, self.penalty, self.kl_term = model, backend, penalty, kl_term
        self.ops, self.xp = backend.ops, backend.xp
        self.layout = model.layout()
        # zeros, unlike zeros_like, takes no memory until it is written: a model that only
        # codes and decodes never pays for its gradient
        self.theta, self.grad = theta, aligned(self.xp.zeros, theta.size, theta.dtype)
        self.P, self.G = self.layout.views(self.theta), self.layout.views(self.grad)
        self.work = Workspace(self.xp, theta.dtype)
        self.weights = slice(self.layout.n_weights)

    def __reduce__(self) -> Any:
        return Engine, (  # not the buffers
            self.model, self.backend, self.theta, self.penalty, self.kl_term
        )  # fmt: skip

    def forward(self, x: Array, eps: Array, draw: Draw = None) -> Pass:
        """x (M, D), eps (L, M, n_noise) → the terms of the loss; ε is drawn first if ``draw``."""
        return self.model.forward(self.ops, self.P, x, eps, self.work, draw)

    def weighed(self, kept: Pass, weight: Any = None) -> Pass:
        """A forward pass with the KL as the loss has it, which may be as it is.

        ``weight`` is β in the step in hand, on the device; that after the warm-up if not given.
        """
        if kept.weighed is not None:
            return kept
        term = self.kl_term(self.ops, kept.kl, kept.a_q, self.work, weight)
        return kept._replace(weighed=term)

    def loss(self, kept: Pass) -> Array:
        """The loss of a forward pass: a number in nats per datapoint, left on the device."""
        return self._penalised(kept.nll.mean() + self.weighed(kept).weighed.value.mean())

    def objective(self, x: Array, eps: Array, at: Views) -> Array:
        """What :meth:`backward` differentiates, when it is called where the parameters are ``at``.

        That is the loss, but in models where no gradient goes through a sample: there it is a
        function of P by samples that were made with ``at``.
        """
        own = getattr(self.model, "objective", None)
        if own is None:
            return self.loss(self.forward(x, eps))
        return self._penalised(own(self.ops, self.P, at, x, eps, self.work))

    def _penalised(self, loss: Array) -> Array:
        return loss + self.penalty.value(self) if self.penalty.strength else loss

    def backward(self, x: Array, eps: Array, kept: Pass) -> None:
        """∂loss/∂θ into ``grad``."""
        kept = self.weighed(kept)
        self.model.backward(self.ops, self.P, self.G, x, eps, kept, self.work)
        if self.penalty.strength:
            self.penalty.backward(self)
