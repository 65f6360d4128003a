"""Minibatches: the order of an epoch, and each batch gathered into one fixed buffer.

The order is a seeded permutation, a pure function of (seed, epoch). The data may stay bytes
and is scaled on the way. Grey pixels can be binarised, in one of four named ways:

    none        grey values as they are: probabilities under a Bernoulli likelihood
    threshold   one where x > ½
    fixed       one sample x ~ Bernoulli(grey), the same in every epoch
    dynamic     a new sample at every step
"""
from collections.abc import Iterator
from copy import copy
from typing import Any

import numpy as np

from npvae import random
from npvae.backend import Array, to_numpy
from npvae.data.disk_rows import DiskRows
from npvae.data.sparse import SparseRows
from npvae.distributions.likelihood import Standardizable
from npvae.evaluation.chunks import chunk_size, chunks, load, load_rows, on_device
from npvae.models import Engine
from npvae.row_noise import row_keys, row_thresholds
from npvae.standardization import Standardization, feature_moments
from npvae.training.windows import Windows

BINARIZE = ("none", "threshold", "fixed", "dynamic")


class Minibatches:
    """N datapoints, M at a time.

    Parameters
    ----------
    engine : Engine
        Whose device and workspace are used.
    data : array (N, D)
        Any real dtype; ``data * scale`` is what the model sees. A sparse matrix stays one, and
        each minibatch is made dense on the host. Of rows on the disk a window is in memory.
    batch_size : int
        M; the last batch of an epoch may be smaller.
    names : array of str (D,), optional
        Of the columns, if they have any.
    """

    def __init__(
        self, engine: Engine, data: Array, scale: float, batch_size: int, seed: int, binarize: str,
        names: np.ndarray | None = None,
    ):  # fmt: skip
        self.engine, self.seed, self.batch_size, self.names = engine, seed, batch_size, names
        self.n_data, self.windows = len(data), None
        if isinstance(data, DiskRows):
            self.windows, scale = windows_of(engine, data, scale, batch_size, seed, binarize)
            data = engine.xp.empty((self.windows.size, data.shape[1]), self.windows.dtype)
        elif binarize == "fixed":
            data, scale = binarized(engine, data, scale, seed), 1.0
        elif engine.standardization is not None and not isinstance(data, SparseRows):
            data, scale = standardized(engine, data, scale), 1.0
        self.data, self.scale = on_device(engine, data), scale
        self.capturable = not isinstance(self.data, SparseRows)  # fetched without the host
        self.gather_scratch = f"x.taken.{self.data.dtype}"  # rows before scaling
        self.threshold = {"threshold": 0.5, "dynamic": None}.get(binarize, "none")

    def shared(self, engine: Engine, seed: Any) -> "Minibatches":
        """The same data for another engine, in the order and with the noise of another seed."""
        other = copy(self)
        other.engine, other.seed = engine, seed
        return other

    @property
    def n_batches(self) -> int:
        """Batches an epoch."""
        return -(-self.n_data // self.batch_size)

    @property
    def n_in_window(self) -> int:
        """Batches of a window: of an epoch, where all data are in memory."""
        rows = self.n_data if self.windows is None else self.windows.size
        return -(-rows // self.batch_size)

    def order(self, epoch: int) -> Array:
        """The order in which an epoch visits the data.   (N,) int64, on the device"""
        return self.engine.xp.asarray(random.permutation(self.seed, epoch, len(self.data)))

    def begin_window(self, epoch: int, number: int, last_epoch: int) -> Array:
        """Bring a window into memory, and have the next one read.

        Its order (≤ W,) int64, on the device

        Raises
        ------
        DataError
            If its rows cannot be read.
        """
        if self.windows is None:
            return self.order(epoch)
        rows = self.windows.take(epoch, number)
        self.data[: len(rows)] = self.engine.backend.asarray(rows)
        following = divmod(epoch * len(self.windows) + number + 1, len(self.windows))
        if following[0] < last_epoch:
            self.windows.read_ahead(*following)
        return self.engine.xp.asarray(self.windows.order(epoch, number))

    def size(self, batch: int) -> int:
        """How many datapoints batch number ``batch`` of an epoch has: M, or what is left."""
        return min(self.batch_size, self.n_data - batch * self.batch_size)

    def seen(self) -> Iterator[Array]:
        """All datapoints in their order as the model sees them, some at a time.   (M, D)

        But for what is binarised step by step.
        """
        data: Any = self.data if self.windows is None else self.windows
        bring = load_rows if isinstance(data, SparseRows) else load  # else standardized
        for start, stop in chunks(self.n_data, chunk_size(self.engine)):
            yield bring(self.engine, data[start:stop], self.scale, self.engine.work)

    def fetch(self, rows: Array, step: Array, before: int = 0) -> Array:
        """The datapoints ``rows`` (M,), as step number ``step`` (1,) sees them.

        (M, D), in a buffer used again; ``before`` datapoints of the minibatch come before
        """
        M, D = len(rows), self.data.shape[1]
        work, dtype = self.engine.work, self.data.dtype
        if isinstance(self.data, SparseRows):
            x = load_rows(self.engine, self.data[rows], self.scale, work)
        else:
            x = work("x", M, D)
            self.engine.ops.gather(
                self.data, rows, self.scale, work(self.gather_scratch, M, D, dtype=dtype), x
            )
        if self.threshold is None:
            self.engine.ops.sample_bernoulli(self.seed, random.BINARIZE, step, before * D, x)
        elif self.threshold != "none":
            self.engine.ops.binarize(x, self.threshold)
        return x


def windows_of(
    engine: Engine, data: DiskRows, scale: float, batch_size: int, seed: int, binarize: str
) -> tuple[Windows, float]:
    """The windows of rows on the disk, and the scale that is left to do."""
    units = engine.standardization

    def fixed(start: int, stop: int) -> np.ndarray:
        grey = data.read_rows(start, stop) * scale
        u = random.thresholds(seed, random.BINARIZE_ONCE, 0, grey.size, start * data.shape[1])
        return grey > u.reshape(grey.shape)

    if binarize == "fixed":
        return Windows(data, fixed, np.dtype(np.uint8), batch_size, seed), 1.0
    if units is None:
        return Windows(data, data.read_rows, data.dtype, batch_size, seed), scale
    host = Standardization(to_numpy(units.shift), to_numpy(units.scale))  # for another thread

    def standard(start: int, stop: int) -> np.ndarray:
        return host.standardize(data.read_rows(start, stop), scale)

    return Windows(data, standard, engine.theta.dtype, batch_size, seed), 1.0


def binarized(engine: Engine, data: Array, scale: float, seed: int) -> Array:
    """One sample of every pixel, x ~ Bernoulli(scale · data).   (N, D) uint8"""
    xp, (N, D), ones = engine.xp, data.shape, empty_like(engine, data, np.uint8)
    for start, stop in chunks(N, chunk_size(engine)):
        grey = engine.backend.asarray(data[start:stop]) * scale
        u = random.thresholds(seed, random.BINARIZE_ONCE, 0, grey.size, start * D)
        ones[start:stop] = grey > xp.asarray(u.reshape(grey.shape))
    return ones


def standardized(engine: Engine, data: Array, scale: float) -> Array:
    """The data as the model sees them, once and for all.   (N, D)"""
    x = engine.xp.empty(data.shape, engine.theta.dtype)
    for start, stop in chunks(len(data), chunk_size(engine)):
        x[start:stop] = load_rows(engine, data[start:stop], scale, engine.work)
    return x


def standardization_of(engine: Engine, data: Array, scale: float) -> Standardization:
    """Mean of each feature, and the scale that the likelihood gives it."""
    N, size = len(data), chunk_size(engine)

    def rows() -> Iterator[Array]:
        for start, stop in chunks(N, size):
            yield engine.backend.asarray(data[start:stop], "float64") * scale

    if isinstance(data, SparseRows):
        mean, variance = (engine.xp.asarray(m) for m in (data * scale).moments())
        deviation = variance**0.5
    else:
        mean, deviation = feature_moments(rows, N)
    likelihood = engine.base.likelihood
    assert isinstance(likelihood, Standardizable)
    return Standardization(mean, likelihood.scale(deviation))


def binarized_by_row(engine: Engine, data: Array, scale: float, seed: int) -> Array:
    """The same where data are scored: by a row's values, wherever it stands.   (N, D) uint8"""
    xp, (N, D), ones = engine.xp, data.shape, empty_like(engine, data, np.uint8)
    for start, stop in chunks(N, chunk_size(engine)):
        x = load_rows(engine, data[start:stop], scale, engine.work)  # (M, D)
        u = row_thresholds(seed, random.BINARIZE_ONCE, row_keys(to_numpy(x)), D)
        ones[start:stop] = x > xp.asarray(u)
    return ones


def empty_like(engine: Engine, data: Array, dtype: Any) -> Array:
    """An array (N, D) to write rows to; sparse where the data are, for 0 is never above u ≥ 0."""
    if isinstance(data, SparseRows):
        return data.astype(dtype)
    return engine.xp.empty(data.shape, dtype)


def data_moments(engine: Engine, data: Array, scale: float, threshold: bool) -> tuple[Array, Array]:
    """Mean (D,) of the data (N, D) as a model sees them, and their mean variance (1,); float64."""
    (N, D), xp = data.shape, engine.xp
    if isinstance(data, SparseRows):
        moments = (data * scale > 0.5 if threshold else data * scale).moments()
        mean, variances = (xp.asarray(m) for m in moments)  # (D,) each
        if engine.standardization is not None:
            mean = engine.standardization.standardize(mean)
            variances = variances / engine.standardization.scale**2
        return mean, variances.mean(keepdims=True)
    total, squares = xp.zeros(D, xp.float64), xp.zeros(1, xp.float64)
    for start, stop in chunks(N, chunk_size(engine)):
        x = load_rows(engine, data[start:stop], scale, engine.work)  # in C order
        x = (x > 0.5 if threshold else x).astype(xp.float64)
        total += x.sum(axis=0)
        squares += (x * x).sum()
    mean, square = total / N, squares / (N * D)
    variance = square - (mean * mean).mean()
    return mean, xp.where(variance > 1e-14 * square, variance, 0)  # below that it is rounding
