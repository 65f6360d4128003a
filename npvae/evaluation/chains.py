"""Chains of Hamiltonian Monte Carlo: their noise, step-size adaptation and diagnostics.

A chain goes on from its state by the transitions of ``hmc.py``. In the warm-up ε is adapted,
which makes it no exact sampler; then it samples, and the diagnostics say if it can be trusted.
"""
from math import sqrt
from typing import Any

import numpy as np

from npvae import html, random
from npvae.backend import Array, array_module, ignore_overflow
from npvae.errors import NumericalError
from npvae.evaluation.hmc import Point, Target, transition
from npvae.ops import Ops
from npvae.records import dataclass
from npvae.row_noise import row_normals

ACCEPTANCE = 0.9  # the target acceptance rate of ε: the paper's (appendix E)
MIN_ACCEPTANCE = 0.01  # an acceptance below which chains do not move


@dataclass(frozen=True)
class ChainNoise:
    """The noise of the chains, a pure function of (seed, transition, chain).

    Attributes
    ----------
    ops : Ops
        Those of the device that the chains are on.
    seed : int
        The numbers are those of the stream ``random.CHAINS``.
    first : int
        Transitions of other runs of the same seed that come before this one's.
    keys : array (M,) uint64, optional
        Of the datapoints, by their values: so a result does not depend on where a datapoint
        stands. Without them the noise goes by the place of a chain.
    """

    ops: Ops
    seed: int
    first: int = 0
    keys: np.ndarray | None = None

    def __call__(self, transition: int, eps: Array) -> Array:
        """``eps`` (L, M, n), filled with n standard normals for each chain."""
        xp, number = array_module(eps), self.first + transition
        if self.keys is None:
            step = xp.full(1, number, "int64")
            self.ops.fill_noise(self.seed, random.CHAINS, step, 0, eps)
        else:
            L, _, n = eps.shape
            normals = row_normals(self.seed, random.CHAINS, number, self.keys, L, n)
            eps[...] = xp.asarray(normals)
        return eps


class Chains:
    """Markov chains, L for each of M datapoints.

    Parameters
    ----------
    target : callable
        z → U and its gradient. It may change from move to move if ``point`` is set anew.
    z : array (L, M, J)
        Where they start.
    noise : ChainNoise
        Transition i takes noise i; i = 0 is that of the initial z.
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
        self, target: Target, z: Array, noise: ChainNoise, n_leapfrog: int = 10,
        step_size: Array | float = 0.5,
    ):  # fmt: skip
        xp = array_module(z)
        self.noise, self.n_leapfrog = noise, n_leapfrog
        self.step_size: Array = (
            xp.full((1, z.shape[1]), step_size, z.dtype) if isinstance(step_size, float)
            else step_size
        )  # fmt: skip
        self.moves = self.tuned = 0
        with ignore_overflow(xp):
            self.point = Point(z, *target(z))
            finite = xp.isfinite(self.point.energy + self.point.grad.sum(axis=-1))  # (L, M)
        if not bool(finite.all()):
            raise NumericalError(
                f"the energy is not finite where {int((~finite).sum())} of {finite.size} chains "
                "start; look at the parameters and at the data"
            )
        self.reset_counts()

    def reset_counts(self) -> None:
        """Count acceptances and divergences anew, as after the warm-up."""
        self.counted = 0
        self.acceptance = self.divergences = array_module(self.point.z).zeros(1)

    def move(self, target: Target, tune: bool = False) -> None:
        """One transition of every chain; ``tune`` adapts ε: such chains are no exact sampler.

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

    def diagnostics(self) -> "ChainDiagnostics":
        """Diagnostics since :meth:`reset_counts`."""
        steps = self.step_size[0] + 0 * self.acceptance  # (M,), if one serves all
        return ChainDiagnostics(
            self.counted, self.acceptance / self.counted, self.divergences, steps
        )


@dataclass(frozen=True)
class ChainDiagnostics:
    """Diagnostics of the chains of each datapoint.

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

    def summary(self) -> dict[str, Any]:
        """Mean and worst acceptance, and how many proposals diverged."""
        return {
            "acceptance": float(self.acceptance.mean()),
            "worst_acceptance": float(self.acceptance.min()),
            "divergences": int(self.divergences.sum()),
        }  # fmt: skip

    def _repr_html_(self) -> str:
        return html.table(f"HMC, {self.n_moves} moves of a chain", self.summary())

    def columns(self) -> tuple[Array, Array, Array]:
        """Acceptance, divergences and step size of each datapoint."""
        return self.acceptance, self.divergences, self.step_size

    def check(self) -> "ChainDiagnostics":
        """Itself.

        Raises
        ------
        NumericalError
            If the chains of a datapoint do not move: they sample nothing.
        """
        stuck = int((~(self.acceptance >= MIN_ACCEPTANCE)).sum())
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
        S samples of each of L chains.
    energy : array (S, L, M)
        U there.
    diagnostics : ChainDiagnostics
        Of the transitions that gave them.
    """

    z: Array
    energy: Array
    diagnostics: ChainDiagnostics

    def __str__(self) -> str:
        S, L, M, J = self.z.shape
        what = f"{S * L} samples of {J} variables, {L} chains, for {M} datapoints"
        return f"{what}; {self.diagnostics}"

    def _repr_html_(self) -> str:
        S, L, M, J = self.z.shape
        caption = f"{S * L} samples of {J} variables, {L} chains, for {M} datapoints"
        return html.table(caption, self.diagnostics.summary())


def sample(target: Target, chains: Chains, n_samples: int, warm_up: int = 100) -> Samples:
    """Sample a target: ``warm_up`` transitions to adapt ε and reach it, then sample at every one.

    Parameters
    ----------
    n_samples : int
        S, of each chain.
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
    >>> noise = ChainNoise(get_backend("numpy").ops, seed=0)
    >>> samples = sample(target, Chains(target, np.zeros((50, 1, 2)), noise), n_samples=200)
    >>> samples.z.mean(axis=(0, 1)).round(1)
    array([[3., 3.]])
    """
    xp, point = array_module(chains.point.z), chains.point
    for _ in range(warm_up):
        chains.move(target, tune=True)
    chains.reset_counts()
    z = xp.empty((n_samples, *point.z.shape), point.z.dtype)
    energy = xp.empty((n_samples, *point.energy.shape), point.energy.dtype)
    for s in range(n_samples):
        chains.move(target)
        z[s], energy[s] = chains.point.z, chains.point.energy
    return Samples(z, energy, chains.diagnostics().check())
