"""Digits that a float32 op keeps: bounds follow from its roundings, the truth is SciPy's."""
import numpy as np
import pytest
from scipy import special

from npvae.backend import get_backend
from npvae.ops.elementary import BLOCK, sum_rows

OPS = get_backend("numpy").ops
ONE = np.ones((1, 1), np.float32)
U = 2.0**-24  # half a unit in the last place of float32, relative


@pytest.mark.parametrize("shape", [(1, 3), (100, 3), (130, 2), (4096, 2), (4, 5000, 1), (0, 2)])
def test_sums_of_rows_are_rounded_by_block(shape):
    """Of equal numbers, whose roundings all go one way: 4,096 of 0.1 row by row lose 646 U."""
    n = int(np.prod(shape[:-1]))
    out = np.full(shape[-1], np.nan, np.float32)
    sum_rows(np, np.full(shape, 0.1, np.float32), out)
    truth = n * float(np.float32(0.1))
    assert (np.abs(out - truth) <= (2 * BLOCK + n / BLOCK) * U * truth).all()


@pytest.mark.parametrize("shape", [(3, 2), (131, 3), (2, 200, 5)])
def test_every_row_is_in_the_sum_once(shape):
    a = np.random.default_rng(0).integers(-100, 100, shape).astype(float)  # sums are exact
    out = np.empty(shape[-1])
    sum_rows(np, a, out)
    np.testing.assert_array_equal(out, a.reshape(-1, shape[-1]).sum(axis=0))


def test_pixels_that_are_always_black_have_a_gradient_to_all_its_digits():
    """d_a = y = e/(1 + e) at x = 0: four units for the exponential, one for each of the others."""
    l = np.linspace(-87, 20, 500, dtype=np.float32)[None, None]  # (L, M, D); e⁻⁸⁷ is normal yet
    x, bias, nll = np.zeros((1, 500), np.float32), np.zeros(500, np.float32), ONE.copy()
    y, d_a, scratch = (np.empty_like(l) for _ in range(3))
    OPS.bernoulli_nll(l.copy(), bias, x, y, scratch, nll)
    OPS.bernoulli_nll_backward(ONE, x, y, d_a, bias)
    truth = special.expit(l.astype(float))
    assert (np.abs(d_a - truth) <= 2 * 6 * U * truth).all()


@pytest.mark.parametrize("size", [1e-6, 1e-3, 1.0])
def test_latents_near_the_prior_have_a_gradient_to_all_its_digits(size):
    """d_logvar = ½ (σ² − 1): four units for expm1. As σ² less 1 it has none left at 10⁻⁷."""
    J = 50
    logvar = size * np.linspace(-1, 1, J, dtype=np.float32)
    a = np.concatenate([np.zeros(J, np.float32), logvar])[None]  # (1, 2J)
    eps, bias, d_a = np.zeros((1, 1, J), np.float32), np.zeros(2 * J, np.float32), np.empty_like(a)
    z, sigma, kl = np.empty_like(eps), np.empty_like(eps[0]), ONE.copy()
    OPS.normal_kl(a, bias, eps, sigma, z, kl)
    OPS.normal_kl_backward(np.zeros_like(z), ONE, a, eps, sigma, d_a, bias)
    truth = 0.5 * special.expm1(logvar.astype(float))
    assert (np.abs(d_a[0, J:] - truth) <= 2 * 5 * U * np.abs(truth)).all()
