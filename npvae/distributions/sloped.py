"""Likelihoods whose forward op leaves its slope, ∂(−log p)/∂a: all that the way back needs.

They differ in their heads, in where their data lie, in their two ops, and in the mean.
"""
from dataclasses import dataclass
from math import pi
from typing import Any, ClassVar

from npvae.backend import array_module
from npvae.distributions.beginning import logit_of_mean
from npvae.distributions.support import COUNTS, REALS, Support, levels, unit_interval
from npvae.memory import Workspace
from npvae.ops import Ops

Array = Any
STEEPEST = 30.0  # a scale of e⁻³⁰ is as good as 0 among levels


class Sloped:
    """What these share; see :class:`npvae.distributions.likelihoods.Likelihood`.

    Attributes
    ----------
    op : str
        Its ops are called ``<op>_nll`` and ``<op>_draw``.
    head_names : tuple of str
        Of D numbers each.
    """

    op: ClassVar[str]
    head_names: ClassVar[tuple[str, ...]]
    mean_head: ClassVar[str]

    def heads(self, D: int) -> dict[str, int]:
        return dict.fromkeys(self.head_names, D)

    def options(self) -> tuple[Any, ...]:
        """What its ops take beside arrays."""
        return ()

    def scratch(self, a: Array, x: Array, work: Workspace) -> tuple[Array, ...]:
        """Working space of its forward op."""
        return ()

    def nll(self, ops: Ops, a: Array, bias: Array, x: Array, work: Workspace) -> Array:
        nll, slope = work("nll", *a.shape[:-1]), work("x.slope", *a.shape)
        forward = getattr(ops, self.op + "_nll")
        forward(a, bias, x, *self.options(), slope, *self.scratch(a, x, work), nll)
        return nll

    def nll_backward(
        self, ops: Ops, d_nll: Array, a: Array, x: Array, d_bias: Array, work: Workspace
    ) -> Array:
        d_a = a  # the heads were used up: their buffer is free
        ops.nll_backward(d_nll, work("x.slope", *a.shape), d_a, d_bias)
        return d_a

    def draw(
        self, ops: Ops, a: Array, bias: Array, source: tuple[int, int, Array], work: Workspace
    ) -> Array:
        x = work("x.drawn", len(a), a.shape[-1] // sum(self.heads(1).values()))
        getattr(ops, self.op + "_draw")(*source, a, bias, *self.options(), x)
        return x


class ExponentialFamily(Sloped):
    """−log p(x) = κ(l) − x·l + …, whose slope κ′(l) − x is the mean of x, less x."""

    def mean(self, ops: Ops, a: Array, bias: Array, work: Workspace, out: Array) -> None:
        self.nll(ops, a[None], bias, work.constant(0, *out.shape), work)
        out[...] = work("x.slope", 1, *a.shape)[0]


@dataclass(frozen=True)
class FixedNormalLikelihood(Sloped):
    """x_d ~ N(μ_d, σ²), one σ for all: squared error by another name.

    Attributes
    ----------
    std : float
        σ, not learned.
    sigmoid_mean : bool
        As a normal likelihood with learned variance has it.
    """

    std: float
    sigmoid_mean: bool = False
    op: ClassVar[str] = "fixed_normal"
    head_names: ClassVar[tuple[str, ...]] = ("mean",)
    mean_head: ClassVar[str] = "mean"
    support: ClassVar[Support] = REALS

    def first_bias(self, mean: Array, variance: Array, n: int) -> dict[str, Array]:
        return {"mean": logit_of_mean(mean, n) if self.sigmoid_mean else mean}

    def options(self) -> tuple[Any, ...]:
        return self.sigmoid_mean, self.std

    def mean(self, ops: Ops, a: Array, bias: Array, work: Workspace, out: Array) -> None:
        (ops.sigmoid if self.sigmoid_mean else ops.identity)(a, bias, out)

    def draw(
        self, ops: Ops, a: Array, bias: Array, source: tuple[int, int, Array], work: Workspace
    ) -> Array:
        x, mean = work("x.drawn", *a.shape), work("x.slope", *a.shape)
        ops.posterior_noise(*source, 0, x[None])
        self.mean(ops, a, bias, work, mean)
        x *= self.std
        x += mean
        return x


@dataclass(frozen=True)
class LaplaceLikelihood(Sloped):
    """x_d ~ Laplace(μ_d, b_d), both from the decoder: real data with outliers."""

    op: ClassVar[str] = "laplace"
    head_names: ClassVar[tuple[str, ...]] = ("mean", "logscale")
    mean_head: ClassVar[str] = "mean"
    support: ClassVar[Support] = REALS

    def first_bias(self, mean: Array, variance: Array, n: int) -> dict[str, Array]:
        return {"mean": mean, "logscale": 0.5 * array_module(mean).log(variance / 2)}  # of 2 b²

    def mean(self, ops: Ops, a: Array, bias: Array, work: Workspace, out: Array) -> None:
        ops.identity(a, bias, out)


@dataclass(frozen=True)
class PoissonLikelihood(ExponentialFamily):
    """x_d ~ Poisson(exp(l_d)): counts."""

    op: ClassVar[str] = "poisson"
    head_names: ClassVar[tuple[str, ...]] = ("lograte",)
    mean_head: ClassVar[str] = "lograte"
    support: ClassVar[Support] = COUNTS

    def first_bias(self, mean: Array, variance: Array, n: int) -> dict[str, Array]:
        return {"lograte": array_module(mean).log(mean + 1 / n)}  # finite where all counts are 0

    def scratch(self, a: Array, x: Array, work: Workspace) -> tuple[Array, ...]:
        return (work("x.scratch", *x.shape),)


@dataclass(frozen=True)
class ContinuousBernoulliLikelihood(ExponentialFamily):
    """p(x) ∝ λˣ (1 − λ)¹⁻ˣ on [0, 1], λ_d = sigmoid(l_d): a density of grey pixels.

    The Bernoulli's formula for them integrates to less than one (Loaiza-Ganem, Cunningham 2019).
    λ is not the mean.
    """

    op: ClassVar[str] = "continuous_bernoulli"
    head_names: ClassVar[tuple[str, ...]] = ("logits",)
    mean_head: ClassVar[str] = "logits"
    support: ClassVar[Support] = unit_interval("continuous Bernoulli")

    def first_bias(self, mean: Array, variance: Array, n: int) -> dict[str, Array]:
        return {"logits": logit_of_mean(mean, n)}  # λ, on the same side of ½ as the mean

    def scratch(self, a: Array, x: Array, work: Workspace) -> tuple[Array, ...]:
        return (work("x.scratch", 2, *a.shape),)


@dataclass(frozen=True)
class CategoricalLikelihood(Sloped):
    """x_d is one of K levels 0, 1/(K − 1), …, 1 with probabilities softmax(l_d).

    It does not know which levels are close. Its head is K times as wide as the data: the logits
    of the first level for all features, then those of the second, and so on.

    Attributes
    ----------
    n_levels : int
        K, at least 2.
    """

    n_levels: int
    op: ClassVar[str] = "categorical"
    mean_head: ClassVar[str] = "logits"

    @property
    def support(self) -> Support:
        return levels(self.n_levels, "categorical")

    def heads(self, D: int) -> dict[str, int]:
        return {"logits": self.n_levels * D}

    def first_bias(self, mean: Array, variance: Array, n: int) -> dict[str, Array]:
        return {}  # moments do not say how often each level is there

    def scratch(self, a: Array, x: Array, work: Workspace) -> tuple[Array, ...]:
        return work("x.scratch", *a.shape[:-1], x.shape[-1]), work("x.mask", *x.shape)

    def mean(self, ops: Ops, a: Array, bias: Array, work: Workspace, out: Array) -> None:
        """Σ_k p_k k/(K − 1). Where x = 0 the slope is p but for k = 0, which adds nothing."""
        xp, (B, D) = array_module(a), out.shape
        self.nll(ops, a[None], bias, work.constant(0, B, D), work)
        p = work("x.slope", 1, *a.shape).reshape(B, -1, D)
        level = xp.arange(self.n_levels, dtype=p.dtype) / (self.n_levels - 1)
        out[...] = xp.einsum("bkd,k->bd", p, level)


@dataclass(frozen=True)
class DiscretizedLogisticLikelihood(Sloped):
    """A logistic variable of location μ_d and scale s_d, rounded to K levels 0, 1/(K − 1), …, 1.

    The probabilities of pixels as they are stored (Salimans et al. 2017), by two heads whatever K.

    Attributes
    ----------
    n_levels : int
        K, at least 2; 256 for pixels of a byte.
    """

    n_levels: int = 256
    op: ClassVar[str] = "discretized_logistic"
    head_names: ClassVar[tuple[str, ...]] = ("mean", "logscale")
    mean_head: ClassVar[str] = "heads"

    @property
    def support(self) -> Support:
        return levels(self.n_levels, "discretized logistic")

    def options(self) -> tuple[Any, ...]:
        return (self.n_levels,)

    def scratch(self, a: Array, x: Array, work: Workspace) -> tuple[Array, ...]:
        return work("x.scratch", 3, *a.shape[:-1], x.shape[-1]), work("x.mask", *x.shape)

    def first_bias(self, mean: Array, variance: Array, n: int) -> dict[str, Array]:
        squared_scale = variance * 3 / pi**2  # but for what lies beyond the levels
        return {"mean": mean, "logscale": 0.5 * array_module(mean).log(squared_scale)}

    def mean(self, ops: Ops, a: Array, bias: Array, work: Workspace, out: Array) -> None:
        """Σ_k P(x > e_k)/(K − 1) over the K − 1 edges e_k between levels."""
        xp, K, D = array_module(a), self.n_levels, out.shape[1]
        location, logscale = a[:, :D] + bias[:D], a[:, D:] + bias[D:]
        half_rate = 0.5 * xp.exp(xp.minimum(-logscale, STEEPEST))
        out[...] = 0
        for k in range(1, K):
            out += xp.tanh((location - (k - 0.5) / (K - 1)) * half_rate)  # 2 sigmoid − 1
        out *= 0.5 / (K - 1)
        out += 0.5
