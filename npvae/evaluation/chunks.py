"""Any number of datapoints in bounded memory: rows in, rows out, a chunk at a time."""
from collections.abc import Iterator
from typing import Any

from npvae.models import Engine

Array = Any
BUDGET = 2**18  # numbers in the widest buffer of a chunk: 1 MB of float32 stays in the cache


def rows_at_a_time(engine: Engine, n_samples: int = 1) -> int:
    """How many datapoints of ``n_samples`` samples each a chunk holds; at least one."""
    widest = max(max(shape) for shape in engine.layout.shapes.values())
    return max(1, BUDGET // (widest * n_samples))


def chunks(n: int, size: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of each chunk.

    Examples
    --------
    >>> list(chunks(7, 3))
    [(0, 3), (3, 6), (6, 7)]
    """
    return ((start, min(start + size, n)) for start in range(0, n, size))


def load(engine: Engine, X: Array, scale: float, start: int, stop: int) -> Array:
    """Rows of ``X`` (N, D) as the engine computes with them: on its device, scaled.   (M, D)"""
    x = engine.work("x", stop - start, X.shape[1])
    x[...] = engine.backend.asarray(X[start:stop])
    if scale != 1:
        x *= scale
    return x


def map_rows(engine: Engine, step: Any, X: Array, scale: float, n_out: int) -> Array:
    """``step(x)`` for every chunk of rows of ``X`` (N, ·), gathered.   (N, n_out)"""
    out = engine.xp.empty((len(X), n_out), engine.theta.dtype)
    for start, stop in chunks(len(X), rows_at_a_time(engine)):
        out[start:stop] = step(load(engine, X, scale, start, stop))
    return out


def encode(engine: Engine, X: Array, scale: float = 1.0) -> Array:
    """Posterior means.   X (N, D) → (N, J)"""
    n_latent = engine.model.decoder.n_in
    return map_rows(
        engine,
        lambda x: engine.model.encode(engine.ops, engine.P, x, engine.work),
        X, scale, n_latent,
    )  # fmt: skip


def decode(engine: Engine, Z: Array) -> Array:
    """Means of p(x|z).   Z (N, J) → (N, D)"""
    return map_rows(
        engine,
        lambda z: engine.model.decode(engine.ops, engine.P, z, engine.work),
        Z, 1.0, engine.model.encoder.n_in,
    )  # fmt: skip
