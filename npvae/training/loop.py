"""The training loop: gather, forward, backward, update.

Everything random is a function of (seed, step), so this loop has no hidden state: stop it
anywhere, and a checkpoint continues to the same parameters, bit for bit.
"""
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite
from time import perf_counter
from typing import Any

from npvae import random
from npvae.errors import NumericalError
from npvae.models import Engine
from npvae.optim import Optimizer, Schedule, clip_by_norm
from npvae.training.batches import Minibatches
from npvae.training.state import TrainingState

Callback = Callable[[TrainingState], Any]


@dataclass(frozen=True)
class Recipe:
    """How to train: everything but the model and the data.

    Attributes
    ----------
    optimizer : Optimizer
        The update rule.
    learning_rate : float
        Before the schedule's factor.
    schedule : Schedule
        Factor by progress through ``epochs``.
    clip_norm : float or None
        Largest Euclidean norm of the gradient.
    epochs : int
        Passes over the data, those before a resume included.
    n_samples : int
        The paper's L.
    seed : int
        Of permutations and noise.
    patience : int or None
        Stop after so many epochs without a better validation bound, and go back to the best.
    """

    optimizer: Optimizer
    learning_rate: float
    schedule: Schedule
    clip_norm: float | None
    epochs: int
    n_samples: int
    seed: int
    patience: int | None = None


def train(
    state: TrainingState,
    batches: Minibatches,
    recipe: Recipe,
    validate: Callable[[], dict[str, float]] | None = None,
    callbacks: tuple[Callback, ...] = (),
    checkpoint: Callback | None = None,
) -> TrainingState:
    """Run epochs until ``recipe.epochs`` of them are done.

    Parameters
    ----------
    state : TrainingState
        Where to begin; advanced in place.
    batches : Minibatches
        The data.
    validate : callable, optional
        Gives ``{"validation_elbo": ..., ...}`` for the current parameters.
    callbacks : tuple of callable
        Called with the state after every epoch; one that returns True ends the run.
    checkpoint : callable, optional
        Called with the state after every epoch, and on Ctrl-C before the interrupt goes on.

    Raises
    ------
    NumericalError
        As soon as the loss is not finite, naming where; or before a checkpoint of numbers that
        are not would replace the last good one.
    KeyboardInterrupt
        On Ctrl-C, at the end of the step in hand.
    """
    with interrupts() as interrupted:
        while state.epoch < recipe.epochs and not out_of_patience(state, recipe):
            began = perf_counter()
            order = batches.order(state.epoch)
            for batch in range(state.batch, batches.n_batches):
                one_step(state, batches, recipe, order, batch)
                if interrupted():
                    break
            if not interrupted():
                close_epoch(state, batches, recipe, perf_counter() - began, validate)
                done = [callback(state) is True for callback in callbacks]
            check_finite(state)
            if checkpoint:
                checkpoint(state)
            if interrupted():
                raise KeyboardInterrupt
            if any(done):
                break
    if recipe.patience is not None and state.best is not None:
        state.engine.theta[...] = state.best
    return state


def one_step(
    state: TrainingState, batches: Minibatches, recipe: Recipe, order: Any, batch: int
) -> None:
    """Batch ``batch`` of the epoch: from rows of the data to changed parameters."""
    engine, xp = state.engine, state.engine.xp
    x = batches.fetch(order, batch, state.step)  # (M, D)
    M = len(x)
    eps = draw_noise(engine, recipe.seed, state.step, recipe.n_samples, M)  # (L, M, J)
    kept = engine.forward(x, eps)
    nll, kl = float(kept.nll.sum()) / len(kept.nll), float(kept.kl.sum()) / len(kept.kl)
    if not isfinite(nll + kl):
        where = f"at step {state.step + 1}, in epoch {state.epoch + 1}"
        raise NumericalError(diagnose(state, f"the loss is {(nll + kl) / M} {where}"))
    engine.backward(x, eps, kept)
    if recipe.clip_norm is not None:
        clip_by_norm(xp, engine.grad, recipe.clip_norm)
    progress = state.step / (recipe.epochs * batches.n_batches)
    rate = recipe.learning_rate * recipe.schedule(progress)
    scratch = engine.work("update.scratch", engine.theta.size)
    recipe.optimizer.update(
        engine.ops, engine.theta, engine.grad, state.moments, scratch, rate, state.step + 1
    )
    state.sums[0] -= nll
    state.sums[1] += kl
    state.step += 1
    state.batch = batch + 1


def draw_noise(engine: Engine, seed: int, step: int, L: int, M: int) -> Any:
    """ε of a step, in the engine's buffer.   (L, M, J)"""
    J = engine.model.n_noise
    eps = engine.work("eps", L, M, J)
    eps[...] = engine.xp.asarray(random.posterior_noise(seed, random.POSTERIOR, step, L, J, M))
    return eps


def close_epoch(
    state: TrainingState, batches: Minibatches, recipe: Recipe, seconds: float,
    validate: Callable[[], dict[str, float]] | None,
) -> None:  # fmt: skip
    """Turn the sums of an epoch into a row of the history, and keep the best parameters."""
    N = len(batches.data)
    reconstruction, kl = state.sums[0] / N, state.sums[1] / N
    state.epoch, state.batch, state.sums = state.epoch + 1, 0, [0.0, 0.0]
    row = {
        "epoch": state.epoch,
        "elbo": reconstruction - kl,
        "reconstruction": reconstruction,
        "kl": kl,
        "samples": state.epoch * N,
        "seconds": seconds,
    }
    if validate:
        row |= validate()
        if not isfinite(row["validation_elbo"]):
            what = f"the validation ELBO is {row['validation_elbo']} after epoch {state.epoch}"
            raise NumericalError(diagnose(state, what))
        if state.best_elbo is None or row["validation_elbo"] > state.best_elbo:
            state.best_elbo, state.best_epoch = row["validation_elbo"], state.epoch
            if recipe.patience is not None:
                state.best = state.engine.theta.copy()
    state.record(row)


def out_of_patience(state: TrainingState, recipe: Recipe) -> bool:
    """Whether the validation bound has not improved for ``patience`` epochs."""
    if recipe.patience is None or state.best_elbo is None:
        return False
    return state.epoch - state.best_epoch >= recipe.patience


def check_finite(state: TrainingState) -> None:
    """Raise if parameters or moments are not finite: they must not replace a good checkpoint."""
    vectors = (state.engine.theta, *state.moments.values())
    if not all(bool(state.engine.xp.isfinite(vector).all()) for vector in vectors):
        raise NumericalError(diagnose(state, f"the numbers overflowed at step {state.step}"))


def diagnose(state: TrainingState, what: str) -> str:
    """One line on where the numbers stopped being finite.

    Searched in the order in which a bad number spreads: the gradient of the last update (still
    there), the moments, the parameters, and the buffers of a step as the forward pass fills them.
    """
    engine = state.engine
    named, finite = engine.layout.named, engine.xp.isfinite
    suspects = {f"the gradient of {k}": v for k, v in named(engine.grad).items()}
    for slot, moment in state.moments.items():
        suspects |= {f"the optimiser's {slot} of {k}": v for k, v in named(moment).items()}
    suspects |= {f"the parameter {k}": v for k, v in named(engine.theta).items()}
    suspects |= {f"the layer's buffer {k}": v for k, v in engine.work.buffers().items()}
    where = next((k for k, v in suspects.items() if not bool(finite(v).all())), "the loss itself")
    return (
        f"{what}; the first value that is not finite is in {where}; "
        "lower the learning rate or set clip_norm"
    )


@contextmanager
def interrupts() -> Iterator[Callable[[], bool]]:
    """Turn Ctrl-C into a flag, so that no step is torn; a second Ctrl-C is not held back."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    seen: list[int] = []
    before = signal.getsignal(signal.SIGINT)

    def note(number: int, frame: Any) -> None:
        seen.append(number)
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(seen)
    finally:
        signal.signal(signal.SIGINT, before)
