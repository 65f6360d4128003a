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

The loss is minus the mean over the minibatch of the lower bound, in nats per datapoint. That is
the page for any q(z|x) and p(z); of those that are not both normal the latent layer is one of
:mod:`npvae.objectives.families`, and a_q has the parameters of another family.
"""
from dataclasses import dataclass
from typing import Any, NamedTuple

from npvae import networks
from npvae.distributions import Likelihood
from npvae.distributions.latents import Member, Variables
from npvae.distributions.priors import NORMAL, STANDARD_NORMAL, Density
from npvae.memory import Layout, Views, Workspace
from npvae.networks import MLP
from npvae.objectives import ESTIMATORS, Draw, Estimator, mean_weights
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
    weighed: Any = None  # a :class:`Weighed` kl, which the engine adds before the way back


def decode(
    decoder: MLP, likelihood: Likelihood, ops: Ops, P: Views, z: Array, work: Workspace, out: Array
) -> None:
    """z (M, J) → the mean of p(x|z), written into ``out`` (M, D)."""
    head = likelihood.mean_head
    a = decoder.forward(ops, P, z, work, head)
    likelihood.mean(ops, a, P[f"decoder.{head}.bias"], work, out)


@dataclass(frozen=True)
class VAEModel:
    """Encoder q_φ(z|x), decoder p_θ(x|z), prior p(z), and the estimator that trains them.

    Attributes
    ----------
    encoder, decoder : MLP
        D → (μ, log σ²) of J latents, and J → the heads of the likelihood.
    likelihood : Likelihood
        p(x|z).
    estimator : Estimator
        SGVB A or B, for this posterior and this prior.
    posterior : Variables
        The family of q(z|x). If it is no normal, the encoder has other heads than (μ, log σ²).
    prior : Prior
        p(z), which has nothing to learn here.
    """

    encoder: MLP
    decoder: MLP
    likelihood: Likelihood
    estimator: Estimator
    posterior: Variables = NORMAL
    prior: Any = STANDARD_NORMAL

    def layout(self) -> Layout:
        """Names and shapes of all parameters."""
        return networks.layout(self.encoder, self.decoder)

    def forward(
        self, ops: Ops, P: Views, x: Array, eps: Array, work: Workspace, draw: Draw = None
    ) -> Pass:
        """x (M, D), eps (L, M, n_noise) → the terms of the bound, nats.

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
        """∂loss/∂θ and ∂loss/∂φ for all parameters, written into G; kept with its KL weighed."""
        d_nll = mean_weights(work, *kept.nll.shape)  # (L, M)
        d_a_x = self.likelihood.nll_backward(
            ops, d_nll, kept.a_x, x, G["decoder.heads.bias"], work
        )  # (L, M, ·)
        d_z = work("d_z", *kept.z.shape)  # (L, M, J)
        self.decoder.backward(ops, P, G, kept.z, d_a_x, work, d_z)
        d_a_q = self.estimator.latent_backward(
            ops, d_z, kept.weighed, kept.a_q, eps, G["encoder.heads.bias"], work
        )  # (M, 2J)
        self.encoder.backward(ops, P, G, x, d_a_q, work)

    def encode(self, ops: Ops, P: Views, x: Array, work: Workspace, out: Array) -> None:
        """x (M, D) → the posterior means, written into ``out`` (M, J)."""
        if self.posterior == NORMAL:
            a = self.encoder.forward(ops, P, x, work, head="mean")
            ops.identity(a, P["encoder.mean.bias"], out)
        else:
            out[...] = self.posterior_at(ops, P, x, work).centre()

    def decode(self, ops: Ops, P: Views, z: Array, work: Workspace, out: Array) -> None:
        """z (M, J) → E[x|z], written into ``out`` (M, D)."""
        decode(self.decoder, self.likelihood, ops, P, z, work, out)

    @property
    def n_features(self) -> int:
        """D."""
        return self.encoder.n_in

    @property
    def n_noise(self) -> int:
        """Noise variables a sample: ``eps`` is (L, M, n_noise)."""
        return self.posterior.n_noise(self.decoder.n_in)

    @property
    def recordable(self) -> bool:
        """Whether a step makes no arrays on the way, so that a device may replay it."""
        return self.estimator in ESTIMATORS.values()

    def posterior_at(self, ops: Ops, P: Views, x: Array, work: Workspace) -> Member:
        """q(z|x) as a density of z, for x (M, D)."""
        a = self.encoder.forward(ops, P, x, work) + P["encoder.heads.bias"]
        return self.posterior.at(a, self.decoder.n_in)

    def prior_at(self, ops: Ops, P: Views, work: Workspace) -> Density:
        """p(z) as a density of z."""
        return self.prior.at(work.constant(0, self.decoder.n_in))
