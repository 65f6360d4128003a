"""The gradient checker finds what is wrong, names it, excuses kinks, and touches nothing."""
from dataclasses import replace

import numpy as np
import pytest
from tiny import Config, D, J, M

import npvae
from npvae.backend import get_backend
from npvae.distributions import BernoulliLikelihood
from npvae.errors import DataError, NotFittedError, ParameterError
from npvae.models import Engine, VAEModel
from npvae.networks import MLP, initialise
from npvae.objectives import ESTIMATORS
from npvae.testing import GradientReport, ParameterCheck, check_gradients

OPS = get_backend("numpy").ops


# --- planted mistakes ---------------------------------------------------------------------
# Each is a backward op with one thing wrong, and the model that shows it.


def no_bias_gradient(d_h, h, d_a, d_bias):
    OPS.tanh_backward(d_h, h, d_a, d_bias)
    d_bias[...] = 0


def slope_of_the_wrong_variable(d_h, h, d_a, d_bias):
    d_a[...] = d_h * (1 - np.tanh(h) ** 2)  # h is the output already
    d_a.sum(axis=0, out=d_bias)


def no_mask(d_h, h, d_a, d_bias):
    OPS.identity_backward(d_h, h, d_a, d_bias)


def half_lost(d_z, d_kl, a, eps, sigma, d_a, d_bias):
    """dσ/d log σ² = σ, where it is ½ σ."""
    OPS.normal_kl_backward(d_z, d_kl, a, eps, sigma, d_a, d_bias)
    d_a[:, J:] += (d_z * eps).sum(axis=0) * sigma / 2
    d_a.sum(axis=0, out=d_bias)


def no_kl(d_z, d_kl, a, eps, sigma, d_a, d_bias):
    OPS.normal_kl_backward(d_z, 0 * d_kl, a, eps, sigma, d_a, d_bias)


def no_path_through_z(d_z, d_log_ratio, a, eps, sigma, z, d_a, d_bias):
    OPS.normal_log_ratio_backward(d_z, d_log_ratio, a, eps, sigma, 0 * z, d_a, d_bias)


def no_path_beside_z(d_z, d_log_ratio, a, eps, sigma, z, d_a, d_bias):
    d_z = d_z + d_log_ratio[..., None] * z
    OPS.normal_log_ratio_backward(d_z, 0 * d_log_ratio, a, eps, sigma, z, d_a, d_bias)


def no_sigmoid(d_nll, a, sigmoid_mean, inv_sigma, residual, d_a, d_bias):
    OPS.normal_nll_backward(d_nll, a, False, inv_sigma, residual, d_a, d_bias)


def sum_for_mean(d_nll, x, y, d_a, d_bias):
    OPS.bernoulli_nll_backward(1 + 0 * d_nll, x, y, d_a, d_bias)


def no_penalty(weights, strength, scratch, d_weights):
    pass


def transposed(a, b, out):
    """d_h = d_a Wᵀ, where it is d_a W: of one shape when W is square."""
    backward = a.flags.c_contiguous and b.flags.c_contiguous and b.shape == (3, 3)
    return OPS.gemm(a, b.T if backward else b, out)


ENCODER = {"encoder.hidden.0", "encoder.hidden.1", "encoder.mean", "encoder.logvar"}
DECODER = {"decoder.hidden.0", "decoder.hidden.1", "decoder.mean", "decoder.logits"}
BIASES = {f"{net}.hidden.{i}.bias" for net in ("encoder", "decoder") for i in range(2)}

# mistake: (op, config, parameters whose gradient it makes wrong)
MISTAKES = {
    no_bias_gradient: ("tanh_backward", Config(depth=2), BIASES),
    slope_of_the_wrong_variable: ("tanh_backward", Config(depth=2), None),
    no_mask: ("relu_backward", Config(activation="relu", depth=2), None),
    half_lost: ("normal_kl_backward", Config(depth=2, L=3), {"encoder"}),
    no_kl: ("normal_kl_backward", Config(depth=2), {"encoder"}),
}
