"""A training step of every side on one workload: first the same losses, then the time.

The sides take turns, each in its own process, so that what slows the machine down slows all of
them. At its turn a side trains an epoch that wakes the device up, and then some that count.
"""
from collections.abc import Iterator, Mapping
from time import perf_counter
from typing import Any

import numpy as np
from common import roofline, timing
from peers import on_gpu
from peers.side import Side
from peers.with_npvae import npvae

from gpu_parts import gpu_scale
from gpu_parts.gpu_scale import Scale, Setting
from gpu_parts.gpu_worker import Deadline, Failed, Place, Worker

STEPS = 3  # that are compared before anything is timed
LOSS = {"float32": 1e-4, "tf32": 1e-3}  # relative to npvae's on the host

Workers = Mapping[tuple[str, str], Worker]  # (package, precision) → its process
Built = tuple[list[float], np.ndarray]  # losses of the first steps, parameters after them
BUILT: dict[tuple[str, Setting], Side] = {}  # in a worker, by the function that makes it


def build(place: Place, function: str, setting: Setting) -> Built:
    """Make a side, and rehearse its first steps with npvae's noise; then an epoch of its own.

    What a side compiles for the steps that are timed, it has compiled then.
    """
    work = gpu_scale.work(setting, place.rehearse)
    side = on_gpu.make(function, work, place)
    assert side.rehearse is not None
    found = side.rehearse(STEPS), flat(side.parameters())
    side.prepare()
    side.run(len(work.order))
    BUILT[function, setting] = side
    return found


def visit(place: Place, function: str, setting: Setting, epochs: int) -> list[float]:
    """Seconds a step, of each of so many epochs of whole minibatches."""
    if (function, setting) not in BUILT:  # the process in which it was has failed at another
        build(place, function, setting)
    side, steps = BUILT[function, setting], len(gpu_scale.work(setting, place.rehearse).order)
    seconds = []
    for _ in range(1 + epochs):
        side.prepare()
        began = perf_counter()
        side.run(steps)
        seconds.append((perf_counter() - began) / steps)
    return seconds[1:]


def flat(arrays: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.asarray(a).ravel() for a in arrays])


def names(setting: Setting, scale: Scale) -> Iterator[str]:
    """The sides of a comparison."""
    for name in on_gpu.SIDES:
        if name != "npvae-eager" or setting == gpu_scale.settings(scale)[0]:
            yield name


class Comparison:
    """All sides on one setting.

    Parameters
    ----------
    ready : mapping
        Sides that were built beforehand, (name, setting) → what :func:`build` gave, or why not.
    deadline : Deadline
        When it has to be over; what has been measured by then counts.
    """

    def __init__(
        self, setting: Setting, scale: Scale, workers: Workers,
        ready: Mapping[tuple[str, Setting], Built | str], deadline: Deadline, rehearse: bool,
    ):  # fmt: skip
        self.setting, self.scale, self.workers, self.ready = setting, scale, workers, ready
        self.deadline = deadline
        self.work = gpu_scale.work(setting, rehearse)
        self.skipped: dict[str, str] = {}

    def ask(self, name: str, seconds: float, task: Any, *args: Any) -> Any:
        """A task about a side, in its worker."""
        entry = on_gpu.SIDES[name]
        worker = self.workers[entry.package, self.setting.precision]
        return worker.ask(self.deadline.left(seconds), task, entry.function, self.setting, *args)

    def results(self) -> dict[str, Any]:
        """What the comparison found, ``sides`` and ``skipped`` among it."""
        agreed = self.agree()
        seconds = self.time(list(agreed))
        reference = seconds.get("npvae")
        sides = {
            name: microseconds(values, values if reference is None else reference) | agreed[name]
            for name, values in seconds.items()
        }
        found = {
            "setting": self.setting._asdict(), "workload": str(self.work),
            "steps_an_epoch": len(self.work.order), "epochs_a_visit": self.scale.epochs,
            "visits": max((len(values) // self.scale.epochs for values in seconds.values()),
                          default=0),
            "sides": sides, "skipped": self.skipped,
        }  # fmt: skip
        return found | roofline.bounds(self.work, self.setting.precision)

    def agree(self) -> dict[str, dict[str, Any]]:
        """The sides that there are, and how far each is from npvae on the host."""
        reference = npvae(self.work)
        start = flat(reference.parameters())
        assert reference.rehearse is not None
        with np.errstate(all="ignore"):
            losses = np.array(reference.rehearse(STEPS))
        theta = flat(reference.parameters())
        agreed = {}
        for name in names(self.setting, self.scale):
            try:
                own_losses, own_theta = self.built(name)
            except Failed as reason:
                self.skipped[name] = str(reason)
                continue
            error = float(np.abs(np.array(own_losses) / losses - 1).max())
            way = np.linalg.norm(own_theta - theta) / np.linalg.norm(theta - start)
            agreed[name] = {
                "loss": own_losses[0], "loss_error": error, "parameter_error": float(way),
                "agrees": error <= LOSS[self.setting.precision],  # False for NaN, too
            }  # fmt: skip
        return agreed

    def built(self, name: str) -> Built:
        if (name, self.setting) not in self.ready:
            return self.ask(name, self.scale.build, build)
        answer = self.ready[name, self.setting]
        if isinstance(answer, str):
            raise Failed(answer)
        return answer

    def time(self, sides: list[str]) -> dict[str, np.ndarray]:
        """Seconds a step of every side, in every epoch that counts."""
        seconds: dict[str, list[float]] = {name: [] for name in sides}
        for number in range(self.scale.visits):
            first = number % max(len(sides), 1)
            for name in sides[first:] + sides[:first]:
                if name in self.skipped or not self.deadline.left():
                    continue
                try:
                    seconds[name] += self.ask(name, self.scale.task, visit, self.scale.epochs)
                except Failed as reason:
                    if self.deadline.left() or not seconds[name]:
                        self.skipped[name] = str(reason)
        measured = {name: s for name, s in seconds.items() if s and name not in self.skipped}
        self.skipped |= {name: "no time left" for name in sides
                         if name not in measured and name not in self.skipped}  # fmt: skip
        whole = min(map(len, measured.values()), default=0)  # visits that all sides have had
        return {name: np.array(s[:whole]) for name, s in measured.items()}


def microseconds(seconds: np.ndarray, reference: np.ndarray) -> dict[str, Any]:
    """Of a step: the median and quartiles over the epochs, and the ratio to ``reference``."""
    in_ms = timing.summary(seconds, reference)
    low, median, high = np.percentile(1e6 * seconds, (25, 50, 75)).round(2)
    return {
        "median_us": float(median), "quartiles_us": [float(low), float(high)],
        "ratio": in_ms["ratio"], "epochs_us": (1e6 * seconds).round(2).tolist(),
    }  # fmt: skip
