"""The score function, REINFORCE (Williams 1992): the gradient without a derivative of f by z.

    ∂/∂φ E_q[f(z)] = E_q[(f(z) − b) ∂log q(z|x)/∂φ],        f = log p(x, z) − log q(z|x)

for any baseline b that does not depend on z, since E_q[∂log q/∂φ] = 0; the derivative of f by φ
itself is such a mean too, and is left out. It asks nothing of p but its value, so z may be
discrete. What it costs is variance, which grows with the number of latents: each is told by the
whole of f and not by its own ∂f/∂z. Baselines take away what all samples have in common:

    score        b = 0
    score-ema    b, a moving mean of f over the steps before
    score-loo    b_l, the mean of f over a datapoint's other samples (Kool et al. 2019)

    Rows of coefficients:    θ 1/LM,    path 0,    score (f_l − b_l)/LM
"""
from typing import ClassVar

from npvae.backend import Array
from npvae.memory import Context
from npvae.objectives.elbo import SampledELBO
from npvae.objectives.objective import STATELESS, Loss, State, Terms
from npvae.records import dataclass


@dataclass(frozen=True)
class ScoreFunction(SampledELBO):
    """Minus the lower bound by estimator A, its gradient for q by the score function.

    The attributes are those of :class:`~npvae.objectives.elbo.SampledELBO`.
    """

    name: ClassVar[str] = "score"
    exact: ClassVar[bool] = False
    moves_ends: ClassVar[bool] = False

    def __call__(
        self, ctx: Context, terms: Terms, scalars: tuple[Array, ...] = (), state: State = STATELESS
    ) -> Loss:
        loss, xp = super().__call__(ctx, terms, scalars, state), ctx.work.xp
        L, M = terms.nll.shape
        score = xp.add(loss.nll, loss.kl, out=ctx.work("score", L, M))  # −f
        self.center(ctx, score, state)
        score *= 1 / (L * M)
        no_path = ctx.work.constant(0, L, M)
        return loss._replace(seeds=loss.seeds._replace(score=score, path=no_path))

    def center(self, ctx: Context, cost: Array, state: State) -> None:
        """Take the baseline off what samples cost, −f (L, M), in place."""


@dataclass(frozen=True)
class MovingBaseline(ScoreFunction):
    """The same with a moving mean of earlier steps for a baseline.

    Attributes
    ----------
    decay : float
        ρ, by which a step weighs less than the next: ``baseline`` holds Σ ρᵗ f and Σ ρᵗ over the
        steps before. In a call outside training the baseline is 0.
    """

    decay: float = 0.9
    name: ClassVar[str] = "score-ema"

    def init_state(self, ctx: Context) -> dict[str, Array]:
        return {"baseline": ctx.work.xp.zeros(2, ctx.work.dtype)}

    def center(self, ctx: Context, cost: Array, state: State) -> None:
        if not state:
            return
        xp, (total, weight) = ctx.work.xp, state["baseline"].reshape(2, 1)
        baseline, mean = ctx.work("baseline", 1), ctx.work("baseline.mean", 1)
        xp.maximum(weight, 1, out=baseline)  # the weight of a step is 1, and at first there is none
        xp.divide(total, baseline, out=baseline)
        xp.mean(cost.reshape(-1, 1), axis=0, out=mean)
        cost -= baseline
        xp.multiply(state["baseline"], self.decay, out=state["baseline"])
        total += mean
        weight += 1


@dataclass(frozen=True)
class LeaveOneOut(ScoreFunction):
    """The same with the mean of a datapoint's other samples for a baseline."""

    name: ClassVar[str] = "score-loo"
    dependent_samples: ClassVar[bool] = False
    min_samples: ClassVar[int] = 2

    def center(self, ctx: Context, cost: Array, state: State) -> None:
        """c_l − mean_{j ≠ l} c_j = (c_l − c̄) L/(L − 1)."""
        L, M = cost.shape
        mean = ctx.work.xp.mean(cost, axis=0, out=ctx.work("baseline", M))
        cost -= mean
        cost *= L / (L - 1)
