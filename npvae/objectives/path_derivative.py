"""The path derivative of the lower bound, "sticking the landing" (Roeder, Wu, Duvenaud 2017).

    E_q[∂log q(z|x)/∂φ at fixed z] = 0

That score has no mean, but it has variance. SGVB A carries it along; leaving it out changes no
expectation, and what is left vanishes sample by sample where q(z|x) is p(z|x), since f is constant
in z there.

    A row of coefficients:    θ 1/LM,    path 1/LM,    score 0
"""
from typing import ClassVar

from npvae.backend import Array
from npvae.memory import Context
from npvae.objectives.elbo import SampledELBO
from npvae.objectives.objective import STATELESS, Loss, State, Terms
from npvae.records import dataclass


@dataclass(frozen=True)
class PathDerivative(SampledELBO):
    """Minus the lower bound by estimator A, its gradient without the score of q.

    The attributes are those of :class:`~npvae.objectives.elbo.SampledELBO`.
    """

    name: ClassVar[str] = "stl"
    exact: ClassVar[bool] = False
    moves_ends: ClassVar[bool] = False

    def __call__(
        self, ctx: Context, terms: Terms, scalars: tuple[Array, ...] = (), state: State = STATELESS
    ) -> Loss:
        loss = super().__call__(ctx, terms, scalars, state)
        no_score = ctx.work.constant(0, *terms.nll.shape)  # (L, M)
        return loss._replace(seeds=loss.seeds._replace(score=no_score))
