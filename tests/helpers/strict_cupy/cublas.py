"""The C library cuBLAS, as far as the engine calls it, on the stand-in's memory.

It is called as ctypes calls it: with addresses, lengths of columns and operation codes, which it
takes at their word. So a product that is right here was asked for rightly.
"""
import ctypes
from functools import partial
from typing import Any

import numpy as np

from strict_cupy import cuda

TRANSPOSED = 1


class Cublas:
    """One library; its functions return 0, as they do when all is well."""

    def __init__(self) -> None:
        self.stream: Any = 0
        self.workspace: Any = None
        self.math_mode = 0

    def cublasCreate_v2(self, handle: Any) -> int:
        handle._obj.value = 1
        return 0

    def cublasSetMathMode(self, handle: Any, mode: int) -> int:
        self.math_mode = mode
        return 0

    def cublasSetStream_v2(self, handle: Any, stream: Any) -> int:
        self.stream, self.workspace = stream.value or 0, None  # which the stream takes with it
        return 0

    def cublasSetWorkspace_v2(self, handle: Any, workspace: Any, size: Any) -> int:
        self.workspace = (workspace.value, size.value)
        return 0

    def cublasSgemm_v2(self, *arguments: Any) -> int:
        return self._gemm(np.float32, *arguments)

    def cublasDgemm_v2(self, *arguments: Any) -> int:
        return self._gemm(np.float64, *arguments)

    def cublasSgemmStridedBatched(self, *arguments: Any) -> int:
        return self._batched(np.float32, *arguments)

    def cublasDgemmStridedBatched(self, *arguments: Any) -> int:
        return self._batched(np.float64, *arguments)

    def _batched(
        self, dtype: Any, handle: Any, op_a: int, op_b: int, m: int, n: int, k: int, alpha: Any,
        a: Any, lda: int, stride_a: Any, b: Any, ldb: int, stride_b: Any, beta: Any, c: Any,
        ldc: int, stride_c: Any, count: int,
    ) -> int:  # fmt: skip
        """C_s = alpha · op(A_s) op(B_s) + beta · C_s, the matrices ``stride`` elements apart."""
        def moved(address: Any, stride: Any, s: int) -> Any:
            return ctypes.c_void_p(address.value + s * stride.value * np.dtype(dtype).itemsize)

        products = [
            self._product(dtype, op_a, op_b, m, n, k, alpha, moved(a, stride_a, s), lda,
                          moved(b, stride_b, s), ldb, beta, moved(c, stride_c, s), ldc)
            for s in range(count)
        ]  # fmt: skip
        cuda.submit(lambda: [product() for product in products], [])
        return 0

    def _gemm(self, dtype: Any, handle: Any, *arguments: Any) -> int:
        """C = alpha · op(A) op(B) + beta · C, all stored by columns."""
        cuda.submit(self._product(dtype, *arguments), [])
        return 0

    def _product(
        self, dtype: Any, op_a: int, op_b: int, m: int, n: int, k: int, alpha: Any,
        a: Any, lda: int, b: Any, ldb: int, beta: Any, c: Any, ldc: int,
    ) -> Any:  # fmt: skip
        if self.stream != cuda.STATE.streams[-1].ptr:
            raise RuntimeError("the handle is set to another stream than the current one")
        if self.workspace is None:
            raise RuntimeError("without a workspace of its own cuBLAS allocates")
        if beta._obj.value:
            raise RuntimeError("out is written, not added to")
        A, B = stored(dtype, a, lda, m, k, op_a), stored(dtype, b, ldb, k, n, op_b)
        return partial(multiply, alpha._obj.value, A, B, stored(dtype, c, ldc, m, n, 0))


def stored(dtype: Any, address: Any, line: int, rows: int, columns: int, operation: int) -> Any:
    """op(X) (rows, columns), X lying at ``address`` in columns ``line`` apart."""
    shape = (columns, rows) if operation == TRANSPOSED else (rows, columns)
    if line < max(1, shape[0]):
        raise ValueError(f"columns of {shape[0]} do not lie {line} apart")
    if 0 in shape:
        return np.zeros((rows, columns), dtype)
    number = np.dtype(dtype)
    size = ((shape[1] - 1) * line + shape[0]) * number.itemsize
    memory = (ctypes.c_char * size).from_address(address.value)
    x = np.ndarray(shape, number, memory, strides=(number.itemsize, line * number.itemsize))
    return x.T if operation == TRANSPOSED else x


def multiply(alpha: float, A: Any, B: Any, C: Any) -> None:
    C[...] = alpha * (A @ B)
