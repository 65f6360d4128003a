"""The NumPy/CuPy switch: the one place that may import cupy.

A :class:`Backend` is an array module ``xp`` and a table of operations ``ops`` that work on
its arrays. Everything above this file receives the two and never asks which they are.
"""
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import cache
from threading import RLock
from typing import Any

import numpy

from npvae import install, recording
from npvae.errors import BackendError, ParameterError
from npvae.ops import Ops, reference
from npvae.ops.cpu import on_host, twins
from npvae.ops.cpu.blas import held_for, one_thread_each
from npvae.records import dataclass

capturing = RLock()  # by one thread at a time
# numpy.ndarray, or cupy.ndarray, which has the same interface and no stubs: held to NumPy's
Array = numpy.ndarray[Any, numpy.dtype[Any]]


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
    tf32 : bool
        Whether products of float32 may round their factors to ten bits of fraction.
    """

    name: str
    xp: Any
    ops: Ops
    tf32: bool = False

    def __reduce__(self) -> Any:
        return get_backend, (self.name, self.tf32)  # ops are bound on arrival

    @property
    def device(self) -> str:
        """What it computes on, in words."""
        if self.xp is numpy:
            return "this processor, with NumPy"
        number = self.xp.cuda.Device().id
        name = self.xp.cuda.runtime.getDeviceProperties(number)["name"].decode()
        return f"{name}, with CuPy {self.xp.__version__}"

    @property
    def twins(self) -> str:
        """Which fused twins of the ops it runs, in a word: results differ in their last bits."""
        return (twins.library()[1] or "none") if self.xp is numpy else "cuda"

    def capture(self, work: Callable[[], None], *holders: Any) -> Callable[[], bool | None] | None:
        """What repeats in one launch all that ``work`` asks of the device: a CUDA graph, or on a
        host the recorded calls of the compiled ops.

        None if ``work`` allocates on a GPU: a graph holds on to addresses and not to arrays, so it
        would write to memory that has been given to something else by then. What ``work`` uses must
        outlive the graph for the same reason. None on a host if NumPy has a part in it, at work on
        arrays that are attributes of ``holders``.

        Nothing is done yet, and ``work`` must have been done before: what it needs compiled, and
        its buffers, have to be there. On a host a launch ends at :meth:`halt` if the numbers there
        are not finite, and tells whether it came to its end.
        """
        if self.xp is numpy:
            return recording.record(work, holders)
        stream = capture_stream(self.xp)
        with capturing, stream, self.xp.cuda.using_allocator(_refuse):
            stream.begin_capture()
            try:
                work()
            except BaseException as error:
                with suppress(Exception):  # it may be invalid; why is the error under way
                    stream.end_capture()
                if isinstance(error, _Allocation):
                    return None
                raise
            return stream.end_capture().launch

    def halt(self, numbers: Array) -> None:
        """Let a launch on a host end here if the numbers, float64, are not finite."""
        if self.xp is numpy:
            recording.halt(numbers)

    def sum_over(self, comm: Any) -> Callable[[Array], None]:
        """What sums an array over the processes of an MPI communicator, in place.

        On GPUs NCCL does, one device a process.
        """
        if self.xp is numpy:
            from mpi4py.MPI import IN_PLACE

            return lambda array: comm.Allreduce(IN_PLACE, array)
        from cupyx.distributed import NCCLBackend

        nccl = NCCLBackend(comm.size, comm.rank, use_mpi=True)
        return lambda array: nccl.all_reduce(array, array)

    def oom_guard(self) -> AbstractContextManager[None]:
        """Guard against a device out of memory: one line says what was asked, and what is free."""
        return nullcontext() if self.xp is numpy else device_oom_guard(self.xp)

    @property
    def chunk_factor(self) -> int:
        """Factor on the size of a chunk: a cacheful on a host, launches worth making on a GPU."""
        return 1 if self.xp is numpy else 64

    def threads(self) -> AbstractContextManager[int]:
        """How many threads may compute with it at the same time, inside the block."""
        return host_threads() if self.xp is numpy else nullcontext(1)

    def products(self, work: int) -> AbstractContextManager[None]:
        """Inside, matrix products have at most ``work`` multiply-adds each."""
        return held_for(work) if self.xp is numpy else nullcontext()

    def asarray(self, array: Any, dtype: Any = None) -> Array:
        """``array`` on this backend's device, copied only when it has to move or change dtype.

        On a GPU its elements lie in order, as kernels read them: there strides cost a copy too.
        """
        if self.xp is not numpy:
            return self.xp.ascontiguousarray(self.xp.asarray(array, dtype=dtype))
        return numpy.asarray(to_numpy(array), dtype=dtype)


@cache
def get_backend(name: str = "numpy", tf32: bool = False) -> Backend:
    """The backend called ``name``: ``"numpy"``, ``"cupy"``, or ``"auto"`` (a GPU if usable).

    A process uses one GPU, the one that is current at the first call; ``CUDA_VISIBLE_DEVICES``
    chooses it.

    Raises
    ------
    BackendError
        If CuPy is asked for and cannot run here.
    ParameterError
        If there is no backend of that name, or TF32 is asked of NumPy.

    Examples
    --------
    >>> get_backend("numpy").xp.__name__
    'numpy'
    """
    if name == "auto":
        return get_backend("numpy" if why_no_gpu() else "cupy", tf32)
    if name == "numpy":
        if tf32:
            raise ParameterError("tf32=True is for products on a GPU; leave it out with NumPy")
        return Backend("numpy", numpy, twins.with_twins(on_host(reference(numpy))))
    if name == "cupy":
        reason = why_no_gpu()
        if reason:
            raise BackendError(f"backend 'cupy' cannot run here: {reason}; use backend='numpy'")
        import cupy

        from npvae.ops.gpu.cublas import Cublas, library
        from npvae.ops.gpu.launch import on_device

        with device_oom_guard(cupy):
            gemm = Cublas(library(cupy), cupy, tf32).gemm
        return Backend("cupy", cupy, replace(on_device(reference(cupy), cupy), gemm=gemm), tf32)
    raise ParameterError(f"backend {name!r} is not known; choose 'numpy', 'cupy' or 'auto'")


@contextmanager
def host_threads() -> Iterator[int]:
    """Those of :meth:`Backend.threads`, each of which keeps to itself if there are several."""
    with one_thread_each() as n, twins.on_own_thread() if n > 1 else nullcontext():
        yield n


@contextmanager
def device_oom_guard(cupy: Any) -> Iterator[None]:
    """The guard of :meth:`Backend.oom_guard` on a device."""
    try:
        yield
    except cupy.cuda.memory.OutOfMemoryError as error:
        free, total = (size / 2**20 for size in cupy.cuda.Device().mem_info)
        raise BackendError(
            f"the GPU is out of memory: {error} Free: {free:.0f} of {total:.0f} MiB; "
            "choose a smaller batch_size or hidden, or backend='numpy'"
        ) from error


class _Allocation(Exception):
    """Memory was asked for during a capture."""


def _refuse(size: int) -> Any:
    """CuPy's allocator during a capture."""
    raise _Allocation(f"{size} bytes")


@cache
def capture_stream(xp: Any) -> Any:
    """The stream that launches are captured on: one for good, for libraries remember it."""
    return xp.cuda.Stream(non_blocking=True)


def why_no_gpu() -> str:
    """The reason why CuPy cannot be used, in a few words; empty when it can."""
    try:
        import cupy
    except ImportError:
        return f"CuPy is not installed ({install.command('cuda13')}, or cuda12)"
    try:
        # is_available() would swallow the reason
        return "" if cupy.cuda.runtime.getDeviceCount() else "CuPy finds no CUDA device"
    except Exception as error:  # CuPy raises its own kind for a missing or old driver
        return f"CuPy finds no usable driver or device ({error})"


def array_module(array: Any) -> Any:
    """The module whose arrays ``array`` is one of: numpy, or cupy for a device array."""
    if type(array) is not numpy.ndarray and is_device_array(array):  # as few are
        try:
            import cupy
        except ImportError as error:
            raise BackendError(
                "an array lies on a GPU, and CuPy, which would read it there, cannot be imported; "
                "pass one of NumPy's"
            ) from error
        return cupy
    return numpy


def is_device_array(array: Any) -> bool:
    """Whether ``array`` lives on a device, and needs :func:`to_numpy` to be read by NumPy."""
    return hasattr(array, "__cuda_array_interface__")


def to_numpy(array: Array) -> numpy.ndarray:
    """A host copy of a device array; a host array as it is."""
    if is_device_array(array):
        host: numpy.ndarray = array.get()  # type: ignore[attr-defined]  # CuPy's own
        return host
    return numpy.asarray(array)


def as_input_type(X: Any, result: Array) -> Array:
    """``result`` as the type of array that went in, NumPy's or CuPy's."""
    if type(result) is numpy.ndarray and not is_device_array(X):
        return result  # as most are
    return array_module(X).asarray(result) if is_device_array(X) else to_numpy(result)


def ignore_overflow(xp: Any) -> AbstractContextManager:
    """Ignore overflow: no warnings of it; of a device there are none."""
    return xp.errstate(all="ignore") if hasattr(xp, "errstate") else nullcontext()
