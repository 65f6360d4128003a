"""A training step: the same work every time, on the same buffers.

What differs between two steps (which rows, which noise, which learning rate) is read where
the parameters live: a step number that each step moves on, and tables of the epoch.
So nothing in a step depends on where the host thinks it is, and a device that can record its
launches replays a whole run of steps without being told anything in between.
"""
from collections.abc import Callable
from functools import partial
from math import isfinite
from warnings import warn

from npvae import random
from npvae.backend import Array, to_numpy
from npvae.errors import NumericalError
from npvae.memory import aligned
from npvae.models import Noise
from npvae.objectives import Loss, Terms
from npvae.optim import FLUSH_EVERY, PARTS, clip_by_norm
from npvae.training.batches import Minibatches
from npvae.training.recipe import Recipe
from npvae.training.state import TrainingState

REPLAY = 16  # steps in the longer of the two recordings


class TrainStep:
    """Steps of one run of training.

    Parameters
    ----------
    state : TrainingState
        Where the run stands; kept up to date.
    batches : Minibatches
        The data.
    recipe : Recipe
        How to train.
    n_updates : int
        Of the parameters, in a step.

    Attributes
    ----------
    step, now, first : array (1,) int64
        Number of the step to come, of the one in hand, and of the first of this epoch.
    order : array (N,) int64
        In which the epoch visits the data.
    rates : array (n_batches, n_updates · K + S) float64
        The optimiser's numbers for each step of the epoch, one update's after the other's; and
        then the S numbers that the objective has for it.
    sums : array (4,) float64
        Over the epoch's datapoints so far: the reconstruction, and the KL, in nats; and both as
        the objective has them, if that is not the bound.
    """

    def __init__(
        self, state: TrainingState, batches: Minibatches, recipe: Recipe, n_updates: int = 1
    ):
        self.state, self.batches, self.recipe = state, batches, recipe
        self.n_updates = n_updates
        self.engine = state.engine
        xp, theta = self.engine.xp, self.engine.theta
        self.step, self.now, self.first = (xp.full(1, state.step, xp.int64) for _ in range(3))
        self.sums = xp.empty(4, xp.float64)
        self.rows = xp.empty(batches.batch_size, xp.int64)
        K = n_updates * len(recipe.optimizer.numbers(recipe.learning_rate, 1))
        self.order = xp.empty(len(batches.data), xp.int64)
        S = len(self.engine.objective.scalars(0, batches.n_batches))
        self.rates = xp.empty((batches.n_batches, K + S), xp.float64)
        self.current = aligned(xp.empty, K + S, theta.dtype)
        self.squares, self.factor = xp.empty(PARTS, xp.float64), xp.ones(1, theta.dtype)
        numbers = [self.current[k : k + 1].reshape(()) for k in range(K + S)]
        self.numbers, self.scalars = numbers[:K], tuple(numbers[K:])
        self._next: tuple[int, Array | None] = (-1, None)  # an epoch, and its order
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
        self.sums[...] = xp.asarray(state.sums + state.objective)
        rates = [recipe.learning_rate * recipe.schedule(t / steps)
                 for t in range(first, first + batches.n_batches)]  # fmt: skip
        numbers = recipe.optimizer.numbers
        U = self.n_updates
        table = [[number for t in range(U * i + 1, U * i + U + 1) for number in numbers(rate, t)]
                 for i, rate in enumerate(rates, first)]  # fmt: skip
        n, scalars = batches.n_batches, self.engine.objective.scalars
        table = [[*row, *scalars(state.epoch * n + i, n)] for i, row in enumerate(table)]
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
            self.recipe.optimizer.flush_denormals(self.engine.ops, state.moments, scratch)

    def one_step(self, M: int, look: bool = False) -> None:
        """From rows of the data to changed parameters; all of it on the device.

        With ``look`` the host stops at a bad loss, before it reaches the parameters.
        """
        engine, recipe = self.engine, self.recipe
        model, ctx = engine.model, engine.ctx
        x = self.fetch(M)  # (M, D)
        eps = ctx.work("eps", recipe.n_samples, M, model.n_noise)  # (L, M, n_noise)
        noise = Noise(eps, (recipe.seed, random.POSTERIOR, self.now))
        cache = engine.forward(x, noise)
        loss = engine.objective(ctx, cache.terms, self.scalars, self.state.objective_state)
        self.accumulate(cache.terms, loss)
        if look:
            self.look(1)
        model.backward(ctx, cache, loss.seeds)
        engine.penalty.backward(engine)
        self.update()

    def accumulate(self, terms: Terms, loss: Loss) -> None:
        """Add a minibatch to the sums: of the lower bound, and of what is maximised if another."""
        self.engine.ops.accumulate_metrics(terms.nll, terms.kl, self.sums)  # into the first two
        if loss.nll is not terms.nll or loss.kl is not terms.kl:
            self.engine.ops.accumulate_metrics(loss.nll, loss.kl, self.sums[2:])

    def fetch(self, M: int) -> Array:
        """A step begins: its minibatch, whose datapoints are the first M of ``rows``.   (M, D)"""
        rows = self.rows[:M]
        self.engine.ops.begin_step(
            self.step, self.now, self.first, self.order, self.batches.batch_size, self.rates,
            rows, self.current,
        )  # fmt: skip
        return self.batches.fetch(rows, self.now)

    def update(self, k: int = 0) -> None:
        """Update number ``k`` of a step: the parameters, by the gradient at hand."""
        engine, recipe, ops = self.engine, self.recipe, self.engine.ops
        if recipe.clip_norm is not None:
            clip_by_norm(ops, engine.grad, recipe.clip_norm, self.squares, self.factor)
        scratch = engine.work("update.scratch", engine.theta.size)
        K = len(self.numbers) // self.n_updates
        numbers = self.numbers[k * K : (k + 1) * K]
        recipe.optimizer.step(
            ops, engine.theta, engine.grad, self.state.moments, scratch, *numbers
        )

    def look(self, n: int) -> None:
        """Read the sums, after ``n`` steps; raise a NumericalError if they are not finite."""
        state = self.state
        sums = [float(total) for total in to_numpy(self.sums)]
        state.sums[:], state.objective[:] = sums[:2], sums[2:]
        loss = sums[1] - sums[0] + sums[3] - sums[2]
        if not isfinite(loss):
            when = f"at step {state.step + 1}" if n == 1 else f"by step {state.step + n}"
            raise NumericalError(
                diagnose(state, f"the loss is {loss} {when}, in epoch {state.epoch + 1}")
            )

    def means(self) -> dict[str, float]:
        """What the history keeps of an epoch: means over its datapoints, in nats."""
        reconstruction, kl = (total / len(self.batches.data) for total in self.state.sums)
        row = {"elbo": reconstruction - kl, "reconstruction": reconstruction, "kl": kl}
        if any(self.state.objective):
            reconstruction, term = self.state.objective
            row["objective"] = (reconstruction - term) / len(self.batches.data)
        return row | self.engine.penalty.report(self.engine)

    def _can_replay(self) -> bool:
        """Whether whole minibatches can be replayed; captured here, and anew if buffers moved."""
        allocations = self.engine.work.allocations
        if self._warm and self._recorded_at != allocations:
            self._replays, self._recorded_at = self._record(), allocations
        return self._warm and bool(self._replays)

    def _record(self) -> dict[int, Callable[[], None]]:
        """What replays one step and what replays several; nothing if the device cannot, or if a
        step makes arrays on the way, to where a replay would write when they are gone.
        """
        replays = {}
        try:
            for n in (1, REPLAY):
                replay = self.engine.backend.capture(partial(self._whole_steps, n))
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
