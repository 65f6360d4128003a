"""Forward and backward passes as pure functions of arrays, and the table that holds them.

An op ``name`` has its backward ``name_backward`` beside it. ``d_v`` always means ∂loss/∂v,
the loss being minus the objective. An op writes its outputs, every element of them, and
never accumulates; it holds no state. It may use up the matrix product ``a`` that it is
given, which has no other reader; every other input it leaves alone. Some say otherwise:
``l2_backward`` and ``parameter_kl_backward`` add; ``binarize``, ``sample_bernoulli``, ``scale``,
``nll_shift``, the parameter updates and the ops of a training step's scalars work in place.

What lies between two matrix products is one op, because that is what a device can fuse:
``dataclasses.replace(reference(cupy), tanh=..., ...)`` overrides some. An op stands in one place:
its body in a file of this folder or of ``likelihoods/``, its declaration above the body
(:mod:`npvae.ops.declare`), and its compiled twin in the ``.cu`` file beside, for GPUs and for
processors. How a device runs ops is in ``gpu/`` and ``cpu/``.
"""
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from npvae import lazy
from npvae.ops import likelihoods
from npvae.ops.declare import Op
from npvae.records import dataclass


def _declared() -> dict[str, Op]:
    """All ops by name: file by file in alphabetical order, and as they stand in each."""
    folders = ((__name__, __path__), (likelihoods.__name__, likelihoods.__path__))
    files = [f"{folder}.{file}" for folder, path in folders for file in lazy.modules(path)]
    return {
        name: body.declaration
        for file in files
        for name, body in vars(import_module(file)).items()
        if hasattr(body, "declaration") and body.__module__ == file
    }


DECLARED = _declared()
ACTIVATIONS = {name: op for name, op in DECLARED.items() if op.reads}

if TYPE_CHECKING:

    class Ops:
        """One callable an operation, bound to an array module."""

        __dataclass_fields__: ClassVar[dict[str, Any]]

        def __getattr__(self, name: str) -> Callable[..., Any]: ...

else:
    Ops = dataclass(frozen=True)(type("Ops", (), {
        "__doc__": "One callable an operation, bound to an array module.",
        "__module__": __name__,
        "__annotations__": dict.fromkeys(DECLARED, Callable[..., Any]),
    }))  # fmt: skip


def reference(xp: Any) -> Ops:
    """The readable bodies of all ops, bound to the array module ``xp``."""
    return Ops(**{name: partial(op.body, xp) for name, op in DECLARED.items()})
