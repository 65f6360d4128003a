"""A long training does not grow: resident memory, and blocks of Python's allocator, by the step.

    python benchmarks/growth.py --require

A small model is trained by the very function that ``fit`` calls for each minibatch. Resident
memory is read every thousand steps, and its slope is that of the least-squares line; blocks are
counted after a first thousand steps and at the end.
"""
import argparse
import gc
import sys
from typing import Any

import start  # noqa: F401  isort: skip
import machine
import numpy as np
from peers.with_npvae import Training
from resident import resident
from train_step import save
from workload import Workload

from npvae.data import load_digits
from npvae.training.loop import one_step

SLOPE = 1.0  # MB in 100,000 steps that ``--require`` allows,
BLOCKS = 0.01  # and blocks a step: fewer than one kept in a hundred steps
EVERY = 1000  # steps between two readings, and of warming up


def train(work: Workload, steps: int) -> dict[str, Any]:
    """Readings of a run of ``steps`` steps, after ``EVERY`` to warm up."""
    training = Training(work)
    state, batches, recipe = training.state, training.batches, training.recipe
    at = np.arange(0, steps + 1, EVERY)  # steps since the warm-up
    memory = np.zeros(len(at))  # MB

    def run(count: int) -> None:
        for _ in range(count):
            epoch, batch = divmod(state.step, batches.n_batches)
            if batch == 0:
                training.order = batches.order(epoch)
            one_step(state, batches, recipe, training.order, batch)

    with np.errstate(all="ignore"):  # as fit does
        run(EVERY)
        blocks = count_blocks()
        memory[0] = resident()
        for i in range(1, len(at)):
            run(EVERY)
            memory[i] = resident()
        blocks = count_blocks() - blocks
    slope, _ = np.polyfit(at, memory, 1)  # MB a step
    return {
        "workload": str(work), "steps": int(at[-1]), "slope_mb": float(slope * 100_000),
        "blocks_a_step": blocks / int(at[-1]), "resident_mb": [round(mb, 3) for mb in memory],
    }  # fmt: skip


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
