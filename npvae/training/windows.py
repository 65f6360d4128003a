"""Data larger than memory, a window at a time: rows that are in memory, and shuffled, together.

    blocks     B rows that lie together on the disk; every epoch has the blocks in another order
    window     the next W rows of that order, of about G = W/B blocks; its rows are shuffled

While steps are made of one window a thread reads the next. Both orders are functions of the seed,
the epoch and the window's number, so a resumed run goes on with the same rows, and memory is that
of three windows, whatever N is.

How well that shuffles. A minibatch of M rows has rows of about G (1 − (1 − 1/G)^M) blocks: of 83,
for 100 rows and 256 blocks. Two rows of one block are in the same window, but for the few that its
end divides, and so in the same minibatch with probability (M − 1)/(W − 1), where it is
(M − 1)/(N − 1) if all rows are shuffled together. If rows of a block correlate by ρ, the variance
of a minibatch's mean is that of independent rows times 1 + ρ (M − 1)/G: for sorted data that is
much, and they should be shuffled on the disk once.
"""
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from npvae import random
from npvae.data.disk_rows import DiskRows
from npvae.ops.cpu.threads import POOL

WINDOW = 2**27  # bytes of a window
BLOCKS = 256  # G, if the file is not stored in larger pieces
FEWEST = 16  # pieces of the file in a window, however large they are


class Windows:
    """The windows of an epoch.

    Parameters
    ----------
    rows : DiskRows (N, D)
        The data.
    prepare : callable
        ``prepare(start, stop)`` reads rows start to stop, as training wants them.   (·, D)
    dtype : dtype
        Of what it gives.
    batch_size, seed : int
        M, of which a window has a whole number; and what the orders are functions of.

    Attributes
    ----------
    size, block : int
        W and B.

    Examples
    --------
    >>> from npvae.data.disk_rows import array_rows
    >>> X = np.arange(10)[:, None]
    >>> windows = Windows(array_rows(X, "X"), lambda i, j: X[i:j], X.dtype, 2, seed=0)
    >>> sorted(windows.take(epoch=0, number=0)[:, 0].tolist())
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    """

    def __init__(
        self, rows: DiskRows, prepare: Callable[[int, int], np.ndarray], dtype: np.dtype,
        batch_size: int, seed: int,
    ):  # fmt: skip
        (self.N, self.D), self.dtype, self.prepare = rows.shape, dtype, prepare
        self.seed = seed
        wanted = max(WINDOW // (self.D * dtype.itemsize), FEWEST * rows.chunk)
        self.size = max(1, min(wanted, self.N) // batch_size) * batch_size
        self.block = -(-self.size // BLOCKS)
        if rows.chunk > 1:  # whole pieces, so that each is unpacked once
            self.block = -(-self.block // rows.chunk) * rows.chunk
        self._sequence: tuple[int, np.ndarray] = (-1, np.empty(0, np.int64))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=POOL)
        self._ahead: tuple[int, int, Future[np.ndarray]] | None = None

    def __len__(self) -> int:
        """Windows an epoch."""
        return -(-self.N // self.size)

    def __getitem__(self, index: slice) -> np.ndarray:
        """Rows as training wants them, in the order of the file."""
        return self.prepare(index.start, index.stop).astype(self.dtype)

    def order(self, epoch: int, number: int) -> np.ndarray:
        """In which order an epoch visits the rows of a window.   (≤ W,) int64"""
        n = min(self.size, self.N - number * self.size)
        return random.permutation(self.seed, epoch, n, number + 1)

    def take(self, epoch: int, number: int) -> np.ndarray:
        """The rows of a window, which may have been read by now.   (≤ W, D)

        Raises
        ------
        DataError
            If they cannot be read.
        """
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[:2] == (epoch, number):
            return ahead[2].result()
        return self._read(epoch, number)

    def read_ahead(self, epoch: int, number: int) -> None:
        """Begin to read a window, on a thread."""
        self._ahead = epoch, number, self._thread.submit(self._read, epoch, number)

    def _read(self, epoch: int, number: int) -> np.ndarray:
        start = number * self.size
        out = np.empty((min(self.size, self.N - start), self.D), self.dtype)
        done = 0
        for first, last in self.pieces(epoch, start, start + len(out)):
            out[done : done + last - first] = self.prepare(first, last)
            done += last - first
        return out

    def pieces(self, epoch: int, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Where the rows from ``start`` to ``stop`` of an epoch's sequence of blocks lie."""
        n, B = -(-self.N // self.block), self.block
        if self._sequence[0] != epoch:
            self._sequence = epoch, random.permutation(self.seed, epoch, n)
        sequence = self._sequence[1]
        missing = n * B - self.N  # rows that the file's last block has not
        ragged = int((sequence == n - 1).argmax())
        i = start // B if start < (ragged + 1) * B - missing else (start + missing) // B
        while start < stop:
            before = i * B - (missing if i > ragged else 0)  # rows of the blocks before
            block, length = int(sequence[i]), B - (missing if i == ragged else 0)
            first, last = start - before, min(stop - before, length)
            yield block * B + first, block * B + last
            start, i = before + last, i + 1
