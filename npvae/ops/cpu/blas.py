"""How many threads BLAS takes: a number of the whole process, borrowed and given back.

A second thread halves the time of a large product. A small one it makes no faster, and where
another process wants the processor too, both threads wait for the one that is not running: a
product of 0.05 ms then takes 70. So a training whose products are all small holds BLAS to one.

The number belongs to every thread of the process, and to the user before all. It is changed only by
the one thread that computes, and left alone where the user has set it.
"""
import ctypes
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from npvae.ops.cpu.threads import POOL, count

SMALL = 2**23  # multiply-adds of a product: with fewer, a second thread gains next to nothing
MOST = 64  # threads that the OpenBLAS of NumPy's wheels is built for
VARIABLES = ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")


class Library(NamedTuple):
    """A BLAS that is loaded."""

    get: Callable[[], int]
    set: Callable[[int], object]


@cache
def libraries() -> Sequence[Library]:
    """What threadpoolctl finds; without it, the OpenBLAS of NumPy's wheels; else none."""
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return _bundled()
    found = ThreadpoolController().select(user_api="blas").lib_controllers
    return [Library(one.get_num_threads, one.set_num_threads) for one in found]


def _bundled() -> Sequence[Library]:
    numpy = find_spec("numpy")
    assert numpy is not None and numpy.origin is not None
    package = Path(numpy.origin).parent
    folders = package.parent / "numpy.libs", package / ".dylibs"
    for path in (path for folder in folders for path in folder.glob("*openblas*")):
        library = ctypes.CDLL(str(path))  # loaded already: this is a handle of it
        for end in ("64_", ""):
            try:
                return [Library(library[f"scipy_openblas_get_num_threads{end}"],
                                library[f"scipy_openblas_set_num_threads{end}"])]  # fmt: skip
            except AttributeError:
                pass
    return []


_lock = threading.Lock()
_holders: list[int] = []  # threads that compute and rely on the number as it is, once a block
_original: list[int] = []  # the numbers before the first of them came


def numbers() -> list[int]:
    """Threads of each library, but for what is held here."""
    return list(_original) if _holders else [library.get() for library in libraries()]


def user_setting() -> str:
    """What the user has said about BLAS's threads; empty if nothing."""
    for name in VARIABLES:
        if os.environ.get(name):
            return f"{name}={os.environ[name]}"
    limits = sorted(set(numbers()) - {count(), min(count(), MOST)})
    return f"a limit of {', '.join(map(str, limits))}" if limits else ""


@contextmanager
def held(threads: int | None) -> Iterator[bool]:
    """Hold BLAS to so many threads inside, or as it is; whether it is.

    It is not where another thread may be computing. Numbers are given back at the end, by the
    last thread to leave if others have come.
    """
    me = threading.get_ident()
    with _lock:
        before = [library.get() for library in libraries()]
        if not _holders:
            _original[:] = before
        changed = threads is not None and any(n != threads for n in before) and _alone(me)
        if changed and threads is not None:
            _set([threads] * len(before))
        _holders.append(me)
    try:
        yield bool(before) and (changed or all(n == threads for n in before))
    finally:
        with _lock:
            _holders.remove(me)
            if not _holders:
                _set(_original)
            elif changed and _alone(me):
                _set(before)


def available() -> int:
    """How many threads the process may keep busy with BLAS, whoever holds it now."""
    with _lock:
        return min([count(), *numbers()])


def _alone(me: int) -> bool:
    """Whether no other thread can be computing: background threads of a notebook are daemons."""
    return set(_holders) <= {me} and not any(
        thread.ident != me and not thread.daemon and not thread.name.startswith(POOL)
        for thread in threading.enumerate()
    )


def _set(threads: Sequence[int]) -> None:
    for library, n in zip(libraries(), threads, strict=True):
        if library.get() != n:
            library.set(n)


@contextmanager
def held_for(work: int) -> Iterator[None]:
    """Inside, products have at most so many multiply-adds. What the user has set stays."""
    with held(1 if work < SMALL and not user_setting() else None):
        yield


@contextmanager
def one_thread_each() -> Iterator[int]:
    """How many threads may call BLAS at the same time; inside, each call stays on its own thread.

    One, where BLAS cannot be held to that: products that each want all processors would wait on
    one another.
    """
    n = available()
    if n == 1:
        yield 1
        return
    with held(1) as one:
        yield n if one else 1
