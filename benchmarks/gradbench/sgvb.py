"""The eval ``sgvb``: minus the lower bound of a VAE, and its gradient, at given noise.

Parameters, data and noise are in the input, so the function is deterministic, and tools can be held
to one another and to a truth. That truth is :mod:`common.bound` evaluated by NumPy: the value,
and along random directions its derivative by the complex step, exact to rounding. A direction
moves one block of parameters (a weight or a bias) at a time, so each is checked by itself.
"""
import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from itertools import count, product
from typing import Any, TextIO

import numpy as np
from common.bound import loss

TOLERANCE = 1e-10  # relative; rounding of some thousand terms in float64 is a thousandth of that
STEP = 1e-30  # of the complex step, whose error is its square
DIRECTIONS = 2  # a block


def arguments(parser: ArgumentParser) -> None:
    """What the eval can be told."""
    add, sizes = parser.add_argument, {"type": int, "nargs": "+"}
    add("-d", **sizes, default=[784], help="D, data variables")
    add("-w", **sizes, default=[100, 500], help="width of the hidden layers")
    add("-j", **sizes, default=[20], help="J, latents")
    add("-n", **sizes, default=[1, 100], help="M, datapoints of the minibatch")
    add("--depth", **sizes, default=[1, 2], help="hidden layers of each network")
    add("--seed", type=int, default=0, help="of parameters, data and noise")
    add("--min-runs", type=int, default=1, help="of each function and input, at least")
    add("--min-seconds", type=float, default=1, help="of each function and input, at least")


def inputs(options: Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    """Descriptions, and what they describe.

    Weights are N(0, 1/in) and biases N(0, 0.01), so that every block has a gradient worth the name.
    """
    o = options
    for D, M, W, depth, J in product(o.d, o.n, o.w, o.depth, o.j):
        rng = np.random.default_rng(o.seed)
        parameters = {
            name: rng.normal(0, scale, shape).tolist()
            for name, shape, scale in blocks(D, W, depth, J)
        }
        x, eps = rng.random((M, D)), rng.standard_normal((M, J))
        given = {"parameters": parameters, "x": x.tolist(), "eps": eps.tolist()}
        yield f"D={D},M={M},W={W},depth={depth},J={J}", given


def blocks(D: int, W: int, depth: int, J: int) -> Iterator[tuple[str, tuple[int, ...], float]]:
    """Name, shape and standard deviation of every block of parameters."""
    for network, n, heads in (("encoder", D, {"mean": J, "logvar": J}),
                              ("decoder", J, {"logits": D})):  # fmt: skip
        layers = {f"hidden.{i}": (W, n if i == 0 else W) for i in range(depth)}
        layers |= {head: (size, W if depth else n) for head, size in heads.items()}
        for layer, shape in layers.items():
            yield f"{network}.{layer}.weight", shape, shape[1] ** -0.5
            yield f"{network}.{layer}.bias", shape[:1], 0.1


def mistake(function: str, given: dict[str, Any], output: Any) -> str:
    """What is wrong with an output; nothing if nothing is."""
    theta = {name: np.array(values) for name, values in given["parameters"].items()}
    x, eps = np.array(given["x"]), np.array(given["eps"])
    value = float(loss(np, theta, x, eps))
    if function == "objective":
        return "" if abs(output - value) <= TOLERANCE * abs(value) else f"{output} is not {value}"
    if output.keys() != theta.keys():
        return f"gradients of {', '.join(output)} are not those of {', '.join(theta)}"
    rng = np.random.default_rng(len(x))
    for name, block in theta.items():
        d = np.array(output[name])
        if d.shape != block.shape:
            return f"{name} has shape {d.shape}, not {block.shape}"
        for _ in range(DIRECTIONS):
            v = rng.standard_normal(block.shape)
            truth = loss(np, theta | {name: block + 1j * STEP * v}, x, eps).imag / STEP
            if not abs(np.vdot(d, v) - truth) <= TOLERANCE * np.linalg.norm(d):
                return f"{name}: along a direction {np.vdot(d, v)}, not {truth}"
    return ""


def converse(options: Namespace, out: TextIO = sys.stdout, responses: TextIO = sys.stdin) -> None:
    """Ask a tool for everything; as GradBench has its evals do."""
    ids = count()

    def send(**message: Any) -> dict[str, Any]:
        print(json.dumps({"id": (number := next(ids))} | message), file=out, flush=True)
        response = json.loads(responses.readline())
        if response["id"] != number:
            raise SystemExit(f"response {response['id']} to message {number}")
        return response

    send(kind="start", eval="sgvb", config=vars(options))
    if not send(kind="define", module="sgvb")["success"]:
        return
    runs = {"min_runs": options.min_runs, "min_seconds": options.min_seconds}
    for description, given in inputs(options):
        for function in ("objective", "gradient"):
            response = send(
                kind="evaluate", module="sgvb", function=function, input=given | runs,
                description=description,
            )  # fmt: skip
            if response["success"]:
                error = mistake(function, given, response["output"])
                analysis = {"valid": False, "error": error} if error else {"valid": True}
                send(kind="analysis", of=response["id"], **analysis)
