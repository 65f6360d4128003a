"""The first minute on a GPU: does it work at all, and what does a step of P take?

Each step is a function of a place that returns what it found; ``passed`` is among it where it
can be right or wrong. What is most likely to stop everything else comes first.
"""
from contextlib import nullcontext
from itertools import product
from time import perf_counter
from typing import Any

import numpy as np
from peers.on_gpu_npvae import (
    Training,
    gemm,
    nothing_captured,
    on_device,
    on_host,
    one_step_a_launch,
)

from gpu_parts import gpu_checks, gpu_nodes, gpu_scale
from gpu_parts.gpu_scale import Setting
from gpu_parts.gpu_worker import Place

EPOCHS = 3  # timed, of each way to launch a step


def setting(place: Place) -> Setting:
    """Model P at the smallest minibatch."""
    return Setting("P", gpu_scale.smallest(place.rehearse), place.precision)


def device(place: Place) -> dict[str, Any]:
    """The GPU, and what drives it."""
    import cupy

    runtime = cupy.cuda.runtime
    properties = runtime.getDeviceProperties(0)
    free, total = cupy.cuda.Device(0).mem_info
    return {
        "gpu": properties["name"].decode(), "multiprocessors": properties["multiProcessorCount"],
        "free_gib": round(free / 2**30, 1), "total_gib": round(total / 2**30, 1),
        "driver": runtime.driverGetVersion(), "runtime": runtime.runtimeGetVersion(),
        "cupy": cupy.__version__,
    }  # fmt: skip


def orientations(place: Place) -> dict[str, Any]:
    """A product of factors that lie by rows and by columns, against NumPy's in float64.

    The error of a sum of k terms in any order is at most k ε Σ |a b|; the largest share of that
    is what is reported.
    """
    rng, (m, k, n) = np.random.default_rng(0), (20, 64, 16)
    found: dict[str, Any] = {}
    for dtype, turned in product(("float64", "float32"), product((False, True), repeat=2)):
        A, B = (rng.standard_normal(shape).astype(dtype) for shape in ((m, k), (k, n)))
        a, b = (on_device(X.T.copy()).T if turn else on_device(X)
                for X, turn in zip((A, B), turned, strict=True))  # fmt: skip
        out = on_device(np.full((m, n), np.nan, dtype))
        gemm(False)(a, b, out)
        bound = k * np.finfo(dtype).eps * (abs(A) @ abs(B))
        name = f"{dtype} {''.join('NT'[turn] for turn in turned)}"
        found[name] = float((np.abs(on_host(out) - A.astype("float64") @ B) / bound).max())
    return found | {"passed": all(share <= 1 for share in found.values())}


def replayed(place: Place) -> dict[str, Any]:
    """Captured steps give the bits of steps that are launched one by one."""
    return gpu_checks.captured_is_eager(place, "P")


def names(place: Place) -> dict[str, Any]:
    """Every op of a step is in its graph."""
    return gpu_nodes.names(place, setting(place))


def a_step(place: Place) -> dict[str, Any]:
    """Microseconds of a step: sixteen replayed at once, one at a time, and nothing captured."""
    ways = {"by_16": nullcontext(), "by_1": one_step_a_launch(), "eager": nothing_captured()}
    work = gpu_scale.work(setting(place), place.rehearse)
    found: dict[str, Any] = {"workload": str(work)}
    for way, launching in ways.items():
        training, each = Training(work, tf32=place.tf32), []
        with launching:
            training.run(training.whole)  # compiles, and captures
            for _ in range(EPOCHS):
                training.reopen()
                began = perf_counter()
                steps = training.run(training.whole)
                each.append(round(1e6 * (perf_counter() - began) / steps, 2))
        found[way] = {"us": float(np.median(each)), "epochs_us": each}
    return found


def products(place: Place) -> dict[str, Any]:
    """The products of a step, one by one."""
    return {"products": gpu_nodes.products(place, setting(place))}


STEPS = (device, orientations, replayed, names, a_step, products)
