"""A stand-in for CuPy on a machine without a GPU: as strict as CuPy, and it keeps an account.

Arrays of the device do not turn into NumPy arrays and do not mix with them; functions have
CuPy's keywords and no others; what CuPy lacks is an AttributeError. Kernels run on the CPU, by
:mod:`shim`. So ``backend="cupy"`` runs whole, and a test can say what a GPU would have been asked:

    with installed() as cupy, counting() as asked, forbid_transfers():
        step()
    assert asked.launches == 20 and asked.allocations == 0

A library called through ctypes is faked by a function that calls :func:`launch`. An einsum, a
variance and a long sum count as one launch each, and may be a few.
"""
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest

from npvae import backend
from strict_cupy.arrays import CUPY, launch
from strict_cupy.cuda import (
    CUDA,
    RUNTIME,
    Counter,
    MemoryPool,
    OutOfMemoryError,
    break_device,
    counting,
    forbid_transfers,
    reset,
)  # fmt: skip

__all__ = ["Counter", "break_device", "counting", "forbid_transfers", "installed", "launch"]


def module(name: str, **names: Any) -> ModuleType:
    """A module that has these names and no others."""
    made = ModuleType(name)
    vars(made).update(names)
    return made


@contextmanager
def installed() -> Iterator[ModuleType]:
    """The stand-in as the module ``cupy``, with a new device; afterwards it was never there."""
    memory = module("cupy.cuda.memory", OutOfMemoryError=OutOfMemoryError, MemoryPool=MemoryPool)
    runtime = module("cupy.cuda.runtime", **RUNTIME)
    cublas = module("cupy.cuda.cublas")  # importing it loads the library
    cuda = module("cupy.cuda", cublas=cublas, runtime=runtime, memory=memory, **CUDA)
    stand_in = module("cupy", cuda=cuda, **CUPY)
    caches = [f for f in vars(backend).values() if hasattr(f, "cache_clear")]
    reset()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "cupy", stand_in)
        patch.setitem(sys.modules, "cupy.cuda", cuda)
        for cache in caches:
            cache.cache_clear()
        try:
            yield stand_in
        finally:
            for cache in caches:
                cache.cache_clear()
            reset()

