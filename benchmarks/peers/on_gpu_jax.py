"""JAX on a GPU: its sides are those of the CPU, its platform and precision set beforehand."""
from gpu_worker import Place
from workload import Workload

from peers.side import Side
from peers.with_jax import jax_scan, jax_step


def step(work: Workload, place: Place) -> Side:
    """One jitted call a step."""
    return jax_step(work)


def scan(work: Workload, place: Place) -> Side:
    """One call an epoch."""
    return jax_scan(work)
