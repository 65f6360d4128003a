"""Posterior means without an encoder, E[z|x] by annealed chains.

p(z|x) of a decoder has many modes, and chains that start at the prior fall into one of them each,
be it a poor one. Chains that were annealed carry weights (:mod:`npvae.evaluation.annealed`), which
tell the good from the poor:

    E[z|x] ≈ Σ_l w_l z_l / Σ_l w_l,      z_l the mean of some more moves of chain l
"""

from npvae.backend import Array
from npvae.evaluation.annealed import PILOTS, anneal, temperatures
from npvae.evaluation.chains import ChainNoise
from npvae.evaluation.chunks import chunk_size, for_each_chunk, load_rows
from npvae.evaluation.log_joint import LogJointTarget, initial_density
from npvae.memory import Workspace
from npvae.models import Engine


def posterior_means(
    engine: Engine, X: Array, scale: float = 1.0, *, n_chains: int = 8, n_temperatures: int = 50,
    n_moves: int = 20, n_leapfrog: int = 10, seed: int = 0,
) -> Array:  # fmt: skip
    """The mean of p(z|x) for every row of ``X`` (N, D).   (N, J)

    Parameters
    ----------
    n_chains : int
        Of each datapoint, after four pilot chains that tune the step sizes.
    n_temperatures : int
        Temperatures, from the prior to the posterior.
    n_moves : int
        Moves that are averaged, once there.
    n_leapfrog : int
        Leapfrog steps a move.
    seed : int
        Of the noise; the result does not depend on how the work is cut up.

    Raises
    ------
    NumericalError
        If the chains of a datapoint do not move.
    """
    xp, L, T, J = engine.xp, n_chains, n_temperatures, engine.model.decoder.n_in
    means, betas = xp.empty((len(X), J), engine.theta.dtype), temperatures(T)

    def estimate_chunk(work: Workspace, part: tuple[int, int]) -> None:
        first, last = part
        target = LogJointTarget(engine, load_rows(engine, X[first:last], scale, work), work)
        q_0, after = initial_density("prior", target), T + n_moves + 1
        noise = ChainNoise(engine.ops, seed, after, target.keys)
        step_sizes, _, _ = anneal(target, q_0, betas, PILOTS, n_leapfrog, noise)
        noise = ChainNoise(engine.ops, seed, 0, target.keys)
        _, log_w, chains = anneal(target, q_0, betas, L, n_leapfrog, noise, step_sizes)
        chains.diagnostics().check()
        total = xp.zeros_like(chains.point.z)  # (L, M, J)
        for _ in range(n_moves):
            chains.move(target)
            total += chains.point.z
        w = xp.exp(log_w - log_w.max(axis=0))
        w = (w / w.sum(axis=0))[..., None]  # (L, M, 1)
        means[first:last] = (w * total / n_moves).sum(axis=0)

    for_each_chunk(engine, estimate_chunk, len(X), chunk_size(engine, L))
    return means
