"""npvae on a GPU, by the very course of training that ``fit`` runs."""
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np
from gpu_worker import Failed, Place
from workload import RATE, SEED, Workload, layers

from npvae.backend import Backend, to_numpy
from npvae.optim import Adam, Constant, Optimizer
from npvae.training import Course, Minibatches, Recipe, TrainingState
from peers.side import Side

ADAM = Adam()


class Training:
    """npvae in the middle of ``fit``, on full minibatches alone, the same ones every epoch."""

    def __init__(
        self, work: Workload, backend: str = "cupy", tf32: bool = False,
        optimizer: Optimizer = ADAM,
    ):  # fmt: skip
        vae = work.vae().set_params(backend=backend, tf32=tf32)
        self.engine = vae.initialize(work.data.pixels.shape[1]).engine_
        self.state = TrainingState(self.engine, optimizer.init(self.engine.xp, self.engine.theta))
        data = work.data
        self.batches = Minibatches(self.engine, data.pixels, data.scale, work.M, SEED, "none")
        self.recipe = Recipe(optimizer, RATE, Constant(), None, epochs=1, n_samples=1, seed=SEED)
        self.whole = len(work.order)
        self.begin()

    def begin(self) -> None:
        """A course from where the state is, with nothing recorded yet."""
        self.course = Course(self.state, self.batches, self.recipe)
        self.course.open_epoch()

    def reopen(self) -> None:
        """Back to the first minibatch of the epoch."""
        self.state.batch = 0
        self.course.open_epoch()

    def run(self, steps: int) -> None:
        """Train ``steps`` steps or, where several are replayed at once, a few more.

        The device is done when this returns: the host has read its sums.
        """
        stop = self.state.step + steps
        while self.state.step < stop:
            if self.state.batch == self.whole:
                self.reopen()
            self.course.advance()

    def losses(self, steps: int) -> list[float]:
        """Train as many steps one by one → the loss of each."""
        losses, sums, M = [], self.state.sums, self.batches.batch_size
        with nothing_recorded():
            for _ in range(steps):
                before = sums[1] - sums[0]
                self.run(1)
                losses.append((sums[1] - sums[0] - before) / M)
        self.begin()  # a course that found it cannot record does not try again
        return losses

    def parameters(self) -> list[np.ndarray]:
        return list(map(to_numpy, layers(self.engine)))


@contextmanager
def nothing_recorded() -> Iterator[None]:
    """In the block every launch is made by itself."""
    with patch.object(Backend, "record", lambda self, work: None):
        yield


def recorded(work: Workload, place: Place) -> Side:
    """As ``fit`` runs it: sixteen steps a launch."""
    training = Training(work, tf32=place.tf32)

    def run(steps: int) -> None:
        training.run(steps)
        if not training.course._replays:
            raise Failed("its steps could not be recorded")

    return Side(run, training.losses, training.parameters, training.reopen)


def eager(work: Workload, place: Place) -> Side:
    """Every op a launch, and the loss read at every step."""
    training = Training(work, tf32=place.tf32)

    def run(steps: int) -> None:
        with nothing_recorded():
            training.run(steps)

    return Side(run, training.losses, training.parameters, training.reopen)
