"""The two estimators for any family q and any prior p, where no op has fused them.

They stand for EstimatorA and EstimatorB and are called as those are: ``a`` holds whatever
parameters the posterior's family has, and what ε becomes is the family's affair:

    ε  →  y = g(ε; a)  →  z = value(y)          y on the real line, z what the decoder reads

Families are formulas without buffers, so these layers make arrays on the way.
"""
from dataclasses import dataclass
from typing import Any

from npvae.distributions.latents import Member, Variables
from npvae.distributions.priors import NORMAL, Density, FamilyPrior, Prior
from npvae.distributions.suitable import closed_kl
from npvae.memory import Workspace
from npvae.objectives.kl_term import Weighed
from npvae.objectives.sgvb import ESTIMATORS, Array, Draw, Estimator, Latent
from npvae.ops import Ops


@dataclass(frozen=True)
class FamilyLayer:
    """What both have in common: q, its sample, and the way back from that.

    Attributes
    ----------
    posterior : Variables
        q(z|x).
    prior : Prior
        p(z).
    """

    posterior: Variables
    prior: Any

    def q(self, a: Array, eps: Array) -> Member:
        """q(z|x) at the encoder's output a (M, Σ heads)."""
        return self.posterior.at(a, self.posterior.J(eps.shape[-1]))

    def sample(
        self, ops: Ops, a: Array, bias: Array, eps: Array, work: Workspace, draw: Draw
    ) -> tuple[Member, Array]:
        """q, whose parameters are left in a, and z (L, M, J); y is left in its buffer."""
        if draw:
            ops.posterior_noise(*draw, 0, eps)
        a += bias
        q, shape = self.q(a, eps), (*eps.shape[:-1], self.posterior.J(eps.shape[-1]))
        y, z = work("y", *shape), work("z", *shape)
        y[...] = q.draw(eps)
        z[...], _ = q.value(y)
        return q, z


@dataclass(frozen=True)
class FamilyB(FamilyLayer):
    """KL in closed form, reconstruction by sampling (eq. 7)."""

    @property
    def how(self) -> str:
        """The method of the family that is its KL to this prior."""
        return closed_kl(self.posterior.name, self.prior.name) or ""

    def latent(
        self, ops: Ops, a: Array, bias: Array, eps: Array, work: Workspace, draw: Draw = None
    ) -> Latent:
        q, z = self.sample(ops, a, bias, eps, work, draw)
        kl = work("kl", 1, len(a))
        kl[0] = q.kl(self.how)
        return Latent(z, kl)

    def latent_backward(
        self, ops: Ops, d_z: Array, term: Weighed, a: Array, eps: Array, d_bias: Array,
        work: Workspace,
    ) -> Array:  # fmt: skip
        q = self.q(a, eps)
        d_y = d_z * q.value(work("y", *d_z.shape))[1]  # (L, M, J)
        directly = q.kl_backward(self.how, term.d_kl[0])  # (M, ·) each
        d_a = q.collect(work("z.d_a", *a.shape), q.draw_backward(d_y, eps), directly)
        d_bias[...] = d_a.sum(axis=0)
        return d_a


@dataclass(frozen=True)
class FamilyA(FamilyLayer):
    """Both terms by sampling (eq. 6)."""

    def latent(
        self, ops: Ops, a: Array, bias: Array, eps: Array, work: Workspace, draw: Draw = None
    ) -> Latent:
        p = self.prior.at(work.constant(0, self.posterior.J(eps.shape[-1])))
        return self.latent_and(p, ops, a, bias, eps, work, draw)

    def latent_backward(
        self, ops: Ops, d_z: Array, term: Weighed, a: Array, eps: Array, d_bias: Array,
        work: Workspace,
    ) -> Array:  # fmt: skip
        p = self.prior.at(work.constant(0, d_z.shape[-1]))
        return self.latent_and_backward(p, ops, d_z, term, a, eps, d_bias, work)[0]

    def latent_and(
        self, p: Density, ops: Ops, a: Array, bias: Array, eps: Array, work: Workspace,
        draw: Draw = None,
    ) -> Latent:  # fmt: skip
        """z, and log q − log p at it, of a prior at parameters of its own."""
        q, z = self.sample(ops, a, bias, eps, work, draw)
        y, log_ratio = work("y", *z.shape), work("kl", *z.shape[:-1])  # (L, M, J), (L, M)
        log_ratio[...] = q.log_prob(y)
        log_ratio -= p.log_prob(y)
        return Latent(z, log_ratio)

    def latent_and_backward(
        self, p: Density, ops: Ops, d_z: Array, term: Weighed, a: Array, eps: Array,
        d_bias: Array, work: Workspace,
    ) -> tuple[Any, ...]:  # fmt: skip
        """d_a (M, Σ heads), and what the prior's parameters get; ``term`` has ∂loss/∂r."""
        q, y = self.q(a, eps), work("y", *d_z.shape)
        d_y_q, directly = q.log_prob_backward(term.d_kl, y)
        d_y_p, *d_p = p.log_prob_backward(-term.d_kl, y)
        d_y = d_z * q.value(y)[1] + d_y_q + d_y_p  # (L, M, J)
        d_a = q.collect(work("z.d_a", *a.shape), q.draw_backward(d_y, eps), directly)
        d_bias[...] = d_a.sum(axis=0)
        return d_a, *d_p


def estimator_for(estimator: str, posterior: Variables, prior: Prior) -> Estimator:
    """Estimator ``"A"`` or ``"B"`` for a pair: the fused one of sgvb.py if both are normal.

    Examples
    --------
    >>> estimator_for("B", Variables("normal"), FamilyPrior("normal"))
    EstimatorB()
    >>> estimator_for("A", Variables("beta"), FamilyPrior("uniform")).prior
    FamilyPrior(name='uniform')
    """
    if posterior == prior.variables == NORMAL and isinstance(prior, FamilyPrior):
        return ESTIMATORS[estimator]
    return (FamilyB if estimator == "B" else FamilyA)(posterior, prior)
