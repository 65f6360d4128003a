"""Threads for what NumPy does on one, at the times when BLAS is idle.

A ufunc lets go of the interpreter while it computes, so long passes over different parts of a
vector run side by side on different processors. Waking a thread costs up to a tenth of a
millisecond: give it more than that to do.
"""
from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextvars import copy_context
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

ALIGNMENT = 64  # numbers between which a vector may be cut: whole cache lines at any dtype
POOL = "npvae"  # how names of our threads begin


@cache
def count() -> int:
    """How many threads to keep busy: as many as BLAS is set to, or one a processor."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        if os.environ.get(name, "").isdigit():
            return max(1, int(os.environ[name]))
    return processors()


def processors() -> int:
    """How many this process may use."""
    # fewer than os.cpu_count() where the process is held to some of them
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _pool(process: int) -> ThreadPoolExecutor:
    """The pool of a process: threads do not live on in a fork, so each has its own."""
    from concurrent.futures import ThreadPoolExecutor  # for training alone

    return ThreadPoolExecutor(count(), thread_name_prefix=POOL)


def parallel_for(work: Callable[..., Any], ranges: Sequence[Iterable[tuple[Any, ...]]]) -> None:
    """Call ``work(*item)`` for every item of every range: the first range on this thread, in
    order, and each of the others on a thread of the pool at the same time.

    Returns when all are done. After a failure, Ctrl-C among them, every thread stops at its next
    item, and the failure is raised here.
    """
    failed: list[BaseException] = []

    def run(items: Iterable[tuple[Any, ...]]) -> None:
        try:
            for item in items:
                if failed:
                    return
                work(*item)
        except BaseException as error:
            failed.append(error)
            raise

    first, *others = ranges
    futures = [_pool(os.getpid()).submit(copy_context().run, run, items) for items in others]
    try:
        run(first)
    finally:
        for future in futures:
            future.result()


def split_ranges(n: int, least: int) -> list[tuple[int, int]]:
    """(start, stop) of consecutive equal ranges of ``n``, one a thread, ``least`` or more in each.

    Examples
    --------
    >>> split_ranges(10, least=6)       # not enough for two
    [(0, 10)]
    """
    threads = max(1, min(count(), n // least))
    cuts = [n * i // threads // ALIGNMENT * ALIGNMENT for i in range(threads)]
    return list(pairwise([*cuts, n]))
