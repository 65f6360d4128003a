"""Matrix products on a GPU, by cuBLAS through a handle of our own.

CuPy's handle refuses to be captured into a CUDA graph. One of our own need not: all it takes is a
workspace that was allocated beforehand, so that no product has to allocate. The same handle
serves products that are not captured, so both give the same bits.

cuBLAS stores matrices by columns. An array by rows, read so, is its transpose; so instead of
out = a b it is asked for outᵀ = bᵀ aᵀ, and every array goes to it as it lies.
"""
import ctypes
import sys
from threading import RLock
from typing import Any

from npvae import install
from npvae.errors import BackendError

Array = Any
WORKSPACE = 32 * 2**20  # bytes: what NVIDIA advises for Hopper
DEFAULT_MATH, TF32_MATH = 0, 3  # of cublasMath_t
OP_N, OP_T = 0, 1  # of cublasOperation_t: as the array lies, or transposed


def library(xp: Any) -> Any:
    """The cuBLAS that CuPy itself has loaded."""
    major = xp.cuda.runtime.runtimeGetVersion() // 1000
    name = f"cublas64_{major}.dll" if sys.platform == "win32" else f"libcublas.so.{major}"
    try:
        _ = xp.cuda.cublas  # loads it
        return ctypes.CDLL(name)
    except (ImportError, OSError) as error:
        raise BackendError(
            f"{name} cannot be loaded; install CUDA's libraries beside CuPy: "
            f"{install.command(f'cuda{major}')}"
        ) from error


class Cublas:
    """A handle, its workspace, and the stream they are set to.

    Parameters
    ----------
    cublas : ctypes.CDLL
        The library.
    xp : module
        CuPy.
    tf32 : bool
        Whether products of float32 may round their factors to TF32, ten bits of fraction, which
        is several times faster.
    """

    def __init__(self, cublas: Any, xp: Any, tf32: bool = False):
        self.cublas, self.xp, self.stream = cublas, xp, -1
        self.lock = RLock()  # one handle serves all threads, one after the other
        self.workspace = xp.empty(WORKSPACE, xp.uint8)
        self.handle = ctypes.c_void_p()
        self._call("cublasCreate_v2", ctypes.byref(self.handle))
        self._call("cublasSetMathMode", self.handle, TF32_MATH if tf32 else DEFAULT_MATH)

    def gemm(self, a: Array, b: Array, out: Array) -> Array:
        """out = a b.   a (m, k), b (k, n), each by rows or by columns; out (m, n) by rows

        Or S products in one call: a (S, m, k), b (S, k, n), out (S, m, n).
        """
        (m, k), n, batched = a.shape[-2:], b.shape[-1], out.ndim == 3
        first_a, first_b, first_out = (x[0] if batched else x for x in (a, b, out))
        fits = out.shape == (*a.shape[:-1], n) and b.shape == (*a.shape[:-2], k, n)
        if not fits or not first_out.flags.c_contiguous:
            raise ValueError(f"{a.shape} · {b.shape} does not fit {out.shape} by rows")
        if not a.dtype == b.dtype == out.dtype:
            raise TypeError(f"{a.dtype} · {b.dtype} does not fit {out.dtype}")
        if 0 in (m, n):
            return out
        letter, number = {"f": ("S", ctypes.c_float), "d": ("D", ctypes.c_double)}[out.dtype.char]
        one, zero = number(1), number(0)

        def stride(x: Array) -> tuple[ctypes.c_longlong, ...]:
            """From one product to the next, in elements."""
            return (ctypes.c_longlong(x.strides[0] // x.itemsize),) if batched else ()

        with self.lock:
            self._follow_stream()
            self._call(
                f"cublas{letter}gemm{'StridedBatched' if batched else '_v2'}", self.handle,
                operation(first_b), operation(first_a), n, m, k, ctypes.byref(one),
                *pointer_and_ld(first_b), *stride(b), *pointer_and_ld(first_a), *stride(a),
                ctypes.byref(zero), *pointer_and_ld(first_out), *stride(out),
                *((len(out),) if batched else ()),
            )  # fmt: skip
        return out

    def _follow_stream(self) -> None:
        """Work on the stream that is current; setting a stream takes the workspace away."""
        current = self.xp.cuda.get_current_stream().ptr
        if current != self.stream:
            self._call("cublasSetStream_v2", self.handle, ctypes.c_void_p(current))
            workspace = ctypes.c_void_p(self.workspace.data.ptr)
            self._call(
                "cublasSetWorkspace_v2", self.handle, workspace, ctypes.c_size_t(WORKSPACE)
            )
            self.stream = current

    def _call(self, name: str, *arguments: Any) -> None:
        status = getattr(self.cublas, name)(*arguments)
        if status:
            raise BackendError(f"{name} failed with status {status}; see cublasStatus_t")


def operation(x: Array) -> int:
    """How cuBLAS must take ``x``: read by columns it is xᵀ already, unless it lies by columns."""
    if x.flags.c_contiguous:
        return OP_N
    if x.flags.f_contiguous:
        return OP_T
    raise ValueError(f"a matrix of strides {x.strides} lies neither by rows nor by columns")


def pointer_and_ld(x: Array) -> tuple[ctypes.c_void_p, int]:
    """Where ``x`` is, and its leading dimension: how far apart its rows or columns begin."""
    rows, columns = x.shape
    leading = columns if x.flags.c_contiguous else rows
    return ctypes.c_void_p(x.data.ptr), max(leading, 1)
