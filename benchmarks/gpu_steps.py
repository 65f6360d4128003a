"""A training step of every side on one workload: first the same losses, then the time.

The sides take turns, each in its own process, so that what slows the machine down slows all of
them. At its turn a side trains an epoch that wakes the device up, and then some that count.
"""
from collections.abc import Iterator, Mapping
from time import perf_counter
from typing import Any

import gpu_scale
import numpy as np
import roofline
import timing
from gpu_scale import Scale, Setting
from gpu_worker import Failed, Place, Worker
from peers import on_gpu
from peers.side import Side
from peers.with_npvae import npvae

STEPS = 3  # that are compared before anything is timed
LOSS = {"float32": 1e-4, "tf32": 1e-3}  # relative to npvae's on the host
ROUND = 120  # seconds that a visit may take

Workers = Mapping[tuple[str, str], Worker]  # (room, precision) → its process
Built = tuple[list[float], np.ndarray]  # losses of the first steps, parameters after them
BUILT: dict[tuple[str, Setting], Side] = {}  # in a worker


def build(place: Place, name: str, setting: Setting) -> Built:
    """Make a side, and rehearse its first steps with npvae's noise."""
    side = on_gpu.make(name, gpu_scale.work(setting, place.rehearse), place)
    BUILT[name, setting] = side
    assert side.rehearse is not None
    return side.rehearse(STEPS), flat(side.parameters())


def visit(place: Place, name: str, setting: Setting, epochs: int) -> list[float]:
    """Seconds a step, of each of so many epochs of whole minibatches."""
    if (name, setting) not in BUILT:
        raise Failed("the process in which it was built is gone")
    side, steps = BUILT[name, setting], len(gpu_scale.work(setting, place.rehearse).order)
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
    """

    def __init__(
        self, setting: Setting, scale: Scale, workers: Workers,
        ready: Mapping[tuple[str, Setting], Built | str], rehearse: bool,
    ):  # fmt: skip
        self.setting, self.scale, self.workers, self.ready = setting, scale, workers, ready
        self.work = gpu_scale.work(setting, rehearse)
        self.skipped: dict[str, str] = {}

    def worker(self, name: str) -> Worker:
        return self.workers[on_gpu.SIDES[name].room, self.setting.precision]

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
            "steps_an_epoch": len(self.work.order), "visits": self.scale.visits,
            "epochs_a_visit": self.scale.epochs, "sides": sides, "skipped": self.skipped,
        }  # fmt: skip
        for name in self.skipped:
            if name not in on_gpu.SLOW:  # there the other settings' sides are
                self.worker(name).renew()
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
            return self.worker(name).ask(self.scale.build, build, name, self.setting)
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
                if name in self.skipped:
                    continue
                try:
                    seconds[name] += self.worker(name).ask(
                        ROUND, visit, name, self.setting, self.scale.epochs
                    )
                except Failed as reason:
                    self.skipped[name] = str(reason)
        return {name: np.array(s) for name, s in seconds.items() if name not in self.skipped}


def microseconds(seconds: np.ndarray, reference: np.ndarray) -> dict[str, Any]:
    """Of a step: the median and quartiles over the epochs, and the ratio to ``reference``."""
    in_ms = timing.summary(seconds, reference)
    low, median, high = np.percentile(1e6 * seconds, (25, 50, 75)).round(2)
    return {
        "median_us": float(median), "quartiles_us": [float(low), float(high)],
        "ratio": in_ms["ratio"], "epochs_us": (1e6 * seconds).round(2).tolist(),
    }  # fmt: skip
