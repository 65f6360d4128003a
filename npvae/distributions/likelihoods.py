"""p(x|z): what the decoder's heads mean, and the log-density of the pixels under them.

What all of them share is in :mod:`npvae.distributions.likelihood`.

    bernoulli               x in {0, 1}, or grey values as its probabilities
    continuous-bernoulli    x in [0, 1], with the density that grey values need
    normal, laplace         x real
    poisson                 counts 0, 1, 2, …
    categorical             one of K levels, each with a probability of its own
    discretized-logistic    one of K levels, close ones with alike probabilities
"""
from collections.abc import Callable
from dataclasses import field, replace
from math import pi
from typing import Any, ClassVar, NamedTuple

from npvae.backend import Array, array_module
from npvae.distributions.initialization import logit_of_mean
from npvae.distributions.learned_scale import LearnedScale
from npvae.distributions.likelihood import FusedGradLikelihood, Likelihood, RNGKey
from npvae.distributions.support import COUNTS, REALS, Support, levels, unit_interval
from npvae.errors import ParameterError
from npvae.memory import Context
from npvae.ops.elementary import exp_below_sqrt_max, halves
from npvae.ops.likelihoods.continuous_bernoulli import NEAR, SERIES
from npvae.records import dataclass

STEEPEST = 30.0  # a scale of e⁻³⁰ is as good as 0 among levels


class BernoulliCache(NamedTuple):
    """What the Bernoulli leaves for its backward pass."""

    y: Array  # sigmoid(l)                    (L, M, D)
    x: Array  # (M, D)
    free: Array  # the buffer of a, for d_a   (L, M, D)


@dataclass(frozen=True)
class BernoulliLikelihood(Likelihood[BernoulliCache]):
    """x_d ~ Bernoulli(sigmoid(l_d)): black and white pixels, or grey ones as probabilities."""

    mean_head: ClassVar[str] = "logits"
    support: ClassVar[Support] = unit_interval("Bernoulli")

    def heads(self, D: int) -> dict[str, int]:
        return {"logits": D}

    def initial_bias(self, mean: Array, variance: Array, n: int) -> dict[str, Array]:
        return {"logits": logit_of_mean(mean, n)}

    def nll(self, ctx: Context, a: Array, bias: Array, x: Array) -> tuple[Array, BernoulliCache]:
        nll, y = ctx.work("nll", *a.shape[:-1]), ctx.work("x.mean", *a.shape)
        ctx.ops.bernoulli_nll(a, bias, x, y, ctx.work("x.scratch", *a.shape), nll)
        return nll, BernoulliCache(y, x, a)

    def cache_only(self, ctx: Context, a: Array, bias: Array, x: Array) -> BernoulliCache:
        y = ctx.work("x.mean", *a.shape)  # half the passes over pixels
        ctx.ops.sigmoid(a.reshape(-1, len(bias)), bias, y.reshape(-1, len(bias)))
        return BernoulliCache(y, x, a)

    def nll_backward(
        self, ctx: Context, d_nll: Array, cache: BernoulliCache, d_bias: Array
    ) -> Array:
        ctx.ops.bernoulli_nll_backward(d_nll, cache.x, cache.y, cache.free, d_bias)
        return cache.free

    def mean(self, ctx: Context, a: Array, bias: Array, out: Array) -> None:
        ctx.ops.sigmoid(a, bias, out)

    def stddev(self, ctx: Context, a: Array, bias: Array, out: Array) -> None:
        """√(p (1 − p)) = e^−½t/(1 + e⁻ᵗ), t = |l|."""
        xp = array_module(a)
        half = xp.exp(-0.5 * xp.abs(a + bias))
        out[...] = half / (1 + half * half)

    def sample(self, ctx: Context, a: Array, bias: Array, rng_key: RNGKey) -> Array:
        x = ctx.work("x.sample", *a.shape)
        ctx.ops.sigmoid(a, bias, x)
        ctx.ops.sample_bernoulli(*rng_key, 0, x)
        return x


class NormalCache(NamedTuple):
    """What the normal leaves for its backward pass."""

    a: Array  # [μ | log σ²]                 (L, M, 2D)
    inv_sigma: Array  # 1/σ                  (L, M, D)
    residual: Array  # (x − μ)/σ             (L, M, D)


def one_where_constant(deviation: Array) -> Array:
    """Deviations, and 1 where one is 0."""
    return array_module(deviation).where(deviation > 0, deviation, 1)


def moved(logarithm: Array, power: int, scale: Array) -> Array:
    """log c (N, D) → log of c · scale^power, in its dtype."""
    return (logarithm + power * array_module(scale).log(scale)).astype(logarithm.dtype)


def log_volume(scale: Array) -> float:
    """Σ_d log scale_d: log |dx/dx̃|."""
    return float(array_module(scale).log(scale).sum())


@dataclass(frozen=True)
class NormalLikelihood(LearnedScale, Likelihood[NormalCache]):
    """x_d ~ N(μ_d, σ_d²), both from the decoder: real-valued data (appendix C.2).

    Attributes
    ----------
    sigmoid_mean : bool
        Whether μ passes through a sigmoid, as the paper has it for Frey Face.
    variance : str
        What σ_d² depends on: z, ``"latent"``, or nothing, ``"feature"``.
    log_scale : float
        As a :class:`FusedGradLikelihood` has it.
    """

    sigmoid_mean: bool = False
    variance: str = "latent"
    log_scale: float = field(default=0.0, repr=False)
    scale_head: ClassVar[str] = "logvar"
    exponent: ClassVar[float] = 2
    mean_head: ClassVar[str] = "mean"
    support: ClassVar[Support] = REALS

    def heads(self, D: int) -> dict[str, int]:
        return {"mean": D, "logvar": D}

    def initial_bias(self, mean: Array, variance: Array, n: int) -> dict[str, Array]:
        mu = logit_of_mean(mean, n) if self.sigmoid_mean else mean
        return {"mean": mu, "logvar": array_module(mean).log(variance)}

    def standardizes(self) -> bool:
        return not self.sigmoid_mean

    def scale(self, deviation: Array) -> Array:
        return one_where_constant(deviation)

    def standardized(self, scale: Array) -> "NormalLikelihood":
        return replace(self, log_scale=log_volume(scale))

    def restored(self, parameters: dict[str, Array], scale: Array) -> dict[str, Array]:
        return parameters | {"logvar": moved(parameters["logvar"], 2, scale)}

    def nll(self, ctx: Context, a: Array, bias: Array, x: Array) -> tuple[Array, NormalCache]:
        shape = (*a.shape[:-1], x.shape[-1])
        nll, inv_sigma = ctx.work("nll", *a.shape[:-1]), ctx.work("x.inv_sigma", *shape)
        residual = ctx.work("x.residual", *shape)
        ctx.ops.normal_nll(a, bias, x, self.sigmoid_mean, self.limit, inv_sigma, residual, nll)
        if self.log_scale:
            ctx.ops.nll_shift(nll, self.log_scale)
        return nll, NormalCache(a, inv_sigma, residual)

    def nll_backward(self, ctx: Context, d_nll: Array, cache: NormalCache, d_bias: Array) -> Array:
        d_a, (a, inv_sigma, residual) = ctx.work("x.d_a", *cache.a.shape), cache
        ctx.ops.normal_nll_backward(
            d_nll, a, self.sigmoid_mean, self.limit, inv_sigma, residual, d_a, d_bias
        )
        return d_a

    def mean(self, ctx: Context, a: Array, bias: Array, out: Array) -> None:
        (ctx.ops.sigmoid if self.sigmoid_mean else ctx.ops.identity)(a, bias, out)

    def stddev(self, ctx: Context, a: Array, bias: Array, out: Array) -> None:
        """σ."""
        exp_below_sqrt_max(array_module(a), 0.5 * self.log_scale_of(halves(a + bias)[1]), out)

    def sample(self, ctx: Context, a: Array, bias: Array, rng_key: RNGKey) -> Array:
        x = ctx.work("x.sample", len(a), a.shape[-1] // 2)
        ctx.ops.sample_normal(*rng_key, a, bias, self.sigmoid_mean, self.limit, x)
        return x


class NaturalParameterLikelihood(FusedGradLikelihood):
    """−log p(x) = κ(l) − x·l + …, whose gradient κ′(l) − x is the mean of x, less x."""

    def mean(self, ctx: Context, a: Array, bias: Array, out: Array) -> None:
        _, cache = self.nll(ctx, a[None], bias, ctx.work.constant(0, *out.shape))
        out[...] = cache.d_nll_d_a[0]


@dataclass(frozen=True)
class FixedNormalLikelihood(FusedGradLikelihood):
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
    log_scale: float = field(default=0.0, repr=False)
    op: ClassVar[str] = "fixed_normal"
    head_names: ClassVar[tuple[str, ...]] = ("mean",)
    mean_head: ClassVar[str] = "mean"
    support: ClassVar[Support] = REALS

    def initial_bias(self, mean: Array, variance: Array, n: int) -> dict[str, Array]:
        return {"mean": logit_of_mean(mean, n) if self.sigmoid_mean else mean}

    def standardizes(self) -> bool:
        return not self.sigmoid_mean

    def scale(self, deviation: Array) -> Array:
        """One for all features, as σ is."""
        xp, top = array_module(deviation), one_where_constant(deviation.max())
        return 0 * deviation + top * xp.sqrt(((deviation / top) ** 2).mean())

    def standardized(self, scale: Array) -> "FixedNormalLikelihood":
        if bool((scale != scale[0]).any()):
            raise ParameterError("one deviation for all features needs one scale for all of them")
        return replace(self, std=self.std / float(scale[0]), log_scale=log_volume(scale))

    def restored(self, parameters: dict[str, Array], scale: Array) -> dict[str, Array]:
        return parameters

    def options(self) -> tuple[Any, ...]:
        return self.sigmoid_mean, self.std

    def mean(self, ctx: Context, a: Array, bias: Array, out: Array) -> None:
        (ctx.ops.sigmoid if self.sigmoid_mean else ctx.ops.identity)(a, bias, out)

    def stddev(self, ctx: Context, a: Array, bias: Array, out: Array) -> None:
        """σ, the same everywhere."""
        out[...] = self.std

    def sample(self, ctx: Context, a: Array, bias: Array, rng_key: RNGKey) -> Array:
        x, mean = ctx.work("x.sample", *a.shape), ctx.work("x.sample_mean", *a.shape)
        ctx.ops.fill_noise(*rng_key, 0, x[None])
        self.mean(ctx, a, bias, mean)
        x *= self.std
        x += mean
        return x


@dataclass(frozen=True)
class LaplaceLikelihood(LearnedScale, FusedGradLikelihood):
    """x_d ~ Laplace(μ_d, b_d), both from the decoder: real data with outliers.

    Attributes
    ----------
    variance : str
        As a normal likelihood has it, of b_d.
    """

    variance: str = "latent"
    log_scale: float = field(default=0.0, repr=False)
    scale_head: ClassVar[str] = "logscale"
    exponent: ClassVar[float] = 1
    op: ClassVar[str] = "laplace"
    head_names: ClassVar[tuple[str, ...]] = ("mean", "logscale")
    mean_head: ClassVar[str] = "mean"
    support: ClassVar[Support] = REALS

    def initial_bias(self, mean: Array, variance: Array, n: int) -> dict[str, Array]:
        return {"mean": mean, "logscale": 0.5 * array_module(mean).log(variance / 2)}  # of 2 b²

    def options(self) -> tuple[Any, ...]:
        return (self.limit,)

    def standardizes(self) -> bool:
        return True

    def scale(self, deviation: Array) -> Array:
        return one_where_constant(deviation)

    def standardized(self, scale: Array) -> "LaplaceLikelihood":
        return replace(self, log_scale=log_volume(scale))

    def restored(self, parameters: dict[str, Array], scale: Array) -> dict[str, Array]:
        return parameters | {"logscale": moved(parameters["logscale"], 1, scale)}

    def mean(self, ctx: Context, a: Array, bias: Array, out: Array) -> None:
        ctx.ops.identity(a, bias, out)

    def stddev(self, ctx: Context, a: Array, bias: Array, out: Array) -> None:
        """√2 b."""
        exp_below_sqrt_max(array_module(a), self.log_scale_of(halves(a + bias)[1]), out)
        out *= 2**0.5


@dataclass(frozen=True)
class PoissonLikelihood(NaturalParameterLikelihood):
    """x_d ~ Poisson(exp(l_d)): counts."""

    op: ClassVar[str] = "poisson"
    head_names: ClassVar[tuple[str, ...]] = ("lograte",)
    mean_head: ClassVar[str] = "lograte"
    support: ClassVar[Support] = COUNTS

    def initial_bias(self, mean: Array, variance: Array, n: int) -> dict[str, Array]:
        return {"lograte": array_module(mean).log(mean + 1 / n)}  # finite where all counts are 0

    def scratch(self, ctx: Context, a: Array, x: Array) -> tuple[Array, ...]:
        return (ctx.work("x.scratch", *x.shape),)

    def stddev(self, ctx: Context, a: Array, bias: Array, out: Array) -> None:
        """√λ, of the rate that is kept below the square root of the largest number."""
        exp_below_sqrt_max(array_module(a), a + bias, out)
        out **= 0.5


@dataclass(frozen=True)
class ContinuousBernoulliLikelihood(NaturalParameterLikelihood):
    """p(x) ∝ λˣ (1 − λ)¹⁻ˣ on [0, 1], λ_d = sigmoid(l_d): a density of grey pixels.

    The Bernoulli's formula for them integrates to less than one (Loaiza-Ganem, Cunningham 2019).
    λ is not the mean.
    """

    op: ClassVar[str] = "continuous_bernoulli"
    head_names: ClassVar[tuple[str, ...]] = ("logits",)
    mean_head: ClassVar[str] = "logits"
    support: ClassVar[Support] = unit_interval("continuous Bernoulli")

    def initial_bias(self, mean: Array, variance: Array, n: int) -> dict[str, Array]:
        return {"logits": logit_of_mean(mean, n)}  # λ, on the same side of ½ as the mean

    def scratch(self, ctx: Context, a: Array, x: Array) -> tuple[Array, ...]:
        return (ctx.work("x.scratch", 2, *a.shape),)

    def stddev(self, ctx: Context, a: Array, bias: Array, out: Array) -> None:
        """√κ″, κ″ = 1/t² − e⁻ᵗ/(1 − e⁻ᵗ)², t = |l|; where t < ½, of the series of κ′."""
        xp = array_module(a)
        l = (a + bias).astype("float64")
        t = xp.maximum(xp.abs(l), NEAR)
        far = 1 / (t * t) - xp.exp(-t) / xp.expm1(-t) ** 2
        near, square = 0 * l, xp.minimum(l * l, NEAR**2)
        for n in range(len(SERIES), 0, -1):
            near = near * square + (2 * n - 1) * SERIES[n - 1]
        out[...] = xp.sqrt(xp.where(t > NEAR, far, near))


@dataclass(frozen=True)
class CategoricalLikelihood(FusedGradLikelihood):
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

    def initial_bias(self, mean: Array, variance: Array, n: int) -> dict[str, Array]:
        return {}  # moments do not say how often each level is there

    def scratch(self, ctx: Context, a: Array, x: Array) -> tuple[Array, ...]:
        return ctx.work("x.scratch", *a.shape[:-1], x.shape[-1]), ctx.work("x.mask", *x.shape)

    def mean(self, ctx: Context, a: Array, bias: Array, out: Array) -> None:
        """Σ_k p_k k/(K − 1). Where x = 0 the gradient is p but for k = 0, which adds nothing."""
        xp, (B, D) = array_module(a), out.shape
        _, cache = self.nll(ctx, a[None], bias, ctx.work.constant(0, B, D))
        p = cache.d_nll_d_a.reshape(B, -1, D)
        level = xp.arange(self.n_levels, dtype=p.dtype) / (self.n_levels - 1)
        out[...] = xp.einsum("bkd,k->bd", p, level)

    def stddev(self, ctx: Context, a: Array, bias: Array, out: Array) -> None:
        """√(Σ_k p_k (k − m)²)/(K − 1), m = Σ_k p_k k."""
        xp, (B, D) = array_module(a), out.shape
        l = (a + bias).reshape(B, -1, D)
        p = xp.exp(l - l.max(axis=1)[:, None])
        p /= p.sum(axis=1)[:, None]
        level = xp.arange(self.n_levels, dtype=p.dtype)[:, None] / (self.n_levels - 1)
        mean = (p * level).sum(axis=1)
        out[...] = xp.sqrt((p * (level - mean[:, None]) ** 2).sum(axis=1))


@dataclass(frozen=True)
class DiscretizedLogisticLikelihood(FusedGradLikelihood):
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
    zero_heads: ClassVar[tuple[str, ...]] = ("logscale",)

    @property
    def support(self) -> Support:
        return levels(self.n_levels, "discretized logistic")

    def options(self) -> tuple[Any, ...]:
        return (self.n_levels,)

    def scratch(self, ctx: Context, a: Array, x: Array) -> tuple[Array, ...]:
        return ctx.work("x.scratch", 3, *a.shape[:-1], x.shape[-1]), ctx.work("x.mask", *x.shape)

    def initial_bias(self, mean: Array, variance: Array, n: int) -> dict[str, Array]:
        squared_scale = variance * 3 / pi**2  # but for what lies beyond the levels
        return {"mean": mean, "logscale": 0.5 * array_module(mean).log(squared_scale)}

    def mean(self, ctx: Context, a: Array, bias: Array, out: Array) -> None:
        """Σ_k P(x > e_k)/(K − 1) over the K − 1 edges e_k between levels."""
        xp, K, D = array_module(a), self.n_levels, out.shape[1]
        location, logscale = a[:, :D] + bias[:D], a[:, D:] + bias[D:]
        half_rate = 0.5 * xp.exp(xp.minimum(-logscale, STEEPEST))
        out[...] = 0
        for k in range(1, K):
            out += xp.tanh((location - (k - 0.5) / (K - 1)) * half_rate)  # 2 sigmoid − 1
        out *= 0.5 / (K - 1)
        out += 0.5

    def stddev(self, ctx: Context, a: Array, bias: Array, out: Array) -> None:
        """√(Σ_k S_k (1 − S_k + 2 Σ_{j<k} (1 − S_j)))/(K − 1), S_k = P(x > e_k): nothing cancels."""
        xp, K, D = array_module(a), self.n_levels, out.shape[1]
        location, logscale = a[:, :D] + bias[:D], a[:, D:] + bias[D:]
        rate = xp.exp(xp.minimum(-logscale, STEEPEST))
        below, variance = 0 * location, 0 * location  # Σ_{j<k} (1 − S_j)
        for k in range(1, K):
            u = (location - (k - 0.5) / (K - 1)) * rate
            e = xp.exp(-xp.abs(u))
            above, rest = xp.where(u < 0, e, 1) / (1 + e), xp.where(u < 0, 1, e) / (1 + e)
            variance += above * (rest + 2 * below)
            below += rest
        out[...] = xp.sqrt(variance) / (K - 1)


LIKELIHOODS: dict[str, Callable[..., Likelihood]] = {
    "bernoulli": BernoulliLikelihood,
    "continuous-bernoulli": ContinuousBernoulliLikelihood,
    "normal": NormalLikelihood,
    "laplace": LaplaceLikelihood,
    "poisson": PoissonLikelihood,
    "categorical": CategoricalLikelihood,
    "discretized-logistic": DiscretizedLogisticLikelihood,
}


def likelihood(
    name: str, sigmoid_mean: bool = False, std: float | None = None, n_levels: int | None = None,
    variance: str = "latent",
) -> Likelihood:  # fmt: skip
    """The likelihood called ``name``; each looks at the options that it has.

    Examples
    --------
    >>> likelihood("normal", std=0.1)
    FixedNormalLikelihood(std=0.1, sigmoid_mean=False)
    >>> likelihood("discretized-logistic")
    DiscretizedLogisticLikelihood(n_levels=256)
    """
    if name == "normal":
        return NormalLikelihood(sigmoid_mean, variance) if std is None else FixedNormalLikelihood(
            std, sigmoid_mean)
    if name == "laplace":
        return LaplaceLikelihood(variance)
    kind = LIKELIHOODS[name]
    return kind() if n_levels is None else kind(n_levels)
