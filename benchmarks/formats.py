"""Model P in every format that it is exported to: size, cold start, and latency of decoding.

    python benchmarks/formats.py

The formats are run by what they are for: NumPy, ONNX Runtime, PyTorch, a C compiler, Node. First
each is shown to be the same model. Then: the bytes that are shipped; the cold start, from the
start of a process to its first image; and the latency of decoding, in interleaved rounds, each on
one row and on a hundred. C and JavaScript decode row by row. What is not installed is left out.
"""
import common  # isort: skip
import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from common import machine, timing, workload
from train_step import save

from npvae import VAE, MissingExtraError, load
from npvae.estimators.exporting import check
from npvae.export import FORMATS

BATCHES = (1, 100)
ROWS = 500  # that C and Node decode in a round
PYTHON = "import numpy as np; z = np.zeros((1, 20), 'f4'); "
# format: what a fresh process is told that decodes one image, the folder being its own
FIRST_IMAGE = {
    "npz": PYTHON + "import npvae; print(npvae.load('p.npz').inverse_transform(z).shape)",
    "safetensors":
        PYTHON + "import npvae; print(npvae.load('p.safetensors').inverse_transform(z).shape)",
    "onnx":
        PYTHON + "import onnxruntime; print(onnxruntime.InferenceSession('onnx/decoder.onnx', "
        "providers=['CPUExecutionProvider']).run(None, {'z': z})[0].shape)",
    "python": PYTHON + "import p; print(p.decode(z).shape)",
    "torch":
        "import torch, t; print(t.Model.load().decode(torch.zeros(1, 20))['mean'].shape)",
    "c": "",
    "js": "const p = await import(process.cwd() + '/p.mjs'); "
          "console.log(p.decode(new Array(20).fill(0)).length)",
}  # fmt: skip
NAMES = {"npz": "p.npz", "safetensors": "p.safetensors", "onnx": "onnx", "python": "p.py",
         "torch": "t.py", "c": "p.h", "js": "p.mjs"}  # fmt: skip
C_PROGRAM = """
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "p.h"
int main(int argc, char **argv)
{
    static float z[20], x[784];
    int n = argc > 1 ? atoi(argv[1]) : 1;
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    for (int i = 0; i < n; i++) {
        z[0] = x[0];
        npvae_decode(z, x);
    }
    clock_gettime(CLOCK_MONOTONIC, &b);
    printf("%.9f\\n", (b.tv_sec - a.tv_sec + 1e-9 * (b.tv_nsec - a.tv_nsec)) / n);
    return 0;
}
"""
NODE_LOOP = (
    "const p = await import(process.cwd() + '/p.mjs'); let z = new Array(20).fill(0); "
    "for (let i = 0; i < 200; i++) p.decode(z); const a = performance.now(); "
    "const n = {n}; for (let i = 0; i < n; i++) z[0] = p.decode(z)[0]; "
    "console.log((performance.now() - a) / 1000 / n)"
)


def shipped(vae: VAE, folder: Path) -> tuple[dict[str, int], dict[str, str]]:
    """Bytes of every format whose runtime is here, the same model each; and why others are not."""
    vae.save(folder / "p.npz")
    sizes, skipped = {"npz": (folder / "p.npz").stat().st_size}, {}
    for name, path in list(NAMES.items())[1:]:
        try:
            files = vae.export(folder / path, FORMATS[name].name)
            found = check(vae, folder / path, name)
        except (MissingExtraError, KeyError) as error:
            skipped[name] = str(error)
            continue
        if not found.ok:
            raise SystemExit(f"{name} is not the same model:\n{found}")
        sizes[name] = sum(file.stat().st_size for file in files)
    if "c" in sizes:
        (folder / "p.c").write_text(C_PROGRAM)
        subprocess.run([shutil.which("cc") or "gcc", "-O3", "-march=native", "p.c", "-o", "p",
                        "-lm"], cwd=folder, check=True)  # fmt: skip
    return sizes, skipped


def command(name: str) -> list[str]:
    """What decodes one image in a process of its own."""
    if name == "c":
        return ["./p"]
    if name == "js":
        return ["node", "--input-type=module", "-e", FIRST_IMAGE[name]]
    return [sys.executable, "-c", FIRST_IMAGE[name]]


def cold_starts(names: list[str], folder: Path, rounds: int) -> dict[str, np.ndarray]:
    """Seconds from the start of a process to its first line."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPATH"] = f"{common.ROOT}{os.pathsep}{folder}"

    def start(name: str) -> Callable[[int], None]:
        def run(times: int) -> None:
            for _ in range(times):
                subprocess.run(command(name), cwd=folder, env=environment, check=True,
                               stdout=subprocess.DEVNULL)  # fmt: skip

        return run

    return timing.interleaved({name: start(name) for name in names}, 1, rounds)


def latencies(
    vae: VAE, names: list[str], folder: Path, rows: int, rounds: int
) -> dict[str, np.ndarray]:
    """Seconds to decode so many rows at once; in C and JavaScript so many times one."""
    z = np.random.default_rng(0).standard_normal((rows, 20), dtype=np.float32)
    decoders: dict[str, Callable[[np.ndarray], object]] = {}
    for name in (name for name in names if name not in ("c", "js")):
        path, runner = folder / NAMES[name], FORMATS[name].open if name in FORMATS else None
        decoders[name] = load(path).inverse_transform if runner is None else runner(path).decode
    runs = {name: repeat(decode, z) for name, decode in decoders.items()}
    seconds = timing.interleaved(runs, timing.steps_a_round(runs["npz"]), rounds)
    for name, loop in (
        ("c", ["./p", str(ROWS)]),
        ("js", ["node", "--input-type=module", "-e", NODE_LOOP.replace("{n}", str(ROWS))]),
    ):
        if name in names:
            said = [subprocess.run(loop, cwd=folder, check=True, capture_output=True, text=True)
                    for _ in range(3)]  # fmt: skip
            seconds[name] = rows * np.array([float(done.stdout) for done in said])
    return seconds


def repeat(decode: Callable[[np.ndarray], object], z: np.ndarray) -> Callable[[int], None]:
    """Calls of one decoder."""
    def run(calls: int) -> None:
        for _ in range(calls):
            decode(z)

    return run


def main() -> int:
    """Run all of it; the exit code."""
    first, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=first, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15, help="of latencies (default: 15)")
    parser.add_argument("--starts", type=int, default=11, help="of each format (default: 11)")
    options = parser.parse_args()
    about = machine.describe(("numpy", "onnxruntime", "torch"))
    work = workload.models(workload.images())["P"]
    vae = work.vae()
    with TemporaryDirectory() as place:
        folder = Path(place)
        sizes, skipped = shipped(vae, folder)
        names = list(sizes)
        starts = cold_starts(names, folder, options.starts)
        found = {rows: latencies(vae, names, folder, rows, options.rounds) for rows in BATCHES}
    results: dict[str, object] = {"workload": str(work), "skipped": skipped}
    print(f"{'format':12s}{'kB':>9s}{'start, ms':>11s}{'1 row, µs':>11s}{'100 rows, µs':>14s}")
    for name in names:
        start, one, many = (1e3 * np.median(starts[name]),
                            *(1e6 * np.median(found[rows].get(name, np.nan)) for rows in BATCHES))
        print(f"{name:12s}{sizes[name] / 1e3:9,.0f}{start:11.0f}{one:11.0f}{many:14.0f}")
        results[name] = {
            "bytes": sizes[name], "cold_start_ms": round(start, 2),
            "decode_us": {"1": round(one, 2), "100": round(many, 2)},
        }  # fmt: skip
    for name, reason in skipped.items():
        print(f"{name}: skipped, {reason}")
    print(save("formats", results, about))
    return 0


if __name__ == "__main__":
    sys.exit(main())
