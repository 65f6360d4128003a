"""Chunks of rows, so that any number of datapoints takes bounded memory."""
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import repeat

from npvae.backend import Array
from npvae.data.sparse import SparseRows
from npvae.evaluation import few_rows
from npvae.memory import Workspace
from npvae.models import Engine
from npvae.ops.cpu.threads import parallel_for
from npvae.standardization import Standardization

BUDGET = 2**18  # numbers in the widest buffer of a chunk: 1 MB of float32 stays in the cache


def chunk_size(engine: Engine, n_samples: int = 1) -> int:
    """Datapoints in a chunk, of ``n_samples`` samples each; at least one."""
    budget = BUDGET * engine.backend.chunk_factor
    return max(1, budget // (engine.max_width * n_samples))


def chunks(n: int, size: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of each chunk.

    Examples
    --------
    >>> list(chunks(7, 3))
    [(0, 3), (3, 6), (6, 7)]
    """
    return ((start, min(start + size, n)) for start in range(0, n, size))


def on_device(engine: Engine, data: Array) -> Array:
    """Data (N, D) where the engine computes, once; a sparse matrix stays and gives rows."""
    return data if isinstance(data, SparseRows) else engine.backend.asarray(data)


def load_rows(engine: Engine, rows: Array, scale: float, work: Workspace) -> Array:
    """Load rows of the data as the model sees them: scaled, standardized, and cast.   (M, D)

    On the engine's device, in a buffer of ``work`` or the data itself: to be read only.
    """
    if engine.standardization is None:
        return load(engine, rows, scale, work)
    x = work("x", *rows.shape)
    x[...] = engine.standardization.standardize(engine.backend.asarray(rows), scale)
    return x


def load(engine: Engine, rows: Array, scale: float, work: Workspace) -> Array:
    """Load rows onto the engine's device, in its dtype and scaled.   (M, ·)

    In a buffer of ``work``, or as they are where nothing needs to change: to be read only.
    """
    rows = engine.backend.asarray(rows)
    if scale == 1 and rows.dtype == work.dtype and rows.flags.c_contiguous:
        return rows
    x = work("x", *rows.shape)
    x[...] = rows
    if scale != 1:
        x *= scale
    return x


def for_each_chunk(
    engine: Engine, step: Callable[..., None], n: int, size: int,
    progress: Callable[[Iterable], Iterable] = iter,
) -> None:  # fmt: skip
    """``step(work, (start, stop))`` for all chunks of ``n`` rows, on as many threads as may help.

    ``progress`` wraps the iterable of chunks, as tqdm does; with several threads, the first
    one's part of them.
    """
    parts = list(chunks(n, size))
    with engine.backend.threads() as n_threads:
        more = [Workspace(engine.xp, engine.theta.dtype) for _ in range(1, n_threads)]
        mine, *others = (parts[i::n_threads] for i in range(n_threads))
        works, ranges = [engine.work, *more], [progress(mine), *others]
        parallel_for(step, [zip(repeat(w), some) for w, some in zip(works, ranges, strict=True)])


def map_rows(
    engine: Engine, step: Callable[..., None], rows: Array, n_out: int, scale: float | None = None
) -> Array:
    """Map ``step``, a method of the model, over rows (N, ·).   → (N, n_out)

    Data have a ``scale``; latents, which are as they are, have none.
    """
    ctx, size = engine.ctx, chunk_size(engine)
    out = engine.xp.empty((len(rows), n_out), ctx.work.dtype)
    for start in range(0, len(rows), size):
        here = slice(start, start + size)
        some = (
            load(engine, rows[here], 1.0, ctx.work) if scale is None
            else load_rows(engine, rows[here], scale, ctx.work)
        )  # fmt: skip
        step(ctx, some, out[here])
    return out


def encode(engine: Engine, X: Array, scale: float = 1.0) -> Array:
    """Posterior means.   X (N, D) → (N, J)"""
    step = partial(few_rows.run, engine, engine.model.encode)
    return map_rows(engine, step, X, engine.model.decoder.n_in, scale)


def decode(engine: Engine, Z: Array) -> Array:
    """Means of p(x|z), in the data's units.   Z (N, J) → (N, D)"""
    step = partial(few_rows.run, engine, engine.model.decode)
    mean = map_rows(engine, step, Z, engine.model.n_features)
    return restored(mean, engine.standardization)


def restored(x: Array, standardization: Standardization | None) -> Array:
    """What the model gives (…, D), in the data's units."""
    return x if standardization is None else standardization.restore(x)
