"""A training step of S models at once, by the pages that are written for one.

Each model has a :class:`~npvae.training.TrainStep` of its own, which makes its permutation and its
table of learning rates, and says what is wrong with it. The step itself is the step of training,
taken on Stacks (:mod:`npvae.stack`) of what the models have one each of. At the end of an epoch
every model is given back its parameters and its optimiser's state.
"""
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from npvae.backend import Array, to_numpy
from npvae.errors import NumericalError
from npvae.models import Engine
from npvae.objectives import Objective, SampledELBO
from npvae.optim import FLUSH_EVERY
from npvae.stack import Stack, of_model, stacked, whole
from npvae.training.state import TrainingState
from npvae.training.step import TrainStep

PER_EPOCH = ("next_step", "epoch_start", "order", "sums")  # written at an epoch's beginning


class StackedStep(TrainStep):
    """Steps of S models, of one architecture and as many steps into their training.

    Parameters
    ----------
    steps : sequence of TrainStep
        Those of each model by itself.

    Attributes
    ----------
    failed : dict of int to NumericalError
        Models whose loss was not finite, by number, and why. They have been given back what they
        had before that step; what stands for them in the Stacks is of no account.
    """

    def __init__(self, steps: Sequence[TrainStep]):
        self.steps, self.failed = steps, dict[int, NumericalError]()
        first, states = steps[0], [step.state for step in steps]
        backend = stacked(first.engine.backend, len(steps))

        def gathered(arrays: Sequence[Array]) -> Any:
            """Copies of S arrays of one shape, in a Stack."""
            stack = backend.xp.empty(arrays[0].shape, arrays[0].dtype)
            for s, array in enumerate(arrays):
                stack.whole[s] = array
            return stack

        def gathered_by_name(parts: Sequence[Mapping[str, Array]]) -> dict[str, Any]:
            return {name: gathered([part[name] for part in parts]) for name in parts[0]}

        engine = Engine(
            first.engine.base, backend, gathered([step.engine.theta for step in steps]),  # (S, P)
            first.engine.penalty, common_objective([step.engine.objective for step in steps]),
        )  # fmt: skip
        engine.model, engine.backend = first.engine.model, first.engine.backend
        state = TrainingState(
            engine, gathered_by_name([state.moments for state in states]), first.state.epoch,
            first.state.batch, first.state.step,
            objective_state=gathered_by_name([state.objective_state for state in states]),
        )  # fmt: skip
        seeds: Any = Stack(np.array([step.config.seed for step in steps], np.uint64))
        batches = first.batches.shared(engine, seeds)
        if any(step.batches.data is not batches.data for step in steps):  # each binarised its way
            batches.data = gathered([step.batches.data for step in steps])  # (S, N, D)
        super().__init__(state, batches, replace(first.config, seed=seeds))
        for s, step in enumerate(steps):
            vars(step).update({name: of_model(vars(self)[name], s) for name in PER_EPOCH})

    def begin_epoch(self) -> None:
        """Fill the permutation and the scalars of the current epoch, of each model."""
        width = self.step_scalars.shape[1]
        for s, step in enumerate(self.steps):
            step.begin_epoch()
            table, own = of_model(self.step_scalars, s), step.step_scalars.shape[1]
            table[:, :own] = step.step_scalars
            self._window = step._window
            if own < width:  # its weight of the KL is always the same, and others' is not
                table[:, own:] = weight(step.engine.objective).kl_weight

    def prefetch_order(self) -> None:
        for step in self.steps:
            step.prefetch_order()

    def advance(self, most: int = FLUSH_EVERY) -> None:
        """Train all on the next minibatch of each; on several by CUDA graphs."""
        super().advance(most)
        for s, step in enumerate(self.steps):
            if s not in self.failed:
                step.state.step, step.state.batch = self.state.step, self.state.batch

    def sync_and_check(self, n: int) -> None:
        """Synchronise after ``n`` steps, and note the models whose sums are not finite.

        Raises
        ------
        NumericalError
            If there is none left.
        """
        sums = to_numpy(whole(self.sums))  # (S, 4)
        finite = np.isfinite(sums[:, 1] - sums[:, 0] + sums[:, 3] - sums[:, 2])
        for s in map(int, np.flatnonzero(~finite)):
            if s not in self.failed:
                work = self.steps[s].engine.work  # where it is looked for what was not finite first
                for name, buffer in self.engine.work.buffers().items():
                    work(name, buffer.size, dtype=buffer.dtype)[...] = of_model(buffer, s)
                self.hand_back(s, n)
        if len(self.failed) == len(self.steps):
            raise self.failed[0]

    def hand_back(self, s: int, n: int = 1) -> None:
        """Give model ``s`` what is its own by now: parameters, state, and the sums of its epoch."""
        step, own = self.steps[s], self.steps[s].state
        own.engine.theta[...] = of_model(self.state.engine.theta, s)
        stacks = self.state.state_arrays()
        for name, array in own.state_arrays().items():
            array[...] = of_model(stacks[name], s)
        objective = step.engine.objective
        if isinstance(objective, SampledELBO) and objective.is_bound:
            step.sums[2:] = 0  # only beside others is its KL weighted, by 1
        try:
            step.sync_and_check(n)
            step.keep_sums()
        except NumericalError as error:
            self.failed[s] = error

    def finish(self) -> dict[int, NumericalError]:
        """End an epoch, or what was done of it: give back to all, and say which have failed."""
        for s in range(len(self.steps)):
            if s not in self.failed:
                self.hand_back(s)
        self.state.epoch += 1
        self.state.begin_epoch()
        return self.failed


def common_objective(objectives: Sequence[Objective]) -> Objective:
    """One that stands for all: where their weights of the KL differ, one that takes a step's."""
    first, *others = objectives
    if all(other == first for other in others):
        return first
    return replace(weight(first), kl_warmup=1)


def weight(objective: Objective) -> SampledELBO:
    """An objective as one whose KL is weighted, as all are whose settings may differ."""
    assert isinstance(objective, SampledELBO)
    return objective
