"""The plain auto-encoder: the VAE's page without noise, without KL.

    x (M, D)  →  z = W h + b (M, J)  →  −log p(x|z) (M,)

What regularises it is a penalty on the weights, which the engine adds to any model's loss.
"""
from dataclasses import dataclass
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
class AutoencoderModel:
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

    def forward(
        self, ops: Ops, P: Views, x: Array, eps: Array, work: Workspace, draw: Draw = None
    ) -> Pass:
        """x (M, D) → the reconstruction error −log p(x|z), nats."""
        a_q = self.encoder.forward(ops, P, x, work)  # (M, J)
        z, kl = work("z", 1, *a_q.shape), work.constant(0, 1, len(a_q))
        ops.identity(a_q, P["encoder.heads.bias"], z[0])
        a_x = self.decoder.forward(ops, P, z, work)  # (1, M, ·)
        nll = self.likelihood.nll(ops, a_x, P["decoder.heads.bias"], x, work)  # (1, M)
        return Pass(nll, kl, z, a_q, a_x)

    def backward(
        self, ops: Ops, P: Views, G: Views, x: Array, eps: Array, kept: Pass, work: Workspace
    ) -> None:
        """∂loss/∂θ for all parameters, written into G."""
        d_nll = mean_weights(work, *kept.nll.shape)  # (1, M)
        d_a_x = self.likelihood.nll_backward(
            ops, d_nll, kept.a_x, x, G["decoder.heads.bias"], work
        )  # (1, M, ·)
        d_z = work("d_z", *kept.z.shape)  # (1, M, J)
        self.decoder.backward(ops, P, G, kept.z, d_a_x, work, d_z)
        d_a_q = kept.a_q  # used up: its buffer is free   (M, J)
        ops.identity_backward(d_z[0], kept.z[0], d_a_q, G["encoder.heads.bias"])
        self.encoder.backward(ops, P, G, x, d_a_q, work)

    def encode(self, ops: Ops, P: Views, x: Array, work: Workspace, out: Array) -> None:
        """x (M, D) → the codes z, written into ``out`` (M, J)."""
        a = self.encoder.forward(ops, P, x, work)
        ops.identity(a, P["encoder.heads.bias"], out)

    def decode(self, ops: Ops, P: Views, z: Array, work: Workspace, out: Array) -> None:
        """z (M, J) → E[x|z], written into ``out`` (M, D)."""
        decode(self.decoder, self.likelihood, ops, P, z, work, out)
