"""Any number of datapoints in bounded memory: rows in, rows out, a chunk at a time."""
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from typing import Any

from npvae.memory import Workspace
from npvae.models import Engine
from npvae.ops.hands import side_by_side

Array = Any
BUDGET = 2**18  # numbers in the widest buffer of a chunk: 1 MB of float32 stays in the cache


def rows_at_a_time(engine: Engine, n_samples: int = 1) -> int:
    """How many datapoints of ``n_samples`` samples each a chunk holds; at least one."""
    budget = BUDGET * engine.backend.breadth
    widest = max(engine.layout.widest, getattr(engine.model, "widest", 0))
    return max(1, budget // (widest * n_samples))


def chunks(n: int, size: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of each chunk.

    Examples
    --------
    >>> list(chunks(7, 3))
    [(0, 3), (3, 6), (6, 7)]
    """
    return ((start, min(start + size, n)) for start in range(0, n, size))


def load(engine: Engine, rows: Array, scale: float, work: Workspace) -> Array:
    """Some rows of the data as the engine computes with them: on its device, scaled.   (M, D)

    In a buffer of ``work``, or the data itself where nothing needs to change: to be read only.
    """
    rows = engine.backend.asarray(rows)
    if scale == 1 and rows.dtype == work.dtype and rows.flags.c_contiguous:
        return rows
    x = work("x", *rows.shape)
    x[...] = rows
    if scale != 1:
        x *= scale
    return x


def each_chunk(
    engine: Engine, step: Callable[..., None], n: int, size: int,
    progress: Callable[[Iterable], Iterable] = iter,
) -> None:  # fmt: skip
    """``step(work, (start, stop))`` for all chunks of ``n`` rows, on as many threads as may help.

    ``progress`` wraps the iterable of chunks, as tqdm does; with several threads, the first
    one's share.
    """
    parts = list(chunks(n, size))
    with engine.backend.hands() as hands:
        more = [Workspace(engine.xp, engine.theta.dtype) for _ in range(1, hands)]
        shares = [progress(parts[0::hands]), *(parts[i::hands] for i in range(1, hands))]
        works = [engine.work, *more]
        side_by_side(step, [zip(repeat(w), share) for w, share in zip(works, shares, strict=True)])


def map_rows(engine: Engine, step: Any, X: Array, scale: float, n_out: int) -> Array:
    """What ``step``, a method of the model, makes of the rows of ``X`` (N, ·).   (N, n_out)"""
    out = engine.xp.empty((len(X), n_out), engine.work.dtype)
    size, work = rows_at_a_time(engine), engine.work
    for start in range(0, len(X), size):
        rows = slice(start, start + size)
        step(engine.ops, engine.P, load(engine, X[rows], scale, work), work, out[rows])
    return out


def encode(engine: Engine, X: Array, scale: float = 1.0) -> Array:
    """Posterior means.   X (N, D) → (N, J)"""
    model: Any = engine.model
    return map_rows(engine, model.encode, X, scale, model.decoder.n_in)


def decode(engine: Engine, Z: Array) -> Array:
    """Means of p(x|z).   Z (N, J) → (N, D)"""
    return map_rows(engine, engine.model.decode, Z, 1.0, engine.model.n_features)
