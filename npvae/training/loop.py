"""The training loop: epochs of steps, and what happens between them.

Everything random is a function of (seed, step), so this loop has no hidden state: stop it
anywhere, and a checkpoint continues to the same parameters, bit for bit.
"""
from collections.abc import Callable
from math import prod
from time import perf_counter
from typing import Any

from npvae.errors import DataError, NumericalError, ParameterError
from npvae.interrupts import interrupts
from npvae.training.batches import Minibatches
from npvae.training.config import TrainConfig
from npvae.training.progress import Progress
from npvae.training.state import TrainingState
from npvae.training.step import TrainStep

Callback = Callable[[TrainingState], Any]
Measure = Callable[[], dict[str, Any]]


def train(
    state: TrainingState,
    batches: Minibatches,
    config: TrainConfig,
    measures: tuple[Measure, ...] = (),
    callbacks: tuple[Callback, ...] = (),
    checkpoint: Callback | None = None,
    make_step: Callable[..., TrainStep] = TrainStep,
    progress: Progress | None = None,
) -> TrainingState:
    """Run epochs until ``config.epochs`` of them are done.

    Parameters
    ----------
    state : TrainingState
        Where to begin; advanced in place.
    batches : Minibatches
        The data.
    measures : tuple of callable
        Called after every epoch, each gives columns of the history for the current parameters.
        ``"validation_elbo"`` is what early stopping goes by.
    callbacks : tuple of callable
        Called with the state after every epoch; one whose result is true ends the run.
    checkpoint : callable, optional
        Called with the state after every epoch, and on Ctrl-C before the interrupt goes on.
    make_step : callable
        Makes the :class:`TrainStep` of a state, batches and a config.
    progress : Progress, optional
        Shows how it goes.

    Raises
    ------
    DataError
        If rows on the disk cannot be read any more; after a checkpoint.
    NumericalError
        As soon as the loss is not finite, naming where; or before a checkpoint of numbers that
        are not would replace the last good one.
    ParameterError
        If a callback returns what is neither true nor false.
    KeyboardInterrupt
        On Ctrl-C, at the end of the step in hand; see :mod:`npvae.interrupts`.
    """
    steps, progress = make_step(state, batches, config), progress or Progress()
    recover_best(state, config)
    comm = config.comm
    room = state.engine.backend.products(largest_product(state, batches, config))
    with interrupts() as interrupted, progress, comm.threads(), room:
        ending, done = comm.heeding(interrupted), [False]
        while state.epoch < config.epochs and not out_of_patience(state, config):
            began = perf_counter()
            comm.begin_epoch([state.engine.theta, *state.state_arrays().values()])
            try:
                with comm.guarded():
                    steps.begin_epoch()
                    while state.batch < batches.n_batches and not ending():
                        steps.advance()
                        progress.step(state)
            except DataError:  # of rows that are read on the way: what was learned is not lost
                steps.sum_metrics()
                if checkpoint:
                    checkpoint(state)
                raise
            seconds = perf_counter() - began
            comm.end_epoch(seconds)
            steps.sum_metrics()
            with comm.together():
                if not ending():
                    close_epoch(steps, seconds, measures)
                    progress.epoch(state)
                    done = [is_true(callback(state)) for callback in callbacks]
                check_finite(steps)
                if checkpoint:
                    checkpoint(state)
            if ending() or comm.any(any(done)):
                break
        if ending() and not interrupted():
            raise KeyboardInterrupt("another rank was interrupted")
    if config.patience is not None and state.best is not None:
        state.engine.theta[...] = state.best
    return state


def recover_best(state: TrainingState, config: TrainConfig) -> None:
    """Take this epoch for the best where there is none to compare with.

    Early stopping was not asked for before, or an older npvae took its best from the warm-up: the
    best parameters are not there, and in the middle of an epoch there are none to keep.
    """
    missing = config.patience is not None and state.best is None and state.best_elbo is not None
    if missing or 0 < state.best_epoch <= warmup_epochs(state):
        elbo = None if state.batch else state.last()["validation_elbo"]
        keep_best(state, elbo, config.patience is not None)


def is_true(result: Any) -> bool:
    """Whether a callback returned a truth value, of any array library, that is true.

    Texts and collections are none: what a callback logs is not what it asks for.
    """
    try:
        return hasattr(result, "__bool__") and bool(result)
    except (TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ParameterError(
            f"a callback returned a {type(result).__name__} that is neither true nor false: "
            f"{reason}; return True to end the training, or None"
        ) from error


def close_epoch(
    steps: TrainStep, seconds: float, measures: tuple[Measure, ...]
) -> None:
    """End an epoch: a row of the history from its sums and measures, and the best parameters."""
    state, config, means = steps.state, steps.config, steps.means()
    state.epoch += 1
    state.begin_epoch()
    n, before = steps.batches.n_data, state.history.get("samples")
    samples = (before[-1] if before else (state.epoch - 1) * n) + n  # data may have grown since
    row = {"epoch": state.epoch, **means, "samples": samples, "seconds": seconds}
    for measure in measures:
        row |= measure()
    if "validation_elbo" in row:
        at_rest = state.epoch > warmup_epochs(state)
        if at_rest and (state.best_elbo is None or row["validation_elbo"] > state.best_elbo):
            keep_best(state, row["validation_elbo"], config.patience is not None)
    state.record(row)


def largest_product(state: TrainingState, batches: Minibatches, config: TrainConfig) -> int:
    """Multiply-adds of a step's largest matrix product: (L M, in) by (in, out)."""
    weights = [prod(s) for s in state.engine.layout.shapes.values() if len(s) == 2]
    return config.n_samples * (batches.batch_size // config.comm.size) * max(weights)


def keep_best(state: TrainingState, elbo: float | None, parameters: bool = True) -> None:
    """Keep this epoch as the best one, with its parameters if early stopping restores them.

    None is kept while the objective is warmed up: the bound of an epoch that felt less of the KL is
    that of another problem.
    """
    if state.epoch <= warmup_epochs(state):
        state.best_elbo, state.best_epoch, state.best = None, 0, None
        return
    state.best_elbo, state.best_epoch = elbo, state.epoch
    state.best = state.engine.theta.copy() if parameters and elbo is not None else None


def warmup_epochs(state: TrainingState) -> int:
    """The epochs at the beginning that early stopping leaves out."""
    return state.engine.objective.warmup_epochs


def out_of_patience(state: TrainingState, config: TrainConfig) -> bool:
    """Whether the validation bound has not improved for ``patience`` epochs after the warm-up."""
    if config.patience is None or state.best_elbo is None:
        return False
    return state.epoch - state.best_epoch >= config.patience


def check_finite(steps: TrainStep) -> None:
    """Raise if parameters or moments are not finite: they must not replace a good checkpoint."""
    state = steps.state
    vectors = (state.engine.theta, *state.moments.values())
    if not all(bool(state.engine.xp.isfinite(vector).all()) for vector in vectors):
        raise NumericalError(steps.diagnose(f"the numbers overflowed at step {state.step}"))
