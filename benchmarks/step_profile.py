"""Where a step's time goes: a stopwatch around every op, and around what calls them.

Each callable is charged with its own time less that of the callables inside it, so the rows
add up to the step. The stopwatch itself costs about half a microsecond a call.
"""
from collections import Counter, defaultdict
from dataclasses import fields, replace
from time import perf_counter
from typing import Any

import numpy as np
from peers.with_npvae import Training
from workload import Workload

from npvae.training import loop

STEPS = 300


class Stopwatch:
    """Own seconds, and calls, of every name in the step in hand."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self._inner = [0.0]  # a level a callable that is running: seconds spent below it

    def around(self, name: str, call: Any, shapes: bool = False) -> Any:
        """``call``, timed; with ``shapes``, a name for every shape of its two operands."""

        def timed(*args, **kwargs):
            label = f"{name}  {operand(args[0])} · {operand(args[1])}" if shapes else name
            self._inner.append(0.0)
            began = perf_counter()
            result = call(*args, **kwargs)
            elapsed = perf_counter() - began
            self.seconds[label] += elapsed - self._inner.pop()
            self.calls[label] += 1
            self._inner[-1] += elapsed
            return result

        return timed

    def wrap(self, owner: Any, *names: str) -> None:
        """Time methods or functions of ``owner`` from now on."""
        for name in names:
            setattr(owner, name, self.around(name.lstrip("_") + "()", getattr(owner, name)))


def operand(a: np.ndarray) -> str:
    """A matrix as it lies in memory, and a mark if it is read transposed."""
    return f"{a.shape}" if a.flags.c_contiguous else f"{a.T.shape}ᵀ"


def profile(work: Workload) -> None:
    """Print the own time of every part of npvae's step, dearest first."""
    training, watch = Training(work), Stopwatch()
    engine = training.engine
    engine.ops = replace(engine.ops, **{
        field.name: watch.around(field.name, getattr(engine.ops, field.name), field.name == "gemm")
        for field in fields(engine.ops)
    })  # fmt: skip
    watch.wrap(training.batches, "fetch")
    watch.wrap(engine, "forward", "loss", "backward")
    draw_noise = loop.draw_noise
    watch.wrap(loop, "draw_noise")
    step = watch.around("one_step()", training)

    rows: dict[str, list[float]] = defaultdict(list)  # seconds a step
    for _ in range(STEPS):
        watch.seconds.clear()
        watch.calls.clear()
        step()
        for name, seconds in watch.seconds.items():
            rows[name].append(seconds)
    loop.draw_noise = draw_noise

    medians = {name: float(np.median(seconds)) for name, seconds in rows.items()}
    total = sum(medians.values())
    products = sum(seconds for name, seconds in medians.items() if name.startswith("gemm"))
    print(f"{work}: own time, median of {STEPS} steps")
    for name, seconds in sorted(medians.items(), key=lambda item: -item[1]):
        share, calls = seconds / total, watch.calls[name]
        print(f"  {name:40s} {calls:3d} x {1e6 * seconds:9.1f} µs {share:7.1%}")
    print(f"  {'a step':46s}{1e6 * total:9.1f} µs")
    print(f"  {'its products':46s}{1e6 * products:9.1f} µs   the step is {total / products:.2f} x")
