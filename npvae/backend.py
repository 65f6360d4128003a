"""The NumPy/CuPy switch: the one place that may import cupy.

A :class:`Backend` is an array module ``xp`` and a table of operations ``ops`` that work on
its arrays. Everything above this file receives the two and never asks which they are.
"""
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy

from npvae.errors import BackendError, ParameterError
from npvae.ops import Ops, reference
from npvae.ops.hands import one_blas_thread_each
from npvae.ops.host import on_host

Array = Any  # numpy.ndarray or cupy.ndarray: the same interface, two types


@dataclass(frozen=True)
class Backend:
    """An array module and the operations on its arrays.

    Attributes
    ----------
    name : str
        ``"numpy"`` or ``"cupy"``.
    xp : module
        The array module.
    ops : Ops
        Forward and backward passes on arrays of ``xp``.
    """

    name: str
    xp: Any
    ops: Ops

    def __reduce__(self) -> Any:
        return get_backend, (self.name,)  # a pickle holds the name; ops are bound on arrival

    def record(self, work: Callable[[], Any]) -> Callable[[], None] | None:
        """What repeats all that ``work`` asks of the device in one launch; None if nothing can."""
        return None

    def hands(self) -> AbstractContextManager[int]:
        """How many threads may compute with it at the same time, inside the block."""
        return one_blas_thread_each() if self.xp is numpy else nullcontext(1)

    def asarray(self, array: Any, dtype: Any = None) -> Array:
        """``array`` on this backend's device, copied only when it has to move or change dtype."""
        if self.xp is not numpy or not is_device_array(array):
            return self.xp.asarray(array, dtype=dtype)
        return numpy.asarray(to_numpy(array), dtype=dtype)


@cache
def get_backend(name: str = "numpy") -> Backend:
    """The backend called ``name``: ``"numpy"``, ``"cupy"``, or ``"auto"`` (a GPU if usable).

    Raises
    ------
    BackendError
        If CuPy is asked for and cannot run here.
    ParameterError
        If there is no backend of that name.

    Examples
    --------
    >>> get_backend("numpy").xp.__name__
    'numpy'
    """
    if name == "auto":
        name = "numpy" if why_no_gpu() else "cupy"
    if name == "numpy":
        return Backend("numpy", numpy, on_host(reference(numpy)))
    if name == "cupy":
        reason = why_no_gpu()
        if reason:
            raise BackendError(f"backend 'cupy' cannot run here: {reason}; use backend='numpy'")
        import cupy

        return Backend("cupy", cupy, reference(cupy))
    raise ParameterError(f"backend {name!r} is not known; choose 'numpy', 'cupy' or 'auto'")


def why_no_gpu() -> str:
    """The reason why CuPy cannot be used, in a few words; empty when it can."""
    try:
        import cupy
    except ImportError:
        return "CuPy is not installed (pip install 'npvae[cuda13]' or 'npvae[cuda12]')"
    try:
        if not cupy.cuda.is_available():
            return "CuPy finds no CUDA device"
    except Exception as error:  # CuPy raises its own kind for a missing or old driver
        return f"CuPy finds no usable driver ({error})"
    return ""


def array_module(array: Any) -> Any:
    """The module whose arrays ``array`` is one of: numpy, or cupy for a device array."""
    if is_device_array(array):
        import cupy

        return cupy
    return numpy


def is_device_array(array: Any) -> bool:
    """Whether ``array`` lives on a device, and needs :func:`to_numpy` to be read by NumPy."""
    return hasattr(array, "__cuda_array_interface__")


def to_numpy(array: Array) -> numpy.ndarray:
    """A host copy of a device array; a host array as it is."""
    return array.get() if is_device_array(array) else numpy.asarray(array)
