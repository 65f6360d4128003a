"""JAX: a step compiled by itself, and many steps compiled as one ``lax.scan``."""
import os
from functools import partial

import numpy as np
from common.machine import threads
from common.workload import BETA1, BETA2, EPSILON, RATE, Workload

from peers.formula import loss
from peers.side import Side


class Program:
    """The training step as XLA sees it: state in, state and loss out."""

    def __init__(self, work: Workload):
        os.environ.setdefault("NPROC", str(threads()))  # XLA makes its threads when it loads
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
        import jax

        self.jax, self.work = jax, work
        theta = [jax.numpy.array(W) for W in work.parameters()]
        zeros = [jax.numpy.zeros_like(W) for W in theta]
        self.state = (theta, zeros, [z.copy() for z in zeros], jax.numpy.int32(0))
        self.pixels = jax.numpy.asarray(work.data.pixels)

    def update(self, pixels, state, rows, eps):
        """One step on given rows (M,) with given noise (M, J)."""
        jnp = self.jax.numpy
        theta, means, squares, t = state
        x = pixels[rows].astype(jnp.float32) * self.work.data.scale
        value, grads = self.jax.value_and_grad(partial(loss, self.work, jnp))(theta, x, eps)
        t = t + 1
        means = [BETA1 * m + (1 - BETA1) * g for m, g in zip(means, grads, strict=True)]
        squares = [BETA2 * s + (1 - BETA2) * g * g for s, g in zip(squares, grads, strict=True)]
        c = jnp.sqrt(1 - BETA2**t)
        rate, epsilon = RATE * c / (1 - BETA1**t), EPSILON * c
        theta = [
            W - rate * m / (jnp.sqrt(s) + epsilon)
            for W, m, s in zip(theta, means, squares, strict=True)
        ]
        return (theta, means, squares, t), value

    def noise(self, t, *shape):
        """ε of step ``t``, by JAX's own counter-based generator."""
        random = self.jax.random
        return random.normal(random.fold_in(random.key(0), t), shape)

    def parameters(self) -> list[np.ndarray]:
        return [np.asarray(W) for W in self.state[0]]


def jax_step(work: Workload) -> Side:
    """One jitted call a step, its state donated; calls may overlap, as JAX allows."""
    program = Program(work)
    jax = program.jax
    given = jax.jit(program.update, donate_argnums=1)

    @partial(jax.jit, donate_argnums=1)
    def with_fresh_noise(pixels, state, order):
        eps = program.noise(state[3], work.M, work.J)
        return program.update(pixels, state, order[state[3] % len(order)], eps)

    order = jax.numpy.asarray(work.order)

    def run(steps: int) -> None:
        for _ in range(steps):
            program.state, value = with_fresh_noise(program.pixels, program.state, order)
        jax.block_until_ready((program.state, value))

    def rehearse(steps: int) -> list[float]:
        losses = []
        for t in range(steps):
            program.state, value = given(
                program.pixels, program.state, work.order[t], work.noise(t)
            )
            losses.append(float(value))
        return losses

    return Side(run, rehearse, program.parameters)


def jax_scan(work: Workload) -> Side:
    """All the steps that are asked for in one call, their noise generated beforehand in one go."""
    program = Program(work)
    jax = program.jax

    def given(pixels, state, rows, eps):
        def body(state, batch):
            return program.update(pixels, state, *batch)

        return jax.lax.scan(body, state, (rows, eps))

    @partial(jax.jit, donate_argnums=1, static_argnums=3)
    def with_fresh_noise(pixels, state, order, steps):
        turns = (state[3] + jax.numpy.arange(steps)) % len(order)
        eps = program.noise(state[3], steps, work.M, work.J)
        return given(pixels, state, order[turns], eps)

    order = jax.numpy.asarray(work.order)

    def run(steps: int) -> None:
        program.state, losses = with_fresh_noise(program.pixels, program.state, order, steps)
        jax.block_until_ready((program.state, losses))

    def rehearse(steps: int) -> list[float]:
        eps = np.stack([work.noise(t) for t in range(steps)])  # (steps, M, J)
        program.state, losses = jax.jit(given)(
            program.pixels, program.state, work.order[:steps], eps
        )
        return [float(value) for value in losses]

    return Side(run, rehearse, program.parameters)
