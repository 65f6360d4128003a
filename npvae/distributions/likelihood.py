"""What a model asks of a likelihood p(x|z), and what most likelihoods have in common.

A likelihood names the heads that it takes from a decoder, and runs fused ops on the buffers of a
step. It holds no arrays: what the backward pass needs, the forward pass returns in a cache.
"""
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar, runtime_checkable

from npvae.backend import Array
from npvae.distributions.support import Support
from npvae.memory import Context

Cache = TypeVar("Cache")
RNGKey = tuple[int, int, Array]  # (seed, stream, step (1,)): where noise comes from


@runtime_checkable
class Likelihood(Protocol[Cache]):
    """p(x|z), by the products ``a`` of the decoder's heads and their ``bias``.

    Subclass it: one's own likelihood goes to a model as ``likelihood=``.

    Attributes
    ----------
    mean_head : str
        What E[x|z] takes: one of the heads, or ``"heads"`` for all.
    """

    mean_head: ClassVar[str]

    @property
    def support(self) -> Support:
        """Where x must lie."""

    def heads(self, D: int) -> dict[str, int]:
        """The decoder's heads and their widths."""

    def initial_bias(self, mean: Array, variance: Array, n: int) -> dict[str, Array]:
        """Initial biases by head, with the moments of n datapoints, about; none by default.

        mean (D,), and a variance for all features (1,); a bias that is not finite is left at 0.
        """
        return {}

    @property
    def zero_heads(self) -> tuple[str, ...]:
        """Heads whose weights begin at 0, so that at first they do not depend on z; none here."""
        return ()

    @property
    def constant_heads(self) -> tuple[str, ...]:
        """Heads without weights, a bias alone, that never depend on z, the last ones; none here.

        Their products are zeros.
        """
        return ()

    def nll(self, ctx: Context, a: Array, bias: Array, x: Array) -> tuple[Array, Cache]:
        """a (L, M, Σ heads), which it may use up, x (M, D) → −log p(x|z) (L, M) nats; the cache."""

    def cache_only(self, ctx: Context, a: Array, bias: Array, x: Array) -> Cache:
        """The cache of :meth:`nll` alone, more cheaply if that is possible."""
        return self.nll(ctx, a, bias, x)[1]

    def nll_backward(self, ctx: Context, d_nll: Array, cache: Cache, d_bias: Array) -> Array:
        """d_nll (L, M) → d_a (L, M, Σ heads), and d_bias (Σ heads,), which is written."""

    def mean(self, ctx: Context, a: Array, bias: Array, out: Array) -> None:
        """Products of ``mean_head``, (B, ·), and their bias → E[x|z] in ``out`` (B, D)."""

    def sample(self, ctx: Context, a: Array, bias: Array, rng_key: RNGKey) -> Array:
        """a (B, Σ heads) → a sample x ~ p(x|z), (B, D)."""


@runtime_checkable
class HasStddev(Protocol):
    """A likelihood that gives the deviation of x; npvae's all do, and one's own may."""

    def stddev(self, ctx: Context, a: Array, bias: Array, out: Array) -> None:
        """Products of all heads, (B, Σ heads), and their bias → √Var[x|z] in ``out`` (B, D)."""


@runtime_checkable
class Standardizable(Protocol):
    """A likelihood of real x: of x̃ = (x − shift) / scale it is one of the same kind."""

    def standardizes(self) -> bool:
        """Whether x may have any unit and offset here."""

    def scale(self, deviation: Array) -> Array:
        """What to divide features of these deviations by, (D,) both; 0 is of a constant one."""

    def standardized(self, scale: Array) -> Likelihood[Any]:
        """p(x|z) as a function of x̃, for a scale (D,): its −log p is that of x."""

    def restored(self, parameters: dict[str, Array], scale: Array) -> dict[str, Array]:
        """Parameters (N, ·) of p(x̃|z) by head, the mean aside → those of p(x|z)."""


class GradientCache(NamedTuple):
    """What a :class:`FusedGradLikelihood` leaves for its backward pass."""

    d_nll_d_a: Array  # ∂(−log p(x|z))/∂a          (L, M, Σ heads)
    free: Array  # the buffer of a, for d_a         (L, M, Σ heads)


class FusedGradLikelihood(Likelihood[GradientCache]):
    """A likelihood whose forward op makes its gradient too: all that the backward pass needs.

    Attributes
    ----------
    op : str
        Its ops are called ``<op>_nll`` and ``sample_<op>``.
    head_names : tuple of str
        Of D numbers each.
    log_scale : float
        Σ_d log scale_d of a standardization: what −log p(x) has more than −log p(x̃).
    """

    op: ClassVar[str]
    head_names: ClassVar[tuple[str, ...]]
    log_scale: float = 0.0

    def heads(self, D: int) -> dict[str, int]:
        return dict.fromkeys(self.head_names, D)

    def options(self) -> tuple[Any, ...]:
        """What its ops take beside arrays."""
        return ()

    def scratch(self, ctx: Context, a: Array, x: Array) -> tuple[Array, ...]:
        """Working space of its forward op."""
        return ()

    def nll(self, ctx: Context, a: Array, bias: Array, x: Array) -> tuple[Array, GradientCache]:
        nll, gradient = ctx.work("nll", *a.shape[:-1]), ctx.work("x.d_nll_d_a", *a.shape)
        forward = getattr(ctx.ops, self.op + "_nll")
        forward(a, bias, x, *self.options(), gradient, *self.scratch(ctx, a, x), nll)
        if self.log_scale:
            ctx.ops.nll_shift(nll, self.log_scale)
        return nll, GradientCache(gradient, a)

    def nll_backward(
        self, ctx: Context, d_nll: Array, cache: GradientCache, d_bias: Array
    ) -> Array:
        ctx.ops.nll_backward(d_nll, cache.d_nll_d_a, cache.free, d_bias)
        return cache.free

    def sample(self, ctx: Context, a: Array, bias: Array, rng_key: RNGKey) -> Array:
        x = ctx.work("x.sample", len(a), a.shape[-1] // sum(self.heads(1).values()))
        getattr(ctx.ops, "sample_" + self.op)(*rng_key, a, bias, *self.options(), x)
        return x
