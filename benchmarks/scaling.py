"""How training scales with the number of processes: measured here, and a model of what it costs.

    python benchmarks/scaling.py

It writes the numbers to ``results/scaling.json`` and the tables into ``scaling.md``. Steps of
data-parallel training are timed by turns on one rank and on two, each with one thread, and an
Allreduce of 16 bytes to 16 MB. Taken are the tenth percentile of steps and the fastest Allreduce,
of all rounds the least. A step of n ranks on M rows is then taken to cost

    t(n, M) = a + b P M/n + c P + [n > 1] (t₂ + 2 α ⌈log₂ n⌉ + 2 (n − 1)/n · 4P/β)

a, b and c are fitted to one rank's steps, of two models with P parameters (b P is what a row
costs); α, the latency of a message, and β, the bandwidth, to the Allreduces; t₂ is what is left of
two ranks' steps, where they take cores, caches and memory from one another and from whatever else
the machine does. More ranks are predicted for the network that ``--alpha`` and ``--beta`` say, and
without t₂.
"""
import common  # noqa: F401  isort: skip
import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from math import ceil, log2
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from common import machine
from train_step import save

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "benchmarks" / "scaling.md"
BEGIN, END = "<!-- what scaling.py has written -->", "<!-- and no more -->"
D, J, ROWS, EPOCHS = 784, 20, 2048, 4  # the first epoch is left out
HIDDEN = (100, 500)
BATCHES = (64, 256, 1024)
SIZES = [2**k for k in range(4, 25, 4)]  # bytes of an Allreduce
RANKS = [2**k for k in range(3, 11)]
LARGE_N = 10**10  # rows

CHILD = """if True:
    import json, sys, time
    sys.path.insert(0, sys.argv[1])
    from mpi4py import MPI
    import numpy as np
    import npvae
    from npvae.training import TrainStep
    times, advance = [], TrainStep.advance
    def timed(self):
        began = time.perf_counter()
        advance(self, 1)
        times.append(time.perf_counter() - began)
    TrainStep.advance = timed
    comm, plan = MPI.COMM_WORLD, json.loads(sys.argv[2])
    X, found = np.random.default_rng(0).integers(0, 256, (plan["rows"], plan["D"]), np.uint8), {}
    for hidden in plan["hidden"]:
        for M in plan["batches"]:
            vae = npvae.VAE(latent_dim=plan["J"], hidden=(hidden,), batch_size=M, random_state=0,
                            epochs=plan["epochs"], verbose=False)
            times.clear()
            vae.fit(npvae.data.Dataset(X), comm=comm)
            warm = times[len(times) // plan["epochs"]:]
            found[f"{hidden} {M}"] = float(np.percentile(warm, 10))
    sums = {}
    for size in plan["sizes"]:
        buffer = np.zeros(size // 4, np.float32)
        times = []
        for _ in range(30):
            comm.Barrier()
            began = time.perf_counter()
            comm.Allreduce(MPI.IN_PLACE, buffer)
            times.append(time.perf_counter() - began)
        sums[size] = min(times)
    if comm.rank == 0:
        print(json.dumps({"steps": found, "sums": sums}))
"""


def measure(n: int) -> dict[str, Any]:
    """Seconds a step and an Allreduce of ``n`` ranks."""
    beside = Path(sys.executable).with_name("mpiexec")
    plan = {"rows": ROWS, "D": D, "J": J, "hidden": HIDDEN, "epochs": EPOCHS, "sizes": SIZES,
            "batches": [*BATCHES, *(n * M for M in BATCHES if n * M not in BATCHES)]}  # fmt: skip
    launcher = str(beside) if beside.exists() else "mpiexec"
    done = subprocess.run(
        [launcher, "-n", str(n), sys.executable, "-W", "ignore", "-c", CHILD, str(ROOT),
         json.dumps(plan)],
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def parameters(hidden: int) -> int:
    """P of the model with so many hidden units."""
    encoder = (D + 1) * hidden + (hidden + 1) * 2 * J
    return encoder + (J + 1) * hidden + (hidden + 1) * D


def step_model(cost: dict[str, float], n: int, M: int, P: int, work: float) -> float:
    """Seconds of a step; ``work`` is what a row costs."""
    alone = cost["a"] + work * M / n + cost["c"] * P
    if n == 1:
        return alone
    return alone + cost["t2"] + allreduce(cost, n, 4 * P)


def allreduce(cost: dict[str, float], n: int, size: int) -> float:
    """Seconds of an Allreduce of so many bytes: reduce-scatter and gather."""
    return 2 * cost["alpha"] * ceil(log2(n)) + 2 * (n - 1) / n * size / cost["beta"]


def fit(one: dict[str, float], two: dict[str, float], sums: dict[int, float]) -> dict[str, Any]:
    """The costs, by least squares of relative errors."""
    rows, times = [], []
    for key, t in one.items():
        hidden, M = map(int, key.split())
        P = parameters(hidden)
        rows.append([1, M * P, P])  # a row's products take a time that is proportional to P
        times.append(t)
    A, t = np.array(rows, float), np.array(times)
    a, b, c = nonnegative(A / t[:, None])
    A2 = np.array([[2.0, size] for size in sums])  # 2 α log₂ 2, and 2 · ½ size / β
    alpha, inverse = nonnegative(A2 / np.array(list(sums.values()))[:, None])
    cost = {"a": a, "b": b, "c": c, "alpha": alpha, "beta": 1 / inverse, "t2": 0.0}
    left = [t - step_model(cost, 2, M, parameters(h), b * parameters(h))
            for key, t in two.items() for h, M in [map(int, key.split())]]  # fmt: skip
    return cost | {"t2": max(0.0, median(left))}


def nonnegative(A: np.ndarray) -> list[float]:
    """x ≥ 0 with A x nearest to 1; what would be below 0 is left out."""
    use = list(range(A.shape[1]))
    while True:
        x = np.linalg.lstsq(A[:, use], np.ones(len(A)), rcond=None)[0]
        if (x >= 0).all():
            break
        use.remove(use[int(x.argmin())])
    full = np.zeros(A.shape[1])
    full[use] = x
    return full.tolist()


def predict(cost: dict[str, float], P: int) -> list[dict[str, float]]:
    """Speed-up by the number of ranks, of one minibatch shared and of one that grows with them."""
    work = cost["b"] * P
    table = []
    for n in [1, 2, 4, *RANKS]:
        row: dict[str, float] = {"ranks": n}
        for M in (1000, 10_000, 100_000):
            row[f"strong {M}"] = step_model(cost, 1, M, P, work) / step_model(cost, n, M, P, work)
        M = 100 * n
        weak = step_model(cost, n, M, P, work)
        row["weak"] = n * step_model(cost, 1, 100, P, work) / weak
        row["hours"] = LARGE_N / M * weak / 3600
        table.append(row)
    return table


def tables(one: Any, two: Any, cost: Any, predicted: Any) -> Iterator[str]:
    """The page's tables, in Markdown."""
    def table(head: str, rows: list[list[str]]) -> str:
        names = head.split("|")
        lines = [names, ["---"] + ["---:"] * (len(names) - 1), *rows]
        return "\n".join(f"| {' | '.join(map(str.strip, line))} |" for line in lines)

    rows = []
    for key, t in one.items():
        hidden, M = map(int, key.split())
        P = parameters(hidden)
        model = [step_model(cost, n, M, P, cost["b"] * P) for n in (1, 2)]
        weak = 2 * t / two[f"{hidden} {2 * M}"]
        rows.append([str(hidden), str(M), *(f"{1e3 * x:.2f}" for x in (t, model[0], two[key],
                     model[1])), f"{t / two[key]:.2f}", f"{weak:.2f}"])  # fmt: skip
    yield "Measured, ms a step, and the model of it; the speed-up of two ranks that share M rows \
(strong), and of two that have M each (weak)."
    yield table("hidden|M|one rank|model|two ranks|model|strong|weak", rows)
    yield (f"Fitted here: a = {1e3 * cost['a']:.2g} ms, b = {1e12 * cost['b']:.3g} ps, "
           f"c = {1e12 * cost['c']:.3g} ps, α = {1e6 * cost['alpha']:.2g} µs, "
           f"β = {cost['beta'] / 1e9:.2g} GB/s, t₂ = {1e3 * cost['t2']:.2g} ms.")  # fmt: skip
    for hidden, found in predicted.items():
        P = parameters(hidden)
        yield (f"Predicted for {hidden} hidden units, P = {P:,}: the speed-up over one rank, of "
               "one minibatch shared, and of 100 rows a rank; and the hours of an epoch of 10¹⁰ "
               "rows at those.")  # fmt: skip
        yield table("ranks|M = 1,000|M = 10,000|M = 100,000|100 a rank|hours", [
            [str(int(row["ranks"])), *(f"{row[k]:.3g}" for k in (
                "strong 1000", "strong 10000", "strong 100000", "weak", "hours"))]
            for row in found
        ])  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=4, help="of one rank and of two, by turns")
    parser.add_argument("--alpha", type=float, default=5e-6, help="seconds, of the network assumed")
    parser.add_argument("--beta", type=float, default=1e10, help="bytes a second, of that network")
    arguments = parser.parse_args()
    rounds = [(measure(1), measure(2)) for _ in range(arguments.rounds)]

    def least(i: int, part: str) -> dict[str, float]:
        """Of all rounds: what disturbs two processes that wait for one another only adds to it."""
        keys = rounds[0][i][part]
        return {k: float(np.min([r[i][part][k] for r in rounds])) for k in keys}

    one, two = least(0, "steps"), least(1, "steps")
    sums = {int(size): t for size, t in least(1, "sums").items()}
    cost = fit(one, two, sums)
    network = cost | {"alpha": arguments.alpha, "beta": arguments.beta, "t2": 0.0}
    predicted = {hidden: predict(network, parameters(hidden)) for hidden in HIDDEN}
    text = "\n\n".join(tables(one, two, cost, predicted))
    print(text)
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.partition(END)[2]}", "utf-8")
    results = {"one": one, "two": two, "sums": sums, "cost": cost, "rounds": rounds,
               "network": {"alpha": arguments.alpha, "beta": arguments.beta},
               "predicted": predicted}  # fmt: skip
    print(save("scaling", results, machine.describe(("numpy", "mpi4py", "mpich"))))


if __name__ == "__main__":
    main()
