"""The error of each compiled op in units in the last place, beside that of NumPy's body.

    python benchmarks/ulp.py                         the table, and results/ulp.json

The truth is the body in 80 bits, on the same numbers as in the tests of ops. A unit is that of the
largest number of a result, or of 1: where terms cancel, the last place of what is left says
nothing. (Activations are within 4 units of each number itself over every binade: a test says so.)
"""
import common  # noqa: F401  isort: skip
import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from common import machine
from train_step import save

from npvae.ops.cpu import twins

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))
from kernel_checks import BODIES, WIDE, outcome
from op_cases import CASES, SIZES, Case, copied

TWINS = twins.with_twins(BODIES)
DTYPES = {"float32": np.float32, "float64": np.float64}


def units(got: Any, exact: Any, dtype: Any) -> float:
    """The largest error of an array, in units in the last place of its largest number."""
    size = dtype(max(1, np.abs(exact).max(initial=0)))
    return float(np.abs(got.astype(np.longdouble) - exact).max(initial=0) / np.spacing(size))


def errors(case: Case, dtype: Any) -> dict[str, tuple[float, float]]:
    """Of each op of a case that is compiled: the largest errors of the twin and of the body."""
    found: dict[str, tuple[float, float]] = {}
    a_stays = "a" in case.backward.split()  # else it is used up, and what is left is no result
    for size in (*SIZES.values(), WIDE):
        arrays = case.arrays(size, dtype)
        for call in case.calls:
            exact = outcome(BODIES, call, copied(arrays, np.longdouble))
            body, twin = outcome(BODIES, call, copied(arrays)), outcome(TWINS, call, arrays)
            if getattr(TWINS, call.op) is not getattr(BODIES, call.op):
                words = [word for word in exact
                         if exact[word].dtype.kind == "f" and (word != "a" or a_stays)]  # fmt: skip
                worst = [max((units(result[word], exact[word], dtype) for word in words), default=0)
                         for result in (twin, body)]  # fmt: skip
                before = found.get(call.op, (0, 0))
                found[call.op] = max(before[0], worst[0]), max(before[1], worst[1])
    return found


def main() -> int:
    """Print the table and keep it; the exit code."""
    first, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=first, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    if not twins.library()[1]:
        parser.error(f"no op is compiled: {twins.why_none()}")
    table: dict[str, dict[str, tuple[float, float]]] = {}
    for kind, dtype in DTYPES.items():
        for case in CASES.values():
            for op, found in errors(case, dtype).items():
                row = table.setdefault(op, {})
                before = row.get(kind, (0, 0))
                row[kind] = max(before[0], found[0]), max(before[1], found[1])
    about = machine.describe(("numpy",))
    print(f"{about['cpu']}, {twins.library()[1]}\n")
    print("| op | " + " | ".join(f"{kind}: compiled / NumPy" for kind in DTYPES) + " |")
    print("|---|" + "---|" * len(DTYPES))
    for op, row in sorted(table.items()):
        cells = (" / ".join(f"{n:.1f}" for n in row[kind]) for kind in DTYPES)
        print(f"| {op} | " + " | ".join(cells) + " |")
    save("ulp", {"level": twins.library()[1], "errors": table}, about)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
