"""The intermediary: an eval and a tool as two processes, each reading what the other wrote.

GradBench's own does the same; with it, ``--tool "$ python .../benchmarks/gradbench tool npvae"``
runs the tool, and ``--eval "$ python .../benchmarks/gradbench eval sgvb"`` the eval.
"""
import json
import os
import shlex
import sys
from pathlib import Path
from statistics import median
from subprocess import PIPE, Popen
from typing import Any

HERE = Path(__file__).resolve().parent
OURS = ("sgvb",)


def eval_command(words: str, clone: Path | None) -> tuple[list[str], dict[str, Any]]:
    """How an eval is started, with options behind its name: one of ours, or a clone's.

    Raises
    ------
    SystemExit
        If it is in neither.
    """
    name, *options = shlex.split(words)
    if name in OURS:
        return [sys.executable, str(HERE), "eval", name, *options], {}
    if clone is None:
        raise SystemExit(f"{name} is an eval of GradBench: pass --clone with its repository")
    package = clone.resolve() / "python" / "gradbench"
    script = package / "gradbench" / "evals" / name / "run.py"
    if not script.exists():
        raise SystemExit(f"{name} is no eval: {script} does not exist")
    where = {"cwd": clone, "env": os.environ | {"PYTHONPATH": str(package)}}
    return [sys.executable, str(script), *options], where


def hold(words: str, tool: str, clone: Path | None = None) -> list[dict[str, Any]]:
    """One session, from start to end → a record of every evaluation."""
    command, where = eval_command(words, clone)
    pipes: dict[str, Any] = {"stdin": PIPE, "stdout": PIPE, "text": True, "bufsize": 1}
    records: dict[int, dict[str, Any]] = {}
    with (
        Popen(command, **pipes, **where) as asking,
        Popen([sys.executable, str(HERE), "tool", tool], **pipes) as answering,
    ):
        assert asking.stdin and asking.stdout and answering.stdin and answering.stdout
        for line in asking.stdout:
            answering.stdin.write(line)
            answer = answering.stdout.readline()
            if not answer:
                raise SystemExit(f"{tool} ended in the middle of {words}")
            note(records, tool, json.loads(line), json.loads(answer))
            asking.stdin.write(answer)
    if asking.returncode:
        raise SystemExit(f"{words} ended with {asking.returncode}")
    return list(records.values())


def note(
    records: dict[int, dict[str, Any]], tool: str, message: dict[str, Any],
    response: dict[str, Any],
) -> None:  # fmt: skip
    """Keep of a message and its response what a table shows: neither inputs nor outputs."""
    kind = message["kind"]
    if kind == "define" and not response["success"]:
        records[message["id"]] = {
            "eval": message["module"], "function": "", "description": "", "tool": tool,
            "valid": False, "error": response["error"], "ms": [],
        }  # fmt: skip
    elif kind == "evaluate":
        given = message["input"]
        records[message["id"]] = {
            "eval": message["module"], "function": message["function"],
            "description": message.get("description", "" if isinstance(given, dict) else given),
            "tool": tool, "valid": False, "error": response.get("error", "not analysed"),
            "ms": [t["nanoseconds"] / 1e6 for t in response.get("timings", ())],
        }  # fmt: skip
    elif kind == "analysis":
        records[message["of"]] |= {"valid": message["valid"], "error": message.get("error", "")}


def table(records: list[dict[str, Any]]) -> str:
    """A row for each input, a column for each tool: the median of its runs in milliseconds."""
    tools = list(dict.fromkeys(r["tool"] for r in records))
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for r in records:
        row = rows.setdefault((r["eval"], r["function"], str(r["description"])), {})
        row[r["tool"]] = f"{median(r['ms']):.3f}" if r["valid"] else "wrong"
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)] if rows else []
    lines = [
        "  ".join(f"{word:{width}}" for word, width in zip(key, widths, strict=True))
        + "".join(f"{row.get(tool, ''):>12}" for tool in tools)
        for key, row in rows.items()
    ]
    heading = f"{'median ms of a run':{sum(widths) + 4}}" + "".join(f"{t:>12}" for t in tools)
    counts = [
        f"{tool}: {sum(r['valid'] for r in mine)} of {len(mine)} valid"
        for tool in tools
        if (mine := [r for r in records if r["tool"] == tool])
    ]
    wrong = [f"{r['eval']} {r['function']} {r['description']}, {r['tool']}: {r['error']}"
             for r in records if not r["valid"]]  # fmt: skip
    return "\n".join([heading, *lines, *counts, *wrong])
