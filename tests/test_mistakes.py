"""The mistakes that public VAE code has made are planted, and caught.

Each has a backward pass to match its wrong forward pass, so the gradient check lets it
through; the assertion that the true table has passed refuses it.
"""
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from op_cases import CASES, SIZES, complex_step, gradients, relative_error, three_point
from oracles import (
    LOGITS,
    assert_bernoulli,
    assert_kl,
    assert_log_ratio,
    assert_normal,
    assert_normal_normalises,
    assert_samples,
)
from scipy import special

from npvae.backend import get_backend
from npvae.ops import Ops

OPS = get_backend("numpy").ops
LOG_2PI = np.log(2 * np.pi)


def scaled(op: str, factor: float) -> Ops:
    """Its last output times a factor, and the gradient of that with it."""
    # of d_output among the backward's arguments: that of a ratio is asked for twice
    positions = {"normal_kl": (1,), "normal_log_ratio": (1, 2)}.get(op, (0,))

    def forward(*arguments):
        getattr(OPS, op)(*arguments)
        arguments[-1][...] *= factor

    def backward(*arguments):
        arguments = list(arguments)
        for k in positions:
            arguments[k] = factor * arguments[k]
        getattr(OPS, op + "_backward")(*arguments)

    return replace(OPS, **{op: forward, op + "_backward": backward})


def sampling(factor: float, power: float) -> Ops:
    """z = μ + σ ε with σ = factor · exp(power · log σ²), and ∂σ/∂log σ² = power · σ."""

    def deviation(a):
        return factor * np.exp(power * np.split(a, 2, axis=-1)[1])

    def forward(a, bias, eps, sigma, z, kl):
        OPS.normal_kl(a, bias, eps, sigma, z, kl)
        z[...] = np.split(a, 2, axis=-1)[0] + deviation(a) * eps

    def backward(d_z, d_kl, a, eps, sigma, d_a, d_bias):
        OPS.normal_kl_backward(np.zeros_like(d_z), d_kl, a, eps, sigma, d_a, d_bias)
        d_sigma = (d_z * eps).sum(axis=0)
        d_a += np.hstack([d_z.sum(axis=0), d_sigma * power * deviation(a)])
        d_bias[...] = d_a.sum(axis=0)

    return replace(OPS, normal_kl=forward, normal_kl_backward=backward)


def kl_of_log_sigma() -> Ops:
    """KL that takes log σ² for log σ."""

    def forward(a, bias, eps, sigma, z, kl):
        OPS.normal_kl(a, bias, eps, sigma, z, kl)
        mu, logvar = np.split(a, 2, axis=-1)
        kl[0] = 0.5 * (mu**2 + np.exp(2 * logvar) - 1 - 2 * logvar).sum(axis=-1)

    def backward(d_z, d_kl, a, eps, sigma, d_a, d_bias):
        OPS.normal_kl_backward(d_z, np.zeros_like(d_kl), a, eps, sigma, d_a, d_bias)
        mu, logvar = np.split(a, 2, axis=-1)
        d_a += d_kl[0][:, None] * np.hstack([mu, np.exp(2 * logvar) - 1])
        d_bias[...] = d_a.sum(axis=0)

    return replace(OPS, normal_kl=forward, normal_kl_backward=backward)


def clipped_probabilities() -> Ops:
    """log y of y clipped to [1e-7, 1 − 1e-7], as the logits themselves are not at hand."""

    def forward(a, bias, x, y, scratch, nll):
        y[...] = np.clip(special.expit(a + bias), 1e-7, 1 - 1e-7)
        scratch[...] = 0
        nll[...] = -(x * np.log(y) + (1 - x) * np.log(1 - y)).sum(axis=-1)

    return replace(OPS, bernoulli_nll=forward)


def normal_nll_with(power: float, constant: float) -> Ops:
    """1/σ = exp(−power · log σ²), and a constant other than log 2π."""

    def forward(a, bias, x, sigmoid_mean, limit, inv_sigma, residual, nll):
        OPS.normal_nll(a, bias, x, sigmoid_mean, limit, inv_sigma, residual, nll)
        mean, logvar = np.split(a, 2, axis=-1)
        inv_sigma[...] = np.exp(-power * logvar)
        residual[...] = (x - mean) * inv_sigma
        nll[...] = 0.5 * (logvar + residual**2 + constant).sum(axis=-1)

    def backward(d_nll, a, sigmoid_mean, limit, inv_sigma, residual, d_a, d_bias):
        OPS.normal_nll_backward(d_nll, a, sigmoid_mean, limit, inv_sigma, residual, d_a, d_bias)
        _, d_logvar = np.split(d_a, 2, axis=-1)
        d_logvar[...] = d_nll[..., None] * (0.5 - power * residual**2)
        d_bias[...] = d_a.sum(axis=(0, 1))

    return replace(OPS, normal_nll=forward, normal_nll_backward=backward)


MISTAKES: dict[str, tuple[str, Ops, Callable[[Ops], None]]] = {
    "σ = exp(log σ²)": ("normal_kl", sampling(1, 1), assert_samples),
    "σ = exp(¼ log σ²)": ("normal_kl", sampling(1, 0.25), assert_samples),
    "z = μ + ½ ε σ": ("normal_kl", sampling(0.5, 0.5), assert_samples),
    "z = μ + 2 ε σ": ("normal_kl", sampling(2, 0.5), assert_samples),
    "KL without its ½": ("normal_kl", scaled("normal_kl", 2), assert_kl),
    "KL with ¼": ("normal_kl", scaled("normal_kl", 0.5), assert_kl),
    "KL averaged over J": ("normal_kl", scaled("normal_kl", 1 / 3), assert_kl),
    "KL scaled by a β": ("normal_kl", scaled("normal_kl", 0.99), assert_kl),
    "KL with the wrong sign": ("normal_kl", scaled("normal_kl", -1), assert_kl),
    "KL of log σ": ("normal_kl", kl_of_log_sigma(), assert_kl),
    "log p − log q": ("normal_log_ratio", scaled("normal_log_ratio", -1), assert_log_ratio),
    "log q − log p averaged over J": (
        "normal_log_ratio", scaled("normal_log_ratio", 1 / 3), assert_log_ratio
    ),
    "+log p(x|z)": ("bernoulli_nll", scaled("bernoulli_nll", -1), assert_bernoulli),
    "cross-entropy averaged over D": (
        "bernoulli_nll", scaled("bernoulli_nll", 1 / len(LOGITS)), assert_bernoulli
    ),
    "probabilities clipped": ("bernoulli_nll", clipped_probabilities(), assert_bernoulli),
    "+log N(x; μ, σ²)": ("normal_nll", scaled("normal_nll", -1), assert_normal),
    "squared error averaged over D": ("normal_nll", scaled("normal_nll", 1 / 5), assert_normal),
    "1/σ = exp(−log σ²)": ("normal_nll", normal_nll_with(1, LOG_2PI), assert_normal),
    "1/σ wrong, by its integral": (
        "normal_nll", normal_nll_with(1, LOG_2PI), assert_normal_normalises
    ),
    "log 2π left out": ("normal_nll", normal_nll_with(0.5, 0), assert_normal_normalises),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_that_its_gradient_hides_is_caught(mistake):
    op, mutant, assertion = MISTAKES[mistake]
    for _, backward, numerical in gradients(mutant, CASES[op], SIZES["odd"], three_point):
        assert relative_error(backward, numerical) <= 1e-6  # consistent, and wrong
    with pytest.raises(AssertionError):
        assertion(mutant)


def test_a_path_left_out_of_the_gradient_is_caught():
    """log q depends on log σ² by itself too; gradients stopped there make estimator A drift."""

    def stopped(d_z, d_log_ratio, d_log_q, a, eps, sigma, z, d_a, d_bias):
        through_z = d_z + d_log_ratio[..., None] * z
        none = np.zeros_like(d_log_ratio)
        OPS.normal_log_ratio_backward(through_z, none, none, a, eps, sigma, z, d_a, d_bias)

    mutant = replace(OPS, normal_log_ratio_backward=stopped)
    checked = gradients(mutant, CASES["normal_log_ratio"], SIZES["odd"], complex_step)
    assert max(relative_error(backward, numerical) for _, backward, numerical in checked) > 1e-2
