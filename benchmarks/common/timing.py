"""Several sides timed in one run, so that what slows the machine down slows all of them.

A round times each side in turn, and the next round begins with another one. Ratios are taken
within a round, and the median over the rounds is what a table shows.
"""
from collections.abc import Callable, Mapping
from time import perf_counter, sleep

import numpy as np

REST = 0.05  # seconds: BLAS threads spin on for a while after their last product
ROUND = 0.08  # seconds of training a side and round, about


def interleaved(
    runs: Mapping[str, Callable[[int], None]], steps: int, rounds: int
) -> dict[str, np.ndarray]:
    """Seconds a step of every side in every round.   {name: (rounds,)}"""
    names = list(runs)
    for run in runs.values():
        run(steps)  # what is compiled or allocated at first is not timed
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            sleep(REST)
            began = perf_counter()
            runs[name](steps)
            seconds[name].append((perf_counter() - began) / steps)
    return {name: np.array(values) for name, values in seconds.items()}


def steps_a_round(run: Callable[[int], None]) -> int:
    """How many steps of ``run`` fill a round, by the best of a few; at least one."""
    run(2)
    best = float("inf")
    for _ in range(5):
        began = perf_counter()
        run(2)
        best = min(best, (perf_counter() - began) / 2)
    return max(1, round(ROUND / best))


def summary(seconds: np.ndarray, reference: np.ndarray) -> dict[str, object]:
    """Milliseconds a step over the rounds, and the ratio to ``reference`` round by round."""
    low, median, high = np.percentile(1e3 * seconds, (25, 50, 75))
    return {
        "median_ms": round(median, 4),
        "quartiles_ms": [round(low, 4), round(high, 4)],
        "ratio": round(float(np.median(seconds / reference)), 4),
        "rounds_ms": [round(ms, 4) for ms in 1e3 * seconds],
    }
