"""How much of everything is measured: in full on a GPU, and tiny in rehearsal."""
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

from common import workload
from common.workload import Workload

from npvae.data import Dataset, load_digits

PRECISIONS = ("float32", "tf32")


class Setting(NamedTuple):
    """One comparison: a model, its minibatch and the precision of products."""

    model: str
    M: int
    precision: str

    def __str__(self) -> str:
        return f"{self.model}, M = {self.M}, {self.precision}"


@dataclass(frozen=True)
class Scale:
    """Counts and limits; times are in seconds."""

    sizes: tuple[int, ...]  # of minibatches, the most telling ones first
    visits: int  # of each side in turn, in a comparison
    epochs: int  # timed at each visit
    flat_steps: int  # over which memory must not grow
    curve_samples: float  # of figure 2
    start: float  # for a library to load; twice, as a cold disk may be slow once
    build: float  # for one side
    task: float  # for any other question to a worker
    prepared: float  # for all peers to be built, beside the parts that follow the smoke test
    parts: dict[str, float]  # in their order, each with the most that it may take
    end: float  # for everything


# what runs last has what the others leave of the time
FULL = Scale(
    (100, 4096, 512), 5, 2, 100_000, 1e8, start=150, build=60, task=25, prepared=180,
    parts={"smoke": 55, "checks": 80, "tests": 150, "goals": 90, "curve": 90, "others": 150,
           "profiles": 60},
    end=525,
)  # fmt: skip
TINY = Scale(  # where a few cores may be busy with something else, too
    (10, 64), 2, 1, 500, 2000, start=120, build=120, task=120, prepared=300,
    parts=dict.fromkeys(FULL.parts, 300), end=1800,
)  # fmt: skip


def settings(scale: Scale) -> list[Setting]:
    """All comparisons, in the order of how much depends on them."""
    return [
        Setting(model, M, precision)
        for model in "PS" for M in scale.sizes for precision in PRECISIONS
    ]  # fmt: skip


@cache
def data(rehearse: bool) -> Dataset:
    """MNIST or what stands for it; a few digits in rehearsal."""
    if not rehearse:
        return workload.images()
    digits = load_digits()
    return Dataset(digits.pixels[:200], name="digits", scale=digits.scale)


def work(setting: Setting, rehearse: bool) -> Workload:
    """What every side works on."""
    models = workload.models(data(rehearse))
    if rehearse:
        models["P"] = replace(models["P"], hidden=(16,), J=3)
        models["S"] = replace(models["S"], hidden=(16, 8))
    return replace(models[setting.model], M=setting.M)


def smallest(rehearse: bool) -> int:
    """The smallest minibatch."""
    return min((TINY if rehearse else FULL).sizes)
