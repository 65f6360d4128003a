"""The variational auto-encoder: its forward pass, and the same page read upside down.

One datapoint's way from pixels to the bound, and back to ∂loss/∂W:

    forward                                      backward
    x   (M, D)                                   d_W, d_b of the encoder
     ↓  encoder          MLP, two heads           ↑
    a_q (M, 2J)                                  d_a_q (M, 2J)
     ↓  latent           z = μ + σ ε,  KL         ↑
    z   (L, M, J)                                d_z (L, M, J)      d_W, d_b of the decoder
     ↓  decoder          MLP                      ↑
    a_x (L, M, ·)                                d_a_x (L, M, ·)
     ↓  likelihood       −log p(x|z)              ↑
    nll (L, M), kl   →   objective   →           seeds

What the objective makes of the two terms, nll and kl, is its own affair (:mod:`npvae.objectives`).
That is the page for any q(z|x) and p(z); of those that are not both normal the latent layer is
another (:mod:`npvae.models.latent`), and a_q has the parameters of another family.
"""
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

from npvae import networks
from npvae.backend import Array
from npvae.distributions import Likelihood
from npvae.distributions.latents import BoundDistribution, LatentFamily
from npvae.distributions.priors import NORMAL, STANDARD_NORMAL, Prior
from npvae.memory import Context, Layout
from npvae.models.latent import Latent, latent_layer
from npvae.models.model import Model, Noise
from npvae.networks import MLP, MLPCache
from npvae.objectives import Seeds, Terms
from npvae.records import dataclass


class VAECache(NamedTuple):
    """What the forward page leaves for the backward page."""

    terms: Terms  # nll and kl, for the objective
    encoder: MLPCache
    latent: Any  # the stochastic layer's own
    decoder: MLPCache
    likelihood: Any  # the likelihood's own
    noise: Noise


@dataclass(frozen=True)
class VAEModel(Model):
    """Encoder q_φ(z|x), decoder p_θ(x|z), prior p(z).

    Attributes
    ----------
    encoder, decoder : MLP
        D → (μ, log σ²) of J latents, and J → the heads of the likelihood.
    likelihood : Likelihood
        p(x|z).
    posterior : LatentFamily
        The family of q(z|x). If it is no normal, the encoder has other heads than (μ, log σ²).
    prior : Prior
        p(z), which has nothing to learn here.
    """

    encoder: MLP
    decoder: MLP
    likelihood: Likelihood
    posterior: LatentFamily = NORMAL
    prior: Prior = STANDARD_NORMAL

    def layout(self) -> Layout:
        """Names and shapes of all parameters."""
        return networks.layout(self.encoder, self.decoder)

    def with_likelihood(self, likelihood: Likelihood[Any]) -> "VAEModel":
        return replace(self, likelihood=likelihood)

    def forward(
        self, ctx: Context, x: Array, noise: Noise, analytic_kl: bool = False
    ) -> VAECache:
        """x (M, D), noise with ε (L, M, n_noise) → the terms, nats, and what they are made of."""
        a_q, encoder = self.encoder.forward(ctx, x)  # (M, 2J)
        latent = self.latent.forward(
            ctx, a_q, ctx.P["encoder.heads.bias"], noise, analytic_kl
        )  # z (L, M, J), kl (1 or L, M)
        a_x, decoder = self.decoder.forward(ctx, latent.z)  # (L, M, ·)
        nll, likelihood = self.likelihood.nll(
            ctx, a_x, ctx.P["decoder.heads.bias"], x
        )  # (L, M)
        terms = Terms(nll, latent.kl, latent.q)
        return VAECache(terms, encoder, latent, decoder, likelihood, noise)

    def backward(self, ctx: Context, cache: VAECache, seeds: Seeds) -> None:
        """∂loss/∂θ and ∂loss/∂φ for all parameters, written into G."""
        d_a_x = self.likelihood.nll_backward(
            ctx, seeds.theta, cache.likelihood, ctx.G["decoder.heads.bias"]
        )  # (L, M, ·)
        d_z = ctx.work("d_z", *cache.latent.z.shape)  # (L, M, J)
        self.decoder.backward(ctx, d_a_x, cache.decoder, d_z)
        d_a_q, _ = self.latent.backward(
            ctx, d_z, seeds, cache.latent, ctx.G["encoder.heads.bias"]
        )  # (M, 2J)
        self.encoder.backward(ctx, d_a_q, cache.encoder)

    def surrogate(self, ctx: Context, at: Context, x: Array, noise: Noise, seeds: Seeds) -> Array:
        """The row of coefficients as a function: θ where z is held, the path where θ and the
        density of q are, the score where z is.
        """
        q_at, q = self.posterior_at(at, x), self.posterior_at(ctx, x)
        y_at, y = q_at.rsample(noise.eps), q.rsample(noise.eps)  # (L, M, J)

        def nll(c: Context, y: Array) -> Array:
            a, _ = self.decoder.forward(c, q.transform(y)[0])
            return self.likelihood.nll(c, a, c.P["decoder.heads.bias"], x)[0]

        theta = seeds.theta * nll(ctx, y_at) - seeds.kl * self.prior_at(ctx).log_prob(y_at)
        path = seeds.theta * nll(at, y)
        path = path + seeds.kl * (q_at.log_prob(y) - self.prior_at(at).log_prob(y))
        path = path if seeds.path is None else seeds.path * path
        score = seeds.score * q.log_prob(y_at)
        return (theta + path + score).sum()

    def encode(self, ctx: Context, x: Array, out: Array) -> None:
        """x (M, D) → the location of q(z|x), a mean if finite, written into ``out`` (M, J)."""
        if self.posterior == NORMAL:
            a, _ = self.encoder.forward(ctx, x, head="mean")
            ctx.ops.identity(a, ctx.P["encoder.mean.bias"], out)
        else:
            out[...] = self.posterior_at(ctx, x).location()

    @cached_property
    def latent(self) -> Latent:
        """The stochastic layer between the two networks."""
        return latent_layer(self.posterior, self.prior)

    @property
    def n_features(self) -> int:
        """D."""
        return self.encoder.n_in

    @property
    def n_noise(self) -> int:
        """Noise variables a sample: ``eps`` is (L, M, n_noise)."""
        return self.posterior.n_noise(self.decoder.n_in)

    def posterior_at(self, ctx: Context, x: Array) -> BoundDistribution:
        """q(z|x) as a density of z, for x (M, D)."""
        a, _ = self.encoder.forward(ctx, x)
        return self.posterior.at(a + ctx.P["encoder.heads.bias"], self.decoder.n_in)
