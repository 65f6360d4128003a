"""The training loop of many models: epochs of steps that all take together.

A model leaves when it is through, early stopping ends it, or its loss is not finite; those that
remain go on without it. None of this is felt by another: what a model comes to is what it would
have come to alone.
"""
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

from npvae.errors import NumericalError
from npvae.training.loop import (
    Callback,
    Measure,
    check_finite,
    close_epoch,
    out_of_patience,
    recover_best,
)
from npvae.training.stacked import StackedStep
from npvae.training.step import TrainStep


@dataclass
class Training:
    """One of many: a model's own training.

    Attributes
    ----------
    step : TrainStep
        Its state, data and configuration.
    measures, callbacks, checkpoint
        As :func:`~npvae.training.train` takes them; no callback ends a training here.
    error : NumericalError or None
        Why it failed.
    """

    step: TrainStep
    measures: tuple[Measure, ...] = ()
    callbacks: tuple[Callback, ...] = ()
    checkpoint: Callback | None = None
    error: NumericalError | None = None

    @property
    def goes_on(self) -> bool:
        """Whether there is an epoch left for it."""
        state, config = self.step.state, self.step.config
        through = state.epoch >= config.epochs or out_of_patience(state, config)
        return self.error is None and not through

    def end_epoch(self, seconds: float, whole: bool) -> None:
        """What is due after an epoch, or after the part of it that an interrupt has left."""
        state = self.step.state
        try:
            if whole:
                close_epoch(self.step, seconds, self.measures)
                for callback in self.callbacks:
                    callback(state)
            check_finite(self.step)
        except NumericalError as error:
            self.error = error
            return
        if self.checkpoint:
            self.checkpoint(state)


def train_many(trainings: Sequence[Training], interrupted: Callable[[], bool]) -> None:
    """Train until each is through, or an interrupt has come.

    Parameters
    ----------
    trainings : sequence of Training
        Of one architecture, data set and batch size. Those that are as many steps into their
        training go on together; of resumed ones that may be some, and then the others.
    interrupted : callable
        Whether to stop at the end of the step in hand.
    """
    for training in trainings:
        recover_best(training.step.state, training.step.config)
    for step in sorted({training.step.state.step for training in trainings}):
        together = [t for t in trainings if t.step.state.step == step]
        while (together := [t for t in together if t.goes_on]) and not interrupted():
            train_together(together, interrupted)
    for training in trainings:
        state = training.step.state
        stops = training.step.config.patience is not None and state.best is not None
        if stops and training.error is None and not training.goes_on:
            state.engine.theta[...] = state.best


def train_together(trainings: Sequence[Training], interrupted: Callable[[], bool]) -> None:
    """Train in step with one another until the first of them leaves; one alone as ever."""
    steps = [training.step for training in trainings]
    stack = StackedStep(steps) if len(steps) > 1 else None
    step = stack or steps[0]
    while all(training.goes_on for training in trainings) and not interrupted():
        began, failed = perf_counter(), dict[int, NumericalError]()
        step.begin_epoch()
        try:
            while step.state.batch < step.batches.n_batches and not interrupted():
                step.advance()
        except NumericalError as error:
            failed[0] = error
        if stack:
            failed = stack.finish()
        seconds, whole = (perf_counter() - began) / len(steps), not interrupted()
        for s, training in enumerate(trainings):
            if s in failed:
                training.error = failed[s]
            else:
                training.end_epoch(seconds, whole)
