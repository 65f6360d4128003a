"""The lower bound, by either of the paper's estimators, and what may stand for its KL.

Both estimators are the mean over samples of ``log p(x|z_l) − r_l``, and differ in r:

    A (eq. 6)    r_l = log q(z_l|x) − log p(z_l)     any posterior with a density
    B (eq. 7)    r   = KL(q(z|x) ‖ p(z))             in closed form; usually the lower variance

They agree in expectation. What is minimised may have another term in the place of r,

    β · KL                  β > 1: a β-VAE (Higgins et al. 2017); β < 1: sharper, less regular
    β_t · KL                β_t rising from 0 to β (Bowman et al. 2016), so latents come into use
    β · Σ_j max(λ, KL_j)    free bits: λ nats a latent cost nothing more (Kingma et al. 2016)

KL_j being that of latent j, its mean over the minibatch. What is reported stays the bound: the
terms are never touched.
"""
from typing import ClassVar

from npvae.backend import Array
from npvae.memory import Context
from npvae.objectives.objective import (
    STATELESS,
    Loss,
    Objective,
    Seeds,
    State,
    Terms,
    mean_grad,
)
from npvae.records import dataclass


@dataclass(frozen=True)
class SampledELBO(Objective):
    """Minus the lower bound, by estimator A.

    Attributes
    ----------
    kl_weight : float
        β, after the warm-up.
    kl_warmup : int
        Epochs over which the weight rises linearly from 0.
    """

    kl_weight: float = 1.0
    kl_warmup: int = 0
    name: ClassVar[str] = "A"
    dependent_samples: ClassVar[bool] = True  # a mean over samples
    maximised: ClassVar[str] = "the ELBO with its KL weighted or free"

    @property
    def is_bound(self) -> bool:
        """Whether what is maximised is the lower bound itself."""
        return self.kl_weight == 1 and not self.kl_warmup

    @property
    def warmup_epochs(self) -> int:
        """Epochs until the weight is at rest."""
        return self.kl_warmup if self.kl_weight else 0

    def scalars(self, step: int, n_batches: int) -> tuple[float, ...]:
        """β_t while it is warmed up.

        Examples
        --------
        >>> objective = ELBO(kl_weight=4.0, kl_warmup=2)
        >>> [objective.scalars(step, n_batches=2)[0] for step in range(6)]
        [0.0, 1.0, 2.0, 3.0, 4.0, 4.0]
        """
        rise = self.kl_warmup * n_batches
        if not rise:
            return ()
        return (self.kl_weight * step / rise if step < rise else self.kl_weight,)

    def __call__(
        self, ctx: Context, terms: Terms, scalars: tuple[Array, ...] = (), state: State = STATELESS
    ) -> Loss:
        kl, above_threshold = self.distance(ctx, terms)
        theta, d_kl = mean_grad(ctx.work, *terms.nll.shape), mean_grad(ctx.work, *kl.shape)
        if scalars or self.kl_weight != 1:
            weight = scalars[0] if scalars else self.kl_weight
            term, d_kl = ctx.work("kl.term", *kl.shape), ctx.work("d_kl", *kl.shape)
            ctx.ops.scale_kl(kl, weight, term, d_kl)
            kl = term
        return Loss(terms.nll, kl, Seeds(theta, d_kl, d_kl, above_threshold=above_threshold))

    def distance(self, ctx: Context, terms: Terms) -> tuple[Array, Array | None]:
        """r (1 or L, M); and which latents feel it (J,), None for all."""
        return terms.kl, None


@dataclass(frozen=True)
class ELBO(SampledELBO):
    """Minus the lower bound, by estimator B.

    Attributes
    ----------
    free_bits : float
        λ, in nats a latent: for a posterior and a prior that are normal.
    """

    free_bits: float = 0.0
    name: ClassVar[str] = "B"
    analytic_kl: ClassVar[bool] = True

    @property
    def is_bound(self) -> bool:
        """Not with free bits, which are in the KL's place."""
        return super().is_bound and not self.free_bits

    @property
    def separable(self) -> bool:
        """Not with free bits, which are of a minibatch's mean KL."""
        return not self.free_bits

    def distance(self, ctx: Context, terms: Terms) -> tuple[Array, Array | None]:
        """The KL, or Σ_j max(λ, KL_j) spread over the minibatch (1, M)."""
        if not self.free_bits:
            return terms.kl, None
        assert terms.q is not None  # checked before training
        M, J = terms.q.sigma.shape
        above_threshold, clamped = ctx.work("kl.above_threshold", J), ctx.work("kl.clamped", 1, M)
        ctx.ops.free_bits(*terms.q, self.free_bits, above_threshold, clamped)
        return clamped, above_threshold
