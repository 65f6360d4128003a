"""A long training does not grow: resident memory, and blocks of Python's allocator, by the step.

    python benchmarks/growth.py --require

A small model is trained by the very function that ``fit`` calls for each minibatch. Resident
memory and the blocks in use are read every thousand steps, and the slopes are those of the
least-squares lines. The first thousand steps, which allocate and warm up, do not count.
"""
import common  # noqa: F401  isort: skip
import argparse
import gc
import sys
from typing import Any

import numpy as np
from common import machine
from common.resident import resident
from common.workload import Workload
from peers.with_npvae import Training
from train_step import save

from npvae.data import load_digits

SLOPE = 1.0  # MB in 100,000 steps that ``--require`` allows,
BLOCKS = 0.01  # and blocks a step: fewer than one kept in a hundred steps
EVERY = 1000  # steps between two readings, and before the first


def train(work: Workload, steps: int) -> dict[str, Any]:
    """Readings of a run of ``steps`` steps, after ``EVERY`` others."""
    training = Training(work)
    at = np.arange(0, steps + 1, EVERY)  # steps since the warm-up
    memory = np.zeros(len(at))  # MB
    blocks = np.zeros(len(at))

    with np.errstate(all="ignore"):  # as fit does
        training.run(EVERY)
        for i in range(len(at)):
            memory[i], blocks[i] = resident(), count_blocks()
            training.run(EVERY)
    return {
        "workload": str(work), "steps": int(at[-1]), "slope_mb": slope(at, memory) * 100_000,
        "blocks_a_step": slope(at, blocks), "resident_mb": memory.round(3).tolist(),
        "blocks": blocks.astype(int).tolist(),
    }  # fmt: skip


def slope(x: np.ndarray, y: np.ndarray) -> float:
    """Of the least-squares line."""
    return float(np.polyfit(x, y, 1)[0])


def count_blocks() -> int:
    """Blocks of Python's allocator that are in use, cycles collected."""
    gc.collect()
    return sys.getallocatedblocks()


def main() -> int:
    """Train, and print what grew; the exit code."""
    first, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=first, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=100_000, help="(default: 100,000)")
    parser.add_argument("--require", action="store_true", help=f"exit with 1 if memory grows by "
        f"{SLOPE} MB in 100,000 steps, or by {BLOCKS} blocks a step")  # fmt: skip
    options = parser.parse_args()
    if options.steps < 2 * EVERY:
        parser.error(f"--steps {options.steps} must be at least {2 * EVERY}")
    about = machine.describe(("numpy",))
    print(f"{about['cpu']}, {about['cores']} cores; NumPy with {about['blas']}\n")
    result = train(Workload((32,), 2, "tanh", 20, load_digits()), options.steps)
    low, high = min(result["resident_mb"]), max(result["resident_mb"])
    print(f"{result['workload']}: {result['steps']:,} steps\n"
          f"  resident memory {low:.1f}–{high:.1f} MB, a slope of {result['slope_mb']:.3f} MB "
          f"in 100,000 steps\n  {result['blocks_a_step']:.5f} blocks of Python's allocator a step")
    print(save("growth", result, about))
    grew = result["slope_mb"] >= SLOPE or abs(result["blocks_a_step"]) >= BLOCKS
    return int(options.require and grew)


if __name__ == "__main__":
    sys.exit(main())
