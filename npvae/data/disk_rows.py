"""Rows that stay on the disk: data larger than memory, read some at a time.

    .npy                      at their offset in the file
    HDF5, Zarr, Parquet       by h5py, zarr and pyarrow, which unpack a chunk at a time
    a folder of such files    one after the other, in the order of their names

A file is read and not mapped: of a mapped file that has become shorter the system ends the process,
and pages that were read count as the process's memory. What is up to ``LARGE`` bytes is loaded.
"""
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, cached_property
from itertools import groupby, pairwise
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from npvae.errors import DataError
from npvae.records import dataclass

LARGE = 2**30  # bytes
BLOCK = 2**20  # bytes read at a time where all rows are gone through


@dataclass(frozen=True, eq=False)
class DiskRows:
    """Datapoints in files, of which slices and single rows are taken as from an array.

    Parameters
    ----------
    read : callable
        ``read(start, stop)`` gives rows start to stop, of any shape; it may raise anything.
    item_shape : tuple of int
        Of a row.
    dtype : dtype
    name : str
        Of the file, for messages.
    bounds : tuple of (int, int)
        Ranges of the rows of ``read`` that are in it, ascending: all others are left out.
    chunk : int
        How many rows are unpacked together.
    limits : (float, float), optional
        Where values are clipped to.

    Examples
    --------
    >>> X = np.arange(12.0).reshape(6, 2)
    >>> rows = DiskRows(lambda start, stop: X[start:stop], (2,), X.dtype, "x", ((0, 6),))
    >>> rows.shape, rows[1:3].tolist(), rows.without(np.array([0, 2])).read_rows(0, 2).tolist()
    ((6, 2), [[2.0, 3.0], [4.0, 5.0]], [[2.0, 3.0], [6.0, 7.0]])
    """

    read: Callable[[int, int], Any]
    item_shape: tuple[int, ...]
    dtype: np.dtype
    name: str
    bounds: tuple[tuple[int, int], ...]
    chunk: int = 1
    limits: tuple[float, float] | None = None

    ndim = 2

    @cached_property
    def ends(self) -> np.ndarray:
        """How many rows there are to the end of each range."""
        return np.cumsum([stop - start for start, stop in self.bounds])

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    @property
    def shape(self) -> tuple[int, int]:
        """(N, D)."""
        return len(self), prod(self.item_shape)

    @property
    def nbytes(self) -> int:
        """What it would take in memory."""
        return prod(self.shape) * self.dtype.itemsize

    @property
    def block(self) -> int:
        """How many rows to read at a time where all are gone through."""
        return max(self.chunk, BLOCK // (self.shape[1] * self.dtype.itemsize), 1)

    def read_rows(self, start: int, stop: int) -> np.ndarray:
        """Rows start to stop, in memory of their own or to be read only.   (stop − start, D)

        Raises
        ------
        DataError
            If they are not there, or not as many.
        """
        parts, i = [], int(np.searchsorted(self.ends, start, side="right"))
        while start < stop:
            first, end = self.bounds[i][0], int(self.ends[i])
            skipped = start - (end - (self.bounds[i][1] - first))
            n = min(stop, end) - start
            parts.append(self._read(first + skipped, first + skipped + n))
            start, i = start + n, i + 1
        if not parts:
            return np.empty((0, self.shape[1]), self.dtype)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _read(self, start: int, stop: int) -> np.ndarray:
        try:
            found = np.asarray(self.read(start, stop), self.dtype)
        except DataError:
            raise
        except Exception as error:  # of whatever kind a library has
            reason = " ".join(str(error).split()) or type(error).__name__
            raise self._lost(start, stop, reason) from error
        if found.shape != (stop - start, *self.item_shape):
            raise self._lost(start, stop, f"{len(found)} are left")
        rows = found.reshape(stop - start, -1)
        return rows if self.limits is None else rows.clip(*self.limits)

    def _lost(self, start: int, stop: int, reason: str) -> DataError:
        return DataError(
            f"{self.name}: rows {start} to {stop - 1} cannot be read: {reason:.200}; put the file "
            "back as it was, and resume"
        )

    def __getitem__(self, index: slice | Sequence[int] | np.ndarray) -> np.ndarray:
        """Rows by a slice, or by their numbers, as an array in memory."""
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step == 1:
                return self.read_rows(start, max(start, stop))
            index = np.arange(start, stop, step)
        numbers = np.asarray(index, np.int64)
        out = np.empty((len(numbers), self.shape[1]), self.dtype)
        order, done = np.argsort(numbers, kind="stable"), 0
        for _, some in groupby(numbers[order].tolist(), lambda row: row // self.block):
            rows = np.array(list(some))
            found = self.read_rows(rows[0], rows[-1] + 1)
            out[order[done : done + len(rows)]] = found[rows - rows[0]]
            done += len(rows)
        return out

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All of them in memory."""
        return np.asarray(self.read_rows(0, len(self)), dtype)

    def first(self, n: int) -> "DiskRows":
        """The first n rows, still on the disk."""
        return self._selected(np.arange(n, n), n)

    def without(self, rows: np.ndarray) -> "DiskRows":
        """All others, still on the disk."""
        return self._selected(np.sort(rows), len(self))

    def _selected(self, left_out: np.ndarray, n: int) -> "DiskRows":
        """The first n rows but for some."""
        edges = [-1, *left_out.tolist(), n]
        gaps = [(a + 1, b) for a, b in pairwise(edges) if a + 1 < b]  # as rows are numbered here
        kept = [piece for gap in gaps for piece in self._pieces(*gap)]
        return replace(self, bounds=tuple(kept))

    def _pieces(self, start: int, stop: int) -> list[tuple[int, int]]:
        """Where rows start to stop lie in what ``read`` numbers."""
        starts, pieces = self.ends - [stop - start for start, stop in self.bounds], []
        for (first, last), before in zip(self.bounds, starts.tolist(), strict=True):
            a, b = max(start, before), min(stop, before + last - first)
            if a < b:
                pieces.append((first + a - before, first + b - before))
        return pieces

    @cached_property
    def extremes(self) -> tuple[Any, Any]:
        """The smallest and the largest value, by one pass; NaN where there is one."""
        low = high = None
        for start in range(0, len(self), self.block):
            rows = self.read_rows(start, min(start + self.block, len(self)))
            a, b = rows.min(), rows.max()
            low = a if low is None else np.minimum(low, a)
            high = b if high is None else np.maximum(high, b)
        return low, high

    def min(self) -> Any:
        """The smallest value."""
        return self.extremes[0]

    def max(self) -> Any:
        """The largest value."""
        return self.extremes[1]

    def clip(self, low: float, high: float) -> "DiskRows":
        """The same with values clipped as they are read."""
        return replace(self, limits=(low, high))


def npy_rows(path: Path) -> DiskRows:
    """The rows of a ``.npy`` file that lie one after the other."""
    header = np.load(path, mmap_mode="r", allow_pickle=False)
    shape, dtype = header.shape, header.dtype
    if not shape or np.isfortran(header):
        raise DataError(f"{path} lies column by column; save it with np.ascontiguousarray")
    return _from_file(path, header.offset, shape, dtype)


def _from_file(path: Path, offset: int, shape: tuple[int, ...], dtype: np.dtype) -> DiskRows:
    size = prod(shape[1:])

    def read(start: int, stop: int) -> np.ndarray:
        at = offset + start * size * dtype.itemsize
        found = np.fromfile(path, dtype, (stop - start) * size, offset=at)
        return found.reshape(-1, *shape[1:])

    return DiskRows(read, shape[1:], dtype.newbyteorder("="), str(path), ((0, shape[0]),))


def array_rows(
    array: Any, name: str, chunk: int = 1, opened: Callable[[], Any] | None = None
) -> DiskRows:
    """The rows of what is sliced as an array: a data set of h5py, an array of zarr or a map.

    ``opened``, if the array is to be closed, opens it when it is first read.
    """
    N, dtype = array.shape[0], np.dtype(array.dtype).newbyteorder("=")
    get = (lambda: array) if opened is None else cache(opened)
    read = unpacked_once(lambda start, stop: get()[start:stop], N, chunk)
    return DiskRows(read, array.shape[1:], dtype, name, ((0, N),), chunk)


def unpacked_once(
    read: Callable[[int, int], Any], N: int, chunk: int
) -> Callable[[int, int], Any]:
    """``read`` by whole chunks, the last of which are kept: the next rows may be of them.

    Examples
    --------
    >>> calls = []
    >>> read = unpacked_once(lambda i, j: calls.append((i, j)) or np.arange(i, j), 10, chunk=4)
    >>> read(1, 3).tolist(), read(3, 4).tolist(), read(6, 9).tolist(), calls
    ([1, 2], [3], [6, 7, 8], [(0, 4), (4, 10)])
    """
    if chunk == 1:
        return read
    last = [(0, np.empty(0))]  # the first row of what was unpacked, and that

    def read_rows(start: int, stop: int) -> Any:
        first, rows = last[0]
        if not first <= start <= stop <= first + len(rows):
            first = start // chunk * chunk
            rows = read(first, min(-(-stop // chunk) * chunk, N))
            last[0] = first, rows
        return rows[start - first : stop - first]

    return read_rows


def shard_rows(shards: Sequence[DiskRows], folder: Path) -> DiskRows:
    """The rows of several, one after the other."""
    first = shards[0]
    for shard in shards:
        if (shard.item_shape, shard.dtype) != (first.item_shape, first.dtype):
            raise DataError(
                f"{shard.name} has rows of {shard.item_shape} {shard.dtype}, and {first.name} of "
                f"{first.item_shape} {first.dtype}: bring all files of a folder to one kind"
            )
    ends = np.cumsum([len(shard) for shard in shards])

    def read(start: int, stop: int) -> np.ndarray:
        parts, i = [], int(np.searchsorted(ends, start, side="right"))
        while start < stop:
            before = int(ends[i]) - len(shards[i])
            part = shards[i].read_rows(start - before, min(stop, int(ends[i])) - before)
            parts.append(part.reshape(-1, *first.item_shape))
            start, i = start + len(part), i + 1
        return np.concatenate(parts)

    chunk = max(shard.chunk for shard in shards)
    return DiskRows(read, first.item_shape, first.dtype, str(folder), ((0, int(ends[-1])),), chunk)


def on_disk(X: Any) -> DiskRows | None:
    """A large array that a user has not loaded, as rows on the disk; None for anything else.

    One that numpy maps, a data set of h5py, an array of zarr.
    """
    if isinstance(X, DiskRows):
        return X
    if isinstance(X, np.memmap) and X.ndim == 2 and X.nbytes > LARGE:
        whole = type(X.base).__name__ == "mmap" and X.flags.c_contiguous and X.filename
        if whole:
            return _from_file(Path(str(X.filename)), X.offset, X.shape, X.dtype)
        return array_rows(X, str(X.filename or "X"))
    for module, kind in (("h5py", "Dataset"), ("zarr", "Array")):
        library = sys.modules.get(module)  # whoever has such an array has imported it
        if library is not None and isinstance(X, vars(library)[kind]) and X.ndim == 2:
            chunk = X.chunks[0] if X.chunks else 1
            return array_rows(X, f"a {kind} of {module}", chunk) if X.nbytes > LARGE else None
    return None
