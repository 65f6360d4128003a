"""Before anything is timed: npvae on the GPU is right, and does not grow.

Each check is a function of a place that returns what it found, ``passed`` among it.
"""
from typing import Any

import numpy as np
from common.resident import resident
from common.workload import Workload
from peers.on_gpu_npvae import Training, nothing_captured

from gpu_parts import gpu_scale
from gpu_parts.gpu_scale import Setting
from gpu_parts.gpu_worker import Place
from npvae.data import load_digits

STEPS = 100  # at least: a replay may do some more
CLOSE = 1e-4  # of the largest parameter: the bar that float32 is held to on a processor
# A GPU sums in another order. In float64 nothing is left of that, so float64 decides whether the
# formulas are the same; float32 is reported by its size, and fails only by far.
MOST = {"float64": 1e-9, "float32": 100 * CLOSE}


def parity(place: Place, model: str) -> dict[str, Any]:
    """The same steps on NumPy, from the same parameters, with the same rows and noise.

    Gradient descent turns a gradient that is a little off into parameters a little off. Adam's
    first steps are nearly rate · sign(g), so that where g is rounding noise a parameter may go
    either way (NumPy with two kernel sets of one BLAS: one of 819,824 parameters); of its
    parameters one in 10,000 may.
    """
    work = smallest(place, model)
    found: dict[str, Any] = {}
    passed = True
    for dtype in ("float32",) if place.tf32 else ("float64", "float32"):
        for optimizer, share in (("sgd", 1.0), ("adam", 0.9999)):
            there = Training(work, tf32=place.tf32, dtype=dtype, optimizer=optimizer)
            steps = there.run(STEPS)
            here = Training(work, "numpy", dtype=dtype, optimizer=optimizer)
            with np.errstate(all="ignore"):  # as fit does
                here.run(steps)
            theta = here.theta()
            difference = np.abs(there.theta() - theta) / np.abs(theta).max()
            at_quantile = float(np.quantile(difference, share))
            found[f"{optimizer}, {dtype}"] = {
                "steps": steps, "largest": float(difference.max()), "quantile": share,
                "at_quantile": at_quantile, "beyond": int((difference > CLOSE).sum()),
                "sums": float(np.abs(np.array(there.state.sums) / here.state.sums - 1).max()),
            }  # fmt: skip
            passed &= at_quantile <= MOST[dtype]
    return found | {"passed": place.tf32 or passed}  # TF32 has no bar: it is reported


def captured_is_eager(place: Place, model: str) -> dict[str, Any]:
    """Replayed and launched one by one, the steps give the same bits."""
    work = smallest(place, model)
    replayed, launched = Training(work, tf32=place.tf32), Training(work, tf32=place.tf32)
    steps = replayed.run(STEPS)
    with nothing_captured():
        launched.run(steps)
    different = sum(
        int((a.view(np.uint8) != b.view(np.uint8)).sum())
        for a, b in zip(replayed.arrays(), launched.arrays(), strict=True)
    )
    return {
        "steps": steps, "bytes_that_differ": different, "captured": replayed.captured,
        "passed": different == 0 and replayed.captured,
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


def smallest(place: Place, model: str) -> Workload:
    """A model on the smallest minibatch."""
    setting = Setting(model, gpu_scale.smallest(place.rehearse), place.precision)
    return gpu_scale.work(setting, place.rehearse)
