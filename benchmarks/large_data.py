"""Data larger than memory: memory by the number of rows, and throughput beside data in memory.

    python benchmarks/large_data.py

Memory is the peak of a process that trains for an epoch on a sparse file, which takes no room on
the disk: of 10⁸ rows, and of a tenth as many. Throughput is that of epochs, by turns on rows that
stay on the disk and on the same rows in memory, by the clock and by the processor's time of all
threads, which no other process disturbs. The file has been read before, so what is timed is
reading, shuffling and copying, not the disk.
"""
import common  # noqa: F401  isort: skip
import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import numpy as np
from common import machine
from train_step import save

ROOT = Path(__file__).parents[1]
CHILD = """if True:
    import resource, sys, warnings
    warnings.simplefilter('ignore')
    sys.path.insert(0, sys.argv[2])
    import npvae
    from npvae.data import disk_rows, load_file
    disk_rows.LARGE = 0
    data = load_file(sys.argv[1])
    npvae.VAE(latent_dim=2, hidden=(4,), batch_size=50_000, epochs=1, random_state=0).fit(data)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def peak_memory(rows: int, folder: Path) -> float:
    """MB at the peak of a process that trains on so many rows of 16 bytes."""
    path = folder / "sparse.npy"
    np.lib.format.open_memmap(path, "w+", np.uint8, (rows, 16))  # a hole of zeros
    command = [sys.executable, "-c", CHILD, path, ROOT]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


def throughput(rounds: int, folder: Path) -> dict[str, Any]:
    """Seconds an epoch on the disk and in memory, by turns; 40,000 rows of 784 bytes."""
    from npvae import VAE
    from npvae.data import Dataset
    from npvae.data.disk_rows import npy_rows
    from npvae.training import loop, windows

    windows.WINDOW = 2**23  # four windows an epoch
    X = np.random.default_rng(0).integers(0, 256, (40_000, 784), np.uint8)
    np.save(folder / "x.npy", X)
    data = {"disk": Dataset(npy_rows(folder / "x.npy"), scale=1 / 255),
            "memory": Dataset(X, scale=1 / 255)}  # fmt: skip
    models = {name: VAE(latent_dim=20, hidden=(200,), epochs=1, random_state=0) for name in data}
    for name in data:
        models[name].fit(data[name])
    found = dict[str, Any]()
    for clock in (perf_counter, process_time):
        loop.perf_counter = clock  # by which an epoch is timed
        seconds = {name: list[float]() for name in data}
        for _ in range(rounds):
            for name in data:
                models[name].partial_fit(data[name])
                seconds[name].append(models[name].history_["seconds"][-1])
        ratios = [a / b for a, b in zip(seconds["disk"], seconds["memory"], strict=True)]
        found[clock.__name__] = {"seconds": seconds, "ratio": median(ratios)}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10**8, help="of the sparse file")
    parser.add_argument("--rounds", type=int, default=5, help="of the throughput")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = throughput(arguments.rounds, Path(folder))
        for clock, one in found.items():
            print(f"an epoch from the disk takes {one['ratio']:.3f} of one in memory, by {clock}")
        sizes = [arguments.rows // 10, arguments.rows]
        memory = {rows: peak_memory(rows, Path(folder)) for rows in sizes}
    for rows, peak in memory.items():
        print(f"{rows:>13,} rows: a peak of {peak:.0f} MB, for a file of {16 * rows / 2**20:.0f}")
    results = {"throughput": found, "peak_mb": {str(n): peak for n, peak in memory.items()}}
    print(save("large_data", results, machine.describe(("numpy",))))


if __name__ == "__main__":
    main()
