"""Reweighted wake-sleep, its two wake phases (Bornschein, Bengio 2015).

    θ    ascends the bound of k samples
    φ    descends E_p(z|x)[−log q(z|x)], the samples of q weighed as samples of p(z|x) by w̃

q(z|x) is fitted to p(z|x) by the divergence that covers all of it, KL(p‖q), and not by the KL(q‖p)
of the lower bound. Both are biased by the ratio w̃ of k weights, as 1/k; no derivative is taken by
z, and the score's signal does not fade with k as IWAE's does (Le et al. 2019). Such ratios ask of
samples that each is one of q(z|x), and not that they are independent.

    A row of coefficients:    θ w̃/M,    path 0,    score w̃/M
"""
from typing import ClassVar

from npvae.backend import Array
from npvae.memory import Context
from npvae.objectives.iwae import IWAE
from npvae.objectives.objective import Seeds
from npvae.records import dataclass


@dataclass(frozen=True)
class ReweightedWakeSleep(IWAE):
    """Minus the bound of k samples for θ, and −Σ w̃ log q(z|x) for φ."""

    name: ClassVar[str] = "rws"
    exact: ClassVar[bool] = False
    moves_ends: ClassVar[bool] = False
    with_one_sample: ClassVar[str] = ""
    min_samples: ClassVar[int] = 2  # of one, w̃ is 1 and the score has no mean

    def seeds(self, ctx: Context, w: Array, theta: Array) -> Seeds:
        score = ctx.work.xp.negative(theta, out=ctx.work("score", *w.shape))
        return Seeds(theta, theta, score, path=ctx.work.constant(0, *w.shape))
