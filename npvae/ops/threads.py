"""The parameter update on every core.

An update reads and writes each parameter by itself, so the vectors can be cut anywhere: each
thread runs the same op on its own part, with the same bits as one thread would give. NumPy
lets go of the interpreter inside a long pass, and these are the longest of a step; the ops
between two matrix products are too short to gain from a second thread.
"""
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from functools import cache
from typing import Any

from npvae.ops import Ops

MINIMUM = 2**16  # parameters; for fewer, waking a thread costs more than it saves
UPDATES = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "flush")


def threaded(ops: Ops) -> Ops:
    """``ops`` with its parameter updates spread over the cores."""
    n = n_threads()
    if n == 1:
        return ops
    return replace(ops, **{name: in_parts(getattr(ops, name), n) for name in UPDATES})


def n_threads() -> int:
    """As many as BLAS would use: the user's limit if there is one, else the cores we may use."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        if os.environ.get(name, "").isdecimal():
            return max(1, int(os.environ[name]))
    available = getattr(os, "sched_getaffinity", None)
    return len(available(0)) if available else os.cpu_count() or 1


def in_parts(op: Callable[..., Any], n: int) -> Callable[..., None]:
    """``op`` on ``n`` contiguous parts of its vectors (P,) at once; its scalars go to all."""

    def run(theta: Any, *arguments: Any) -> None:
        P = len(theta)
        if P < MINIMUM:
            op(theta, *arguments)
            return
        bounds = [P * i // n for i in range(n + 1)]

        def part(start: int, stop: int) -> None:
            cut = (a[start:stop] if getattr(a, "ndim", 0) else a for a in arguments)
            op(theta[start:stop], *cut)

        others = [
            pool(n - 1).submit(copy_context().run, part, bounds[i], bounds[i + 1])
            for i in range(1, n)
        ]
        part(0, bounds[1])
        for other in others:
            other.result()

    return run


@cache
def pool(n: int) -> ThreadPoolExecutor:
    """The threads beside the caller's own; they live as long as the process."""
    return ThreadPoolExecutor(n, thread_name_prefix="npvae")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=pool.cache_clear)  # threads do not survive a fork
