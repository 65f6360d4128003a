"""npvae on a GPU, by the very step that ``fit`` runs; the one file here that knows its inside."""
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any
from unittest.mock import patch

import numpy as np
from common.workload import RATE, SEED, Workload, layers, replace_ops
from gpu_parts.gpu_worker import Failed, Place

from npvae.backend import Backend, get_backend, to_numpy
from npvae.optim import OPTIMIZERS, Constant
from npvae.training import Minibatches, TrainConfig, TrainingState, TrainStep
from peers.side import Side

Array = Any
Call = tuple[str, Callable[..., Any], tuple[Any, ...]]  # an op's name, the op, its arguments


class Training:
    """npvae in the middle of ``fit``, on full minibatches alone, the same ones every epoch."""

    def __init__(
        self, work: Workload, backend: str = "cupy", tf32: bool = False, dtype: str = "float32",
        optimizer: str = "adam",
    ):  # fmt: skip
        vae = work.vae().set_params(backend=backend, tf32=tf32, dtype=dtype)
        self.engine = vae.initialize(work.data.pixels.shape[1]).engine_
        update = OPTIMIZERS[optimizer]()
        self.state = TrainingState(self.engine, update.init(self.engine.xp, self.engine.theta))
        data = work.data
        self.batches = Minibatches(self.engine, data.pixels, data.scale, work.M, SEED, "none")
        self.config = TrainConfig(update, RATE, Constant(), None, epochs=1, n_samples=1, seed=SEED)
        self.whole = len(work.order)
        self.begin()

    def begin(self) -> None:
        """Go on from where the state is, with nothing captured yet."""
        self.step = TrainStep(self.state, self.batches, self.config)
        self.step.begin_epoch()

    def reopen(self) -> None:
        """Back to the first minibatch of the epoch."""
        self.state.batch = 0
        self.step.begin_epoch()

    def run(self, steps: int) -> int:
        """Train ``steps`` steps or, where several are replayed at once, a few more → how many.

        The device is done when this returns: the host has read its sums.
        """
        first = self.state.step
        while self.state.step < first + steps:
            if self.state.batch == self.whole:
                self.reopen()
            self.step.advance()
        return self.state.step - first

    def losses(self, steps: int) -> list[float]:
        """Train as many steps one by one → the loss of each."""
        losses, sums, M = [], self.state.sums, self.batches.batch_size
        with nothing_captured():
            for _ in range(steps):
                before = sums[1] - sums[0]
                self.run(1)
                losses.append((sums[1] - sums[0] - before) / M)
        self.begin()  # a run that found it cannot capture does not try again
        return losses

    @property
    def captured(self) -> bool:
        """Whether steps are replayed."""
        return bool(self.step.graphs)

    def capture(self, work: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
        """What repeats ``work`` in one launch, and the graph behind it."""
        replay = self.engine.backend.capture(work)
        return replay, graph_behind(replay)

    def wait(self) -> None:
        """Until the device is done."""
        self.engine.xp.cuda.Device().synchronize()

    def parameters(self) -> list[np.ndarray]:
        return list(map(to_numpy, layers(self.engine)))

    def theta(self) -> np.ndarray:
        """All parameters in a row."""
        return to_numpy(self.engine.theta)

    def arrays(self) -> list[np.ndarray]:
        """All that steps have left behind: parameters, sums and the optimiser's moments."""
        found = (self.engine.theta, self.step.sums, *self.state.moments.values())
        return list(map(to_numpy, found))


class LoggedTraining(Training):
    """A training that writes down what it launches.

    Attributes
    ----------
    calls : list of Call
        Ops that were launched by themselves.
    graphs : list
        What has been captured, a step first, then sixteen.
    replays : int
        Launches of those.
    """

    def __init__(self, work: Workload, tf32: bool = False):
        super().__init__(work, tf32=tf32)
        self.calls: list[Call] = []
        self.graphs: list[Any] = []
        self.replays, self.capturing = 0, False
        ops = self.engine.ops
        names = [field.name for field in fields(ops)]
        replace_ops(self.engine, **{name: self.logged(name, getattr(ops, name)) for name in names})

    def logged(self, name: str, op: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any) -> Any:
            if not self.capturing:
                self.calls.append((name, op, args))
            return op(*args)

        return run

    def run(self, steps: int) -> int:
        capture = Backend.capture

        def logged(backend: Backend, work: Callable[[], None]) -> Callable[[], None]:
            self.capturing = True
            try:
                replay: Any = capture(backend, work)
            finally:
                self.capturing = False
            self.graphs.append(graph_behind(replay))

            def counted() -> None:
                self.replays += 1
                replay()

            return counted

        with patch.object(Backend, "capture", logged):
            return super().run(steps)

    def a_step(self) -> list[Call]:
        """The calls of a step: the first one, which is never captured."""
        self.run(1)
        return list(self.calls)


def graph_behind(replay: Any) -> Any:
    """The graph whose ``launch`` this is."""
    return getattr(replay, "__self__", None)


@contextmanager
def nothing_captured() -> Iterator[None]:
    """In the block every launch is made by itself."""
    with patch.object(Backend, "capture", lambda self, work: None):
        yield


@contextmanager
def one_step_a_launch() -> Iterator[None]:
    """In the block a captured step is launched by itself, and never sixteen at once."""
    with patch("npvae.training.step.STEPS_PER_GRAPH", 1):
        yield


def gemm(tf32: bool) -> Callable[[Array, Array, Array], Array]:
    """The product a b, into the third."""
    return get_backend("cupy", tf32).ops.gemm


def on_device(array: np.ndarray) -> Array:
    return get_backend("cupy").xp.asarray(array)


def on_host(array: Array) -> np.ndarray:
    return to_numpy(array)


def captured(work: Workload, place: Place) -> Side:
    """As ``fit`` runs it: sixteen steps a launch."""
    training = Training(work, tf32=place.tf32)

    def run(steps: int) -> None:
        training.run(steps)
        if not training.captured:
            raise Failed("its steps could not be captured")

    return Side(run, training.losses, training.parameters, training.reopen)


def eager(work: Workload, place: Place) -> Side:
    """Every op a launch, and the loss read at every step."""
    training = Training(work, tf32=place.tf32)

    def run(steps: int) -> None:
        with nothing_captured():
            training.run(steps)

    return Side(run, training.losses, training.parameters, training.reopen)
