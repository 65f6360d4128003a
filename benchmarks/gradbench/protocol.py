"""A tool's side of GradBench's protocol: a message a line in, a response with its id a line out.

    start      the eval says its name, the tool says its own
    define     asks for a module; here one is a file in the folder of the tool
    evaluate   a function of the module at an input → its output, and the time of every run
    analysis   what the eval thinks of an output; only to be acknowledged

An input that has ``min_runs`` and ``min_seconds`` is evaluated until both are reached. Only the
function is timed, not what makes arrays of JSON and JSON of arrays.
"""
import json
from collections.abc import Iterable, Iterator
from importlib import import_module
from time import perf_counter_ns
from typing import Any

TOOLS = ("npvae", "jax", "torch")


def responses(tool: str, lines: Iterable[str]) -> Iterator[str]:
    """What a tool answers, line by line."""
    for line in lines:
        yield json.dumps(respond(tool, json.loads(line)))


def respond(tool: str, message: dict[str, Any]) -> dict[str, Any]:
    """One message's response. What a tool cannot do it says, and goes on."""
    response: dict[str, Any] = {"id": message["id"]}
    if message["kind"] == "start":
        return response | {"tool": tool}
    if message["kind"] not in ("define", "evaluate"):
        return response
    try:
        module = import_module(f"gradbench.with_{tool}.{message['module']}")
        result = evaluate(module, message) if message["kind"] == "evaluate" else {}
    except Exception as error:  # whatever it is: the eval is told, and decides
        return response | {"success": False, "error": f"{type(error).__name__}: {error}"}
    return response | {"success": True} | result


def evaluate(module: Any, message: dict[str, Any]) -> dict[str, Any]:
    """The output, and the nanoseconds of every run."""
    given, function = message["input"], module.FUNCTIONS[message["function"]]
    runs = given if isinstance(given, dict) else {}  # hello's is a number
    least, nanoseconds = runs.get("min_runs", 1), 1e9 * runs.get("min_seconds", 0)
    arguments, timings = module.prepare(given), []
    while len(timings) < max(1, least) or sum(timings) < nanoseconds:
        began = perf_counter_ns()
        output = function(*arguments)
        timings.append(perf_counter_ns() - began)
    output = plain(output)
    json.dumps(output, allow_nan=False)  # JSON knows no NaN and no infinity
    return {
        "output": output,
        "timings": [{"name": "evaluate", "nanoseconds": t} for t in timings],
    }


def plain(value: Any) -> Any:
    """Numbers and lists of numbers, of any library's arrays."""
    if isinstance(value, dict):
        return {name: plain(v) for name, v in value.items()}
    return value if isinstance(value, (int, float)) else value.tolist()
