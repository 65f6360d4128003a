"""The service of ``examples/serve.py`` under load, on the loopback, every answer verified.

    python benchmarks/serve.py

Threads send requests of every kind over connections that stay open, and compare what comes back
with what the model itself gives. Then the service is told to end while requests are under way: each
of them is answered whole or refused by the connection, never in part, and the process ends with 0.
"""
import common  # isort: skip
import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
from common import machine
from train_step import save

import npvae

SERVE = common.ROOT / "examples" / "serve.py"
TOLERANCE = 1e-5  # of numbers near 1, in nats near 500: rounding of other shapes of a product
Request = tuple[str, dict[str, Any], np.ndarray]  # path, what is asked, what must come back
ANSWERS = {"/encode": "location", "/decode": "mean", "/sample": "x", "/score": "elbo"}


def requests_of(model: Any, n: int) -> list[Request]:
    """``n`` requests, of 1 to 16 rows, and their answers."""
    rng, paths = np.random.default_rng(0), [*ANSWERS]
    return [request(model, paths[i % len(paths)], int(rng.integers(1, 17)), i) for i in range(n)]


def request(model: Any, path: str, rows: int, seed: int) -> Request:
    """One of so many rows."""
    rng = np.random.default_rng(seed)
    x = rng.random((rows, model.n_features_in_)).round(3)
    z = rng.standard_normal((rows, model.latent_dim)).round(3)
    match path:
        case "/encode":
            return path, {"x": x.tolist()}, model.transform(x)
        case "/decode":
            return path, {"z": z.tolist()}, model.inverse_transform(z)
        case "/sample":
            return path, {"n": rows, "seed": seed}, model.sample(rows, rng=seed)
    return path, {"x": x.tolist()}, model.score_samples(x)


@contextmanager
def service(path: Path, *options: str) -> Iterator[tuple[subprocess.Popen, int]]:
    """The process that serves a model, and its port; killed at the end if it has not ended."""
    environment = {**os.environ, "PYTHONPATH": str(common.ROOT)}
    command = [sys.executable, str(SERVE), str(path), "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            yield process, int(line.rpartition(":")[2])
        finally:
            process.kill()


def ask(connection: HTTPConnection, path: str, asked: Any) -> tuple[int, Any]:
    """The status and the content of an answer."""
    connection.request("POST", path, asked if isinstance(asked, bytes) else json.dumps(asked))
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def right(request: Request, status: int, found: Any) -> bool:
    """Whether an answer is the one."""
    path, _, wanted = request
    values = np.array(found.get(ANSWERS[path], np.nan))
    scale = max(1.0, float(np.abs(wanted).max()))
    return (status == 200 and values.shape == wanted.shape
            and bool(np.abs(values - wanted).max() <= TOLERANCE * scale))  # fmt: skip


def load_test(port: int, requests: list[Request], clients: int) -> tuple[float, list[float], int]:
    """Seconds in all, seconds of each request, and how many answers were wrong."""

    def client(mine: list[Request]) -> list[tuple[float, bool]]:
        connection, seen = HTTPConnection("127.0.0.1", port, timeout=60), []
        for request in mine:
            began = perf_counter()
            status, found = ask(connection, *request[:2])
            seen.append((perf_counter() - began, right(request, status, found)))
        connection.close()
        return seen

    began = perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        seen = [one for part in pool.map(client, (requests[i::clients] for i in range(clients)))
                for one in part]  # fmt: skip
    return perf_counter() - began, [s for s, _ in seen], sum(not ok for _, ok in seen)


def shutdown_test(process: subprocess.Popen, port: int, requests: list[Request]) -> dict[str, int]:
    """What became of requests while the service was told to end; and its exit code."""

    def one(request: Request) -> str:
        try:
            connection = HTTPConnection("127.0.0.1", port, timeout=60)
            return "answered" if right(request, *ask(connection, *request[:2])) else "wrong"
        except (OSError, HTTPException):
            return "refused"

    with ThreadPoolExecutor(4) as pool:
        outcomes = [pool.submit(one, request) for request in requests]
        outcomes[len(requests) // 4].result()  # under way
        process.send_signal(signal.SIGTERM)
        seen = [outcome.result() for outcome in outcomes]
    counts = {outcome: seen.count(outcome) for outcome in ("answered", "refused", "wrong")}
    return counts | {"exit code": process.wait(timeout=60)}


def measure(model: Any, n: int, clients: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Both tests of a model: what goes into the results."""
    requests = requests_of(model, n)
    with TemporaryDirectory() as folder:
        model.save(path := Path(folder, "model.npz"))
        with service(path) as (process, port):
            load_test(port, requests[: n // 10 + 4], clients)  # warm
            seconds, each, wrong = load_test(port, requests, clients)
            ended = shutdown_test(process, port, requests[:40])
    p50, p99 = np.percentile(each, (50, 99))
    tell(f"{n} requests by {clients} clients, {wrong} wrong answers: {n / seconds:,.0f} a second, "
         f"median {1e3 * p50:.1f} ms, 99th percentile {1e3 * p99:.1f} ms")  # fmt: skip
    tell("at the end: " + ", ".join(f"{count} {name}" for name, count in ended.items()))
    return {"requests": n, "clients": clients, "wrong": wrong, "requests_per_second": n / seconds,
            "median_ms": 1e3 * p50, "p99_ms": 1e3 * p99, "shutdown": ended}  # fmt: skip


def main() -> int:
    """Run all of it; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--clients", type=int, default=8)
    options = parser.parse_args()
    vae = npvae.VAE(20, (500,), random_state=0).initialize(784)
    results = measure(vae, options.requests, options.clients, print)
    print(save("serve", results, machine.describe(("numpy", "waitress"))))
    return int(results["wrong"] or results["shutdown"]["wrong"])


if __name__ == "__main__":
    sys.exit(main())
