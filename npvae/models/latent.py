"""The stochastic layer: from the encoder's products to z, to the distance of q from p, and back.

    forward     a (M, ·), ε  →  z = g(ε; a) (L, M, J),  and KL(q‖p), or log q(z|x) − log p(z)
    backward    d_z and the seeds  →  d_a (M, ·)

What reaches the parameters of q comes in three ways: by z from the decoder, by z from log q and
log p, and directly. Where q and p are both normal all of it is one op there and one back. Any other
family q with any prior p is put together from their public methods, on the real line:

    ε  →  y = g(ε; a)  →  z = transform(y)      y on the real line, z what the decoder reads

Families are formulas without buffers, so these layers make arrays on the way.
"""
from typing import Any, NamedTuple, Protocol

from npvae.backend import Array
from npvae.distributions.compatibility import closed_kl
from npvae.distributions.latents import LatentFamily
from npvae.distributions.priors import NORMAL, Density, FamilyPrior, Prior
from npvae.memory import Context
from npvae.models.model import Noise
from npvae.objectives import NormalParameters, Seeds

D_A = "z.d_a"  # the buffer of ∂loss/∂a, which no pass of an encoder uses up


class NormalCache(NamedTuple):
    """What a normal layer leaves for its backward pass."""

    z: Array  # what the decoder reads                                   (L, M, J)
    kl: Array  # KL(q‖p) (1, M), or log q(z_l|x) − log p(z_l)             (L, M)
    analytic_kl: bool  # which of the two
    eps: Array  # (L, M, J)
    q: NormalParameters


class FamilyCache(NamedTuple):
    """What a layer of any other family leaves for its backward pass."""

    z: Array  # what the decoder reads                                   (L, M, J)
    kl: Array  # KL(q‖p) (1, M), or log q(z_l|x) − log p(z_l)             (L, M)
    analytic_kl: bool  # which of the two
    eps: Array  # (L, M, n_noise)
    a: Array  # the parameters of q                                      (M, Σ heads)
    y: Array  # z on the real line                                       (L, M, J)
    q: NormalParameters | None = None


class Latent(Protocol):
    """The stochastic layer of a posterior, with a cache of its own."""

    def forward(
        self, ctx: Context, a: Array, bias: Array, noise: Noise, analytic_kl: bool,
        p: Density | None = None,
    ) -> Any:  # fmt: skip
        """a (M, Σ heads), which it uses up; p is the density of a prior that learns."""

    def backward(
        self, ctx: Context, d_z: Array, seeds: Seeds, cache: Any, d_bias: Array,
        p: Density | None = None,
    ) -> tuple[Array, tuple[Any, ...]]:  # fmt: skip
        """d_z (L, M, J), which it may use up → d_a (M, Σ heads), and what p's parameters get.

        d_bias (Σ heads,) is written.
        """


class NormalLatent(Latent):
    """q(z|x) = N(μ, σ²) and p(z) = N(0, I), each way by one op."""

    def forward(
        self, ctx: Context, a: Array, bias: Array, noise: Noise, analytic_kl: bool,
        p: Density | None = None,
    ) -> NormalCache:  # fmt: skip
        ops, eps = ctx.ops, noise.eps
        L, M, J = eps.shape
        sigma, z = ctx.work("sigma", M, J), ctx.work("z", L, M, J)
        kl = ctx.work("kl", 1 if analytic_kl else L, M)
        if noise.rng_key and not noise.filled:
            op = ops.fill_noise_normal_kl if analytic_kl else ops.fill_noise_normal_log_ratio
            op(*noise.rng_key, a, bias, eps, sigma, z, kl)
        else:
            op = ops.normal_kl if analytic_kl else ops.normal_log_ratio
            op(a, bias, eps, sigma, z, kl)
        return NormalCache(z, kl, analytic_kl, eps, NormalParameters(a, sigma))

    def backward(
        self, ctx: Context, d_z: Array, seeds: Seeds, cache: NormalCache, d_bias: Array,
        p: Density | None = None,
    ) -> tuple[Array, tuple[Any, ...]]:  # fmt: skip
        eps, (a, sigma) = cache.eps, cache.q
        d_a = ctx.work(D_A, *a.shape)  # (M, 2J)
        if cache.analytic_kl and seeds.above_threshold is not None:
            ctx.ops.free_bits_backward(
                d_z, seeds.kl, seeds.above_threshold, a, eps, sigma, d_a, d_bias
            )
        elif cache.analytic_kl:
            ctx.ops.normal_kl_backward(d_z, seeds.kl, a, eps, sigma, d_a, d_bias)
        else:
            d_ratio = through_sample(d_z, seeds)  # (L, M)
            ctx.ops.normal_log_ratio_backward(
                d_z, d_ratio, seeds.score, a, eps, sigma, cache.z, d_a, d_bias
            )
        return d_a, ()


class FamilyLatent(Latent):
    """Any family q(z|x), with any prior.

    Parameters
    ----------
    q : LatentFamily
        The family of q(z|x).
    prior : Prior
        p(z), by whose name the KL in closed form is found.
    """

    def __init__(self, q: LatentFamily, prior: Prior):
        self.q, self.prior = q, prior

    def forward(
        self, ctx: Context, a: Array, bias: Array, noise: Noise, analytic_kl: bool,
        p: Density | None = None,
    ) -> FamilyCache:  # fmt: skip
        eps = noise.eps
        if noise.rng_key and not noise.filled:
            ctx.ops.fill_noise(*noise.rng_key, 0, eps)
        a += bias
        J = self.q.J(eps.shape[-1])
        q, p = self.q.at(a, J), p or self.prior.density(ctx, None, J)
        y, z = ctx.work("y", *eps.shape[:-1], J), ctx.work("z", *eps.shape[:-1], J)
        y[...] = q.rsample(eps)
        z[...], _ = q.transform(y)
        kl = ctx.work("kl", 1 if analytic_kl else len(eps), len(a))
        if analytic_kl:
            kl[0] = q.kl(self._closed_kl)
        else:
            kl[...] = q.log_prob(y)
            kl -= p.log_prob(y)
        return FamilyCache(z, kl, analytic_kl, eps, a, y)

    def backward(
        self, ctx: Context, d_z: Array, seeds: Seeds, cache: FamilyCache, d_bias: Array,
        p: Density | None = None,
    ) -> tuple[Array, tuple[Any, ...]]:  # fmt: skip
        a, eps, y, J = cache.a, cache.eps, cache.y, d_z.shape[-1]
        q, p = self.q.at(a, J), p or self.prior.density(ctx, None, J)
        d_y = d_z * q.transform(y)[1]  # (L, M, J)
        d_prior: tuple[Any, ...] = ()
        if cache.analytic_kl:
            directly = q.kl_backward(self._closed_kl, seeds.kl[0])  # (M, ·) each
        else:
            d_y_p, *rest = p.log_prob_backward(-seeds.kl, y)
            d_prior = tuple(rest)
            d_y += d_y_p
            d_ratio = through_sample(d_y, seeds)  # (L, M)
            d_y_q, directly = q.log_prob_backward(d_ratio, y)
            d_y += d_y_q
            if seeds.score is not d_ratio:
                _, directly = q.log_prob_backward(seeds.score, y)
        d_a = q.sum_param_grads(ctx.work(D_A, *a.shape), q.rsample_backward(d_y, eps), directly)
        d_bias[...] = d_a.sum(axis=0)
        return d_a, d_prior

    @property
    def _closed_kl(self) -> str:
        """The method of the family that is its KL to this prior."""
        return closed_kl(self.q.name, self.prior.name) or ""


def through_sample(d_z: Array, seeds: Seeds) -> Array:
    """What log q − log p gets by way of z_l, (L, M); and d_z with the same factor, in place."""
    if seeds.path is None:
        return seeds.kl
    d_z *= seeds.path[..., None]
    return seeds.kl * seeds.path


def latent_layer(q: LatentFamily, prior: Prior) -> Latent:
    """The layer of a pair: the fused one if both are normal."""
    if q == NORMAL and isinstance(prior, FamilyPrior) and prior.variables == NORMAL:
        return NormalLatent()
    return FamilyLatent(q, prior)


def last_d_a(ctx: Context, M: int, width: int) -> Array:
    """∂loss/∂a (M, Σ heads) of the last backward pass: all that reached the parameters of q."""
    return ctx.work(D_A, M, width)
