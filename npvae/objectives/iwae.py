"""The importance-weighted bound of k samples (Burda, Grosse, Salakhutdinov 2016).

    L_k = log (1/k) Σ_l w_l,        w_l = p(x, z_l) / q(z_l|x),     z_l ~ q(z|x)

L_1 is the lower bound by estimator A, L_k never falls with k, and its limit is log p(x). Its
derivative weighs each sample's by w̃_l = w_l / Σ w:

    IWAE        θ w̃/M,    path w̃/M,     score −w̃/M
    PathIWAE    θ w̃/M,    path w̃/M,     score 0
    DReG        θ w̃/M,    path w̃²/M,    score 0

The first is what calculus says. Its signal-to-noise ratio for φ falls as 1/√k, because of the
score. The second leaves the score out, as "sticking the landing" does (Roeder et al. 2017); weights
depend on φ as well, so here that is a bias. The third is doubly reparameterized (Tucker, Lawson,
Gu, Maddison 2018): the score's mean is written as one more path, and the two paths add up to w̃².
It has the expectation of the first.
"""
from typing import ClassVar

from npvae.backend import Array
from npvae.memory import Context
from npvae.objectives.objective import STATELESS, Loss, Objective, Seeds, State, Terms
from npvae.records import dataclass


@dataclass(frozen=True)
class IWAE(Objective):
    """Minus the bound of k samples, k being how many the terms are of."""

    name: ClassVar[str] = "iwae"
    dependent_samples: ClassVar[bool] = True  # E[mean w] is p(x): another bound, and Jensen's too
    with_one_sample: ClassVar[str] = "A"
    maximised: ClassVar[str] = "the bound that the samples of a datapoint share"

    def __call__(
        self, ctx: Context, terms: Terms, scalars: tuple[Array, ...] = (), state: State = STATELESS
    ) -> Loss:
        k, M = terms.nll.shape
        w, theta, loss = ctx.work("w", k, M), ctx.work("w.theta", k, M), ctx.work("iwae", 1, M)
        ctx.ops.importance_weights(terms.nll, terms.kl, w, theta, loss)
        no_kl = ctx.work.constant(0, 1, M)  # it is within the bound
        return Loss(loss, no_kl, self.seeds(ctx, w, theta))

    def seeds(self, ctx: Context, w: Array, theta: Array) -> Seeds:
        """The row of coefficients.   w̃, θ = w̃/M (k, M)"""
        return Seeds(theta, theta, theta)


@dataclass(frozen=True)
class PathIWAE(IWAE):
    """The same bound, its gradient for q without the score: biased where k > 1,
    whether samples depend on one another or not."""

    name: ClassVar[str] = "iwae-stl"
    exact: ClassVar[bool] = False
    moves_ends: ClassVar[bool] = False
    with_one_sample: ClassVar[str] = "stl"

    def seeds(self, ctx: Context, w: Array, theta: Array) -> Seeds:
        return Seeds(theta, theta, ctx.work.constant(0, *w.shape))


@dataclass(frozen=True)
class DReG(IWAE):
    """The same bound, its gradient for q doubly reparameterized."""

    name: ClassVar[str] = "dreg"
    exact: ClassVar[bool] = False
    moves_ends: ClassVar[bool] = False
    dependent_samples: ClassVar[bool] = False  # the second path moves z_l, the others held
    with_one_sample: ClassVar[str] = "stl"

    def seeds(self, ctx: Context, w: Array, theta: Array) -> Seeds:
        return Seeds(theta, theta, ctx.work.constant(0, *w.shape), path=w)
