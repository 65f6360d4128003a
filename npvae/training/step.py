"""A training step: the same work every time, on the same buffers.

What differs between two steps (which rows, which noise, which learning rate) is read where
the parameters live: a step number that each step moves on, and tables of the epoch.
So nothing in a step depends on where the host thinks it is: steps can be captured, as a CUDA
graph or as a list of calls, and replayed without Python.
"""
from collections.abc import Callable
from functools import partial
from math import isfinite
from time import perf_counter
from typing import Any
from warnings import warn

import numpy as np

from npvae import random
from npvae.backend import Array, to_numpy
from npvae.errors import NumericalError
from npvae.memory import aligned
from npvae.models import Noise
from npvae.models.coupling import FILLS
from npvae.objectives import Loss, Terms
from npvae.optim import FLUSH_EVERY, PARTS, clip_by_norm
from npvae.recording import is_own
from npvae.training.batches import Minibatches
from npvae.training.config import TrainConfig
from npvae.training.diagnosis import diagnose
from npvae.training.state import TrainingState

STEPS_PER_GRAPH = 16  # of the longer of the two CUDA graphs; the other has one step
AT_ONCE = 0.05  # seconds of a host until it looks for Ctrl-C


class TrainStep:
    """Steps of one run of training.

    Parameters
    ----------
    state : TrainingState
        Where the run stands; kept up to date.
    batches : Minibatches
        The data.
    config : TrainConfig
        Optimiser, learning rate and the rest.
    n_updates : int
        Optimiser updates a step.

    Attributes
    ----------
    next_step, step, epoch_start : array (1,) int64
        Step counters: of the step to come, of the current one, and of the first of this epoch,
        or of this window of it.
    order : array (W,) int64
        Permutation in which the epoch visits the rows that are in memory: all, or a window.
    step_scalars : array (n, n_updates · K + S) float64
        Scalars of the steps of the epoch, or of its window: the optimiser's (learning rate, bias
        corrections, ...), one update's after the other's; then the S scalars of the objective (the
        KL weight).
    current_scalars : array (n_updates · K + S,)
        Those of the current step, of θ's dtype.
    sums : array (4,) float64
        Over the epoch's datapoints so far, this rank's: the reconstruction, and the KL, in nats;
        and both as the objective has them, if that is not the bound.
    """

    def __init__(
        self, state: TrainingState, batches: Minibatches, config: TrainConfig, n_updates: int = 1
    ):
        self.state, self.batches, self.config = state, batches, config
        self.n_updates, self.comm = n_updates, config.comm
        self.engine = state.engine
        xp, theta = self.engine.xp, self.engine.theta
        self.next_step, self.step, self.epoch_start = (
            xp.full(1, state.step, xp.int64) for _ in range(3)
        )
        self.sums = xp.empty(4, xp.float64)
        self._synced = [0.0] * 4  # those that the host has read
        self.rows = xp.empty(batches.batch_size, xp.int64)
        K = n_updates * len(config.optimizer.numbers(config.learning_rate, 1))
        self.order = xp.empty(len(batches.data), xp.int64)
        S = len(self.engine.objective.scalars(0, batches.n_batches))
        self.step_scalars = xp.empty((batches.n_in_window, K + S), xp.float64)
        self._window = -1  # the number of that which the tables are of
        self.current_scalars = aligned(xp.empty, K + S, theta.dtype)
        self.squares, self.factor = xp.empty(PARTS, xp.float64), xp.ones(1, theta.dtype)
        numbers = [self.current_scalars[k : k + 1].reshape(()) for k in range(K + S)]
        self.optimizer_scalars, self.objective_scalars = numbers[:K], tuple(numbers[K:])
        self._next_order: tuple[int, Array | None] = (-1, None)  # an epoch, and its permutation
        self._buffers_ready = False  # whether a whole minibatch has allocated the buffers
        self.graphs: dict[int, Callable[[], bool | None]] = {}  # number of steps → their replay
        self._captured_at = -1  # the workspace's count of allocations at the capture

    def begin_epoch(self) -> None:
        """Start the sums of the current epoch, and its first window or the one it was left in."""
        state, xp = self.state, self.engine.xp
        self.sums[...] = xp.asarray(state.sums + state.objective) if self.comm.rank == 0 else 0
        self.begin_window()

    def begin_window(self) -> None:
        """Fill the permutation and the scalars of the steps whose rows are in memory."""
        state, batches, config, xp = self.state, self.batches, self.config, self.engine.xp
        self._window = min(state.batch, batches.n_batches - 1) // batches.n_in_window
        before = self._window * batches.n_in_window  # batches of the epoch
        count = min(batches.n_in_window, batches.n_batches - before)
        first, steps = state.step - state.batch + before, config.epochs * batches.n_batches
        self.epoch_start[...], self.next_step[...] = first, state.step
        epoch, order = self._next_order
        if epoch != state.epoch or order is None:
            order = batches.begin_window(state.epoch, self._window, config.epochs)
        self.order[: len(order)] = order
        rates = [config.learning_rate * config.schedule(t / steps)
                 for t in range(first, first + count)]  # fmt: skip
        numbers = config.optimizer.numbers
        U = self.n_updates
        table = [[number for t in range(U * i + 1, U * i + U + 1) for number in numbers(rate, t)]
                 for i, rate in enumerate(rates, first)]  # fmt: skip
        n, scalars = batches.n_batches, self.engine.objective.scalars
        table = [[*row, *scalars(state.epoch * n + before + i, n)] for i, row in enumerate(table)]
        self.step_scalars[:count] = xp.asarray(table, dtype=xp.float64)

    def advance(self, most: int = FLUSH_EVERY) -> None:
        """Train on the next minibatch, or where steps are captured on several, ``most`` of them."""
        state, batches, M = self.state, self.batches, self.batches.batch_size
        if state.batch // batches.n_in_window != self._window:
            self.begin_window()
        end = (self._window + 1) * batches.n_in_window
        whole = min(batches.n_data // M, end) - state.batch  # batches of M left in this window
        n = min(most, whole, FLUSH_EVERY - state.step % FLUSH_EVERY)
        if n > 0 and self._can_replay_graphs():
            n = self._replay_graphs(n)
        else:
            n = 1
            self.one_step(batches.size(state.batch), sync=True)
            self._buffers_ready |= whole > 0
        self.keep_sums()
        state.step += n
        state.batch += n
        if state.step % FLUSH_EVERY == 0:
            scratch = self.engine.work("update.scratch", self.engine.theta.size)
            self.config.optimizer.flush_denormals(self.engine.ops, state.moments, scratch)

    def prefetch_order(self) -> None:
        """Make the permutation of the epoch to come."""
        epoch = self.state.epoch + 1
        self._next_order = epoch, self.batches.order(epoch)

    def one_step(self, M: int, sync: bool = False) -> None:
        """A training step, forward, backward and update; all of it on the device.

        With ``sync`` the host reads the loss and stops at one that is not finite, before it
        reaches the parameters. Of several processes each takes its part of the minibatch.
        """
        engine, config = self.engine, self.config
        model, ctx = engine.model, engine.ctx
        mine, part = self.comm.share(M)
        with self.comm.together():
            x = self.fetch(M, mine)  # (M, D), as M is from here on
            eps = ctx.work("eps", config.n_samples, len(x), model.n_noise)  # (L, M, n_noise)
            rng_key = config.seed, random.POSTERIOR, self.step
            if filled := config.noise != "independent" or self.comm.size > 1:
                FILLS[config.noise](ctx, rng_key, eps, mine.start)
            noise = Noise(eps, rng_key, filled)
            cache = engine.forward(x, noise)
            scalars, state = self.objective_scalars, self.state.objective_state
            loss = engine.objective(ctx, cache.terms, scalars, state)
            if part:
                self.accumulate(cache.terms, loss)
            if sync:
                self.sync_and_check(1)
            engine.backend.halt(self.sums)
            model.backward(ctx, cache, loss.seeds)
        self.comm.average(engine.grad, part, engine.backend)
        engine.penalty.backward(engine)
        self.update()

    def accumulate(self, terms: Terms, loss: Loss) -> None:
        """Add a minibatch to the epoch's sums: of the ELBO, and of the objective if another."""
        self.engine.ops.accumulate_metrics(terms.nll, terms.kl, self.sums)  # into the first two
        if loss.nll is not terms.nll or loss.kl is not terms.kl:
            self.engine.ops.accumulate_metrics(loss.nll, loss.kl, self.sums[2:])

    def fetch(self, M: int, mine: slice = slice(None)) -> Array:
        """Begin a step and gather ``mine`` of its minibatch, the first M of ``rows``.   (·, D)"""
        rows = self.rows[:M]
        self.engine.ops.begin_step(
            self.next_step, self.step, self.epoch_start, self.order, self.batches.batch_size,
            self.step_scalars, rows, self.current_scalars,
        )  # fmt: skip
        return self.batches.fetch(rows[mine], self.step, mine.start or 0)

    def update(self, k: int = 0) -> None:
        """Optimiser update number ``k`` of a step, by the current gradient."""
        engine, config, ops = self.engine, self.config, self.engine.ops
        if config.clip_norm is not None:
            clip_by_norm(ops, engine.grad, config.clip_norm, self.squares, self.factor)
        scratch = engine.work("update.scratch", engine.theta.size)
        K = len(self.optimizer_scalars) // self.n_updates
        numbers = self.optimizer_scalars[k * K : (k + 1) * K]
        config.optimizer.step(
            ops, engine.theta, engine.grad, self.state.moments, scratch, *numbers
        )

    def sync_and_check(self, n: int) -> None:
        """Synchronise after ``n`` steps and read the epoch's sums.

        Raises
        ------
        NumericalError
            If they are not finite.
        """
        state = self.state
        sums = self._synced = [float(total) for total in to_numpy(self.sums)]
        loss = sums[1] - sums[0] + sums[3] - sums[2]
        if not isfinite(loss):
            when = f"at step {state.step + 1}" if n == 1 else f"by step {state.step + n}"
            what = f"the loss is {loss} {when}, in epoch {state.epoch + 1}"
            raise NumericalError(self.diagnose(what))

    def keep_sums(self) -> None:
        """Keep in the state the sums that the host has read."""
        self.state.sums[:], self.state.objective[:] = self._synced[:2], self._synced[2:]

    def sum_metrics(self) -> None:
        """Bring the epoch's sums so far together from all processes."""
        state = self.state
        sums = self.comm.sum(state.sums + state.objective)
        state.sums[:], state.objective[:] = sums[:2], sums[2:]

    def diagnose(self, what: str) -> str:
        """What happened, and what is likely to be its cause, in a line."""
        return diagnose(self.state, what, self.batches.seen(), names=self.batches.names)

    def means(self) -> dict[str, float]:
        """What the history keeps of an epoch: means over its datapoints, in nats."""
        reconstruction, kl = (total / self.batches.n_data for total in self.state.sums)
        row = {"elbo": reconstruction - kl, "reconstruction": reconstruction, "kl": kl}
        if any(self.state.objective):
            reconstruction, term = self.state.objective
            row["objective"] = (reconstruction - term) / self.batches.n_data
        return row | self.engine.penalty.report(self.engine)

    def _can_replay_graphs(self) -> bool:
        """Whether graphs can train whole minibatches; captured anew if buffers moved."""
        by_host = not self.batches.capturable or self.config.noise == "sobol"  # made there
        if by_host or self.comm.size > 1:
            return False
        work = self.engine.work
        if self._buffers_ready and self._captured_at != work.allocations:
            before, self.graphs = work.allocations, self._capture_graphs()
            self._captured_at = work.allocations
            if before != work.allocations:  # some buffers were not there yet
                self.graphs = {}
        return self._buffers_ready and bool(self.graphs)

    def _capture_graphs(self) -> dict[int, Callable[[], bool | None]]:
        """The replays of one step and, on a device, of several; none where steps cannot be captured
        or are not all done by ops, but by arrays that they allocate or by NumPy.
        """
        graphs, engine, state = {}, self.engine, self.state
        on_host = engine.backend.xp is np
        watched = self, engine, engine.mine, engine.ctx, engine.work, state, self.batches
        holders = watched if on_host else ()
        if on_host and not (engine.xp is np and all(map(is_own, self._parts()))):
            return {}
        try:
            for n in (1,) if on_host else (1, STEPS_PER_GRAPH):
                replay = engine.backend.capture(partial(self._run_steps, n), *holders)
                if replay is None:
                    return {}
                graphs[n] = replay
        except Exception as error:  # of whatever kind: training can do without
            warn(f"steps cannot be captured, so each is launched anew: {error}", stacklevel=2)
            return {}
        return graphs

    def _parts(self) -> tuple[Any, ...]:
        """The objects that a step is made of."""
        engine = self.engine
        return (
            self, engine.objective, engine.penalty, self.config.optimizer,
            engine.model, *vars(engine.model).values(),
        )  # fmt: skip

    def _run_steps(self, n: int) -> None:
        for _ in range(n):
            self.one_step(self.batches.batch_size)

    def _replay_graphs(self, n: int) -> int:
        """Train on ``n`` minibatches, on a host on as many as nobody minds waiting for; how many.

        Stops, with an error, at a step whose loss is not finite: on a host before it reaches the
        parameters.
        """
        state, one, several = self.state, self.graphs[1], self.graphs.get(STEPS_PER_GRAPH)
        if several:
            for _ in range(n // STEPS_PER_GRAPH):
                several()
            for _ in range(n % STEPS_PER_GRAPH):
                one()
            if state.batch + n == self.batches.n_batches and self.batches.windows is None:
                self.prefetch_order()  # while the device is at work
            self.sync_and_check(n)
            return n
        until = perf_counter() + AT_ONCE
        for done in range(1, n + 1):
            if not one():
                state.step += done - 1
                state.batch += done - 1
                break
            if perf_counter() > until:
                break
        self.sync_and_check(1)
        return done
