"""The plain auto-encoder: the VAE's page without noise, without KL.

    x (M, D)  →  z = W h + b (M, J)  →  −log p(x|z) (M,)

What regularises it is a penalty on the weights, which the engine adds to any model's loss.
"""
from dataclasses import replace
from typing import Any, NamedTuple

from npvae import networks
from npvae.backend import Array
from npvae.distributions import Likelihood
from npvae.memory import Context, Layout
from npvae.models.model import Model, Noise
from npvae.networks import MLP, MLPCache
from npvae.objectives import Seeds, Terms
from npvae.records import dataclass


class AutoencoderCache(NamedTuple):
    """What the forward page leaves for the backward page."""

    terms: Terms
    encoder: MLPCache
    a: Array  # a buffer that is free again     (M, J)
    z: Array  # the code                        (1, M, J)
    decoder: MLPCache
    likelihood: Any  # the likelihood's own


@dataclass(frozen=True)
class AutoencoderModel(Model):
    """Encoder x → code z, decoder z → the heads of a likelihood."""

    encoder: MLP
    decoder: MLP
    likelihood: Likelihood
    n_noise = 0  # eps is (1, M, 0)

    @property
    def n_features(self) -> int:
        """D."""
        return self.encoder.n_in

    def layout(self) -> Layout:
        """Names and shapes of all parameters."""
        return networks.layout(self.encoder, self.decoder)

    def with_likelihood(self, likelihood: Likelihood[Any]) -> "AutoencoderModel":
        return replace(self, likelihood=likelihood)

    def forward(
        self, ctx: Context, x: Array, noise: Noise, analytic_kl: bool = False
    ) -> AutoencoderCache:
        """x (M, D) → the reconstruction error −log p(x|z), nats."""
        a, encoder = self.encoder.forward(ctx, x)  # (M, J)
        z, kl = ctx.work("z", 1, *a.shape), ctx.work.constant(0, 1, len(a))
        ctx.ops.identity(a, ctx.P["encoder.heads.bias"], z[0])
        a_x, decoder = self.decoder.forward(ctx, z)  # (1, M, ·)
        nll, likelihood = self.likelihood.nll(ctx, a_x, ctx.P["decoder.heads.bias"], x)  # (1, M)
        return AutoencoderCache(Terms(nll, kl), encoder, a, z, decoder, likelihood)

    def backward(self, ctx: Context, cache: AutoencoderCache, seeds: Seeds) -> None:
        """∂loss/∂θ for all parameters, written into G."""
        d_a_x = self.likelihood.nll_backward(
            ctx, seeds.theta, cache.likelihood, ctx.G["decoder.heads.bias"]
        )  # (1, M, ·)
        d_z = ctx.work("d_z", *cache.z.shape)  # (1, M, J)
        self.decoder.backward(ctx, d_a_x, cache.decoder, d_z)
        d_a = cache.a  # (M, J)
        ctx.ops.identity_backward(d_z[0], cache.z[0], d_a, ctx.G["encoder.heads.bias"])
        self.encoder.backward(ctx, d_a, cache.encoder)

    def encode(self, ctx: Context, x: Array, out: Array) -> None:
        """x (M, D) → the codes z, written into ``out`` (M, J)."""
        a, _ = self.encoder.forward(ctx, x)
        ctx.ops.identity(a, ctx.P["encoder.heads.bias"], out)
