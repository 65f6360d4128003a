"""What a step of npvae asks of the GPU: nodes of its graph, launches, and the time of each node."""
import re
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import numpy as np
from peers.on_gpu_npvae import LoggedTraining, gemm, nothing_captured, on_host

from gpu_parts import gpu_scale
from gpu_parts.gpu_scale import Setting
from gpu_parts.gpu_worker import Place, in_one_line

REPEATS, LAUNCHES = 16, 8  # of a node in a graph, and of that graph


def training(place: Place, setting: Setting) -> LoggedTraining:
    return LoggedTraining(gpu_scale.work(setting, place.rehearse), place.tf32)


def account(place: Place, setting: Setting) -> dict[str, Any]:
    """Nodes of a step, and launches a step over an epoch of whole minibatches."""
    log = training(place, setting)
    ops = [name for name, _, _ in log.a_step()]
    log.reopen()
    log.run(2)  # captures, and replays
    log.reopen()
    log.calls.clear()
    log.replays = 0
    steps = log.run(log.whole)
    launches = log.replays + len(log.calls)
    return {
        "ops": ops, "nodes": len(ops), "steps": steps, "replays": log.replays,
        "single_launches": len(log.calls), "launches_a_step": round(launches / steps, 4),
        "between_epochs_ms": between_epochs(log),
    }  # fmt: skip


def names(place: Place, setting: Setting) -> dict[str, Any]:
    """The nodes of a captured step by CUDA's account, and the ops that left none there.

    What works on another stream than the captured one is not captured, and no error tells.
    """
    log = training(place, setting)
    ops = [name for name, _, _ in log.a_step()]
    log.reopen()
    log.run(2)
    nodes = labels(log.graphs[0]) if log.graphs else []
    missing = escaped(ops, nodes)
    return {"ops": ops, "nodes": nodes, "missing": missing, "passed": bool(nodes) and not missing}


def labels(graph: Any) -> list[str]:
    """What CUDA says is in a graph: a line a node, with the kernel's name."""
    dot = graph.debug_dot_str()
    text = dot.decode() if isinstance(dot, bytes) else str(dot)
    found = re.findall(r'_node_(\d+)"\s*\[[^\]]*?label="([^"]*)"', text)
    return [" ".join(label.split()) for _, label in sorted(found, key=lambda node: int(node[0]))]


def escaped(ops: Sequence[str], nodes: Sequence[str]) -> list[str]:
    """The ops of a step that have no node in its graph.

    An op is one kernel, ``npvae_`` and its name. A product's kernels have cuBLAS's names, and may
    be several: one may first sum parts of the inner dimension and another the parts (split-K). So
    between two kernels of npvae there must be as many others as there are products, or more.
    """
    own = re.compile(r"npvae_(gather|\w+)")
    expected = split([None if op == "gemm" else op for op in ops])
    found = split([match[1] if (match := own.search(node)) else None for node in nodes
                   if "MEMSET" not in node])  # fmt: skip
    kernels, there = ([kernel for kernel, _ in each] for each in (expected, found))
    if kernels != there:
        return [f"{kernels} became {there}"]
    return [f"gemm before {kernel}" for (kernel, products), (_, others)
            in zip(expected, found, strict=True) if others < products]  # fmt: skip


def split(kernels: Sequence[str | None]) -> list[tuple[str, int]]:
    """Every kernel of npvae's, and how many others, which are None, come before it."""
    pairs, others = [], 0
    for kernel in [*kernels, "the end"]:
        if kernel is None:
            others += 1
        else:
            pairs.append((kernel, others))
            others = 0
    return pairs


def between_epochs(log: LoggedTraining) -> float:
    """Milliseconds that laying out the tables of an epoch takes, of which no step knows."""
    log.wait()
    began = perf_counter()
    for _ in range(5):
        log.reopen()
        log.wait()
    return round(1e3 * (perf_counter() - began) / 5, 3)


def profile(place: Place, setting: Setting) -> dict[str, Any]:
    """Microseconds of each node of a step, repeated by itself in a graph; in the step's order."""
    log = training(place, setting)
    with nothing_captured():
        calls = log.a_step()
    log.reopen()
    rows = []
    for name, op, args in calls:
        if name == "begin_step" and log.whole <= REPEATS * (LAUNCHES + 1):
            continue  # it would run out of the epoch's tables
        rows.append({"op": name, "us": microseconds(log, op, args), "shapes": shapes(args)})
    return {"nodes": rows}


def products(place: Place, setting: Setting) -> list[dict[str, Any]]:
    """Every matrix product of a step, in float32 and in TF32: its time, nodes and error.

    Only a difference between the two, in time or in error, shows that the tensor cores were used.
    """
    log = training(place, setting)
    rows = []
    for name, _, (*factors, out) in log.a_step():
        if name != "gemm":
            continue
        exact = np.matmul(*(on_host(factor).astype(np.float64) for factor in factors))
        row: dict[str, Any] = {"shapes": shapes((*factors, out))}
        for precision in gpu_scale.PRECISIONS:
            product, args = gemm(precision == "tf32"), (*factors, out)
            product(*args)  # what it needs is there before it is captured
            error = np.abs(on_host(out) - exact).max() / max(np.abs(exact).max(), 1e-30)
            _, graph = log.capture(lambda product=product, args=args: product(*args))
            row[precision] = {
                "us": microseconds(log, product, args), "error": float(error),
                "nodes": told(graph),
            }  # fmt: skip
        rows.append(row)
    return rows


def told(graph: Any) -> list[str]:
    """The labels of a graph, or why there are none."""
    try:
        return labels(graph)
    except Exception as error:
        return [f"not told: {in_one_line(error)}"]


def microseconds(log: LoggedTraining, op: Callable[..., Any], args: Sequence[Any]) -> float:
    """Of one call, repeated by itself in a graph."""

    def repeated() -> None:
        for _ in range(REPEATS):
            op(*args)

    replay, _ = log.capture(repeated)
    replay()
    log.wait()
    began = perf_counter()
    for _ in range(LAUNCHES):
        replay()
    log.wait()
    return round(1e6 * (perf_counter() - began) / (LAUNCHES * REPEATS), 3)


def shapes(args: Sequence[Any]) -> list[list[int]]:
    return [list(a.shape) for a in args if getattr(a, "ndim", 0)]
