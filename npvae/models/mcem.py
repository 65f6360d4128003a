"""The model of Monte Carlo EM (appendix E): a decoder and its prior, and no encoder.

    z   (L, M, J)      from outside: Markov chains sample p(z|x)
     ↓  decoder        MLP
    a_x (L, M, ·)
     ↓  likelihood     −log p(x|z), and −log p(z) beside it
    nll (L, M)

The loss is minus the mean of log p(x, z) over the samples. By Fisher's identity its gradient,
with z ~ p(z|x) held where they are, is an unbiased one of −log p(x).
"""
from dataclasses import dataclass
from math import log, pi
from typing import Any

from npvae import networks
from npvae.distributions import Likelihood
from npvae.memory import Layout, Views, Workspace
from npvae.models.vae import Pass, decode
from npvae.networks import MLP
from npvae.objectives import Draw, mean_weights
from npvae.ops import Ops

Array = Any


@dataclass(frozen=True)
class MCEMModel:
    """Decoder p(x|z) and prior N(0, I); what a pass is given for noise are the latents themselves.

    Attributes
    ----------
    decoder : MLP
        J → the heads of the likelihood.
    likelihood : Likelihood
        p(x|z).
    n_features : int
        D.
    """

    decoder: MLP
    likelihood: Likelihood
    n_features: int
    recordable = False  # its chains make arrays on the way

    def layout(self) -> Layout:
        """Names and shapes of all parameters."""
        return networks.layout(self.decoder)

    def forward(
        self, ops: Ops, P: Views, x: Array, eps: Array, work: Workspace, draw: Draw = None
    ) -> Pass:
        """x (M, D), z (L, M, J) in the place of ε → −log p(x|z) and −log p(z), nats."""
        z = eps
        a_x = self.decoder.forward(ops, P, z, work)  # (L, M, ·)
        nll = self.likelihood.nll(ops, a_x, P["decoder.heads.bias"], x, work)  # (L, M)
        minus_log_prior = 0.5 * (z * z).sum(axis=-1) + 0.5 * self.n_noise * log(2 * pi)
        return Pass(nll, minus_log_prior, z, None, a_x)

    def backward(
        self, ops: Ops, P: Views, G: Views, x: Array, eps: Array, kept: Pass, work: Workspace
    ) -> None:
        """∂loss/∂θ for all parameters, written into G."""
        d_nll = mean_weights(work, *kept.nll.shape)  # (L, M)
        d_a_x = self.likelihood.nll_backward(
            ops, d_nll, kept.a_x, x, G["decoder.heads.bias"], work
        )  # (L, M, ·)
        self.decoder.backward(ops, P, G, kept.z, d_a_x, work)  # and no d_z

    def decode(self, ops: Ops, P: Views, z: Array, work: Workspace, out: Array) -> None:
        """z (M, J) → E[x|z], written into ``out`` (M, D)."""
        decode(self.decoder, self.likelihood, ops, P, z, work, out)

    @property
    def n_noise(self) -> int:
        """Latent variables of a sample: what it takes in the place of ε is (L, M, n_noise)."""
        return self.decoder.n_in
