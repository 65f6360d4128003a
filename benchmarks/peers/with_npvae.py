"""npvae itself, by the very function that ``fit`` calls; and a lower bound of its time."""
import numpy as np
from common.workload import RATE, SEED, Workload, layers, replace_ops

from npvae.optim import Adam, Constant
from npvae.training import Minibatches, TrainConfig, TrainingState, TrainStep
from peers.side import Side


class Training:
    """npvae in the middle of ``fit``."""

    def __init__(self, work: Workload):
        self.engine = work.vae().engine_
        adam = Adam()
        self.state = TrainingState(self.engine, adam.init(np, self.engine.theta))
        data = work.data
        self.batches = Minibatches(self.engine, data.pixels, data.scale, work.M, SEED, "none")
        config = TrainConfig(adam, RATE, Constant(), None, epochs=1, n_samples=1, seed=SEED)
        self.step, self.whole = TrainStep(self.state, self.batches, config), len(work.order)
        self.step.begin_epoch()

    def run(self, steps: int = 1) -> None:
        """So many steps."""
        end = self.state.step + steps
        while self.state.step < end:
            if self.state.batch == self.whole:  # full minibatches alone, the same ones every epoch
                self.state.batch = 0
                self.step.begin_epoch()
            self.step.advance(end - self.state.step)


def npvae(work: Workload) -> Side:
    """One step as ``fit`` runs it: noise, batches and Adam are functions of (seed, step)."""
    training = Training(work)
    state = training.state

    def loss() -> float:
        before = state.sums[1] - state.sums[0]
        training.run()
        return (state.sums[1] - state.sums[0] - before) / work.M

    def rehearse(steps: int) -> list[float]:
        return [loss() for _ in range(steps)]

    return Side(training.run, rehearse, lambda: layers(training.engine))


def products(work: Workload) -> Side:
    """A lower bound: the matrix products of npvae's step, and nothing else.

    They are written down during a real step, so shapes, transposes, memory and BLAS are its own.
    """
    training, calls = Training(work), []
    engine, gemm = training.engine, training.engine.ops.gemm

    def record(a, b, out):
        calls.append((a, b, out))
        return gemm(a, b, out)

    replace_ops(engine, gemm=record)
    training.run()

    def run(steps: int) -> None:
        for _ in range(steps):
            for a, b, out in calls:
                np.matmul(a, b, out=out)

    return Side(run)
