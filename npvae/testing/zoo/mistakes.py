"""Mistakes that public VAE code has made, each planted in one place.

A mistake is a class of its own that takes the place of a right one: a family of posteriors, an
objective, a likelihood, or a model with a report of its own. What it says in its methods is all
that is wrong. Most have a backward pass to match their wrong forward pass, as automatic
differentiation would give them, so that no gradient check can tell: the gradient is right, of
something else than was meant.
"""
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from npvae.backend import Array, array_module
from npvae.distributions import BernoulliLikelihood, Normal
from npvae.distributions.likelihoods import BernoulliCache
from npvae.distributions.support import REALS, Support
from npvae.estimators import VAE, scoring
from npvae.evaluation import LogLikelihood
from npvae.memory import Context
from npvae.objectives import ELBO, IWAE, Loss, Seeds, Terms, mean_grad
from npvae.objectives.objective import STATELESS, State

Progress = Callable[[Iterable], Iterable]

# ---- the sample: right is z = μ + ε exp(½ log σ²)


class VarianceAsDeviation(Normal):
    """z = μ + ε exp(log σ²): the ½ between log σ² and log σ is lost."""

    def rsample(self, noise: Array, mu: Array, logvar: Array) -> Array:
        return mu + noise * array_module(mu).exp(logvar)

    def rsample_backward(
        self, d_z: Array, noise: Array, mu: Array, logvar: Array
    ) -> tuple[Array, Array]:
        return d_z, d_z * noise * array_module(mu).exp(logvar)


class HalfTwice(Normal):
    """z = μ + ε exp(¼ log σ²): the ½ between log σ² and log σ is there twice."""

    def rsample(self, noise: Array, mu: Array, logvar: Array) -> Array:
        return mu + noise * array_module(mu).exp(0.25 * logvar)

    def rsample_backward(
        self, d_z: Array, noise: Array, mu: Array, logvar: Array
    ) -> tuple[Array, Array]:
        return d_z, d_z * noise * 0.25 * array_module(mu).exp(0.25 * logvar)


class HalfTheNoise(Normal):
    """z = μ + ½ ε σ."""

    def rsample(self, noise: Array, mu: Array, logvar: Array) -> Array:
        return mu + 0.5 * noise * array_module(mu).exp(0.5 * logvar)

    def rsample_backward(
        self, d_z: Array, noise: Array, mu: Array, logvar: Array
    ) -> tuple[Array, Array]:
        return d_z, d_z * 0.25 * noise * array_module(mu).exp(0.5 * logvar)


class NoiseForgotten(Normal):
    """z = μ: ε is forgotten, and nothing keeps log σ² from what the KL alone wants."""

    def rsample(self, noise: Array, mu: Array, logvar: Array) -> Array:
        return mu + 0 * noise

    def rsample_backward(
        self, d_z: Array, noise: Array, mu: Array, logvar: Array
    ) -> tuple[Array, Array]:
        return d_z, 0 * d_z


class HalfLostOnTheWayBack(Normal):
    """d_log σ² = d_z σ ε, of z = μ + ε σ: the ½ is lost in the backward pass alone."""

    def rsample_backward(
        self, d_z: Array, noise: Array, mu: Array, logvar: Array
    ) -> tuple[Array, Array]:
        return d_z, d_z * noise * array_module(mu).exp(0.5 * logvar)


# ---- the KL: right is ½ (μ² + σ² − 1 − log σ²), summed over the J latents


class KLOfLogSigma(Normal):
    """KL = ½ (μ² + exp(2 log σ²) − 1 − 2 log σ²): log σ² is taken for log σ."""

    def kl(self, mu: Array, logvar: Array) -> Array:
        return 0.5 * (mu * mu + array_module(mu).expm1(2 * logvar) - 2 * logvar)

    def kl_backward(self, d_kl: Array, mu: Array, logvar: Array) -> tuple[Array, Array]:
        return d_kl * mu, d_kl * array_module(mu).expm1(2 * logvar)


class KLAveraged(Normal):
    """KL / J: averaged over the latents, and log p(x|z) summed over the pixels."""

    def kl(self, mu: Array, logvar: Array) -> Array:
        return 0.5 * (mu * mu + array_module(mu).expm1(logvar) - logvar) / mu.shape[-1]

    def kl_backward(self, d_kl: Array, mu: Array, logvar: Array) -> tuple[Array, Array]:
        d = d_kl / mu.shape[-1]
        return d * mu, 0.5 * d * array_module(mu).expm1(logvar)


@dataclass(frozen=True)
class KLScaled(ELBO):
    """log p(x|z) − 0.1 KL, called the lower bound: no factor but 1 makes it one."""

    factor: ClassVar[float] = 0.1

    def __call__(
        self, ctx: Context, terms: Terms, scalars: tuple[Array, ...] = (), state: State = STATELESS
    ) -> Loss:
        theta, d_kl = mean_grad(ctx.work, *terms.nll.shape), mean_grad(ctx.work, *terms.kl.shape)
        d_kl = KLScaled.factor * d_kl
        return Loss(terms.nll, KLScaled.factor * terms.kl, Seeds(theta, d_kl, d_kl))


@dataclass(frozen=True)
class KLDropped(ELBO):
    """log p(x|z) alone: an auto-encoder with noise, and a prior that nothing has to do with."""

    def __call__(
        self, ctx: Context, terms: Terms, scalars: tuple[Array, ...] = (), state: State = STATELESS
    ) -> Loss:
        theta, no_kl = mean_grad(ctx.work, *terms.nll.shape), 0 * terms.kl
        return Loss(terms.nll, no_kl, Seeds(theta, no_kl, no_kl))


@dataclass(frozen=True)
class KLSign(ELBO):
    """log p(x|z) + KL: the sign is wrong, and the farther q is from the prior the better."""

    def __call__(
        self, ctx: Context, terms: Terms, scalars: tuple[Array, ...] = (), state: State = STATELESS
    ) -> Loss:
        theta, d_kl = mean_grad(ctx.work, *terms.nll.shape), -mean_grad(ctx.work, *terms.kl.shape)
        return Loss(terms.nll, -terms.kl, Seeds(theta, d_kl, d_kl))


# ---- log p(x|z): right is Σ_d x_d log y_d + (1 − x_d) log (1 − y_d), from the logits


@dataclass(frozen=True)
class PixelsAveraged(BernoulliLikelihood):
    """log p(x|z) / D: averaged over the pixels, and the KL summed over the latents."""

    def nll(self, ctx: Context, a: Array, bias: Array, x: Array) -> tuple[Array, BernoulliCache]:
        nll, y = ctx.work("nll", *a.shape[:-1]), ctx.work("x.mean", *a.shape)
        ctx.ops.bernoulli_nll(a, bias, x, y, ctx.work("x.scratch", *a.shape), nll)
        nll /= x.shape[-1]
        return nll, BernoulliCache(y, x, a)

    def nll_backward(
        self, ctx: Context, d_nll: Array, cache: BernoulliCache, d_bias: Array
    ) -> Array:
        d = d_nll / cache.x.shape[-1]
        ctx.ops.bernoulli_nll_backward(d, cache.x, cache.y, cache.free, d_bias)
        return cache.free


@dataclass(frozen=True)
class ProbabilitiesClipped(BernoulliLikelihood):
    """log y of y within [10⁻⁷, 1 − 10⁻⁷]: a pixel that is wrong beyond that has no gradient."""

    def nll(self, ctx: Context, a: Array, bias: Array, x: Array) -> tuple[Array, BernoulliCache]:
        xp = array_module(a)
        y = 0.5 + 0.5 * xp.tanh(0.5 * (a + bias))  # sigmoid(l)   (L, M, D)
        p = xp.clip(y, 1e-7, 1 - 1e-7)
        return -(x * xp.log(p) + (1 - x) * xp.log1p(-p)).sum(axis=-1), BernoulliCache(y, x, a)

    def nll_backward(
        self, ctx: Context, d_nll: Array, cache: BernoulliCache, d_bias: Array
    ) -> Array:
        y, within = cache.y, abs(cache.y - 0.5) < 0.5 - 1e-7
        d_a = d_nll[..., None] * (y - cache.x) * within
        d_bias[...] = d_a.sum(axis=(0, 1))
        return d_a


@dataclass(frozen=True)
class PixelsAnywhere(BernoulliLikelihood):
    """Pixels in [−1, 1] are taken: x l − softplus(l) rises without end where x > 1 or x < 0."""

    support: ClassVar[Support] = REALS


# ---- importance weights: right is w̃_l = w_l / Σ w, and ∂/∂θ of log mean w is Σ w̃_l ∂ log w_l


@dataclass(frozen=True)
class SoftmaxOfTheLoss(IWAE):
    """w̃_l ∝ 1 / w_l: a softmax of the loss in the place of the log-weight, its negative."""

    def seeds(self, ctx: Context, w: Array, theta: Array) -> Seeds:
        inverse = 1 / array_module(w).maximum(w, 1e-30)  # (k, M)
        theta = inverse / inverse.sum(axis=0) / w.shape[1]
        return Seeds(theta, theta, theta)


@dataclass(frozen=True)
class WeightsAttached(IWAE):
    """Σ w̃_l log w_l is maximised, its w̃_l with a gradient of their own."""

    def __call__(
        self, ctx: Context, terms: Terms, scalars: tuple[Array, ...] = (), state: State = STATELESS
    ) -> Loss:
        xp, log_w = array_module(terms.nll), -(terms.nll + terms.kl)  # (k, M)
        w = xp.exp(log_w - log_w.max(axis=0))
        w = w / w.sum(axis=0)
        total = (w * log_w).sum(axis=0, keepdims=True)  # (1, M)
        theta = w * (1 + log_w - total) / w.shape[1]
        return Loss(-total, ctx.work.constant(0, 1, w.shape[1]), Seeds(theta, theta, theta))


# ---- reports: right is log (1/S) Σ w, of as many samples as are asked for


class ReportOfWrongSign(VAE):
    """−log p(x) is reported as log p(x)."""

    def log_likelihood(
        self, X: Any, n_samples: int | None = None, rng: Any = None, progress: Progress = iter,
        **options: Any,
    ) -> LogLikelihood:
        right = scoring.log_likelihood(self, X, n_samples, rng, progress, **options)
        return replace(right, estimate=-right.estimate)


class SamplesByBatch(VAE):
    """The samples asked for are shared out among the datapoints of a batch, without a word."""

    def log_likelihood(
        self, X: Any, n_samples: int | None = None, rng: Any = None, progress: Progress = iter,
        **options: Any,
    ) -> LogLikelihood:
        each = max(2, (n_samples or 5000) // len(X))
        return scoring.log_likelihood(self, X, each, rng, progress, **options)
