"""autograd and MyGrad: NumPy with a tape, on the one page of :mod:`peers.formula`."""
from collections.abc import Callable
from functools import partial

import numpy as np
from common.workload import Workload

from peers.formula import adam, gather, loss
from peers.side import Side, stepwise


def autograd(work: Workload) -> Side:
    """autograd: gradients of functions of ``autograd.numpy``."""
    import autograd.numpy as anp
    from autograd import value_and_grad

    return taped(work, value_and_grad(partial(loss, work, anp)))


def mygrad(work: Workload) -> Side:
    """MyGrad: tensors, and ``backward``; without its guard against writing to them."""
    import mygrad as mg

    mg.turn_memory_guarding_off()

    def value_and_grad(theta, x, eps):
        tensors = [mg.tensor(W, copy=False) for W in theta]
        value = loss(work, mg, tensors, x, eps)
        value.backward()
        return float(value), [W.grad for W in tensors]

    return taped(work, value_and_grad)


def taped(work: Workload, value_and_grad: Callable) -> Side:
    """A step from ``value_and_grad(theta, x, eps)``, with Adam in NumPy."""
    theta = work.parameters()
    means, squares, scratch = ([np.zeros_like(W) for W in theta] for _ in range(3))
    rng, t = np.random.default_rng(0), 0

    def step(rows, eps):
        nonlocal t
        t += 1
        value, grads = value_and_grad(theta, gather(work, rows), eps)
        adam(theta, grads, means, squares, scratch, t)
        return value

    def noise():
        return rng.standard_normal((work.M, work.J), np.float32)

    return stepwise(work, np.asarray, noise, step, lambda: theta)
