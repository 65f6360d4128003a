"""What is timed, and how most sides are made: out of one training step."""
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from common.workload import Workload

Array = Any


class Unavailable(Exception):
    """A side that cannot run on this machine, and why."""


@dataclass(frozen=True)
class Side:
    """One way to do a training step.

    Attributes
    ----------
    run : callable
        Train so many steps; returns when they are done.
    rehearse : callable or None
        Train so many steps with the workload's own noise → the loss of each.
    parameters : callable
        The parameters as they are now, in the workload's order.
    prepare : callable
        What comes before an epoch's steps and is not timed with them.
    """

    run: Callable[[int], None]
    rehearse: Callable[[int], list[float]] | None = None
    parameters: Callable[[], list[np.ndarray]] = list
    prepare: Callable[[], object] = lambda: None


def stepwise(
    work: Workload,
    convert: Callable[[np.ndarray], Array],
    noise: Callable[[], Array],
    step: Callable[[Array, Array], Any],
    parameters: Callable[[], list[np.ndarray]],
) -> Side:
    """A side from its step, ``step(rows, eps)`` → loss.

    Parameters
    ----------
    convert : callable
        From a NumPy array to the library's.
    noise : callable
        Draws ε (M, J), by the library's own generator.
    step : callable
        Gathers the rows (M,), and updates the parameters.
    """
    order, turns = convert(work.order), work.turns()

    def run(steps: int) -> None:
        for _ in range(steps):
            step(order[next(turns)], noise())

    def rehearse(steps: int) -> list[float]:
        return [float(step(order[next(turns)], convert(work.noise(t)))) for t in range(steps)]

    return Side(run, rehearse, parameters)
