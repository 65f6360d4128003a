"""Gradients of several estimators, drawn at the same noise, as far as they are kept.

Each draw of noise is given in turn to all estimators of as many samples. So the difference of two
has far less noise than either, and what slows the machine down slows them all. Draw i is a function
of (seed, i), so that a comparison may be interrupted and go on. Of each estimator, number of
samples and noise are kept a sum of squares a parameter and the means of 32 batches, in float64:
32 P numbers, whatever the number of draws.
"""
from bisect import bisect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import product
from math import prod
from time import perf_counter

import numpy as np

from npvae import random
from npvae.backend import Array, to_numpy
from npvae.estimators import VAE
from npvae.lab.statistics import BATCHES
from npvae.memory import Layout
from npvae.models import Engine, Noise
from npvae.models.coupling import FILLS
from npvae.objectives import Objective
from npvae.objectives.objective import STATELESS, State
from npvae.options import whole_number

BURN_IN = 50  # draws before the first of an estimator that carries something along
Progress = Callable[[Iterable[int]], Iterable[int]]


@dataclass
class Draws:
    """Gradients of one estimator with L samples of a kind of noise, as far as they are kept.

    ``shift`` is taken off every gradient before it is squared: variances do not depend on it, and
    keep their digits where they are far smaller than the mean.
    """

    estimator: str
    objective: Objective
    samples: int
    noise: str
    means: np.ndarray  # of each batch, less the shift        (B, P)
    squares: np.ndarray  # mean of ‖g − shift‖²               (B, parameters)
    seconds: np.ndarray  # a gradient                         (B,)
    shift: np.ndarray  # the first gradient                   (P,)
    state: State  # what the objective carries from draw to draw
    asked: bool = True  # whether for itself, or as the truth of others
    n_draws: int = 0

    def add(self, b: int, g: np.ndarray, weight: float, seconds: float, starts: list[int]) -> None:
        """Add a draw g (P,), the share ``weight`` of batch b."""
        g = g.astype("float64")
        if not self.n_draws:
            self.shift[...] = g
        g -= self.shift
        self.means[b] += weight * g
        np.square(g, out=g)
        self.squares[b] += weight * np.add.reduceat(g, starts)
        self.seconds[b] += weight * seconds
        self.n_draws += 1

    @property
    def gradients(self) -> np.ndarray:
        """The means of the batches.   (B, P)"""
        return self.means + self.shift


def gradient(
    engine: Engine, objective: Objective, x: Array, eps: Array, state: State = STATELESS
) -> Array:
    """∂loss/∂θ (P,) at given noise, without what is put on the weights, which has no noise."""
    ctx, model = engine.ctx, engine.model
    cache = model.forward(ctx, x, Noise(eps), objective.analytic_kl)
    model.backward(ctx, cache, objective(ctx, cache.terms, (), state).seeds)
    return engine.grad


def parts_of(layout: Layout) -> dict[str, slice]:
    """Where each parameter is in the flat vector."""
    parts, start = {}, 0
    for name, shape in layout.shapes.items():
        parts[name] = slice(start, start := start + prod(shape))
    return parts


def prepare(
    estimators: Mapping[str, str | Objective], vae: VAE, numbers: Sequence[int],
    kinds: Sequence[str],
) -> list[Draws]:  # fmt: skip
    """One an estimator, number of samples and noise, checked as the VAE's own would be."""
    every = []
    for (name, estimator), L, noise in product(estimators.items(), numbers, kinds):
        whole_number("samples", L)
        model = copy(vae)
        model.estimator, model.n_samples, model.noise = estimator, L, noise
        model._check_params()
        every.append(empty(name, model._objective(), L, noise, vae.engine_))
    return every


def empty(
    name: str, objective: Objective, L: int, noise: str, engine: Engine, asked: bool = True
) -> Draws:
    """No draws yet."""
    P, N = engine.layout.size, len(engine.layout.shapes)
    return Draws(
        name, objective, L, noise, np.zeros((BATCHES, P)), np.zeros((BATCHES, N)),
        np.zeros(BATCHES), np.zeros(P), objective.init_state(engine.ctx), asked,
    )  # fmt: skip


def fill(
    every: Sequence[Draws], engine: Engine, x: Array, n_draws: int, seed: int, progress: Progress
) -> Iterator[None]:
    """Draw the noise and give it to all, from where they stand on; yields after each draw.

    x (M, D)
    """
    starts = [part.start for part in parts_of(engine.layout).values()]
    step, n = engine.xp.zeros(1, "int64"), engine.model.n_noise
    eps = {(draws.noise, draws.samples): engine.xp.empty(
        (draws.samples, len(x), n), engine.theta.dtype) for draws in every}  # fmt: skip

    def fill_noise(number: int) -> None:
        step[...] = number
        for (kind, _), some in eps.items():
            FILLS[kind](engine.ctx, (seed, random.COMPARE, step), some)

    def grad(draws: Draws) -> Array:
        noise = eps[draws.noise, draws.samples]
        return gradient(engine, draws.objective, x, noise, draws.state)

    if not every[0].n_draws:
        stateful = any(draws.state for draws in every)
        for t in range(BURN_IN if stateful else 1):  # the first allocates
            fill_noise(t)
            for draws in every:
                grad(draws)
    ends = [n_draws * (b + 1) // BATCHES for b in range(BATCHES)]
    sizes = np.diff(ends, prepend=0).tolist()
    for i in progress(range(every[0].n_draws, n_draws)):
        fill_noise(BURN_IN + i)
        b = bisect(ends, i)
        for draws in every:
            began = perf_counter()
            g = to_numpy(grad(draws))
            seconds = perf_counter() - began
            draws.add(b, g, 1 / sizes[b], seconds, starts)
        yield
