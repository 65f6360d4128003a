"""A training step on a machine where others are busy too.

    python benchmarks/busy.py

Model P trains by the very function that ``fit`` calls: on one thread alone, on all alone, and on
all beside processes that each keep a processor busy for ever. Rounds are interleaved. Threads that
wait for one another take far more than their share: a step must wait only for what is under way.
"""
import common  # noqa: F401  isort: skip
import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

import numpy as np
from common import machine, workload
from peers.with_npvae import Training
from train_step import save

SECONDS = 2.0  # of training in a round
SPIN = "while True: pass"
# name → (threads, 0 for all; busy processes, −1 for as many as there are processors)
SETTINGS = {
    "one thread, alone": (1, 0), "all threads, alone": (0, 0),
    "all threads, one busy process": (0, 1), "all threads, all processors busy": (0, -1),
}  # fmt: skip


@contextmanager
def busy(n: int) -> Iterator[None]:
    """``n`` processes that never rest."""
    processes = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(n)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def train() -> float:
    """Milliseconds a step of P in this process."""
    training = Training(workload.models(workload.images())["P"])
    training.run(100)
    steps, began = 0, perf_counter()
    while perf_counter() - began < SECONDS:
        training.run(10)
        steps += 10
    return 1e3 * (perf_counter() - began) / steps


def measure(threads: int, neighbours: int) -> float:
    """The same in a process of its own, beside others."""
    only = {"OPENBLAS_NUM_THREADS": "1"} if threads == 1 else {}
    with busy(os.cpu_count() or 1 if neighbours < 0 else neighbours):
        told = subprocess.run([sys.executable, __file__, "--child"], env=os.environ | only,
                              capture_output=True, text=True, check=True)  # fmt: skip
    return float(told.stdout)


def main() -> int:
    """Measure, print and keep; the exit code."""
    first, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=first, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="(default: 5)")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(train())
        return 0
    if options.rounds < 1:
        parser.error(f"--rounds {options.rounds} must be at least 1")
    found: dict[str, list[float]] = {name: [] for name in SETTINGS}
    for _ in range(options.rounds):
        for name, setting in SETTINGS.items():
            found[name].append(measure(*setting))
    alone = np.array(found["one thread, alone"])
    print(f"{'a step of P':36s}{'ms':>8s}{'quartiles':>16s}   ÷ one thread alone")
    for name, ms in found.items():
        low, median, high = np.percentile(ms, (25, 50, 75))
        print(f"{name:36s}{median:8.2f}{low:9.2f}–{high:<7.2f}{np.median(ms / alone):8.2f}")
    print(save("busy", found, machine.describe(("numpy",))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
