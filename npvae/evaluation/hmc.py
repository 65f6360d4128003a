"""Hamiltonian Monte Carlo with leapfrog steps (Duane et al. 1987; Neal 2011), many chains at once.

With U(z) = −log of the density wanted, up to a constant, a chain at z is given a momentum
p ~ N(0, I) and follows the motion that keeps the energy H(z, p) = U(z) + ½‖p‖²:

    p ← p − ½ε ∇U(z)          then n times:
    z ← z + ε p
    p ← p − ε ∇U(z)           the last one a half

Leapfrog steps are reversible and keep volume, but H only to order ε². Accepting where they end
with probability min(1, e^{−ΔH}), and staying otherwise, makes up for it exactly. The larger ε,
the further a chain goes and the less often it is let go there: ε is tuned to an acceptance.

All chains move together: z is (L, M, J), L chains for each of M datapoints.
"""
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from math import sqrt
from typing import Any, NamedTuple

from npvae import random
from npvae.backend import array_module
from npvae.errors import NumericalError
from npvae.ops import Ops

Array = Any
Target = Callable[[Array], tuple[Array, Array]]  # z (L, M, J) → U (L, M), ∂U/∂z (L, M, J)
ACCEPTANCE = 0.9  # what ε is tuned to: the paper's (appendix E)
DIVERGENT = 1000.0  # nats by which H rises only where leapfrog steps are unstable
STUCK = 0.01  # an acceptance below which chains do not move
JITTER = 0.15  # at most, of log ε: or a trajectory as long as an orbit ends where it began


class Point(NamedTuple):
    """Where chains are, and the target there."""

    z: Array  # (L, M, J)
    energy: Array  # U(z)     (L, M)
    slope: Array  # ∂U/∂z     (L, M, J)


class Outcome(NamedTuple):
    """What became of one proposal a chain."""

    acceptance: Array  # min(1, e^{−ΔH})                                  (L, M)
    diverged: Array  # ΔH above DIVERGENT or not finite: never accepted   (L, M) bool


@dataclass(frozen=True)
class Noise:
    """The chains' random numbers, a pure function of (seed, transition, chain).

    Attributes
    ----------
    ops : Ops
        Those of the device that the chains are on.
    seed : int
        The numbers are those of the stream ``random.CHAINS``.
    first : int
        Transitions of other runs of the same seed that come before this one's.
    start : int
        Chains of other datapoints that come before these: so results do not depend on how
        datapoints are cut into chunks.
    """

    ops: Ops
    seed: int
    first: int = 0
    start: int = 0

    def __call__(self, transition: int, eps: Array) -> Array:
        """``eps`` (L, M, n), filled with n standard normals for each chain."""
        step = array_module(eps).full(1, self.first + transition, "int64")
        self.ops.posterior_noise(self.seed, random.CHAINS, step, self.start, eps)
        return eps


def leapfrog(target: Target, start: Point, p: Array, step: Array, n: int) -> tuple[Point, Array]:
    """``n`` leapfrog steps of size ``step`` (L, M, 1) or a number, to a point and its p."""
    z, _, slope = start
    p = p - 0.5 * step * slope
    for _ in range(n - 1):
        z = z + step * p
        p = p - step * slope_of(target, z)
    z = z + step * p
    energy, slope = target(z)
    return Point(z, energy, slope), p - 0.5 * step * slope


def slope_of(target: Target, z: Array) -> Array:
    """∂U/∂z: on the way U is not needed, and a target may have a ``slope`` that costs less."""
    slope = getattr(target, "slope", None)
    return slope(z) if slope else target(z)[1]


def hamiltonian(point: Point, p: Array) -> Array:
    """H = U(z) + ½‖p‖².   (L, M)"""
    return point.energy + 0.5 * (p * p).sum(axis=-1)


def transition(
    target: Target, start: Point, step: Array, n: int, noise: Array
) -> tuple[Point, Outcome]:
    """One proposal a chain, accepted or not.

    Parameters
    ----------
    target : callable
        z → U and its gradient.
    start : Point
        Where the chains are.
    step : array (1 or L, 1 or M)
        ε.
    n : int
        Leapfrog steps.
    noise : array (L, M, J + 3)
        Standard normals: the momentum; two whose ½(n₁² + n₂²) is exponential, as −log u of a
        uniform u is, so that u ≤ e^{−ΔH} reads ΔH ≤ ½(n₁² + n₂²); one for the jitter of ε.
    """
    xp, J = array_module(noise), start.z.shape[-1]
    p, luck, jitter = noise[..., :J], noise[..., J : J + 2], noise[..., J + 2]
    step = (step * xp.exp(JITTER * xp.tanh(jitter)))[..., None]  # (L, M, 1)
    with quiet(xp):  # what overflows is counted as diverged
        end, p_end = leapfrog(target, start, p, step, n)
        rise = hamiltonian(end, p_end) - hamiltonian(start, p)  # ΔH   (L, M)
        diverged = ~(xp.isfinite(rise) & (rise <= DIVERGENT))
        rise = xp.where(diverged, DIVERGENT, rise)
        accepted = (rise <= 0.5 * (luck * luck).sum(axis=-1)) & ~diverged
        acceptance = xp.exp(-xp.maximum(rise, 0))
    there = accepted[..., None]
    point = Point(
        xp.where(there, end.z, start.z),
        xp.where(accepted, end.energy, start.energy),
        xp.where(there, end.slope, start.slope),
    )
    return point, Outcome(acceptance, diverged)


def quiet(xp: Any) -> AbstractContextManager:
    """No warnings of overflow; of a device there are none."""
    return xp.errstate(all="ignore") if hasattr(xp, "errstate") else nullcontext()


class Chains:
    """Chains that go on from where they are: L for each of M datapoints.

    Parameters
    ----------
    target : callable
        z → U and its gradient. It may change from move to move if ``point`` is set anew.
    z : array (L, M, J)
        Where they start.
    noise : Noise
        Move i takes transition i; i = 0 is left for drawing the start.
    n_leapfrog : int
        Leapfrog steps a move.
    step_size : array (1, M) or (1, 1), or float
        ε to begin with: one for each datapoint's chains, or one for all.

    Attributes
    ----------
    point : Point
        Where they are.
    moves : int
        Made so far.

    Raises
    ------
    NumericalError
        If a chain starts where U or its gradient is not finite.
    """

    def __init__(
        self, target: Target, z: Array, noise: Noise, n_leapfrog: int = 10,
        step_size: Array | float = 0.5,
    ):  # fmt: skip
        xp = array_module(z)
        if isinstance(step_size, float):
            step_size = xp.full((1, z.shape[1]), step_size, z.dtype)
        self.noise, self.n_leapfrog, self.step_size = noise, n_leapfrog, step_size
        self.moves = self.tuned = 0
        with quiet(xp):
            self.point = Point(z, *target(z))
            finite = xp.isfinite(self.point.energy + self.point.slope.sum(axis=-1))  # (L, M)
        if not bool(finite.all()):
            raise NumericalError(
                f"the energy is not finite where {int((~finite).sum())} of {finite.size} chains "
                "start; look at the parameters and at the data"
            )
        self.forget()

    def forget(self) -> None:
        """Count acceptances and divergences from here on."""
        self.counted = 0
        self.acceptance = self.divergences = array_module(self.point.z).zeros(1)

    def move(self, target: Target, tune: bool = False) -> None:
        """One transition of every chain; ``tune`` moves ε, after which it is no exact sampler.

        log ε += γ (a − 0.9) with the mean acceptance a of the chains that share it (Robbins &
        Monro 1951). γ = 2/√t at first, to find the scale; it stays at 0.2, to follow a target.
        """
        xp, z = array_module(self.point.z), self.point.z
        self.moves += 1
        noise = self.noise(self.moves, xp.empty((*z.shape[:-1], z.shape[-1] + 3), z.dtype))
        self.point, (acceptance, diverged) = transition(
            target, self.point, self.step_size, self.n_leapfrog, noise
        )
        self.counted += 1
        self.acceptance = self.acceptance + acceptance.mean(axis=0)  # (M,)
        self.divergences = self.divergences + diverged.sum(axis=0)  # (M,)
        if tune:
            self.tuned += 1
            shared = tuple(i for i, n in enumerate(self.step_size.shape) if n == 1)
            a = acceptance.mean(axis=shared, keepdims=True)
            gain = max(2 / sqrt(self.tuned), 0.2)
            self.step_size = self.step_size * xp.exp(gain * (a - ACCEPTANCE))

    def report(self) -> "Report":
        """How they fared since :meth:`forget`."""
        steps = self.step_size[0] + 0 * self.acceptance  # (M,), if one serves all
        return Report(self.counted, self.acceptance / self.counted, self.divergences, steps)


@dataclass(frozen=True)
class Report:
    """How the chains of each datapoint fared.

    Attributes
    ----------
    n_moves : int
        Of each chain.
    acceptance : array (N,)
        Mean probability of accepting a proposal.
    divergences : array (N,)
        Proposals whose energy rose by more than 1000 nats or to something not finite.
    step_size : array (N,)
        ε at the end.
    """

    n_moves: int
    acceptance: Array
    divergences: Array
    step_size: Array

    def __str__(self) -> str:
        text = (
            f"HMC accepted {100 * float(self.acceptance.mean()):.1f} % of proposals, "
            f"{100 * float(self.acceptance.min()):.1f} % at worst"
        )
        divergent = int((self.divergences > 0).sum())
        if divergent:
            text += (
                f"; {int(self.divergences.sum())} of them diverged, for {divergent} of "
                f"{len(self.divergences)} datapoints: do not trust these, or take a longer warm-up"
            )
        return text

    def columns(self) -> tuple[Array, Array, Array]:
        """What there is of each datapoint."""
        return self.acceptance, self.divergences, self.step_size

    def check(self) -> "Report":
        """Itself.

        Raises
        ------
        NumericalError
            If the chains of a datapoint do not move: they sample nothing.
        """
        stuck = int((~(self.acceptance >= STUCK)).sum())
        if stuck:
            raise NumericalError(
                f"the chains of {stuck} of {len(self.acceptance)} datapoints do not move: fewer "
                f"than 1 % of their proposals were accepted in {self.n_moves} moves, "
                f"{int(self.divergences.sum())} diverged; take a longer warm-up or more steps"
            )
        return self


@dataclass(frozen=True)
class Samples:
    """What :func:`sample` returns.

    Attributes
    ----------
    z : array (S, L, M, J)
        S draws of each of L chains.
    energy : array (S, L, M)
        U there.
    report : Report
        How the chains fared while they drew them.
    """

    z: Array
    energy: Array
    report: Report

    def __str__(self) -> str:
        S, L, M, J = self.z.shape
        return f"{S * L} samples of {J} variables, {L} chains, for {M} datapoints; {self.report}"


def sample(target: Target, chains: Chains, n_samples: int, warm_up: int = 100) -> Samples:
    """Move the chains ``warm_up`` times to find ε and the target, then draw at every move.

    Parameters
    ----------
    n_samples : int
        S, draws of each chain.
    warm_up : int
        Moves before them, while ε is tuned.

    Raises
    ------
    NumericalError
        If the chains do not move.

    Examples
    --------
    >>> import numpy as np
    >>> from npvae.backend import get_backend
    >>> def target(z):                                  # N(3, 1) in each of two variables
    ...     return 0.5 * ((z - 3) ** 2).sum(axis=-1), z - 3
    >>> noise = Noise(get_backend("numpy").ops, seed=0)
    >>> samples = sample(target, Chains(target, np.zeros((50, 1, 2)), noise), n_samples=200)
    >>> samples.z.mean(axis=(0, 1)).round(1)
    array([[3., 3.]])
    """
    xp, point = array_module(chains.point.z), chains.point
    for _ in range(warm_up):
        chains.move(target, tune=True)
    chains.forget()
    z = xp.empty((n_samples, *point.z.shape), point.z.dtype)
    energy = xp.empty((n_samples, *point.energy.shape), point.energy.dtype)
    for s in range(n_samples):
        chains.move(target)
        z[s], energy[s] = chains.point.z, chains.point.energy
    return Samples(z, energy, chains.report().check())
