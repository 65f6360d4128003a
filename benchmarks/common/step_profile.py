"""Where a step's time goes: a stopwatch around every op, and around what calls it.

Each callable is charged with its own time less that of the callables inside it, so the rows
add up to the step. The stopwatch itself costs about half a microsecond a call.
"""
from collections import Counter, defaultdict
from dataclasses import fields
from time import perf_counter
from typing import Any

import numpy as np
from peers.with_npvae import Training

from common.workload import Workload, replace_ops

STEPS = 256


class Stopwatch:
    """Own seconds, and calls, of every name."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
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
            timed = self.around(f"{name}()", getattr(owner, name))
            vars(owner)[name] = timed  # frozen or not


def operand(a: np.ndarray) -> str:
    """A matrix as it lies in memory, and a mark if it is read transposed."""
    return f"{a.shape}" if a.flags.c_contiguous else f"{a.T.shape}ᵀ"


def profile(work: Workload) -> None:
    """Print the own time of every part of npvae's step, dearest first."""
    training, watch = Training(work), Stopwatch()
    training.batches.capturable = False  # every op is called by Python
    training.run()  # the first step allocates
    engine = training.engine
    replace_ops(engine, **{
        field.name: watch.around(field.name, getattr(engine.ops, field.name), field.name == "gemm")
        for field in fields(engine.ops)
    })  # fmt: skip
    watch.wrap(training.batches, "fetch")
    watch.wrap(training.step, "accumulate", "update")
    watch.wrap(engine, "forward")
    watch.wrap(engine.model, "backward")
    watch.wrap(training.step, "one_step")
    training.run(STEPS)

    total = sum(watch.seconds.values())
    products = sum(s for name, s in watch.seconds.items() if name.startswith("gemm"))
    print(f"{work}: own time and calls a step, mean of {STEPS} steps")
    for name, seconds in sorted(watch.seconds.items(), key=lambda row: -row[1]):
        calls = watch.calls[name] / STEPS
        print(f"  {name:38s}{calls:6.2f} x {1e6 * seconds / STEPS:9.1f} µs {seconds / total:7.1%}")
    print(f"  {'a step':47s}{1e6 * total / STEPS:9.1f} µs")
    print(f"  {'its products':47s}{1e6 * products / STEPS:9.1f} µs; the step is "
          f"{total / products:.2f} x as long")
