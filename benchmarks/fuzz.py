"""Damaged and forged files of every kind: none is read wrong, none ends but in one line.

    python benchmarks/fuzz.py                       # 100,000 mutants, a few minutes
    python benchmarks/fuzz.py --mutants 2000 --only checkpoint

A mutant is a function of the kind of file, the seed and its number. Where one is at fault its
number is kept: --only KIND --first NUMBER --mutants 1 makes it again. The result is written every
thousand mutants, and the same command goes on from there.
"""
import common  # noqa: F401  isort: skip
import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from common import machine
from fuzzing.targets import targets
from fuzzing.trial import FAULTS, trial

RESULT = Path(__file__).parent / "results" / "fuzz.json"
ROUND = 1000  # mutants between two writings


def main() -> int:
    """Try them, and print and keep what came of them; the exit code."""
    first, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=first, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mutants", type=int, default=100_000, help="in all (default: 100,000)")
    parser.add_argument("--first", type=int, default=0, help="the number of the first (default: 0)")
    parser.add_argument("--seed", type=int, default=0, help="(default: 0)")
    parser.add_argument("--only", default="", help="kinds of file whose name holds this")
    parser.add_argument("--out", type=Path, help="JSON (default: none if --only or --first, else "
                        f"{RESULT.relative_to(RESULT.parents[2])})")  # fmt: skip
    options = parser.parse_args()
    out = options.out or (None if options.only or options.first else RESULT)
    with TemporaryDirectory() as folder:
        known = targets(Path(folder))
        kinds = [target for target in known if target.name == options.only] or [
            target for target in known if options.only in target.name
        ]
        if not kinds:
            parser.error(f"--only {options.only}: there is no such kind of file")
        result = begun(out, options.seed, [target.name for target in kinds])
        for number in range(options.first + result["mutants"], options.first + options.mutants):
            target = kinds[number % len(kinds)]
            add(result, number, asdict(trial(target, Path(folder), options.seed, number)))
            if result["mutants"] % ROUND == 0 or result["mutants"] == options.mutants:
                keep(out, result)
    return report(result)


def begun(out: Path | None, seed: int, kinds: list[str]) -> dict:
    """What an interrupted run has kept; a new one where it was of other kinds or another seed."""
    if out is not None and out.exists():
        result = json.loads(out.read_text())
        if (result["seed"], list(result["outcomes"])) == (seed, kinds):
            return result
    return {
        "machine": machine.describe(("numpy", "scipy", "pillow")), "seed": seed, "mutants": 0,
        "outcomes": {kind: {} for kind in kinds}, "most_seconds": dict.fromkeys(kinds, 0.0),
        "most_megabytes": dict.fromkeys(kinds, 0.0), "faults": [],
    }  # fmt: skip


def add(result: dict, number: int, verdict: dict) -> None:
    """One mutant more."""
    kind, outcome = verdict["target"], verdict["outcome"]
    result["mutants"] += 1
    result["outcomes"][kind][outcome] = result["outcomes"][kind].get(outcome, 0) + 1
    seconds, megabytes = round(verdict["seconds"], 3), round(verdict["memory"] / 1e6, 1)
    result["most_seconds"][kind] = max(result["most_seconds"][kind], seconds)
    result["most_megabytes"][kind] = max(result["most_megabytes"][kind], megabytes)
    if outcome in FAULTS:
        result["faults"].append({"number": number, **verdict})
        print(f"{kind}, number {number}: {outcome}: {verdict['what']}", flush=True)


def keep(out: Path | None, result: dict) -> None:
    if out is not None:
        out.write_text(json.dumps(result, indent=1) + "\n")


def report(result: dict) -> int:
    """Print a table; 1 if there is a fault."""
    print(f"{'':22}{'mutants':>8}{'refused':>9}{'read':>7}{'faults':>8}{'s':>7}{'MB':>7}")
    for kind, outcomes in result["outcomes"].items():
        faults = sum(outcomes.get(fault, 0) for fault in FAULTS)
        total, refused = sum(outcomes.values()), outcomes.get("refused", 0)
        seconds, megabytes = result["most_seconds"][kind], result["most_megabytes"][kind]
        print(f"{kind:22}{total:8,}{refused:9,}{total - refused - faults:7,}{faults:8}"
              f"{seconds:7.2f}{megabytes:7.1f}")
    print(f"\n{result['mutants']:,} mutants, {len(result['faults'])} at fault")
    return int(bool(result["faults"]))


if __name__ == "__main__":
    sys.exit(main())
