"""Before anything is timed: npvae on the GPU is right, and does not grow.

Each check is a function of a place that returns what it found, ``passed`` among it.
"""
import subprocess
import sys
from pathlib import Path
from typing import Any

import gpu_scale
import numpy as np
from gpu_scale import Setting
from gpu_worker import Place
from peers.on_gpu_npvae import Training, nothing_recorded
from resident import resident
from workload import Workload

from npvae.backend import to_numpy
from npvae.data import load_digits
from npvae.optim import SGD, Adam

STEPS = 100  # at least: a replay may do some more
CLOSE = 1e-4  # of the largest parameter
ROOT = Path(__file__).parents[1]


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


def parity(place: Place, model: str) -> dict[str, Any]:
    """The same steps on NumPy, from the same parameters, with the same rows and noise.

    Gradient descent turns a gradient that is a little off into parameters a little off. Adam's
    first steps are nearly rate · sign(g), so that where g is rounding noise a parameter may go
    either way (NumPy with two kernel sets of one BLAS: one of 819,824 parameters); of its
    parameters one in 10,000 may.
    """
    work = gpu_scale.work(Setting(model, min_size(place), place.precision), place.rehearse)
    found: dict[str, Any] = {}
    for name, optimizer, share in (("sgd", SGD(), 1.0), ("adam", Adam(), 0.9999)):
        there = Training(work, tf32=place.tf32, optimizer=optimizer)
        there.run(STEPS)
        here = Training(work, "numpy", optimizer=optimizer)
        with np.errstate(all="ignore"):  # as fit does
            here.run(there.state.step)
        theta = here.engine.theta
        difference = np.abs(to_numpy(there.engine.theta) - theta) / np.abs(theta).max()
        found[name] = {
            "steps": here.state.step, "largest": float(difference.max()),
            "quantile": share, "at_quantile": float(np.quantile(difference, share)),
            "beyond": int((difference > CLOSE).sum()),
            "sums": float(np.abs(np.array(there.state.sums) / here.state.sums - 1).max()),
        }  # fmt: skip
    # TF32 has no bar of its own: it is reported
    found["passed"] = place.tf32 or all(f["at_quantile"] <= CLOSE for f in found.values())
    return found


def recorded_is_eager(place: Place, model: str) -> dict[str, Any]:
    """Replayed and launched one by one, the steps give the same bits."""
    work = gpu_scale.work(Setting(model, min_size(place), place.precision), place.rehearse)
    replayed, launched = Training(work, tf32=place.tf32), Training(work, tf32=place.tf32)
    replayed.run(STEPS)
    with nothing_recorded():
        launched.run(replayed.state.step)
    pairs = [(t.engine.theta, t.course.sums, *t.state.moments.values())
             for t in (replayed, launched)]  # fmt: skip
    different = sum(
        int((to_numpy(a).view(np.uint8) != to_numpy(b).view(np.uint8)).sum())
        for a, b in zip(*pairs, strict=True)
    )
    recordings = len(replayed.course._replays)
    return {
        "steps": launched.state.step, "bytes_that_differ": different, "recordings": recordings,
        "passed": different == 0 and recordings > 0,
    }  # fmt: skip


def flat(place: Place, steps: int) -> dict[str, Any]:
    """Memory of a long training, of device and host, after a warm-up and at the end."""
    import cupy

    pool = cupy.get_default_memory_pool()
    training = Training(Workload((32,), 2, "tanh", 20, load_digits()), tf32=place.tf32)

    def now() -> dict[str, float]:
        return {
            "used_bytes": pool.used_bytes(), "pool_bytes": pool.total_bytes(),
            "device_free_bytes": cupy.cuda.Device(0).mem_info[0], "host_mb": resident(),
        }  # fmt: skip

    training.run(max(steps // 50, 2 * training.whole + 1))  # two epochs were laid out, too
    before = now()
    training.run(steps)
    after = now()
    grew = {name: after[name] - before[name] for name in before}
    # a pool that holds as much as before has asked the device for nothing
    passed = grew["used_bytes"] == 0 and grew["pool_bytes"] == 0
    return {"steps": steps, "before": before, "grew": grew, "passed": passed}


def min_size(place: Place) -> int:
    """The smallest minibatch."""
    return min((gpu_scale.TINY if place.rehearse else gpu_scale.FULL).sizes)


def tests(seconds: float) -> dict[str, Any]:
    """The test file of CuPy in a process of its own: its last line, and every failure's."""
    command = [sys.executable, "-m", "pytest", "tests/test_cupy.py", "-o", "addopts=", "-q",
               "--tb=line", "-p", "no:cacheprovider"]  # fmt: skip
    try:
        ended = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=seconds, errors="replace"
        )
    except subprocess.TimeoutExpired as error:
        said = (error.stdout or b"").decode(errors="replace").splitlines()
        return {"passed": False, "summary": f"not done within {seconds:.0f} s", "tail": said[-20:]}
    said = (ended.stdout + ended.stderr).strip().splitlines() or ["pytest said nothing"]
    failures = [line for line in said if line.startswith(("FAILED", "ERROR"))]
    summary = next((line for line in reversed(said) if " in " in line), said[-1])
    found = {"passed": ended.returncode == 0, "summary": summary, "failures": failures[:50]}
    return found if ended.returncode == 0 else found | {"tail": said[-40:]}
