"""The course of training: one step, the same work every time on the same buffers.

What differs between two steps (which rows, which noise, which learning rate) is read off a clock
that lives with the parameters: a step number that each step moves on, and tables of the epoch.
So nothing in a step depends on where the host thinks it is, and a device that can record its
launches replays a whole run of steps without being told anything in between.
"""
from collections.abc import Callable
from functools import partial
from math import isfinite
from typing import Any
from warnings import warn

from npvae import random
from npvae.backend import to_numpy
from npvae.errors import NumericalError
from npvae.memory import aligned
from npvae.optim import FLUSH_EVERY, PARTS, clip_by_norm
from npvae.training.batches import Minibatches
from npvae.training.recipe import Recipe
from npvae.training.state import TrainingState

Array = Any
REPLAY = 16  # steps in the longer of the two recordings


class Course:
    """Steps of one run of training.

    Parameters
    ----------
    state : TrainingState
        Where the run stands; kept up to date.
    batches : Minibatches
        The data.
    recipe : Recipe
        How to train.

    Attributes
    ----------
    step, now, first : array (1,) int64
        Number of the step to come, of the one in hand, and of the first of this epoch.
    order : array (N,) int64
        In which the epoch visits the data.
    rates : array (n_batches, K) float64
        The optimiser's numbers for each step of the epoch.
    sums : array (2,) float64
        Over the epoch's datapoints so far: the reconstruction, and the KL, in nats.
    """

    def __init__(self, state: TrainingState, batches: Minibatches, recipe: Recipe):
        self.state, self.batches, self.recipe = state, batches, recipe
        self.engine = state.engine
        xp, theta = self.engine.xp, self.engine.theta
        self.step, self.now, self.first = (xp.full(1, state.step, xp.int64) for _ in range(3))
        self.sums = xp.asarray(state.sums, dtype=xp.float64)
        self.rows = xp.empty(batches.batch_size, xp.int64)
        K = len(recipe.optimizer.numbers(recipe.learning_rate, 1))
        self.order = xp.empty(len(batches.data), xp.int64)
        self.rates = xp.empty((batches.n_batches, K), xp.float64)
        self.current = aligned(xp.empty, K, theta.dtype)
        self.squares, self.factor = xp.empty(PARTS, xp.float64), xp.ones(1, theta.dtype)
        self.numbers = [self.current[k : k + 1].reshape(()) for k in range(K)]
        self._next: tuple[int, Array] = (-1, None)  # an epoch, and its order if it is laid out
        self._warm = False  # whether a whole minibatch has made the buffers
        self._replays: dict[int, Callable[[], None]] = {}  # steps → what replays them
        self._recorded_at = -1  # allocations of the workspace then

    def open_epoch(self) -> None:
        """Lay out the tables of the epoch that the state is in."""
        state, batches, recipe, xp = self.state, self.batches, self.recipe, self.engine.xp
        first, steps = state.step - state.batch, recipe.epochs * batches.n_batches
        self.first[...], self.step[...] = first, state.step
        epoch, order = self._next
        self.order[...] = order if epoch == state.epoch else batches.order(state.epoch)
        self.sums[...] = xp.asarray(state.sums)
        rates = [recipe.learning_rate * recipe.schedule(t / steps)
                 for t in range(first, first + batches.n_batches)]  # fmt: skip
        numbers = recipe.optimizer.numbers
        table = [numbers(rate, t) for t, rate in enumerate(rates, first + 1)]
        self.rates[...] = xp.asarray(table, dtype=xp.float64)

    def advance(self) -> None:
        """Work through the next minibatch; replayed, through all until the host has to look."""
        state, M = self.state, self.batches.batch_size
        whole = len(self.batches.data) // M - state.batch  # batches of M left in this epoch
        n = min(whole, FLUSH_EVERY - state.step % FLUSH_EVERY)
        if n > 0 and self._can_replay():
            for _ in range(n // REPLAY):
                self._replays[REPLAY]()
            for _ in range(n % REPLAY):
                self._replays[1]()
            if state.batch + n == self.batches.n_batches:  # while the device is at work
                self._next = state.epoch + 1, self.batches.order(state.epoch + 1)
            self.look(n)
        else:
            n = 1
            self.one_step(self.batches.size(state.batch), look=True)
            self._warm |= whole > 0
        state.step += n
        state.batch += n
        if state.step % FLUSH_EVERY == 0:
            scratch = self.engine.work("update.scratch", self.engine.theta.size)
            self.recipe.optimizer.flush(self.engine.ops, state.moments, scratch)

    def one_step(self, M: int, look: bool = False) -> None:
        """From rows of the data to changed parameters; all of it on the device.

        With ``look`` the host stops at a bad loss, before it reaches the parameters.
        """
        engine, recipe, batches = self.engine, self.recipe, self.batches
        ops, rows, theta = engine.ops, self.rows[:M], engine.theta
        ops.clock(
            self.step, self.now, self.first, self.order, batches.batch_size, self.rates,
            rows, self.current,
        )  # fmt: skip
        x = batches.fetch(rows, self.now)  # (M, D)
        eps = engine.work("eps", recipe.n_samples, M, engine.model.n_noise)  # (L, M, J)
        kept = engine.forward(x, eps, (recipe.seed, random.POSTERIOR, self.now))
        ops.tally(kept.nll, kept.kl, self.sums)
        if look:
            self.look(1)
        engine.backward(x, eps, kept)
        if recipe.clip_norm is not None:
            clip_by_norm(ops, engine.grad, recipe.clip_norm, self.squares, self.factor)
        scratch = engine.work("update.scratch", theta.size)
        recipe.optimizer.step(
            ops, theta, engine.grad, self.state.moments, scratch, *self.numbers
        )

    def look(self, n: int) -> None:
        """Read the sums, after ``n`` steps; raise a NumericalError if they are not finite."""
        state = self.state
        state.sums[:] = map(float, to_numpy(self.sums))
        loss = state.sums[1] - state.sums[0]
        if not isfinite(loss):
            when = f"at step {state.step + 1}" if n == 1 else f"by step {state.step + n}"
            raise NumericalError(
                diagnose(state, f"the loss is {loss} {when}, in epoch {state.epoch + 1}")
            )

    def _can_replay(self) -> bool:
        """Whether whole minibatches can be replayed; recorded here, and anew if buffers moved."""
        allocations = self.engine.work.allocations
        if self._warm and self._recorded_at != allocations:
            self._replays, self._recorded_at = self._record(), allocations
        return self._warm and bool(self._replays)

    def _record(self) -> dict[int, Callable[[], None]]:
        """What replays one step and what replays several; nothing if the device cannot."""
        replays = {}
        try:
            for n in (1, REPLAY):
                replay = self.engine.backend.record(partial(self._whole_steps, n))
                if replay is None:
                    return {}
                replays[n] = replay
        except Exception as error:  # of whatever kind: training can do without
            warn(f"steps cannot be recorded, so each is launched anew: {error}", stacklevel=2)
            return {}
        return replays

    def _whole_steps(self, n: int) -> None:
        for _ in range(n):
            self.one_step(self.batches.batch_size)


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
