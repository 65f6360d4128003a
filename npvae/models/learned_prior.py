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

The KL has no closed form: what stands for it is log q(z|x) − log p(z), as in estimator A.
"""
from dataclasses import dataclass
from typing import Any

from npvae import networks
from npvae.distributions.priors import Mixture
from npvae.memory import Layout, Views, Workspace
from npvae.models.vae import Pass, VAEModel
from npvae.objectives import Draw, FamilyA, mean_weights
from npvae.ops import Ops

Array = Any


@dataclass(frozen=True)
class LearnedPriorModel(VAEModel):
    """A :class:`VAEModel` with a prior that has parameters: a mixture."""

    estimator: FamilyA

    @property
    def spread(self) -> tuple[str, ...]:
        """What makes its components differ at first."""
        return self.prior.spread

    def layout(self) -> Layout:
        """Names and shapes of all parameters, the prior's last."""
        vae = networks.layout(self.encoder, self.decoder)
        own = self.prior.shapes(self.n_features, self.decoder.n_in)
        return Layout({**vae.shapes, **own}, vae.joints)

    @property
    def widest(self) -> int:
        """Numbers a sample takes in the widest array that no layer has: its K components."""
        return self.prior.K * self.decoder.n_in

    def forward(
        self, ops: Ops, P: Views, x: Array, eps: Array, work: Workspace, draw: Draw = None
    ) -> Pass:
        """x (M, D), eps (L, M, n_noise) → the terms of the bound, nats."""
        rows, M = self.rows(P, x, work), len(x)  # (M + K, D)
        a = self.encoder.forward(ops, P, rows, work)  # (M + K, ·)
        a[M:] += P["encoder.heads.bias"]
        p = self.prior.at(P, a[M:], self.decoder.n_in)
        z, kl = self.estimator.latent_and(
            p, ops, a[:M], P["encoder.heads.bias"], eps, work, draw
        )  # (L, M, J), (L, M)
        a_x = self.decoder.forward(ops, P, z, work)  # (L, M, ·)
        nll = self.likelihood.nll(ops, a_x, P["decoder.heads.bias"], x, work)  # (L, M)
        return Pass(nll, kl, z, a, a_x, draw)

    def backward(
        self, ops: Ops, P: Views, G: Views, x: Array, eps: Array, kept: Pass, work: Workspace
    ) -> None:
        """∂loss/∂θ, ∂loss/∂φ and the gradient of the prior, written into G."""
        rows, a, M = self.rows(P, x, work), kept.a_q, len(x)
        d_nll = mean_weights(work, *kept.nll.shape)  # (L, M)
        d_a_x = self.likelihood.nll_backward(
            ops, d_nll, kept.a_x, x, G["decoder.heads.bias"], work
        )  # (L, M, ·)
        d_z = work("d_z", *kept.z.shape)  # (L, M, J)
        self.decoder.backward(ops, P, G, kept.z, d_a_x, work, d_z)
        p = self.prior.at(P, a[M:], self.decoder.n_in)
        d_a, d_bias = work("rows.d_a", *a.shape), G["encoder.heads.bias"]  # (M + K, ·), (·,)
        d_a[:M], d_components, d_logits = self.estimator.latent_and_backward(
            p, ops, d_z, kept.weighed, a[:M], eps, d_bias, work
        )
        self.prior.at_backward(G, d_components, d_logits, d_a[M:])
        d_bias += d_a[M:].sum(axis=0)
        d_rows = work("rows.d", *rows.shape) if len(rows) > M else None
        self.encoder.backward(ops, P, G, rows, d_a, work, d_rows)
        if d_rows is not None:
            G["prior.inputs"][...] = d_rows[M:]

    def rows(self, P: Views, x: Array, work: Workspace) -> Array:
        """What the encoder reads: x, and under it the prior's pseudo-inputs if it has any."""
        u = self.prior.inputs(P)
        if u is None:
            return x
        rows = work("rows", len(x) + len(u), x.shape[-1])
        rows[: len(x)], rows[len(x) :] = x, u
        return rows

    def prior_at(self, ops: Ops, P: Views, work: Workspace) -> Mixture:
        """The prior's density."""
        u, a = self.prior.inputs(P), None
        if u is not None:
            a = self.encoder.forward(ops, P, u, work) + P["encoder.heads.bias"]
        return self.prior.at(P, a, self.decoder.n_in)
