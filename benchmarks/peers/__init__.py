"""One file a library, one function a side: from a workload to something that can be timed.

A side trains by itself, drawing its own noise (:attr:`Side.run`), and can rehearse its first
steps with noise that is given, so that it can be held to the others before it is timed.
"""
from importlib import import_module

from common.workload import Workload

from peers.side import Side, Unavailable

__all__ = ["PACKAGES", "SIDES", "Side", "Unavailable", "build"]

SIDES = {  # name → its function, and what the tables call it
    "npvae": ("with_npvae.npvae", "npvae"),
    "products": ("with_npvae.products", "matrix products"),
    "torch": ("with_torch.torch_eager", "PyTorch"),
    "torch-fused": ("with_torch.torch_fused", "PyTorch, fused Adam"),
    "torch-compile": ("with_torch.torch_compile", "PyTorch, compiled"),
    "jax": ("with_jax.jax_step", "JAX, a step a call"),
    "jax-scan": ("with_jax.jax_scan", "JAX, lax.scan"),
    "autograd": ("with_tapes.autograd", "autograd"),
    "mygrad": ("with_tapes.mygrad", "MyGrad"),
    "thinc": ("with_thinc.thinc", "thinc"),
}
PACKAGES = ("numpy", "torch", "jax", "jaxlib", "autograd", "mygrad", "thinc", "blis")


def build(name: str, work: Workload) -> Side:
    """The side ``name`` with the workload's first parameters.

    Raises
    ------
    Unavailable
        If its library is not installed, or cannot run here.
    """
    module, function = SIDES[name][0].split(".")
    try:
        return getattr(import_module(f"peers.{module}"), function)(work)
    except ImportError as error:
        raise Unavailable(f"{error}; pip install 'npvae[bench]'") from error
