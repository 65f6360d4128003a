"""What lies beneath CuPy's arrays: memory, streams, graphs, and an account of what they are asked.

A graph does again what was launched while it was captured, in the memory that it was captured
with. So nothing may happen in between that CUDA cannot record, nor what leaves the graph with
memory that nobody keeps: no transfer, no waiting, no allocation.
"""
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from time import perf_counter
from types import SimpleNamespace
from typing import Any

import numpy as np

CAPACITY = 2**34  # bytes of the device
STATE = SimpleNamespace(counters=[], forbidden=False)  # and what reset() sets
THREAD = threading.local()  # its ``allocator``, if that is not the pool


@dataclass
class Counter:
    """What the device was asked to do."""

    launches: int = 0  # by the host: kernels, copies, library calls, whole graphs
    recorded: int = 0  # during captures: the nodes of the graphs
    allocations: int = 0
    to_device: int = 0
    to_host: int = 0
    waits: int = 0  # of the host, for a stream or an event


class CUDARuntimeError(RuntimeError):
    """``cupy.cuda.runtime.CUDARuntimeError``."""


class OutOfMemoryError(MemoryError):
    """``cupy.cuda.memory.OutOfMemoryError``, in its words."""

    def __init__(self, size: int, total: int, limit: int = 0):
        limited = f", limit set to: {limit:,} bytes" if limit else ""
        super().__init__(
            f"Out of memory allocating {size:,} bytes (allocated so far: {total:,} bytes{limited})."
        )


def break_device() -> None:
    """A kernel has gone wrong: as on a GPU, all that this process asks from now on fails."""
    STATE.broken = True


@contextmanager
def counting() -> Iterator[Counter]:
    """A counter of what happens in the block."""
    counter = Counter()
    STATE.counters.append(counter)
    try:
        yield counter
    finally:
        STATE.counters = [c for c in STATE.counters if c is not counter]


@contextmanager
def forbid_transfers() -> Iterator[None]:
    """In the block, host and device do not talk: a transfer or a wait is an AssertionError."""
    before, STATE.forbidden = STATE.forbidden, True
    try:
        yield
    finally:
        STATE.forbidden = before


def note(what: str) -> None:
    """Count it."""
    for counter in STATE.counters:
        setattr(counter, what, getattr(counter, what) + 1)


def refuse_if_broken() -> None:
    if STATE.broken:
        raise CUDARuntimeError(
            "cudaErrorIllegalAddress: an illegal memory access was encountered"
        )


def talk(what: str) -> None:
    """A transfer ``to_device`` or ``to_host``, or one of the ``waits``."""
    refuse_if_broken()
    if STATE.forbidden:
        raise AssertionError(f"host and device talk ({what}) where forbid_transfers() says not to")
    refuse_in_capture(what)
    note(what)


def refuse_in_capture(what: str) -> None:
    """Raise if a stream is being captured, which is then good for nothing."""
    if STATE.capture:
        STATE.capture.valid = False
        raise CUDARuntimeError(f"cudaErrorStreamCaptureUnsupported: {what} during a capture")


def submit(work: "partial[Any]", memories: list["Memory"]) -> None:
    """One launch, of what uses ``memories``: done now, or recorded by the capture under way."""
    refuse_if_broken()
    if not STATE.capture:
        note("launches")
        run(work)
        return
    if STATE.capture.stream is not STATE.streams[-1]:
        refuse_in_capture("a launch on another stream")
    note("recorded")
    STATE.capture.nodes.append((work, [weakref.ref(memory) for memory in memories]))


def run(work: Callable[[], Any]) -> Any:
    """``work()``, with no word about overflow, as on a GPU."""
    with np.errstate(all="ignore"):
        return work()


@contextmanager
def using_allocator(allocator: Callable[[int], Any] | None = None) -> Iterator[None]:
    """In the block, this thread's allocations are by ``allocator``, which takes a size in bytes."""
    before, THREAD.allocator = getattr(THREAD, "allocator", None), allocator
    try:
        yield
    finally:
        THREAD.allocator = before


class Memory:
    """One allocation; it lives as long as an array in it, and no longer for a graph's sake.

    An allocator that is not the pool can refuse; memory of its own the stand-in does not take.
    """

    def __init__(self, size: int):
        refuse_if_broken()
        if allocator := getattr(THREAD, "allocator", None):
            allocator(size)
            raise NotImplementedError("the stand-in's memory is that of its pool")
        refuse_in_capture("an allocation")
        pool = STATE.pool
        if pool.used + size > (pool.limit or CAPACITY):
            raise OutOfMemoryError(size, pool.total, pool.limit)
        note("allocations")
        pool.used += size
        pool.total = max(pool.total, pool.used)
        weakref.finalize(self, pool.take_back, size).atexit = False


class MemoryPool:
    """Keeps what is freed until told to let go of it."""

    def __init__(self) -> None:
        self.used = self.total = self.limit = 0  # bytes

    def take_back(self, size: int) -> None:
        self.used -= size

    def used_bytes(self) -> int:
        return self.used

    def total_bytes(self) -> int:
        return self.total

    def free_all_blocks(self, stream: Any = None) -> None:
        self.total = self.used

    def set_limit(self, size: int) -> None:
        self.limit = size


class Device:
    """The one device."""

    compute_capability = "90"

    def __init__(self, device: int = 0):
        self.id = device

    @property
    def mem_info(self) -> tuple[int, int]:
        return CAPACITY - STATE.pool.total, CAPACITY

    def synchronize(self) -> None:
        talk("waits")


class Stream:
    """Work in order; while captured, work put aside."""

    null: "Stream"
    _pointers = count(1000)

    def __init__(self, null: bool = False, non_blocking: bool = False):
        self.ptr = 0 if null else next(self._pointers)

    def __enter__(self) -> "Stream":
        STATE.streams.append(self)
        return self

    def __exit__(self, *error: Any) -> None:
        STATE.streams.pop()

    def use(self) -> "Stream":
        STATE.streams[-1] = self
        return self

    def synchronize(self) -> None:
        talk("waits")

    def begin_capture(self, mode: int | None = None) -> None:
        if not self.ptr:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        refuse_in_capture("another capture")
        STATE.capture = SimpleNamespace(stream=self, nodes=[], valid=True)

    def is_capturing(self) -> bool:
        return STATE.capture is not None and STATE.capture.stream is self

    def end_capture(self) -> "Graph":
        if not self.is_capturing():
            raise CUDARuntimeError("cudaErrorIllegalState: the stream is not being captured")
        capture, STATE.capture = STATE.capture, None
        if not capture.valid:
            raise CUDARuntimeError("cudaErrorStreamCaptureInvalidated: the capture had failed")
        graph = Graph.__new__(Graph)
        graph.nodes = capture.nodes
        return graph


class Graph:
    """Launches put aside, to be done again and again. It keeps no memory alive."""

    def __init__(self) -> None:
        raise NotImplementedError("a graph comes from Stream.end_capture")

    def upload(self, stream: Stream | None = None) -> None:
        """Nothing to do."""

    def debug_dot_str(self, flags: int = 0) -> str:
        """The nodes as CUDA prints them, by the names of their kernels."""
        nodes = "".join(
            f'"graph_1_node_{i}"[shape="octagon" label="{i}\n{work.func.__name__}\n"];\n'
            for i, (work, _) in enumerate(self.nodes)
        )
        return "digraph dot {\nsubgraph cluster_1 {\n" + nodes + "}\n}\n"

    def launch(self, stream: Stream | None = None) -> None:
        refuse_in_capture("the launch of a graph")
        if any(memory() is None for _, memories in self.nodes for memory in memories):
            break_device()
        refuse_if_broken()
        note("launches")
        for work, _ in self.nodes:
            run(work)


class Event:
    """A moment on a stream."""

    def __init__(self, block: bool = False, disable_timing: bool = False):
        self.time, self.done = 0.0, True

    def record(self, stream: Stream | None = None) -> None:
        self.time = perf_counter()

    def synchronize(self) -> None:
        talk("waits")


def get_elapsed_time(start_event: Event, end_event: Event) -> float:
    """Milliseconds."""
    return 1e3 * (end_event.time - start_event.time)


def reset() -> None:
    """A device with nothing in its memory, and no stream but the default one."""
    STATE.streams, STATE.capture, STATE.pool = [Stream.null], None, MemoryPool()
    STATE.broken = False


Stream.null = Stream(null=True)
reset()

RUNTIME = {
    "CUDARuntimeError": CUDARuntimeError,
    "getDeviceCount": lambda: 1,
    "getDeviceProperties": lambda device: {
        "name": b"strict stand-in", "major": 9, "minor": 0, "multiProcessorCount": 132,
    },
    "driverGetVersion": lambda: 13000,
    "runtimeGetVersion": lambda: 13000,
    "deviceSynchronize": lambda: talk("waits"),
    "streamCaptureModeGlobal": 0,
    "streamCaptureModeThreadLocal": 1,
    "streamCaptureModeRelaxed": 2,
}  # fmt: skip
CUDA = {
    "is_available": lambda: True,
    "get_current_stream": lambda device_id=-1: STATE.streams[-1],
    **{f.__name__: f for f in (Device, Stream, Event, Graph, MemoryPool, get_elapsed_time)},
    "using_allocator": using_allocator,
}
