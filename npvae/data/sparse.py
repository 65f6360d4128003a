"""Sparse data: a matrix whose rows become dense where they are used, some at a time.

Whatever format a user's matrix has, it becomes compressed rows (CSR). Sums and searches look at
the numbers that are stored, and nothing is ever as large as the dense matrix would be. SciPy is
not imported here: its matrices bring their methods along.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from npvae.backend import Array, to_numpy


class SparseRows:
    """A sparse matrix (N, D), from which rows are taken as from an array.

    Parameters
    ----------
    matrix : sparse matrix or array of scipy.sparse (N, D)
        In any format; left as it is, and not copied if it is CSR without duplicates.

    Examples
    --------
    >>> from scipy.sparse import coo_array
    >>> X = SparseRows(coo_array(([1.0, 2.0], ([0, 2], [1, 0])), shape=(3, 2)))
    >>> len(X), X.shape
    (3, (3, 2))
    >>> X[1:]
    array([[0., 0.],
           [2., 0.]])
    """

    ndim = 2

    def __init__(self, matrix: Any):
        csr = matrix.tocsr()
        if not csr.has_canonical_format:  # numbers stored twice add up
            csr = csr.copy()
            csr.sum_duplicates()
        self.csr, self.shape, self.dtype = csr, csr.shape, csr.dtype
        self.values = csr.data[: csr.nnz]  # those that are stored, row by row
        self.columns = csr.indices[: csr.nnz]
        self.full = csr.nnz == csr.shape[0] * csr.shape[1]

    def __len__(self) -> int:
        return int(self.shape[0])

    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
        raise TypeError("a sparse matrix is not made dense as a whole; take rows of it")

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Rows, by a slice or by their numbers (M,), dense.   (M, D)"""
        dense: np.ndarray = self.csr[rows if isinstance(rows, slice) else to_numpy(rows)].toarray()
        return dense

    def __setitem__(self, rows: slice, dense: Array) -> None:
        """Write dense rows where numbers are stored; elsewhere there are zeros, and remain."""
        start, stop, _ = rows.indices(len(self))
        ends = self.csr.indptr[start : stop + 1]
        stored, of = slice(ends[0], ends[-1]), np.repeat(np.arange(stop - start), np.diff(ends))
        self.values[stored] = to_numpy(dense)[of, self.columns[stored]]

    def __mul__(self, scale: float) -> SparseRows:
        return SparseRows(self.csr * scale)

    def __gt__(self, threshold: float) -> SparseRows:
        """Where a number is above a threshold that is not negative.   bool"""
        return SparseRows(self.csr > threshold)

    def astype(self, dtype: Any) -> SparseRows:
        """A copy of another type."""
        return SparseRows(self.csr.astype(dtype, copy=True))

    def clip(self, low: float, high: float) -> SparseRows:
        """A copy within bounds between which 0 lies."""
        clipped = self.csr.copy()
        clipped.data.clip(low, high, out=clipped.data)
        return SparseRows(clipped)

    def min(self) -> Any:
        """The smallest number, 0 too if it is not stored."""
        return self.values.min() if self.full else self.values.min(initial=0)

    def max(self) -> Any:
        """The largest."""
        return self.values.max() if self.full else self.values.max(initial=0)

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of every column, in float64.   (D,), (D,)"""
        N, D = self.shape
        mean = np.bincount(self.columns, self.values, D) / N
        squares = np.bincount(self.columns, (self.values - mean[self.columns]) ** 2, D)
        absent = N - np.bincount(self.columns, minlength=D)
        return mean, (squares + absent * mean**2) / N

    def first(self, wrong: Callable[[Any], Any]) -> tuple[int, int] | None:
        """The place of the first stored number that is ``wrong``, else that of the first zero."""
        D = self.shape[1]
        found = wrong(self.values)
        if bool(found.any()):
            k = int(found.argmax())
            return int(np.searchsorted(self.csr.indptr, k, side="right")) - 1, int(self.columns[k])
        if self.full or not wrong(np.zeros(1, self.dtype))[0]:
            return None
        row = int((np.diff(self.csr.indptr) < D).argmax())
        stored = self.columns[self.csr.indptr[row] : self.csr.indptr[row + 1]]
        return row, int(np.setdiff1d(np.arange(D), stored)[0])
