"""What a step of npvae asks of the GPU: nodes of its graph, launches, and the time of each node."""
import re
from collections.abc import Callable
from dataclasses import fields, replace
from time import perf_counter
from typing import Any
from unittest.mock import patch

import gpu_scale
from gpu_scale import Setting
from gpu_worker import Place, in_one_line
from peers.on_gpu_npvae import Training, nothing_recorded

from npvae.backend import Backend

REPEATS, LAUNCHES = 16, 8  # of a node in a graph, and of that graph

Call = tuple[str, Callable[..., Any], tuple[Any, ...]]  # an op's name, the op, its arguments


class Ledger:
    """A training that writes down what it launches: ops one by one, and whole recordings."""

    def __init__(self, setting: Setting, place: Place):
        self.training = Training(gpu_scale.work(setting, place.rehearse), tf32=place.tf32)
        self.calls: list[Call] = []  # launched by themselves
        self.replays = 0
        self.graphs: list[Any] = []
        self.recording = False
        engine = self.training.engine
        engine.ops = replace(engine.ops, **{
            field.name: self.noted(field.name, getattr(engine.ops, field.name))
            for field in fields(engine.ops)
        })  # fmt: skip

    def noted(self, name: str, op: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any) -> Any:
            if not self.recording:
                self.calls.append((name, op, args))
            return op(*args)

        return run

    def run(self, steps: int) -> None:
        """Train, counting."""
        record = Backend.record

        def recorded(backend: Backend, work: Callable[[], None]) -> Callable[[], None]:
            self.recording = True
            try:
                replay = record(backend, work)
            finally:
                self.recording = False
            self.graphs.append(getattr(replay, "__self__", None))

            def counted() -> None:
                self.replays += 1
                replay()

            return counted

        with patch.object(Backend, "record", recorded):
            self.training.run(steps)


def account(place: Place, setting: Setting) -> dict[str, Any]:
    """Nodes of a step, and launches a step over an epoch of whole minibatches."""
    ledger = Ledger(setting, place)
    ledger.run(1)  # never recorded
    nodes = [name for name, _, _ in ledger.calls]
    ledger.training.reopen()
    ledger.run(2)  # makes the recordings, and replays
    ledger.training.reopen()
    ledger.calls.clear()
    ledger.replays = 0
    first = ledger.training.state.step
    ledger.run(ledger.training.whole)
    steps = ledger.training.state.step - first
    by_cuda = drawn(ledger.graphs[0]) if ledger.graphs else []
    return {
        "ops": nodes, "nodes": len(nodes), "steps": steps, "replays": ledger.replays,
        "single_launches": len(ledger.calls),
        "launches_a_step": round((ledger.replays + len(ledger.calls)) / steps, 4),
        "nodes_by_cuda": by_cuda,
        "between_epochs_ms": between_epochs(ledger.training),
    }  # fmt: skip


def drawn(graph: Any) -> list[str]:
    """What CUDA itself says is in a recording: a line a node, with the kernel's name."""
    try:
        dot = graph.debug_dot_str()
    except Exception as error:
        return [f"not told: {in_one_line(error)}"]
    dot = dot.decode() if isinstance(dot, bytes) else str(dot)
    labels = re.findall(r'_node_\d+"\s*\[[^\]]*?label="([^"]*)"', dot)
    return [" ".join(label.split()) for label in labels]


def between_epochs(training: Training) -> float:
    """Milliseconds that laying out the tables of an epoch takes, of which no step knows."""
    wait = training.engine.xp.cuda.Device().synchronize
    wait()
    began = perf_counter()
    for _ in range(5):
        training.reopen()
        wait()
    return round(1e3 * (perf_counter() - began) / 5, 3)


def profile(place: Place, setting: Setting) -> list[dict[str, Any]]:
    """Microseconds of each node of a step, repeated by itself in a graph; in the step's order."""
    ledger = Ledger(setting, place)
    with nothing_recorded():
        ledger.training.run(1)
    calls, engine = list(ledger.calls), ledger.training.engine
    ledger.training.reopen()
    cuda, rows = engine.xp.cuda, []
    for name, op, args in calls:
        if name == "clock" and ledger.training.whole <= REPEATS * (LAUNCHES + 1):
            continue  # it would run out of the epoch's tables

        def repeated(op: Any = op, args: Any = args) -> None:
            for _ in range(REPEATS):
                op(*args)

        replay = engine.backend.record(repeated)
        replay()
        cuda.Device().synchronize()
        began = perf_counter()
        for _ in range(LAUNCHES):
            replay()
        cuda.Device().synchronize()
        each = 1e6 * (perf_counter() - began) / (LAUNCHES * REPEATS)
        shapes = [list(a.shape) for a in args if getattr(a, "ndim", 0)]
        rows.append({"op": name, "us": round(each, 3), "shapes": shapes})
    return rows
