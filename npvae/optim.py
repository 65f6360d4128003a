"""Update rules over one flat vector, gradient clipping, and learning-rate schedules.

An optimiser is a frozen record of its constants. Its state is a dict of flat vectors as long
as θ, made by :meth:`~Optimizer.init` and owned by the caller, who can save it. The
arithmetic is one op each, in :mod:`npvae.ops.update`. The few numbers by which one step differs
from the next are apart, in :meth:`~Optimizer.numbers`: a table of them makes all steps alike.
"""
from dataclasses import field
from math import cos, pi, sqrt
from typing import Any, ClassVar

from npvae.backend import Array
from npvae.errors import ParameterError
from npvae.memory import aligned
from npvae.ops import Ops
from npvae.records import dataclass

State = dict[str, Array]
PARTS = 128  # sums of squares side by side: about one for each multiprocessor of a GPU
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

    def numbers(self, rate: float, t: int) -> tuple[float, ...]:
        """What step number ``t`` (from 1) at this learning rate gives to :meth:`step`."""
        return (rate,)

    def step(
        self, ops: Ops, theta: Array, grad: Array, state: State, scratch: Array, *numbers: Any
    ) -> None:
        """One update, in place on theta and state.   all arrays (P,)

        ``numbers`` are those of :meth:`numbers`, or arrays without dimensions that hold them.
        """
        raise NotImplementedError

    def flush_denormals(self, ops: Ops, state: State, scratch: Array) -> None:
        """Clear the moments of what only slows a processor down; due every FLUSH_EVERY steps."""
        for moment in state.values():
            ops.flush_denormals(moment, scratch)

    def update(
        self, ops: Ops, theta: Array, grad: Array, state: State, scratch: Array, rate: float, t: int
    ) -> None:
        """Step number ``t`` (from 1), and what is due with it: the whole of an update."""
        self.step(ops, theta, grad, state, scratch, *self.numbers(rate, t))
        if t % FLUSH_EVERY == 0:
            self.flush_denormals(ops, state, scratch)


@dataclass(frozen=True)
class SGD(Optimizer):
    """Steepest descent: θ ← θ − rate · g."""

    def step(self, ops, theta, grad, state, scratch, rate):
        ops.sgd(theta, grad, scratch, rate)


@dataclass(frozen=True)
class Momentum(Optimizer):
    """Steepest descent with a velocity (Polyak 1964)."""

    slots: ClassVar[tuple[str, ...]] = ("velocity",)
    mu: float = 0.9

    def step(self, ops, theta, grad, state, scratch, rate):
        ops.momentum(theta, grad, state["velocity"], scratch, rate, self.mu)


@dataclass(frozen=True)
class Nesterov(Momentum):
    """Momentum that looks ahead (Nesterov 1983, as in Sutskever et al. 2013)."""

    def step(self, ops, theta, grad, state, scratch, rate):
        ops.nesterov(theta, grad, state["velocity"], scratch, rate, self.mu)


@dataclass(frozen=True)
class Adagrad(Optimizer):
    """The paper's optimiser (Duchi et al. 2011); its rate is one of 0.01, 0.02, 0.1.

    A first step moves every parameter by the whole rate, however small its gradient. So the
    first ``accumulate`` updates only add to the squares, as in the first author's code.
    """

    slots: ClassVar[tuple[str, ...]] = ("square",)
    epsilon: float = 1e-8
    accumulate: int = 0

    def numbers(self, rate, t):
        return (rate if t > self.accumulate else 0.0,)

    def step(self, ops, theta, grad, state, scratch, rate):
        ops.adagrad(theta, grad, state["square"], scratch, rate, self.epsilon)


@dataclass(frozen=True)
class RMSProp(Optimizer):
    """Adagrad with a memory that fades (Tieleman & Hinton 2012)."""

    slots: ClassVar[tuple[str, ...]] = ("square",)
    decay: float = 0.99
    epsilon: float = 1e-8

    def step(self, ops, theta, grad, state, scratch, rate):
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

    def numbers(self, rate: float, t: int) -> tuple[float, ...]:
        c = sqrt((1 - self.beta2**t) / (1 - self.beta2))
        return rate * c * (1 - self.beta1) / (1 - self.beta1**t), self.epsilon * c

    def step(self, ops, theta, grad, state, scratch, rate, epsilon):
        ops.adam(
            theta, grad, state["mean"], state["square"], scratch,
            rate, self.beta1, self.beta2, epsilon,
        )  # fmt: skip


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with weight decay apart from the gradient (Loshchilov & Hutter 2019).

    Weights and biases decay alike: θ ← (1 − rate · decay) θ before Adam's step.
    """

    weight_decay: float = 0.01

    def numbers(self, rate: float, t: int) -> tuple[float, ...]:
        return (*super().numbers(rate, t), rate * self.weight_decay)

    def step(self, ops, theta, grad, state, scratch, rate, epsilon, decay=0.0):
        ops.sgd(theta, theta, scratch, decay)
        super().step(ops, theta, grad, state, scratch, rate, epsilon)


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


def clip_by_norm(ops: Ops, grad: Array, max_norm: float, parts: Array, factor: Array) -> None:
    """Scale ``grad`` (P,) down, in place, to a Euclidean norm of at most ``max_norm``.

    ``parts`` (PARTS,) float64 is working space; ``factor`` (1,) is left holding by how much.
    """
    ops.squares(grad, parts)
    ops.clip_factor(parts, max_norm, factor)
    ops.scale(grad, factor)


OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": SGD, "momentum": Momentum, "nesterov": Nesterov, "adagrad": Adagrad,
    "rmsprop": RMSProp, "adam": Adam, "adamw": AdamW,
}  # fmt: skip
SCHEDULES: dict[str, type[Schedule]] = {
    "constant": Constant, "step": Step, "cosine": Cosine, "warmup": WarmUp,
}  # fmt: skip

__all__ = [
    "OPTIMIZERS", "SCHEDULES", "SGD", "Adagrad", "Adam", "AdamW", "Constant", "Cosine", "Momentum",
    "Nesterov", "Optimizer", "RMSProp", "Schedule", "Step", "WarmUp",
]  # fmt: skip


def __dir__() -> list[str]:
    return __all__
