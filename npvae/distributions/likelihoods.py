"""p(x|z): what the decoder's heads mean, and the log-density of the pixels under them.

A likelihood names the heads it needs and runs the fused ops of
:mod:`npvae.ops.likelihood` on the step's buffers. It holds no arrays.

    bernoulli               x in {0, 1}, or grey values as its probabilities
    continuous-bernoulli    x in [0, 1], with the density that grey values need
    normal, laplace         x real
    poisson                 counts 0, 1, 2, …
    categorical             one of K levels, each with a probability of its own
    discretized-logistic    one of K levels, close ones with alike probabilities
"""
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from npvae.backend import array_module
from npvae.distributions.beginning import logit_of_mean
from npvae.distributions.sloped import (
    CategoricalLikelihood,
    ContinuousBernoulliLikelihood,
    DiscretizedLogisticLikelihood,
    FixedNormalLikelihood,
    LaplaceLikelihood,
    PoissonLikelihood,
)
from npvae.distributions.support import REALS, Support, unit_interval
from npvae.memory import Workspace
from npvae.ops import Ops

Array = Any


class Likelihood(Protocol):
    """What a model asks of p(x|z)."""

    mean_head: ClassVar[str]  # what E[x|z] takes: one of the heads, or "heads" for all

    @property
    def support(self) -> Support:
        """Where x must lie."""

    def heads(self, D: int) -> dict[str, int]:
        """The decoder's heads and their widths."""

    def first_bias(self, mean: Array, variance: Array, n: int) -> dict[str, Array]:
        """Biases by head that have its moments be about those of n datapoints.

        mean (D,), and a variance for all features (1,); a bias that is not finite is left at 0.
        """

    def nll(self, ops: Ops, a: Array, bias: Array, x: Array, work: Workspace) -> Array:
        """a (L, M, Σ heads), x (M, D) → −log p(x|z), (L, M) nats."""

    def nll_backward(
        self, ops: Ops, d_nll: Array, a: Array, x: Array, d_bias: Array, work: Workspace
    ) -> Array:
        """d_nll (L, M), a as :meth:`nll` left it → d_a (L, M, Σ heads), d_bias (Σ heads,)."""

    def mean(self, ops: Ops, a: Array, bias: Array, work: Workspace, out: Array) -> None:
        """Products of ``mean_head``, (B, ·), and their bias → E[x|z] in ``out`` (B, D)."""

    def draw(
        self, ops: Ops, a: Array, bias: Array, source: tuple[int, int, Array], work: Workspace
    ) -> Array:
        """a (B, Σ heads) → x ~ p(x|z), (B, D), by noise of ``source`` = (seed, stream, step)."""


@dataclass(frozen=True)
class BernoulliLikelihood:
    """x_d ~ Bernoulli(sigmoid(l_d)): black and white pixels, or grey ones as probabilities."""

    mean_head: ClassVar[str] = "logits"
    support: ClassVar[Support] = unit_interval("Bernoulli")

    def heads(self, D: int) -> dict[str, int]:
        return {"logits": D}

    def first_bias(self, mean: Array, variance: Array, n: int) -> dict[str, Array]:
        return {"logits": logit_of_mean(mean, n)}

    def nll(self, ops: Ops, a: Array, bias: Array, x: Array, work: Workspace) -> Array:
        nll = work("nll", *a.shape[:-1])
        ops.bernoulli_nll(a, bias, x, work("x.mean", *a.shape), work("x.scratch", *a.shape), nll)
        return nll

    def keep(self, ops: Ops, a: Array, bias: Array, x: Array, work: Workspace) -> None:
        """What :meth:`nll_backward` reads, without −log p(x|z): half the passes over pixels."""
        rows = a.reshape(-1, len(bias))
        ops.sigmoid(rows, bias, work("x.mean", *a.shape).reshape(rows.shape))

    def nll_backward(
        self, ops: Ops, d_nll: Array, a: Array, x: Array, d_bias: Array, work: Workspace
    ) -> Array:
        d_a = a  # the logits were used up: their buffer is free
        ops.bernoulli_nll_backward(d_nll, x, work("x.mean", *a.shape), d_a, d_bias)
        return d_a

    def mean(self, ops: Ops, a: Array, bias: Array, work: Workspace, out: Array) -> None:
        ops.sigmoid(a, bias, out)

    def draw(
        self, ops: Ops, a: Array, bias: Array, source: tuple[int, int, Array], work: Workspace
    ) -> Array:
        x = work("x.drawn", *a.shape)
        ops.sigmoid(a, bias, x)
        ops.bernoulli_draw(*source, x)
        return x


@dataclass(frozen=True)
class NormalLikelihood:
    """x_d ~ N(μ_d, σ_d²), both from the decoder: real-valued data (appendix C.2).

    Attributes
    ----------
    sigmoid_mean : bool
        Whether μ passes through a sigmoid, as the paper has it for Frey Face.
    """

    sigmoid_mean: bool = False
    mean_head: ClassVar[str] = "mean"
    support: ClassVar[Support] = REALS

    def heads(self, D: int) -> dict[str, int]:
        return {"mean": D, "logvar": D}

    def first_bias(self, mean: Array, variance: Array, n: int) -> dict[str, Array]:
        mu = logit_of_mean(mean, n) if self.sigmoid_mean else mean
        return {"mean": mu, "logvar": array_module(mean).log(variance)}

    def nll(self, ops: Ops, a: Array, bias: Array, x: Array, work: Workspace) -> Array:
        nll = work("nll", *a.shape[:-1])
        ops.normal_nll(a, bias, x, self.sigmoid_mean, *self._kept(a, x, work), nll)
        return nll

    def nll_backward(
        self, ops: Ops, d_nll: Array, a: Array, x: Array, d_bias: Array, work: Workspace
    ) -> Array:
        d_a = work("x.d_a", *a.shape)
        kept = self._kept(a, x, work)
        ops.normal_nll_backward(d_nll, a, self.sigmoid_mean, *kept, d_a, d_bias)
        return d_a

    def mean(self, ops: Ops, a: Array, bias: Array, work: Workspace, out: Array) -> None:
        (ops.sigmoid if self.sigmoid_mean else ops.identity)(a, bias, out)

    def draw(
        self, ops: Ops, a: Array, bias: Array, source: tuple[int, int, Array], work: Workspace
    ) -> Array:
        x = work("x.drawn", len(a), a.shape[-1] // 2)
        ops.normal_draw(*source, a, bias, self.sigmoid_mean, x)
        return x

    def _kept(self, a: Array, x: Array, work: Workspace) -> tuple[Array, Array]:
        """1/σ and the residual (x − μ)/σ, which forward leaves for backward.   (L, M, D)"""
        shape = (*a.shape[:-1], x.shape[-1])
        return work("x.inv_sigma", *shape), work("x.residual", *shape)


LIKELIHOODS = {
    "bernoulli": BernoulliLikelihood,
    "continuous-bernoulli": ContinuousBernoulliLikelihood,
    "normal": NormalLikelihood,
    "laplace": LaplaceLikelihood,
    "poisson": PoissonLikelihood,
    "categorical": CategoricalLikelihood,
    "discretized-logistic": DiscretizedLogisticLikelihood,
}


def likelihood(
    name: str, sigmoid_mean: bool = False, std: float | None = None, n_levels: int | None = None
) -> Likelihood:
    """The likelihood called ``name``; each looks at the options that it has.

    Examples
    --------
    >>> likelihood("normal", std=0.1)
    FixedNormalLikelihood(std=0.1, sigmoid_mean=False)
    >>> likelihood("discretized-logistic")
    DiscretizedLogisticLikelihood(n_levels=256)
    """
    if name == "normal":
        return NormalLikelihood(sigmoid_mean) if std is None else FixedNormalLikelihood(
            std, sigmoid_mean)
    kind: Any = LIKELIHOODS[name]
    return kind() if n_levels is None else kind(n_levels)
