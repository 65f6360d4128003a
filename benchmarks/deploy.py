"""Model P deployed: npvae, NumPy alone, ONNX Runtime and PyTorch, from disk to images.

    python benchmarks/deploy.py

All sides hold the same parameters, take and give NumPy arrays of float32, and have as many
threads as NumPy's BLAS. First they are shown to give the same numbers. Then: the latency of
decoding and encoding, in interleaved rounds; the cold start, from the start of a process to its
first image; that process's memory; and the size on disk of what each side needs.
"""
import common  # isort: skip
import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
from common import footprint, machine, timing, workload
from common.workload import Workload
from runtimes import PACKAGES, RUNTIMES
from train_step import save

BATCHES = (1, 16, 100, 1000)
TOLERANCE = 1e-5  # float32 sums of 784 products of numbers near 1
FIRST_IMAGE = Path(__file__).parent / "runtimes" / "first_image.py"

Coder = Callable[[np.ndarray], np.ndarray]
Values = dict[str, np.ndarray]  # side → its number in every round


def exported(work: Workload, folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """The modules of the sides that can run here, their files in ``folder``; and why others not."""
    sides, skipped, vae = {}, {}, work.vae()
    for name in RUNTIMES:
        try:
            side = import_module(f"runtimes.{name}")
            side.export(vae, folder)
        except ImportError as error:
            skipped[name] = f"{error}; pip install 'npvae[bench]'"
        else:
            sides[name] = side
    return sides, skipped


def disagreement(coders: dict[str, Coder], x: np.ndarray) -> dict[str, float]:
    """The largest difference of every side from npvae, over all sizes of batch.

    Raises
    ------
    SystemExit
        If a side gives other numbers than npvae.
    """
    errors = {}
    for name, code in coders.items():
        differences = [np.abs(code(x[:M]) - coders["with_npvae"](x[:M])).max() for M in BATCHES]
        errors[name] = float(max(differences))
        if not errors[name] <= TOLERANCE:  # not (a > b), so that NaN is an error too
            raise SystemExit(f"{RUNTIMES[name][0]} differs from npvae by {errors[name]:.2g}")
    return errors


def latency(coders: dict[str, Coder], x: np.ndarray, rounds: int) -> Values:
    """Seconds a call."""

    def repeat(code: Coder) -> Callable[[int], None]:
        def run(calls: int) -> None:
            for _ in range(calls):
                code(x)

        return run

    runs = {name: repeat(code) for name, code in coders.items()}
    return timing.interleaved(runs, timing.steps_a_round(runs["with_npvae"]), rounds)


def cold_starts(names: list[str], folder: Path, rounds: int) -> tuple[Values, Values]:
    """Seconds to the first image of a fresh process, and its resident megabytes then."""
    pairs: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for number in range(rounds + 1):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            pairs[name].append(cold_start(name, folder))
    columns = {name: np.array(values[1:]).T for name, values in pairs.items()}  # 0: warm-up
    return {k: v[0] for k, v in columns.items()}, {k: v[1] for k, v in columns.items()}


def cold_start(name: str, folder: Path) -> tuple[float, float]:
    """One process: seconds, megabytes."""
    command = [sys.executable, FIRST_IMAGE, name, folder, str(machine.threads())]
    # What is installed has its bytecode beside it; so must npvae, run from its source folder.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPATH"] = str(common.ROOT)  # this clone's npvae, there too
    began = perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        lines = process.stdout or ()
        image = next(iter(lines), "")
        seconds = perf_counter() - began
        rest = "".join(lines)
    if process.returncode or not image:
        raise SystemExit(f"{RUNTIMES[name][0]} failed in a fresh process")
    return seconds, float(rest)


def installed(names: list[str]) -> dict[str, dict[str, float]]:
    """Megabytes on disk of every distribution that a side needs."""
    return {
        name: {need: footprint.megabytes(need) for need in sorted(footprint.closure(needs))}
        for name, (_, needs) in RUNTIMES.items()
        if name in names
    }


def table(title: str, values: Values, scale: float = 1.0) -> str:
    """Median, quartiles and ratio to npvae of every side, over the rounds."""
    lines = [f"{title:34s}{'median':>9s}  {'quartiles':>17s}{'÷ npvae':>10s}"]
    for name, rounds in values.items():
        low, median, high = np.percentile(scale * rounds, (25, 50, 75))
        ratio = np.median(rounds / values["with_npvae"])
        line = f"  {RUNTIMES[name][0]:32s}{median:9.1f}  {low:8.1f}–{high:<8.1f}{ratio:10.2f}"
        lines.append(line)
    return "\n".join(lines) + "\n"


def times(values: Values) -> dict[str, Any]:
    """Seconds as the results hold them."""
    return {name: timing.summary(rounds, values["with_npvae"]) for name, rounds in values.items()}


def compare(work: Workload, rounds: int, starts: int, folder: Path) -> dict[str, Any]:
    """Check, measure and print everything; what goes into the results."""
    sides, skipped = exported(work, folder)
    for name, reason in skipped.items():
        print(f"{RUNTIMES[name][0]}: skipped, {reason}")
    rng = np.random.default_rng(0)
    z = rng.standard_normal((max(BATCHES), work.J), dtype=np.float32)
    x = work.data.pixels[: max(BATCHES)] * np.float32(work.data.scale)  # (M, D)
    results: dict[str, Any] = {"workload": str(work), "rounds": rounds, "skipped": skipped}

    for task, inputs in (("decoder", z), ("encoder", x)):
        coders = {
            name: getattr(side, task)(folder, machine.threads()) for name, side in sides.items()
        }
        results[task] = {"difference": disagreement(coders, inputs)}
        print(f"{task}: all within {max(results[task]['difference'].values()):.1e} of npvae\n")
        for M in BATCHES:
            seconds = latency(coders, inputs[:M], rounds)
            print(table(f"{task}, batch of {M}: µs", seconds, 1e6), flush=True)
            results[task][M] = times(seconds)

    seconds, memory = cold_starts(list(sides), folder, starts)
    print(table("cold start to the first image: ms", seconds, 1e3))
    print(table("resident memory then: MB", memory))
    sizes = installed(list(sides))
    print(table("installed size: MB", {k: np.array([sum(v.values())]) for k, v in sizes.items()}))
    results["cold_start"] = times(seconds)
    results["resident_mb"] = {k: [round(mb, 2) for mb in v] for k, v in memory.items()}
    results["installed_mb"] = {
        name: {need: round(mb, 2) for need, mb in parts.items()} for name, parts in sizes.items()
    }
    return results


def main() -> int:
    """Run all of it; the exit code."""
    first, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=first, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15, help="of latencies (default: 15)")
    parser.add_argument("--starts", type=int, default=11, help="of each side (default: 11)")
    options = parser.parse_args()
    if min(options.rounds, options.starts) < 1:
        parser.error(f"--rounds {options.rounds} --starts {options.starts} must be at least 1")
    about = machine.describe(PACKAGES)
    print(f"{about['cpu']}, {about['cores']} cores; NumPy with {about['blas']}")
    work = workload.models(workload.images())["P"]
    with TemporaryDirectory() as folder:
        results = compare(work, options.rounds, options.starts, Path(folder))
    print(save("deploy", results, about))
    return 0


if __name__ == "__main__":
    sys.exit(main())
