"""Compiled twins of the ops for a processor: one pass over memory where NumPy makes ten.

The kernels are those of the GPU, the ``.cu`` file beside each op's body, compiled by the C++
compiler of the machine that npvae is installed on (``setup.py``) with loops in place of blocks of
threads (``common.h``). None is needed: without a compiler, and for arrays that no kernel takes
(complex, not contiguous, of mixed dtypes), the NumPy body does the work.
"""
import os
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np

from npvae.ops import DECLARED, Ops
from npvae.ops.declare import Op

# Instruction sets that there are builds for, the best first, and what NumPy calls what they need.
LEVELS = {"v4": ("AVX512_SKX",), "v3": ("AVX2", "FMA3")}
DTYPES = ("float32", "float64")


@cache
def library() -> tuple[ModuleType | None, str]:
    """The build for this processor if there is one, and why or why not in a few words."""
    if os.environ.get("NPVAE_PURE_PYTHON", "0") not in ("", "0"):
        return None, "NPVAE_PURE_PYTHON is set"
    supported = features()
    for level, needed in LEVELS.items():
        if all(supported.get(feature) for feature in needed):
            try:
                return import_module(f"npvae.ops.cpu._twins_{level}"), f"x86-64-{level}"
            except ImportError:
                continue
    return None, "none was built when npvae was installed, for want of a C++ compiler"


def features() -> dict[str, bool]:
    """What NumPy has found out about the processor."""
    try:
        from numpy._core._multiarray_umath import __cpu_features__
    except ImportError:
        return {}
    return dict(__cpu_features__)


def with_twins(ops: Ops) -> Ops:
    """``ops``, overridden by the kernels that there are."""
    module, _ = library()
    if module is None:
        return ops
    twins = {
        name: launcher(module, op, name, getattr(ops, name))
        for name, op in DECLARED.items() if op.layout and serves(module, op, name)
    }  # fmt: skip
    return replace(ops, **twins)


def serves(module: ModuleType, op: Op, name: str) -> bool:
    """Whether there is a kernel of an op for every dtype."""
    kinds = ["uint8", *DTYPES] if op.multi_dtype else [""]
    names = [f"{name}_{kind}" if kind else name for kind in kinds]
    return all(module.find(f"{one} {dtype}") for one in names for dtype in DTYPES)


def launcher(module: ModuleType, op: Op, name: str, body: Callable[..., Any]) -> Callable[..., Any]:
    """The kernel of an op, called as the op is."""
    layout, run = op.layout, module.run
    assert layout is not None
    shaped = [op.arguments.index(word) for word in op.shapes]
    last = shaped[-1]  # has the dtype that the kernel is for
    taken = [i for i, word in enumerate(op.arguments) if word not in op.scratch]
    data = op.arguments.index(op.multi_dtype) if op.multi_dtype else None
    sizes: dict[Any, tuple[int, ...]] = {}
    kernels: dict[Any, Any] = {}

    def kernel(dtypes: tuple[np.dtype, ...]) -> Any:
        kernels[dtypes] = module.find(" ".join(["_".join([name, *(d.name for d in dtypes[1:])]),
                                                dtypes[0].name]))  # fmt: skip
        return kernels[dtypes]

    def call(*values: Any, **options: Any) -> Any:
        shapes = tuple([values[i].shape for i in shaped])
        if shapes not in sizes:
            sizes[shapes] = layout(*(n for shape in shapes for n in shape)).sizes
        dtypes = (values[last].dtype,) if data is None else (values[last].dtype, values[data].dtype)
        found = kernels[dtypes] if dtypes in kernels else kernel(dtypes)
        if found is None or not run(found, *[values[i] for i in taken], *sizes[shapes]):
            body(*values, **options)

    return call
