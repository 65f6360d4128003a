"""The marginal likelihood by annealed importance sampling (Neal 2001; Wu et al. 2017).

Between an initial density q_0, the prior or q(z|x), and p(z|x) lie the tempered densities

    f_β(z) ∝ q_0(z)^(1−β) · p(x, z)^β,       0 = β_0 < β_1 < … < β_T = 1

A chain starts at z ~ q_0. At every temperature its weight is updated, and then z by an HMC
transition, which leaves f_β invariant:

    log w = Σ_t (β_t − β_{t−1}) [log p(x, z_{t−1}) − log q_0(z_{t−1})],      E[w] = p(x)

whatever the transitions. With T = 1 this is importance sampling from q_0. The leapfrog's step sizes
are tuned by pilot chains of their own, so that they depend on no chain that has a weight.
"""
from collections.abc import Callable, Iterable
from dataclasses import field
from itertools import pairwise
from math import tanh
from typing import Any

from npvae.backend import Array
from npvae.errors import ParameterError
from npvae.evaluation.chains import ChainDiagnostics, ChainNoise, Chains
from npvae.evaluation.chunks import chunk_size, for_each_chunk, load_rows
from npvae.evaluation.hmc import Point
from npvae.evaluation.importance import LogLikelihood, accumulate_weights, summary
from npvae.evaluation.log_joint import InitialDensity, LogJointTarget, initial_density
from npvae.evaluation.pareto import Tail
from npvae.memory import Workspace
from npvae.models import Engine
from npvae.records import dataclass

STEEPNESS = 4.0  # of the sigmoid schedule of β: slow near both ends
PILOTS = 4  # pilot chains of a datapoint, which tune the step sizes


@dataclass(frozen=True)
class AnnealedLogLikelihood(LogLikelihood):
    """log p(x) of each datapoint by annealed chains, in nats; ``n_samples`` is their number.

    Attributes
    ----------
    n_temperatures : int
        T.
    chains : ChainDiagnostics
        Diagnostics of HMC.
    """

    n_temperatures: int
    chains: ChainDiagnostics
    advice: str = field(default="take more temperatures", kw_only=True, repr=False)

    def __str__(self) -> str:
        return f"{super().__str__()}; T = {self.n_temperatures}; {self.chains}"

    def summary(self) -> dict[str, Any]:
        return super().summary() | {"temperatures": self.n_temperatures} | self.chains.summary()


def temperatures(T: int) -> list[float]:
    """The temperature schedule β_0 … β_T, a sigmoid from 0 to 1.

    Examples
    --------
    >>> [round(beta, 3) for beta in temperatures(4)]
    [0.0, 0.105, 0.5, 0.895, 1.0]
    """
    end = tanh(STEEPNESS / 2)
    return [0.5 + 0.5 * tanh(STEEPNESS * (t / T - 0.5)) / end for t in range(T + 1)]


def annealed_log_likelihood(
    engine: Engine, X: Array, scale: float = 1.0, *, n_chains: int = 16,
    n_temperatures: int = 500, start: str = "prior", n_leapfrog: int = 10, seed: int = 0,
    progress: Callable[[Iterable], Iterable] = iter,
) -> AnnealedLogLikelihood:  # fmt: skip
    """Estimate log p(x) for every row of ``X`` (N, D) by annealed importance sampling.

    Biased low, as importance sampling is, but able to reach where q(z|x) does not.

    Parameters
    ----------
    n_chains : int
        L, annealed independently for each datapoint, after four pilot chains that tune ε. Of
        fewer than 25 k̂ is not known.
    n_temperatures : int
        T.
    start : str
        q_0: ``"prior"``, or ``"posterior"`` for q(z|x).
    n_leapfrog : int
        Leapfrog steps a temperature.
    seed : int
        Of the noise; the result does not depend on how the work is cut up.
    progress : callable
        Wraps the iterable of chunks, as tqdm does; with several threads, the first one's share.

    Raises
    ------
    ParameterError
        If there are fewer than 2 chains or no temperature, or the start is not known.
    NumericalError
        If chains do not move, or start where p(x, z) is not finite.
    """
    if n_chains < 2:
        raise ParameterError(f"n_chains={n_chains} gives no standard error; ask for 2 or more")
    if n_temperatures < 1:
        raise ParameterError(f"n_temperatures={n_temperatures} leads nowhere; ask for 1 or more")
    columns = engine.xp.empty((7, len(X)), engine.theta.dtype)
    betas, L, pilots = temperatures(n_temperatures), n_chains, min(n_chains, PILOTS)

    def estimate_chunk(work: Workspace, part: tuple[int, int]) -> None:
        first, last = part
        target = LogJointTarget(engine, load_rows(engine, X[first:last], scale, work), work)
        q_0 = initial_density(start, target)
        noise = ChainNoise(engine.ops, seed, n_temperatures + 1, target.keys)
        step_sizes, _, _ = anneal(target, q_0, betas, pilots, n_leapfrog, noise)
        noise = ChainNoise(engine.ops, seed, 0, target.keys)
        _, log_w, chains = anneal(target, q_0, betas, L, n_leapfrog, noise, step_sizes)
        diagnostics = chains.diagnostics().check().columns()
        found = summary(engine.xp, accumulate_weights(engine.xp, None, log_w), L)
        values = *found, Tail(engine.xp, L).add(log_w).pareto_k(), *diagnostics
        for column, value in zip(columns, values, strict=True):
            column[first:last] = value

    for_each_chunk(engine, estimate_chunk, len(X), max(1, chunk_size(engine, L)), progress)
    value, error, ess, k, *diagnostics = columns
    chains = ChainDiagnostics(n_temperatures, *diagnostics)
    return AnnealedLogLikelihood(value, error, ess, L, n_temperatures, chains, pareto_k=k)


def anneal(
    target: LogJointTarget, q_0: InitialDensity, betas: list[float], L: int, n_leapfrog: int,
    noise: ChainNoise, step_sizes: list[Array] | None = None,
) -> tuple[list[Array], Array, Chains]:  # fmt: skip
    """Anneal L chains a datapoint → the step sizes of every β, log w (L, M) float64, the chains.

    Without ``step_sizes`` they are tuned on the way, and the weights are biased: each step size
    depends on the chains that it moves.
    """
    xp, mu = target.engine.xp, q_0.mu
    z = q_0.rsample(noise(0, xp.empty((L, len(mu), q_0.n_noise), mu.dtype)))
    chains = Chains(target.energy, z, noise, n_leapfrog, 0.5 * q_0.sigma.min(axis=-1)[None])
    found, log_w = [], xp.zeros(z.shape[:-1], "float64")
    for t, (below, beta) in enumerate(pairwise(betas)):
        z = chains.point.z
        (U_0, grad_0), (U_1, grad_1) = q_0.energy(z), target.energy(z)
        log_w += (beta - below) * (U_0 - U_1)
        chains.point = Point(z, interpolate(beta, U_0, U_1), interpolate(beta, grad_0, grad_1))
        if step_sizes:
            chains.step_size = step_sizes[t]
        chains.move(TemperedTarget(q_0, target, beta), tune=not step_sizes)
        found.append(chains.step_size)
    return found, log_w, chains


@dataclass(frozen=True)
class TemperedTarget:
    """A tempered target of HMC: −log f_β and its gradient."""

    q_0: InitialDensity
    target: LogJointTarget
    beta: float

    def __call__(self, z: Array) -> tuple[Array, Array]:
        (U_0, grad_0), (U_1, grad_1) = self.q_0.energy(z), self.target.energy(z)
        return interpolate(self.beta, U_0, U_1), interpolate(self.beta, grad_0, grad_1)

    def grad(self, z: Array) -> Array:
        return interpolate(self.beta, self.q_0.energy(z)[1], self.target.grad(z))


def interpolate(beta: float, of_0: Array, of_1: Array) -> Array:
    """Linear interpolation: (1 − β) of one and β of the other."""
    return (1 - beta) * of_0 + beta * of_1
