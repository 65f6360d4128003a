"""Minibatches: the order of an epoch, and each batch gathered into one fixed buffer.

The order is a seeded permutation, a pure function of (seed, epoch). The data may stay bytes
and is scaled on the way. Grey pixels can be binarised, in one of four named ways:

    none        grey values as they are: probabilities under a Bernoulli likelihood
    threshold   one where x > ½
    fixed       one sample x ~ Bernoulli(grey), the same in every epoch
    dynamic     a new sample at every step
"""
from typing import Any

from npvae import random
from npvae.models import Engine

Array = Any
BINARIZE = ("none", "threshold", "fixed", "dynamic")
BLOCK = 4096  # rows binarised at a time
DRAW = 8192  # pixels of a batch binarised at a time: no step allocates as much as a batch


class Minibatches:
    """N datapoints, M at a time.

    Parameters
    ----------
    engine : Engine
        Whose device and workspace are used.
    data : array (N, D)
        Any real dtype; ``data * scale`` is what the model sees.
    batch_size : int
        M; the last batch of an epoch may be smaller.
    """

    def __init__(
        self, engine: Engine, data: Array, scale: float, batch_size: int, seed: int, binarize: str
    ):
        if binarize == "fixed":
            data, scale = binarized(engine, data, scale, seed), 1.0
        self.engine, self.seed, self.batch_size = engine, seed, batch_size
        self.data, self.scale = engine.backend.asarray(data), scale
        self.taken = f"x.taken.{self.data.dtype}"  # the buffer for rows as they are stored
        self.threshold = {"threshold": 0.5, "dynamic": None}.get(binarize, "none")

    @property
    def n_batches(self) -> int:
        """Batches an epoch."""
        return -(-len(self.data) // self.batch_size)

    def order(self, epoch: int) -> Array:
        """The order in which an epoch visits the data.   (N,) int64, on the device"""
        return self.engine.xp.asarray(random.permutation(self.seed, epoch, len(self.data)))

    def fetch(self, order: Array, batch: int, step: int) -> Array:
        """Batch number ``batch`` of an epoch's order.   (M, D), in a buffer used again"""
        rows = order[batch * self.batch_size : (batch + 1) * self.batch_size]
        M, D = len(rows), self.data.shape[1]
        work, dtype = self.engine.work, self.data.dtype
        x = work("x", M, D)
        self.engine.ops.gather(
            self.data, rows, self.scale, work(self.taken, M, D, dtype=dtype), x
        )
        if self.threshold is None:
            flat = x.reshape(-1)  # (M D,)
            for start in range(0, M * D, DRAW):
                grey = flat[start : start + DRAW]
                u = random.thresholds(self.seed, random.BINARISE, step, len(grey), start)
                self.engine.ops.binarise(grey, self.engine.xp.asarray(u))
        elif self.threshold != "none":
            self.engine.ops.binarise(x, self.threshold)
        return x


def binarized(engine: Engine, data: Array, scale: float, seed: int) -> Array:
    """One sample of every pixel, x ~ Bernoulli(scale · data).   (N, D) uint8"""
    xp, (N, D) = engine.xp, data.shape
    ones = xp.empty((N, D), xp.uint8)
    for start in range(0, N, BLOCK):
        grey = engine.backend.asarray(data[start : start + BLOCK]) * scale
        u = random.thresholds(seed, random.BINARISE_ONCE, 0, grey.size, start * D)
        ones[start : start + BLOCK] = grey > xp.asarray(u.reshape(grey.shape))
    return ones
