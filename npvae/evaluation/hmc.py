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
from typing import NamedTuple

from npvae.backend import Array, array_module, ignore_overflow

Target = Callable[[Array], tuple[Array, Array]]  # z (L, M, J) → U (L, M), ∂U/∂z (L, M, J)
DIVERGENT = 1000.0  # nats by which H rises only where leapfrog steps are unstable
JITTER = 0.15  # at most, of log ε: or a trajectory as long as an orbit ends where it began


class Point(NamedTuple):
    """A state of the chains: z, and the target's energy and gradient there."""

    z: Array  # (L, M, J)
    energy: Array  # U(z)     (L, M)
    grad: Array  # ∂U/∂z     (L, M, J)


class Outcome(NamedTuple):
    """Acceptance statistics of one proposal a chain."""

    acceptance: Array  # min(1, e^{−ΔH})                                  (L, M)
    diverged: Array  # ΔH above DIVERGENT or not finite: never accepted   (L, M) bool


def leapfrog(target: Target, start: Point, p: Array, step: Array, n: int) -> tuple[Point, Array]:
    """``n`` leapfrog steps of size ``step`` (L, M, 1) or a number, to a point and its p."""
    z, _, grad = start
    p = p - 0.5 * step * grad
    for _ in range(n - 1):
        z = z + step * p
        p = p - step * grad_of(target, z)
    z = z + step * p
    energy, grad = target(z)
    return Point(z, energy, grad), p - 0.5 * step * grad


def grad_of(target: Target, z: Array) -> Array:
    """∂U/∂z alone: by the target's ``grad`` where it has one, which costs less."""
    grad = getattr(target, "grad", None)
    return grad(z) if grad else target(z)[1]


def hamiltonian(point: Point, p: Array) -> Array:
    """H = U(z) + ½‖p‖².   (L, M)"""
    return point.energy + 0.5 * (p * p).sum(axis=-1)


def transition(
    target: Target, start: Point, step: Array, n: int, noise: Array
) -> tuple[Point, Outcome]:
    """One HMC transition of every chain: a proposal, and the Metropolis test of it.

    Parameters
    ----------
    target : callable
        z → U and its gradient.
    start : Point
        The current state.
    step : array (1 or L, 1 or M)
        ε.
    n : int
        Leapfrog steps.
    noise : array (L, M, J + 3)
        Standard normals: the momentum; two that give log u = −½(n₁² + n₂²) of a uniform u,
        for u ≤ e^{−ΔH}; one for the jitter of ε.
    """
    xp, J = array_module(noise), start.z.shape[-1]
    p, pair, jitter = noise[..., :J], noise[..., J : J + 2], noise[..., J + 2]
    log_u = -0.5 * (pair * pair).sum(axis=-1)  # (L, M)
    step = (step * xp.exp(JITTER * xp.tanh(jitter)))[..., None]  # (L, M, 1)
    with ignore_overflow(xp):  # what overflows is counted as diverged
        end, p_end = leapfrog(target, start, p, step, n)
        delta_H = hamiltonian(end, p_end) - hamiltonian(start, p)  # ΔH   (L, M)
        diverged = ~(xp.isfinite(delta_H) & (delta_H <= DIVERGENT))
        delta_H = xp.where(diverged, DIVERGENT, delta_H)
        accepted = (log_u <= -delta_H) & ~diverged
        acceptance = xp.exp(-xp.maximum(delta_H, 0))
    there = accepted[..., None]
    point = Point(
        xp.where(there, end.z, start.z),
        xp.where(accepted, end.energy, start.energy),
        xp.where(there, end.grad, start.grad),
    )
    return point, Outcome(acceptance, diverged)
