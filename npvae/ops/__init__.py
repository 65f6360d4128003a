"""Forward and backward passes as pure functions of arrays, and the table that holds them.

An op ``name`` has its backward ``name_backward`` beside it. ``d_v`` always means ∂loss/∂v,
the loss being minus the objective. An op writes its outputs, every element of them, and
never accumulates; it holds no state. It may use up the matrix product ``a`` that it is
given, which has no other reader; every other input it leaves alone. Some say otherwise:
``l2_backward`` and ``parameter_kl_backward`` add; ``binarize``, ``bernoulli_draw``, ``scale``,
the parameter updates and what keeps the course of training work in place.

What lies between two matrix products is one op, because that is what a device can fuse:
``dataclasses.replace(reference(cupy), tanh=..., ...)`` overrides some with kernels.
"""
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

from npvae.ops import (
    activations,
    batch,
    course,
    latent,
    likelihood,
    noise,
    parameters,
    penalty,
    products,
    update,
)

ACTIVATIONS = ("tanh", "relu", "sigmoid", "softplus", "elu", "identity")


@dataclass(frozen=True)
class Ops:
    """One callable an operation, bound to an array module."""

    gemm: Callable[..., Any]
    gather: Callable[..., Any]
    binarize: Callable[..., Any]
    bernoulli_draw: Callable[..., Any]
    posterior_noise: Callable[..., Any]
    normal_draw: Callable[..., Any]
    laplace_draw: Callable[..., Any]
    poisson_draw: Callable[..., Any]
    categorical_draw: Callable[..., Any]
    continuous_bernoulli_draw: Callable[..., Any]
    discretized_logistic_draw: Callable[..., Any]
    # activations: a + b → h
    identity: Callable[..., Any]
    identity_backward: Callable[..., Any]
    tanh: Callable[..., Any]
    tanh_backward: Callable[..., Any]
    relu: Callable[..., Any]
    relu_backward: Callable[..., Any]
    sigmoid: Callable[..., Any]
    sigmoid_backward: Callable[..., Any]
    softplus: Callable[..., Any]
    softplus_backward: Callable[..., Any]
    elu: Callable[..., Any]
    elu_backward: Callable[..., Any]
    # the stochastic layer: [μ | log σ²], ε → z and its distance from the prior
    normal_kl: Callable[..., Any]
    normal_kl_backward: Callable[..., Any]
    normal_log_ratio: Callable[..., Any]
    normal_log_ratio_backward: Callable[..., Any]
    draw_normal_kl: Callable[..., Any]
    draw_normal_log_ratio: Callable[..., Any]
    # what the objective has in place of that distance
    free_bits: Callable[..., Any]
    free_bits_backward: Callable[..., Any]
    weigh: Callable[..., Any]
    # likelihoods: decoder products, x → −log p(x|z)
    bernoulli_nll: Callable[..., Any]
    bernoulli_nll_backward: Callable[..., Any]
    normal_nll: Callable[..., Any]
    normal_nll_backward: Callable[..., Any]
    fixed_normal_nll: Callable[..., Any]
    laplace_nll: Callable[..., Any]
    poisson_nll: Callable[..., Any]
    categorical_nll: Callable[..., Any]
    continuous_bernoulli_nll: Callable[..., Any]
    discretized_logistic_nll: Callable[..., Any]
    nll_backward: Callable[..., Any]  # of these six
    # a quadratic penalty on the weights
    l2: Callable[..., Any]
    l2_backward: Callable[..., Any]
    # a distribution over the parameters: μ, log σ², ζ → θ, and its distance from the prior
    parameter_sample: Callable[..., Any]
    parameter_sample_backward: Callable[..., Any]
    parameter_kl: Callable[..., Any]
    parameter_kl_backward: Callable[..., Any]
    # parameter updates
    squares: Callable[..., Any]
    clip_factor: Callable[..., Any]
    scale: Callable[..., Any]
    flush: Callable[..., Any]
    sgd: Callable[..., Any]
    momentum: Callable[..., Any]
    nesterov: Callable[..., Any]
    adagrad: Callable[..., Any]
    rmsprop: Callable[..., Any]
    adam: Callable[..., Any]
    # the course of training
    clock: Callable[..., Any]
    tally: Callable[..., Any]


def reference(xp: Any) -> Ops:
    """The readable bodies of all ops, bound to the array module ``xp``."""
    rooms = (
        products, batch, activations, latent, noise, likelihood, parameters, penalty, update, course
    )  # fmt: skip
    bodies = {name: body for room in rooms for name, body in vars(room).items()}
    return Ops(**{f.name: partial(bodies[f.name], xp) for f in fields(Ops)})
