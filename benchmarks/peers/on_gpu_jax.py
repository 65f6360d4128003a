"""JAX on a GPU: its sides are those of the CPU, its platform and precision set beforehand."""
from common.workload import Workload
from gpu_parts.gpu_worker import Place

from peers.side import Side
from peers.with_jax import jax_scan, jax_step


def step(work: Workload, place: Place) -> Side:
    """One jitted call a step."""
    return jax_step(work)


def scan(work: Workload, place: Place) -> Side:
    """One call an epoch."""
    return jax_scan(work)
