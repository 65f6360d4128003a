"""Large inputs in little memory: log p(x) by many samples, and the encoding of a file.

    python benchmarks/likelihood.py                        1,000 images, 5,000 samples each
    python benchmarks/likelihood.py --rows 10000000        a larger file to encode
    python benchmarks/likelihood.py --profile              where the estimate's own time goes

The estimate is timed against its own matrix products alone, in interleaved rounds. The peak of
what Python and NumPy allocate is compared for few and for many samples. Then a memory-mapped
file of bytes is encoded, of which only a chunk of rows is ever in the process's own memory.
"""
import common  # noqa: F401  isort: skip
import argparse
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from functools import partial
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any
from unittest.mock import patch

import numpy as np
from common import machine, timing, workload
from common.resident import resident
from common.step_profile import Stopwatch
from common.workload import Workload, replace_ops
from train_step import save

import npvae
from npvae.data import Dataset
from npvae.evaluation import importance
from npvae.ops.cpu.blas import one_thread_each

FEW = 500  # samples, whose memory is compared with that of the samples asked for
COLUMNS = 64  # of the file to encode
ROUNDS = 10
BLOCK = 100_000  # rows written at a time


def estimate(work: Workload, images: int, samples: int) -> dict[str, Any]:
    """Seconds for log p(x) of so many images, and for its matrix products alone."""
    rounds = min(ROUNDS, images)
    count = images // rounds
    vae, turns, calls = work.vae(), cycle(range(0, len(work.data) - count + 1, count)), []
    engine, ops = vae.engine_, vae.engine_.ops

    def score(count: int) -> None:
        vae.log_likelihood(part(work.data, next(turns), count), samples, rng=0)

    def record(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> np.ndarray:
        calls.append((a, b, out))
        return ops.gemm(a, b, out)

    def products(count: int) -> None:
        for a, b, out in calls:
            np.matmul(a, b, out=out)

    score(count)  # allocates the buffers that the products are then written down with
    replace_ops(engine, gemm=record)
    with patch("npvae.backend.one_thread_each", one_thread):  # another thread has ops of its own
        score(count)
    replace_ops(engine, gemm=ops.gemm)
    seconds = timing.interleaved({"npvae": score, "products": products}, count, rounds)
    total = {name: float(times.sum()) * count for name, times in seconds.items()}
    return {
        "workload": str(work), "images": count * rounds, "samples": samples,
        "seconds": total["npvae"], "products_seconds": total["products"],
        "ratio": float(np.median(seconds["npvae"] / seconds["products"])),
        "sides": {k: timing.summary(times, seconds["npvae"]) for k, times in seconds.items()},
    }  # fmt: skip


def part(data: Dataset, first: int, count: int) -> Dataset:
    """Some of the images."""
    return Dataset(data.pixels[first : first + count], name=data.name, scale=data.scale)


def peak(call: Callable[[], Any]) -> tuple[Any, float]:
    """What ``call`` gives, and by how many megabytes its allocations rose at their peak."""
    tracemalloc.start()
    try:
        result = call()
        return result, tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def peaks(work: Workload, samples: int) -> dict[int, float]:
    """Megabytes that estimating two images takes at its peak, the buffers included."""
    data, result = part(work.data, 0, 2), {}
    for S in (FEW, samples):
        vae = work.vae()  # a new one has no buffers yet
        _, result[S] = peak(partial(vae.log_likelihood, data, S, rng=0))
    return result


def write_bytes(path: Path, rows: int) -> None:
    """A ``.npy`` of random bytes.   (rows, COLUMNS) uint8"""
    rng = np.random.default_rng(0)
    header = {"descr": "|u1", "fortran_order": False, "shape": (rows, COLUMNS)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for first in range(0, rows, BLOCK):
            file.write(rng.bytes(COLUMNS * min(BLOCK, rows - first)))


def encode_file(rows: int) -> dict[str, float]:
    """Encode a memory-mapped file of so many rows."""
    vae = npvae.VAE(2, (32,), random_state=0, verbose=False).initialize(COLUMNS)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "pixels.npy"
        write_bytes(path, rows)
        data = Dataset(np.load(path, mmap_mode="r"), scale=1 / 255)
        before = resident(), resident("RssAnon")
        began = perf_counter()
        codes, most = peak(partial(vae.transform, data))
        seconds = perf_counter() - began
        after = resident(), resident("RssAnon")
        del data
    result = codes.nbytes / 1e6
    return {
        "rows": rows, "file_mb": rows * COLUMNS / 1e6, "rows_a_second": rows / seconds,
        "resident_before_mb": before[0], "resident_after_mb": after[0],
        "own_before_mb": before[1], "own_after_mb": after[1],
        "result_mb": result, "peak_beyond_result_mb": most - result,
    }  # fmt: skip


@contextmanager
def one_thread() -> Iterator[int]:
    """A single thread, with BLAS as the estimate has it: a stopwatch knows no others."""
    with one_thread_each():
        yield 1


def profile(work: Workload, images: int, samples: int) -> None:
    """Print the own time of every part of the estimate, dearest first."""
    vae, watch = work.vae(), Stopwatch()
    data = part(work.data, 0, images)
    vae.log_likelihood(data, samples, rng=0)  # the first run allocates
    ops = vae.engine_.ops
    replace_ops(vae.engine_, **{
        field.name: watch.around(field.name, getattr(ops, field.name), field.name == "gemm")
        for field in fields(ops)
    })  # fmt: skip
    watch.wrap(importance, "row_noise", "accumulate_weights", "summary", "load_rows")
    with patch("npvae.backend.one_thread_each", one_thread):
        watch.around("log_likelihood()", vae.log_likelihood)(data, samples, rng=0)
    total = sum(watch.seconds.values())
    for name, seconds in sorted(watch.seconds.items(), key=lambda row: -row[1]):
        calls = watch.calls[name] / images
        print(f"  {name:38s}{calls:7.1f} x {1e3 * seconds / images:9.2f} ms {seconds / total:7.1%}")
    print(f"  {'an image':48s}{1e3 * total / images:9.2f} ms")


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    first, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=first, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--images", type=int, default=1000, help="to score, in ten rounds (default: 1000)")
    add("--samples", type=int, default=5000, help="for each image (default: 5000)")
    add("--rows", type=int, default=10**6, help="of the file to encode (default: 10⁶)")
    add("--profile", action="store_true", help="the estimate of 3 images, op by op")
    options = parser.parse_args()
    if options.images < 1 or options.samples < 2 or options.rows < 1:
        parser.error("--images and --rows must be at least 1, and --samples at least 2")
    return options


def main() -> int:
    """Run what was asked for; the exit code."""
    options, about = arguments(), machine.describe(("numpy",))
    print(f"{about['cpu']}, {about['cores']} cores; NumPy with {about['blas']}\n")
    work = workload.models(workload.images())["P"]
    if options.profile:
        print(f"{work}: own time and calls an image, {options.samples} samples")
        profile(work, 3, options.samples)
        return 0
    scored = estimate(work, options.images, options.samples)
    print(f"log p(x) of {scored['images']} images by {scored['samples']} samples each: "
          f"{scored['seconds']:.1f} s\n  its matrix products alone: "
          f"{scored['products_seconds']:.1f} s; the estimate takes {scored['ratio']:.2f} x as long")
    memory = peaks(work, options.samples)
    print("  memory at its peak: " + ", ".join(f"{mb:.2f} MB with {S} samples"
                                              for S, mb in memory.items()))  # fmt: skip
    file = encode_file(options.rows)
    print(f"encoding a memory-mapped file of {file['rows']:,} rows, {file['file_mb']:.0f} MB: "
          f"{file['rows_a_second']:,.0f} rows a second\n"
          f"  memory at its peak: {file['peak_beyond_result_mb']:.2f} MB beside the codes "
          f"themselves, {file['result_mb']:.1f} MB\n"
          f"  resident before and after: {file['resident_before_mb']:.0f} and "
          f"{file['resident_after_mb']:.0f} MB, of which the process's own "
          f"{file['own_before_mb']:.0f} and {file['own_after_mb']:.0f} MB, "
          "and the rest files that are mapped")
    results = {"log_likelihood": scored, "peak_mb": memory, "encode": file}
    print(save("likelihood", results, about))
    return 0


if __name__ == "__main__":
    sys.exit(main())
