"""Update rules over one flat vector, gradient clipping, and learning-rate schedules.

An optimiser is a frozen record of its constants. Its state is a dict of flat vectors as long
as θ, made by :meth:`~Optimizer.init` and owned by the caller, who can save it. The
arithmetic is one op each, in :mod:`npvae.ops.update`.
"""
from dataclasses import dataclass, field
from math import cos, pi, sqrt
from typing import Any, ClassVar

from npvae.errors import ParameterError
from npvae.memory import aligned
from npvae.ops import Ops

Array = Any
State = dict[str, Array]
FLUSH_EVERY = 128  # steps: from 1e-30, 0.9¹²⁸ is still a normal float32


@dataclass(frozen=True)
class Optimizer:
    """Base of the update rules.

    Attributes
    ----------
    slots : tuple of str
        Names of the state vectors.
    """

    slots: ClassVar[tuple[str, ...]] = ()

    def init(self, xp: Any, theta: Array) -> State:
        """Zero state for parameters ``theta`` (P,)."""
        return {slot: aligned(xp.zeros, theta.size, theta.dtype) for slot in self.slots}

    def update(
        self, ops: Ops, theta: Array, grad: Array, state: State, scratch: Array, rate: float, t: int
    ) -> None:
        """Step number ``t`` (from 1), in place on theta and state.   all arrays (P,)"""
        self._step(ops, theta, grad, state, scratch, rate, t)
        if t % FLUSH_EVERY == 0:
            for moment in state.values():
                ops.flush(moment, scratch)

    def _step(
        self, ops: Ops, theta: Array, grad: Array, state: State, scratch: Array, rate: float, t: int
    ) -> None:
        raise NotImplementedError


@dataclass(frozen=True)
class SGD(Optimizer):
    """Steepest descent: θ ← θ − rate · g."""

    def _step(self, ops, theta, grad, state, scratch, rate, t):
        ops.sgd(theta, grad, scratch, rate)


@dataclass(frozen=True)
class Momentum(Optimizer):
    """Steepest descent with a velocity (Polyak 1964)."""

    slots: ClassVar[tuple[str, ...]] = ("velocity",)
    mu: float = 0.9

    def _step(self, ops, theta, grad, state, scratch, rate, t):
        ops.momentum(theta, grad, state["velocity"], scratch, rate, self.mu)


@dataclass(frozen=True)
class Nesterov(Momentum):
    """Momentum that looks ahead (Nesterov 1983, as in Sutskever et al. 2013)."""

    def _step(self, ops, theta, grad, state, scratch, rate, t):
        ops.nesterov(theta, grad, state["velocity"], scratch, rate, self.mu)


@dataclass(frozen=True)
class Adagrad(Optimizer):
    """The paper's optimiser (Duchi et al. 2011); its rate is one of 0.01, 0.02, 0.1."""

    slots: ClassVar[tuple[str, ...]] = ("square",)
    epsilon: float = 1e-8

    def _step(self, ops, theta, grad, state, scratch, rate, t):
        ops.adagrad(theta, grad, state["square"], scratch, rate, self.epsilon)


@dataclass(frozen=True)
class RMSProp(Optimizer):
    """Adagrad with a memory that fades (Tieleman & Hinton 2012)."""

    slots: ClassVar[tuple[str, ...]] = ("square",)
    decay: float = 0.99
    epsilon: float = 1e-8

    def _step(self, ops, theta, grad, state, scratch, rate, t):
        ops.rmsprop(theta, grad, state["square"], scratch, rate, self.decay, self.epsilon)


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam (Kingma & Ba 2015), its bias corrections folded into the rate.

    With m = (1 − β₁) m′ and s = (1 − β₂) s′, where m′ and s′ are the state kept here, the
    published θ ← θ − rate · m̂ / (√ŝ + ε) is θ ← θ − rate′ · m′ / (√s′ + ε′) with

        c = √((1 − β₂ᵗ) / (1 − β₂)),   ε′ = ε c,   rate′ = rate · c · (1 − β₁) / (1 − β₁ᵗ).
    """

    slots: ClassVar[tuple[str, ...]] = ("mean", "square")
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ParameterError(f"{name}={getattr(self, name)} must lie in [0, 1)")

    def _step(self, ops, theta, grad, state, scratch, rate, t):
        c = sqrt((1 - self.beta2**t) / (1 - self.beta2))
        rate = rate * c * (1 - self.beta1) / (1 - self.beta1**t)
        ops.adam(
            theta, grad, state["mean"], state["square"], scratch,
            rate, self.beta1, self.beta2, self.epsilon * c,
        )  # fmt: skip


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with weight decay apart from the gradient (Loshchilov & Hutter 2019).

    Weights and biases decay alike: θ ← (1 − rate · decay) θ before Adam's step.
    """

    weight_decay: float = 0.01

    def _step(self, ops, theta, grad, state, scratch, rate, t):
        ops.sgd(theta, theta, scratch, rate * self.weight_decay)
        super()._step(ops, theta, grad, state, scratch, rate, t)


@dataclass(frozen=True)
class Schedule:
    """Base of the schedules: a factor on the learning rate, by progress p in [0, 1)."""

    def __call__(self, p: float) -> float:
        """The factor; constant."""
        return 1.0


class Constant(Schedule):
    """The same rate throughout."""


@dataclass(frozen=True)
class Step(Schedule):
    """Divide the rate at fixed fractions of the run.

    Examples
    --------
    >>> schedule = Step(at=(0.5, 0.75), factor=0.1)
    >>> schedule(0.4), schedule(0.5)
    (1.0, 0.1)
    """

    at: tuple[float, ...] = (0.5, 0.75)
    factor: float = 0.1

    def __call__(self, p: float) -> float:
        return self.factor ** sum(p >= at for at in self.at)


@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine from 1 down to ``floor`` (Loshchilov & Hutter 2017)."""

    floor: float = 0.0

    def __call__(self, p: float) -> float:
        return self.floor + (1 - self.floor) * 0.5 * (1 + cos(pi * p))


@dataclass(frozen=True)
class WarmUp(Schedule):
    """A linear rise over the first ``fraction`` of the run, then another schedule."""

    fraction: float = 0.05
    then: Schedule = field(default_factory=Constant)

    def __call__(self, p: float) -> float:
        if p < self.fraction:
            return max(p / self.fraction, 0.01)  # a rate of zero would waste the first step
        return self.then((p - self.fraction) / (1 - self.fraction))


def clip_by_norm(xp: Any, grad: Array, max_norm: float) -> None:
    """Scale ``grad`` (P,) down, in place, to a Euclidean norm of at most ``max_norm``."""
    norm = xp.sqrt(xp.dot(grad, grad))
    grad *= xp.minimum(max_norm / xp.maximum(norm, 1e-30), 1.0)


OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": SGD, "momentum": Momentum, "nesterov": Nesterov, "adagrad": Adagrad,
    "rmsprop": RMSProp, "adam": Adam, "adamw": AdamW,
}  # fmt: skip
SCHEDULES: dict[str, type[Schedule]] = {
    "constant": Constant, "step": Step, "cosine": Cosine, "warmup": WarmUp,
}  # fmt: skip
