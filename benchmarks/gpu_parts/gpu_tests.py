"""The tests of CuPy in a process of their own, those in float64 first: only rounding is excused.

What pytest says is streamed to a file, a line a test, so that a run that is cut short still tells
what has passed, what has failed, and what was under way.
"""
import os
import re
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gpu_parts.gpu_worker import Deadline

ROOT = Path(__file__).parents[2]
FILES = ["tests/test_cupy.py"]
FILES += ["tests/evaluation/test_likelihood_estimates.py"] if find_spec("scipy") else []
CHOSEN = ("cupy and float64", "cupy and not float64")  # of those files, in this order
PROCESSES = min(6, os.cpu_count() or 1)


def command(chosen: str) -> list[str]:
    """pytest on the tests chosen, side by side where pytest-xdist is installed."""
    side_by_side = ["-n", str(PROCESSES)] if find_spec("xdist") else []
    return [sys.executable, "-m", "pytest", *FILES, "-k", chosen, "-o", "addopts=", "-v",
            "--tb=short", "--color=no", "-p", "no:cacheprovider", *side_by_side]  # fmt: skip


def run(seconds: float, log: Path) -> dict[str, Any]:
    """Run them, for so many seconds at most → verdicts, failures, and what was under way."""
    deadline, codes = Deadline(seconds), []
    log.unlink(missing_ok=True)
    for chosen in CHOSEN:
        if not deadline.left():
            break
        with log.open("a", encoding="utf-8") as stream:
            running = subprocess.Popen(
                command(chosen), cwd=ROOT, stdout=stream, stderr=stream, start_new_session=True
            )
            try:
                codes.append(running.wait(deadline.left()))
            except subprocess.TimeoutExpired:
                os.killpg(running.pid, signal.SIGKILL)  # xdist's workers, too
                running.wait()
                codes.append(-signal.SIGKILL)
    late = "" if deadline.left() else f", not done within {seconds:.0f} s"
    found = verdicts(log.read_text(encoding="utf-8", errors="replace"))
    found["summary"] = f"{found['n_passed']} passed, {len(found['failures'])} failed{late}"
    return found | {"passed": codes == [0] * len(CHOSEN)}


def verdicts(text: str) -> dict[str, Any]:
    """What pytest's lines say so far."""
    begun, ended, passed, why = [], set(), 0, {}
    for line in text.splitlines():
        if summary := re.match(r"(?:FAILED|ERROR) (\S+.*?)(?: - (.*))?$", line):
            why[summary[1]] = summary[2] or ""
        elif named := re.search(r"(tests/\S+::.*?)(?: (PASSED|FAILED|ERROR|SKIPPED)\b.*)?$", line):
            word = re.match(r"\[gw\d+\].*? (PASSED|FAILED|ERROR|SKIPPED) ", line)
            name, verdict = named[1].strip(), named[2] or (word and word[1])
            begun.append(name)
            if verdict:
                ended.add(name)
                passed += verdict == "PASSED"
                if verdict in ("FAILED", "ERROR"):
                    why.setdefault(name, "")
    return {
        "n_passed": passed, "failures": [f"{name}: {reason}" for name, reason in why.items()],
        "under_way": [name for name in dict.fromkeys(begun) if name not in ended],
    }  # fmt: skip
