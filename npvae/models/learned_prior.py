"""The VAE whose prior learns with it: a mixture of normals, or a VampPrior.

The VAE's page, and beside z the way of the prior. A VampPrior's pseudo-inputs u are read with the
data, so that one backward pass of the encoder sums what both ask of it:

    forward                                      backward
    [x; u]  (M + K, D)                           d_W, d_b of the encoder, d_u
     ↓  encoder          MLP                      ↑
    a       (M + K, ·)                           [d_a_q; d_a_u]
     ↓  latent           z, and log q − log p     ↑    and what p's parameters get
    z       (L, M, J)                            d_z
     ↓  decoder, likelihood                       ↑

The KL has no closed form: what stands for it is log q(z|x) − log p(z).
"""
from functools import cached_property
from typing import NamedTuple

from npvae import networks
from npvae.backend import Array
from npvae.distributions.priors import Mixture, MixturePrior
from npvae.memory import Context, Layout
from npvae.models.latent import FamilyLatent, Latent
from npvae.models.model import Noise
from npvae.models.vae import VAECache, VAEModel
from npvae.objectives import Seeds, Terms
from npvae.records import dataclass

ONE_COMPONENT = MixturePrior(1)


class LearnedPriorCache(NamedTuple):
    """What the forward page leaves for the backward page."""

    terms: Terms
    vae: VAECache  # its latent layer is at the first M rows of a
    a: Array  # the parameters of q at x, and under them at u     (M + K, ·)


@dataclass(frozen=True)
class LearnedPriorModel(VAEModel):
    """A :class:`VAEModel` with a prior that has parameters: a mixture."""

    prior: MixturePrior = ONE_COMPONENT

    @property
    def random_init(self) -> tuple[str, ...]:
        """What makes its components differ at first."""
        return self.prior.random_init

    def layout(self) -> Layout:
        """Names and shapes of all parameters, the prior's last."""
        vae = networks.layout(self.encoder, self.decoder)
        own = self.prior.shapes(self.n_features, self.decoder.n_in)
        return Layout({**vae.shapes, **own}, vae.stacked_views)

    @property
    def max_width(self) -> int:
        """K · J: a sample is seen by all components at once."""
        return self.prior.K * self.decoder.n_in

    @cached_property
    def latent(self) -> Latent:
        """Always the general one: no op has fused a normal q with a mixture."""
        return FamilyLatent(self.posterior, self.prior)

    def forward(  # type: ignore[override]
        self, ctx: Context, x: Array, noise: Noise, analytic_kl: bool = False
    ) -> LearnedPriorCache:
        """x (M, D), noise with ε (L, M, n_noise) → the terms, nats, and what they are made of."""
        M, bias = len(x), ctx.P["encoder.heads.bias"]
        a, encoder = self.encoder.forward(ctx, self.rows(ctx, x))  # (M + K, ·)
        a[M:] += bias
        p = self.prior.density(ctx, a[M:], self.decoder.n_in)
        latent = self.latent.forward(ctx, a[:M], bias, noise, analytic_kl, p)
        a_x, decoder = self.decoder.forward(ctx, latent.z)  # (L, M, ·)
        nll, likelihood = self.likelihood.nll(ctx, a_x, ctx.P["decoder.heads.bias"], x)  # (L, M)
        terms = Terms(nll, latent.kl)
        vae = VAECache(terms, encoder, latent, decoder, likelihood, noise)
        return LearnedPriorCache(terms, vae, a)

    def backward(  # type: ignore[override]
        self, ctx: Context, cache: LearnedPriorCache, seeds: Seeds
    ) -> None:
        """∂loss/∂θ, ∂loss/∂φ and the gradient of the prior, written into G."""
        (_, vae, a), M = cache, cache.terms.nll.shape[1]
        d_a_x = self.likelihood.nll_backward(
            ctx, seeds.theta, vae.likelihood, ctx.G["decoder.heads.bias"]
        )  # (L, M, ·)
        d_z = ctx.work("d_z", *vae.latent.z.shape)  # (L, M, J)
        self.decoder.backward(ctx, d_a_x, vae.decoder, d_z)
        p = self.prior.density(ctx, a[M:], self.decoder.n_in)
        d_a, d_bias = ctx.work("rows.d_a", *a.shape), ctx.G["encoder.heads.bias"]
        d_a[:M], (d_components, d_logits) = self.latent.backward(
            ctx, d_z, seeds, vae.latent, d_bias, p
        )
        self.prior.density_backward(ctx.G, d_components, d_logits, d_a[M:])
        d_bias += d_a[M:].sum(axis=0)
        d_rows = ctx.work("rows.d", *vae.encoder.x.shape) if len(a) > M else None
        self.encoder.backward(ctx, d_a, vae.encoder, d_rows)
        if d_rows is not None:
            ctx.G["prior.inputs"][...] = d_rows[M:]

    def rows(self, ctx: Context, x: Array) -> Array:
        """What the encoder reads: x, and under it the prior's pseudo-inputs if it has any."""
        u = self.prior.inputs(ctx.P)
        if u is None:
            return x
        rows = ctx.work("rows", len(x) + len(u), x.shape[-1])
        rows[: len(x)], rows[len(x) :] = x, u
        return rows

    def prior_at(self, ctx: Context) -> Mixture:
        """The prior's density."""
        u, a = self.prior.inputs(ctx.P), None
        if u is not None:
            a = self.encoder.forward(ctx, u)[0] + ctx.P["encoder.heads.bias"]
        return self.prior.density(ctx, a, self.decoder.n_in)
