"""VIMCO: the bound of k samples by the score function (Mnih, Rezende 2016).

    ∂L_k/∂φ = E[Σ_l s_l ∂log q(z_l|x)/∂φ + ∂L_k/∂φ at fixed z],      s_l = L_k − L_k without l

What sample l brought to the bound is its signal: the bound of all k, less that in which the weight
of l is the geometric mean of the other k − 1. That is a baseline, for it does not depend on z_l. No
derivative is taken by z, which may be discrete.

    A row of coefficients:    θ w̃/M,    path 0,    score (s_l − w̃_l)/M
"""
from typing import ClassVar

from npvae.backend import Array
from npvae.memory import Context
from npvae.objectives.iwae import IWAE
from npvae.objectives.objective import STATELESS, Loss, Seeds, State, Terms
from npvae.records import dataclass


@dataclass(frozen=True)
class VIMCO(IWAE):
    """Minus the bound of k samples, its gradient for q by the score function."""

    name: ClassVar[str] = "vimco"
    exact: ClassVar[bool] = False
    moves_ends: ClassVar[bool] = False
    dependent_samples: ClassVar[bool] = False  # the others are the baseline
    with_one_sample: ClassVar[str] = ""
    min_samples: ClassVar[int] = 2

    def __call__(
        self, ctx: Context, terms: Terms, scalars: tuple[Array, ...] = (), state: State = STATELESS
    ) -> Loss:
        loss = super().__call__(ctx, terms, scalars, state)
        (k, M), work, theta = terms.nll.shape, ctx.work, loss.seeds.theta
        without, score = leave_one_out(ctx, terms), work("score", k, M)
        work.xp.add(loss.nll, without, out=score)  # −s
        score *= 1 / M
        score += theta
        return loss._replace(seeds=Seeds(theta, theta, score, path=work.constant(0, k, M)))


def leave_one_out(ctx: Context, terms: Terms) -> Array:
    """L_k with the weight of each sample at the geometric mean of the others'.   (k, M)"""
    (k, M), work, xp = terms.nll.shape, ctx.work, ctx.work.xp
    cost = xp.add(terms.nll, terms.kl, out=work("vimco.cost", k, M))  # −log w
    swapped, bounds = work("vimco.swapped", k, M), work("vimco.without", k, M)
    total, zero = xp.sum(cost, axis=0, out=work("vimco.total", M)), work.constant(0, k, M)
    w, theta = work("vimco.w", k, M), work("vimco.theta", k, M)
    for l in range(k):  # k² weights: as differences of sums they would lose their digits
        xp.multiply(cost, 1, out=swapped)
        xp.subtract(total, cost[l], out=swapped[l])
        swapped[l] *= 1 / (k - 1)
        ctx.ops.importance_weights(swapped, zero, w, theta, bounds[l : l + 1])
    return xp.negative(bounds, out=bounds)
