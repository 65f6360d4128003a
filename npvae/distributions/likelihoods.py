"""p(x|z): what the decoder's heads mean, and the log-density of the pixels under them.

A likelihood names the heads it needs and runs the fused ops of
:mod:`npvae.ops.likelihood` on the step's buffers. It holds no arrays.
"""
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from npvae.memory import Workspace
from npvae.ops import Ops

Array = Any


class Likelihood(Protocol):
    """What a model asks of p(x|z)."""

    mean_head: ClassVar[str]
    unit_interval: ClassVar[bool]  # whether x must lie in [0, 1]

    @property
    def mean_activation(self) -> str:
        """The activation that turns the products of ``mean_head`` into E[x|z]."""

    def heads(self, D: int) -> dict[str, int]:
        """The decoder's heads and their widths."""

    def nll(self, ops: Ops, a: Array, bias: Array, x: Array, work: Workspace) -> Array:
        """a (L, M, Σ heads), x (M, D) → −log p(x|z), (L, M) nats."""

    def nll_backward(
        self, ops: Ops, d_nll: Array, a: Array, x: Array, d_bias: Array, work: Workspace
    ) -> Array:
        """d_nll (L, M), a as :meth:`nll` left it → d_a (L, M, Σ heads), d_bias (Σ heads,)."""


    def draw(
        self, ops: Ops, a: Array, bias: Array, source: tuple[int, int, Array], work: Workspace
    ) -> Array:
        """a (B, Σ heads) → x ~ p(x|z), (B, D), by noise of ``source`` = (seed, stream, step)."""


@dataclass(frozen=True)
class BernoulliLikelihood:
    """x_d ~ Bernoulli(sigmoid(l_d)): black and white pixels, or grey ones as probabilities."""

    mean_head: ClassVar[str] = "logits"
    unit_interval: ClassVar[bool] = True
    mean_activation = "sigmoid"

    def heads(self, D: int) -> dict[str, int]:
        return {"logits": D}

    def nll(self, ops: Ops, a: Array, bias: Array, x: Array, work: Workspace) -> Array:
        nll = work("nll", *a.shape[:-1])
        ops.bernoulli_nll(a, bias, x, work("x.mean", *a.shape), work("x.scratch", *a.shape), nll)
        return nll

    def nll_backward(
        self, ops: Ops, d_nll: Array, a: Array, x: Array, d_bias: Array, work: Workspace
    ) -> Array:
        d_a = a  # the logits were used up: their buffer is free
        ops.bernoulli_nll_backward(d_nll, x, work("x.mean", *a.shape), d_a, d_bias)
        return d_a

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
    unit_interval: ClassVar[bool] = False

    @property
    def mean_activation(self) -> str:
        return "sigmoid" if self.sigmoid_mean else "identity"

    def heads(self, D: int) -> dict[str, int]:
        return {"mean": D, "logvar": D}

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
