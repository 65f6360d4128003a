"""The sides of the benchmark on a GPU: each a function from a workload and a place.

Sides of one package share a process, so that a library meets no other, and one that falls takes
no other with it.
"""
from importlib import import_module
from typing import NamedTuple

from common.workload import Workload
from gpu_parts.gpu_worker import Place

from peers.side import Side


class Entry(NamedTuple):
    """A side's package, which names its process, its function, and what the tables call it."""

    package: str
    function: str
    label: str


SIDES = {
    "npvae": Entry("npvae", "on_gpu_npvae.captured", "npvae"),
    "npvae-eager": Entry("npvae", "on_gpu_npvae.eager", "npvae, nothing captured"),
    "torch": Entry("torch", "on_gpu_torch.eager", "PyTorch, fused Adam"),
    "torch-compile": Entry("torch-compile", "on_gpu_torch.compiled", "PyTorch, compiled with Adam"),
    "torch-overhead": Entry(
        "torch-overhead", "on_gpu_torch.compiled_overhead", "PyTorch, compiled, reduce-overhead"
    ),
    "torch-graph": Entry("torch-graph", "on_gpu_torch.graph", "PyTorch, CUDA graph of a step"),
    "torch-graph-16": Entry(
        "torch-graph", "on_gpu_torch.graph_16", "PyTorch, CUDA graph of 16 steps"
    ),
    "torch-compiled-graph": Entry(
        "torch-compiled-graph", "on_gpu_torch.graph_16_compiled",
        "PyTorch, CUDA graph of 16, compiled",
    ),
    "jax": Entry("jax", "on_gpu_jax.step", "JAX, a step a call"),
    "jax-scan": Entry("jax", "on_gpu_jax.scan", "JAX, lax.scan"),
}
OWN = ("npvae", "npvae-eager")  # the others are peers


def make(function: str, work: Workload, place: Place) -> Side:
    """The side of a function, with the workload's first parameters."""
    module, name = function.split(".")
    return getattr(import_module(f"peers.{module}"), name)(work, place)
