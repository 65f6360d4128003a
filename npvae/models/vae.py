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
    nll (L, M), kl                               d_nll = 1/(LM), d_kl

The loss is minus the mean over the minibatch of the lower bound, in nats per datapoint.
"""
from dataclasses import dataclass
from typing import Any, NamedTuple

from npvae import networks
from npvae.distributions import Likelihood
from npvae.memory import Layout, Views, Workspace
from npvae.networks import MLP
from npvae.objectives import Draw, Estimator, mean_weights
from npvae.ops import Ops

Array = Any


class Pass(NamedTuple):
    """What a forward pass leaves for the backward pass and for the reader."""

    nll: Array  # −log p(x|z_l)                              (L, M)
    kl: Array  # KL, or log q(z_l|x) − log p(z_l)            (1 or L, M)
    z: Array  # (L, M, J)
    a_q: Array  # [μ | log σ²]                               (M, 2J)
    a_x: Array  # the decoder's products                     (L, M, ·)
    draw: Draw = None  # where ε came from, if it was drawn on the way


def decode(
    decoder: MLP, likelihood: Likelihood, ops: Ops, P: Views, z: Array, work: Workspace, out: Array
) -> None:
    """z (M, J) → the mean of p(x|z), written into ``out`` (M, D)."""
    head = likelihood.mean_head
    a = decoder.forward(ops, P, z, work, head)
    getattr(ops, likelihood.mean_activation)(a, P[f"decoder.{head}.bias"], out)


@dataclass(frozen=True)
class VAEModel:
    """Encoder q_φ(z|x), decoder p_θ(x|z), prior N(0, I), and the estimator that trains them.

    Attributes
    ----------
    encoder, decoder : MLP
        D → (μ, log σ²) of J latents, and J → the heads of the likelihood.
    likelihood : Likelihood
        p(x|z).
    estimator : Estimator
        SGVB A or B.
    """

    encoder: MLP
    decoder: MLP
    likelihood: Likelihood
    estimator: Estimator

    def layout(self) -> Layout:
        """Names and shapes of all parameters."""
        return networks.layout(self.encoder, self.decoder)

    def forward(
        self, ops: Ops, P: Views, x: Array, eps: Array, work: Workspace, draw: Draw = None
    ) -> Pass:
        """x (M, D), eps (L, M, J) → the terms of the bound, nats.

        With ``draw`` = (seed, stream, step), ε is drawn into ``eps`` on the way.
        """
        a_q = self.encoder.forward(ops, P, x, work)  # (M, 2J)
        z, kl = self.estimator.latent(
            ops, a_q, P["encoder.heads.bias"], eps, work, draw
        )  # (L, M, J), (1 or L, M)
        a_x = self.decoder.forward(ops, P, z, work)  # (L, M, ·)
        nll = self.likelihood.nll(ops, a_x, P["decoder.heads.bias"], x, work)  # (L, M)
        return Pass(nll, kl, z, a_q, a_x, draw)

    def backward(
        self, ops: Ops, P: Views, G: Views, x: Array, eps: Array, kept: Pass, work: Workspace
    ) -> None:
        """∂loss/∂θ and ∂loss/∂φ for all parameters, written into G."""
        d_nll = mean_weights(work, *kept.nll.shape)  # (L, M)
        d_a_x = self.likelihood.nll_backward(
            ops, d_nll, kept.a_x, x, G["decoder.heads.bias"], work
        )  # (L, M, ·)
        d_z = work("d_z", *eps.shape)  # (L, M, J)
        self.decoder.backward(ops, P, G, kept.z, d_a_x, work, d_z)
        d_a_q = self.estimator.latent_backward(
            ops, d_z, kept.a_q, eps, G["encoder.heads.bias"], work
        )  # (M, 2J)
        self.encoder.backward(ops, P, G, x, d_a_q, work)

    def encode(self, ops: Ops, P: Views, x: Array, work: Workspace, out: Array) -> None:
        """x (M, D) → the posterior means μ, written into ``out`` (M, J)."""
        a = self.encoder.forward(ops, P, x, work, head="mean")
        ops.identity(a, P["encoder.mean.bias"], out)

    def decode(self, ops: Ops, P: Views, z: Array, work: Workspace, out: Array) -> None:
        """z (M, J) → E[x|z], written into ``out`` (M, D)."""
        decode(self.decoder, self.likelihood, ops, P, z, work, out)

    @property
    def n_noise(self) -> int:
        """Noise variables a sample: ``eps`` is (L, M, n_noise)."""
        return self.decoder.n_in
