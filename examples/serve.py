"""A trained model as a service: JSON in, JSON out, NumPy behind it.

    pip install 'npvae[serve]'
    python examples/serve.py model.npz --port 8000
    curl -d '{"z": [[0, 0]]}' http://127.0.0.1:8000/decode

========  ==============================  =================================================
encode    {"x": [[…], …]}                 the parameters of q(z|x) by name, and "location"
decode    {"z": [[…], …]}                 "mean": E[x|z]
sample    {"n": 5, "seed": 0}             "x": draws of E[x|z], or of x with "draw": true
score     {"x": [[…], …]}                 "elbo": of each row, nats
========  ==============================  =================================================

All are POST; GET / says what the model is. What cannot be answered is refused with a status of 4xx
and one line in "error". Waitress (https://docs.pylonsproject.org/projects/waitress) reads requests
and hands each to one of its threads; they share the model, which is checked by its golden vectors
before the first of them. SIGTERM ends the service, as a container is ended: what is being answered
is answered first.
"""
import argparse
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

# As many threads answer as there is work for; products with threads of their own would wait on one
# another. Before NumPy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

import npvae

LARGEST = 2**24  # bytes of a request
MOST = 10_000  # rows of an answer
Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Answer = dict[str, Any]


class RefusedError(Exception):
    """A request that gets no answer: a status, and the line that says why."""

    def __init__(self, status: HTTPStatus, why: str):
        super().__init__(why)
        self.status = status


def application(model: Any) -> Application:
    """A WSGI application that answers for ``model``."""

    def encode(asked: Answer) -> Answer:
        x = rows(asked, "x")
        found = {"location": model.transform(x)}
        return found | (model.posterior_of(x).parameters if model.has_bound else {})

    def decode(asked: Answer) -> Answer:
        return {"mean": model.inverse_transform(rows(asked, "z"))}

    def sample(asked: Answer) -> Answer:
        n, seed = (asked.pop(name, default) for name, default in (("n", 1), ("seed", None)))
        if not (type(n) is int and 1 <= n <= MOST):
            raise RefusedError(HTTPStatus.BAD_REQUEST, f"n={n!r:.40} is not from 1 to {MOST}")
        return {"x": model.sample(n, rng=seed, draw=asked.pop("draw", False) is True)}

    def score(asked: Answer) -> Answer:
        return {"elbo": model.score_samples(rows(asked, "x"))}

    able = [encode, decode, *([sample] if model.has_prior else []), score]
    tasks = {f"/{task.__name__}": task for task in able}
    about = {"model": repr(model), "npvae": npvae.__version__, "x": model.n_features_in_,
             "z": model.latent_dim, "tasks": [*tasks]}  # fmt: skip

    def answer(environ: dict[str, Any]) -> Answer:
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        if path == "/" and method in ("GET", "HEAD"):
            return about
        if path not in tasks:
            raise RefusedError(HTTPStatus.NOT_FOUND, f"no {path:.40}; there are {', '.join(tasks)}")
        if method != "POST":
            raise RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, f"{path} takes POST, not {method}")
        asked = body(environ)
        found = tasks[path](asked)
        if asked:
            why = f"{path} does not take {next(iter(asked))!r:.40}"
            raise RefusedError(HTTPStatus.BAD_REQUEST, why)
        return found

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        status = HTTPStatus.OK
        try:
            found = answer(environ)
        except RefusedError as error:
            status, found = error.status, {"error": str(error)}
        except (npvae.DataError, npvae.ParameterError) as error:
            status, found = HTTPStatus.BAD_REQUEST, {"error": str(error)}
        content = json.dumps(found, default=lambda array: array.tolist()).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(content)))]
        start_response(f"{status.value} {status.phrase}", headers)
        return [content]

    return serve


def body(environ: dict[str, Any]) -> Answer:
    """What a request asks: a JSON object."""
    content = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    try:
        asked = json.loads(content)
    except (ValueError, RecursionError) as error:
        why = " ".join(str(error).split())[:100]
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"the request is not JSON: {why}") from error
    if not isinstance(asked, dict):
        raise RefusedError(HTTPStatus.BAD_REQUEST, "the request is not a JSON object")
    return asked


def rows(asked: Answer, name: str) -> np.ndarray:
    """The rows of numbers that a request has under ``name``; the model says whether they fit."""
    if name not in asked:
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"the request has no {name!r}, rows of numbers")
    try:
        array = np.asarray(asked.pop(name), np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        why = f"{name!r} holds no rows of numbers of one length"
        raise RefusedError(HTTPStatus.BAD_REQUEST, why) from error
    if len(array.shape) != 2 or len(array) > MOST:
        why = f"{name!r} has shape {array.shape}; give rows of numbers, at most {MOST}"
        raise RefusedError(HTTPStatus.BAD_REQUEST, why)
    return array


def end(*_: Any) -> None:
    """A signal's handler: Waitress ends at this, and its threads with what they have in hand."""
    raise SystemExit(0)


def main() -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", help="a file that save has written")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 in a container")
    parser.add_argument("--port", type=int, default=8000, help="0 for any that is free")
    parser.add_argument("--threads", type=int, default=4, help="that answer (default: 4)")
    options = parser.parse_args()
    try:
        import waitress
    except ImportError:
        parser.error("this needs waitress, which is not installed: pip install 'npvae[serve]'")
    try:
        model = npvae.load(options.model, check=True)
    except npvae.NpvaeError as error:
        parser.error(str(error))
    server = waitress.create_server(
        application(model), host=options.host, port=options.port, threads=options.threads,
        max_request_body_size=LARGEST, ident="npvae",
    )  # fmt: skip
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a queue is no fault
    signal.signal(signal.SIGTERM, end)
    print(f"serving on http://{options.host}:{server.effective_port}", flush=True)
    server.run()
    server.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
