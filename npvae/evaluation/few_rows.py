"""A pass over few rows: on a processor the calls of its compiled ops, captured.

For one datapoint Python takes as long to find out what to call as the calls take. So a pass over as
many rows as one before it is that one's calls again, between two buffers.
"""
from collections.abc import Callable
from typing import Any, NamedTuple

from npvae.backend import Array
from npvae.memory import Context
from npvae.models import Engine
from npvae.recording import is_own

FEW = 32  # rows: with more of them Python takes a tenth of the time, or less


class Captured(NamedTuple):
    """A pass that was captured, or could not be."""

    model: Any  # whose pass
    allocations: int  # of buffers until then: a new one may have taken an old one's place
    x: Array  # what it reads
    out: Array  # and writes
    launch: Callable[[], bool | None] | None


def run(
    engine: Engine, step: Callable[..., None], ctx: Context, x: Array, out: Array
) -> None:
    """``step(ctx, x, out)``, a method of the engine's model.   x (M, ·), out (M, ·)"""
    if len(x) > FEW:
        step(ctx, x, out)
        return
    passes, key = engine.mine.passes, (step.__name__, x.shape)
    known = passes.get(key)
    if known is None:  # the first allocates the buffers
        step(ctx, x, out)
        passes[key] = Captured(None, -1, x, out, None)
        return
    if known.allocations != ctx.work.allocations or known.model is not engine.model:
        known = passes[key] = captured(engine, step, x.shape, out.shape)
    if known.launch is None:
        step(ctx, x, out)
    else:
        known.x[...] = x
        known.launch()
        out[...] = known.out


def captured(
    engine: Engine, step: Callable[..., None], x: tuple[int, ...], out: tuple[int, ...]
) -> Captured:
    """A pass between buffers of the shapes ``x`` and ``out``."""
    model, work = engine.model, engine.work
    buffers = work("few.x", *x), work("few.out", *out)

    def one_pass() -> None:
        step(engine.ctx, engine.work("few.x", *x), engine.work("few.out", *out))

    launch, allocations = None, work.allocations
    if engine.backend.name == "numpy" and all(map(is_own, (model, *vars(model).values()))):
        launch = engine.backend.capture(one_pass, engine, engine.mine, engine.ctx, work)
    if work.allocations != allocations:  # some buffers were not there yet
        launch = None
    return Captured(model, work.allocations, *buffers, launch)
