"""The marginal likelihood by annealed importance sampling (Neal 2001; Wu et al. 2017).

Between a density q_0 that can be drawn from, the prior or q(z|x), and p(z|x) lie the densities

    f_β(z) ∝ q_0(z)^(1−β) · p(x, z)^β,       0 = β_0 < β_1 < … < β_T = 1

A chain starts at z ~ q_0. At every rise of β it is weighed, and then moved by HMC, which leaves
f_β as it is:

    log w = Σ_t (β_t − β_{t−1}) [log p(x, z_{t−1}) − log q_0(z_{t−1})],      E[w] = p(x)

whatever the moves. With T = 1 this is importance sampling from q_0. The leapfrog's step sizes
are found by chains of their own that run first, so that they depend on none that is weighed.
"""
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from math import tanh
from typing import ClassVar

from npvae.backend import Array
from npvae.errors import ParameterError
from npvae.evaluation.chains import Chains, Noise, Report
from npvae.evaluation.chunks import each_chunk, load, rows_at_a_time
from npvae.evaluation.hmc import Point
from npvae.evaluation.importance import LogLikelihood, add, summary
from npvae.evaluation.posterior import Posterior, Start, start_at
from npvae.memory import Workspace
from npvae.models import Engine

STEEPNESS = 4.0  # of the sigmoid that β follows: slow near both ends
PILOTS = 4  # chains of a datapoint that find the step sizes


@dataclass(frozen=True)
class AnnealedLogLikelihood(LogLikelihood):
    """log p(x) of each datapoint by annealed chains, in nats; ``n_samples`` is their number.

    Attributes
    ----------
    n_temperatures : int
        T.
    chains : Report
        How they fared.
    """

    n_temperatures: int
    chains: Report
    advice: ClassVar[str] = "take more temperatures"

    def __str__(self) -> str:
        return f"{super().__str__()}; T = {self.n_temperatures}; {self.chains}"


def temperatures(T: int) -> list[float]:
    """β_0 … β_T on a sigmoid, from 0 to 1.

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

    On average low, as importance sampling is, but able to reach where q(z|x) does not.

    Parameters
    ----------
    n_chains : int
        L, annealed independently for each datapoint, after four that find ε.
    n_temperatures : int
        T, rises of β.
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
    columns = engine.xp.empty((6, len(X)), engine.theta.dtype)
    betas, L, pilots = temperatures(n_temperatures), n_chains, min(n_chains, PILOTS)

    def anneal(work: Workspace, part: tuple[int, int]) -> None:
        first, last = part
        posterior = Posterior(engine, load(engine, X[first:last], scale, work), work)
        q_0 = start_at(start, posterior)
        noise = Noise(engine.ops, seed, n_temperatures + 1, first * pilots)
        steps, _, _ = follow(posterior, q_0, betas, pilots, n_leapfrog, noise)
        noise = Noise(engine.ops, seed, 0, first * L)
        _, log_w, chains = follow(posterior, q_0, betas, L, n_leapfrog, noise, steps)
        fared = chains.report().check().columns()
        values = *summary(engine.xp, add(engine.xp, None, log_w), L), *fared
        for column, value in zip(columns, values, strict=True):
            column[first:last] = value

    each_chunk(engine, anneal, len(X), max(1, rows_at_a_time(engine, L)), progress)
    value, error, ess, *fared = columns
    report = Report(n_temperatures, *fared)
    return AnnealedLogLikelihood(value, error, ess, L, n_temperatures, report)


def follow(
    posterior: Posterior, q_0: Start, betas: list[float], L: int, n_leapfrog: int, noise: Noise,
    steps: list[Array] | None = None,
) -> tuple[list[Array], Array, Chains]:  # fmt: skip
    """Anneal L chains a datapoint: the step sizes of every β, log w (L, M) float64, the chains.

    Without ``steps`` they are tuned on the way, and the weights are of no use: each step size
    has seen the chains that it moves.
    """
    xp, mu = posterior.engine.xp, q_0.mu
    z = q_0.draw(noise(0, xp.empty((L, len(mu), q_0.n_noise), mu.dtype)))
    chains = Chains(posterior.energy, z, noise, n_leapfrog, 0.5 * q_0.sigma.min(axis=-1)[None])
    taken, log_w = [], xp.zeros(z.shape[:-1], "float64")
    for t, (below, beta) in enumerate(pairwise(betas)):
        z = chains.point.z
        (U_0, slope_0), (U_1, slope_1) = q_0.energy(z), posterior.energy(z)
        log_w += (beta - below) * (U_0 - U_1)
        chains.point = Point(z, mixed(beta, U_0, U_1), mixed(beta, slope_0, slope_1))
        if steps:
            chains.step_size = steps[t]
        chains.move(Between(q_0, posterior, beta), tune=not steps)
        taken.append(chains.step_size)
    return taken, log_w, chains


@dataclass(frozen=True)
class Between:
    """−log f_β and its gradient: a target of HMC."""

    q_0: Start
    posterior: Posterior
    beta: float

    def __call__(self, z: Array) -> tuple[Array, Array]:
        (U_0, slope_0), (U_1, slope_1) = self.q_0.energy(z), self.posterior.energy(z)
        return mixed(self.beta, U_0, U_1), mixed(self.beta, slope_0, slope_1)

    def slope(self, z: Array) -> Array:
        return mixed(self.beta, self.q_0.energy(z)[1], self.posterior.slope(z))


def mixed(beta: float, of_0: Array, of_1: Array) -> Array:
    """(1 − β) of one and β of the other."""
    return (1 - beta) * of_0 + beta * of_1
