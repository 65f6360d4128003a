"""The model of Monte Carlo EM (appendix E): a decoder and its prior, and no encoder.

    z   (L, M, J)      from outside: Markov chains sample p(z|x)
     ↓  decoder        MLP
    a_x (L, M, ·)
     ↓  likelihood     −log p(x|z), and −log p(z) beside it
    nll (L, M)

The loss is minus the mean of log p(x, z) over the samples. By Fisher's identity its gradient,
with z ~ p(z|x) held where they are, is an unbiased one of −log p(x).
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
from npvae.ops.elementary import LOG_2PI
from npvae.records import dataclass


class MCEMCache(NamedTuple):
    """What the forward page leaves for the backward page."""

    terms: Terms
    decoder: MLPCache
    likelihood: Any  # the likelihood's own


@dataclass(frozen=True)
class MCEMModel(Model):
    """Decoder p(x|z) and prior N(0, I); what a pass is given for noise are the latents themselves.

    Attributes
    ----------
    decoder : MLP
        J → the heads of the likelihood.
    likelihood : Likelihood
        p(x|z).
    D : int
        Width of the data.
    """

    decoder: MLP
    likelihood: Likelihood
    D: int

    def layout(self) -> Layout:
        """Names and shapes of all parameters."""
        return networks.layout(self.decoder)

    def with_likelihood(self, likelihood: Likelihood[Any]) -> "MCEMModel":
        return replace(self, likelihood=likelihood)

    def forward(
        self, ctx: Context, x: Array, noise: Noise, analytic_kl: bool = False
    ) -> MCEMCache:
        """x (M, D), z (L, M, J) in the place of ε → −log p(x|z) and −log p(z), nats."""
        z = noise.eps
        a_x, decoder = self.decoder.forward(ctx, z)  # (L, M, ·)
        nll, likelihood = self.likelihood.nll(ctx, a_x, ctx.P["decoder.heads.bias"], x)  # (L, M)
        minus_log_prior = 0.5 * (z * z).sum(axis=-1) + 0.5 * self.n_noise * LOG_2PI
        return MCEMCache(Terms(nll, minus_log_prior), decoder, likelihood)

    def backward(self, ctx: Context, cache: MCEMCache, seeds: Seeds) -> None:
        """∂loss/∂θ for all parameters, written into G."""
        d_a_x = self.likelihood.nll_backward(
            ctx, seeds.theta, cache.likelihood, ctx.G["decoder.heads.bias"]
        )  # (L, M, ·)
        self.decoder.backward(ctx, d_a_x, cache.decoder)  # and no d_z

    @property
    def n_features(self) -> int:
        """D."""
        return self.D

    @property
    def n_noise(self) -> int:
        """Latent variables of a sample: what it takes in the place of ε is (L, M, n_noise)."""
        return self.decoder.n_in
