"""The gamma quantile and its derivative by the shape, against values to fifty digits.

The table is of ∂P(α, x)/∂α at x = exp(log x), made with mpmath at 50 digits by differences of the
regularised incomplete gamma function itself (of Q = 1 − P in the upper half):

    (P(α(1 + h), x) − P(α(1 − h), x))/(2αh),  h = 10⁻¹⁶
"""
import numpy as np
import pytest
from scipy import special

from npvae.distributions.special import (
    digamma,
    gauss_legendre,
    log_gamma_sample,
    log_gamma_sample_backward,
    scaled_exp1,
    trigamma,
)

#  α, log x, ∂P/∂α: quantiles 10⁻¹⁰, 0.01, 0.5, 0.9 and 1 − 10⁻¹⁰ of each shape
TABLE = np.array([
    (0.01, -2303.15, -2.302684070408627e-7),
    (0.01, -461.086, -4.605253420112735),
    (0.01, -69.8837, -34.66142420337574),
    (0.01, -11.1051, -9.489803266473445),
    (0.01, 2.75019, -1.033637383446764e-8),
    (0.05, -461.054, -4.605579983620175e-8),
    (0.05, -92.6405, -0.9214249454151709),
    (0.05, -14.4, -6.951079331691776),
    (0.05, -2.57286, -1.928805240468589),
    (0.05, 2.85059, -2.340214692798163e-9),
    (0.3, -77.1134, -7.694465072971213e-9),
    (0.3, -15.7111, -0.155421417215892),
    (0.3, -2.6155, -1.244650129606043),
    (0.3, -0.122381, -0.3902470592399833),
    (0.3, 2.98602, -6.53487147939106e-10),
    (0.9, -25.6276, -2.598365959156641e-9),
    (0.9, -5.15714, -0.05514932554356236),
    (0.9, -0.516269, -0.5206044159083512),
    (0.9, 0.754553, -0.1846770174781385),
    (0.9, 3.11986, -3.917187209007859e-10),
    (1, -23.0259, -2.344753373384485e-9),
    (1, -4.60015, -0.05025444450196377),
    (1, -0.366513, -0.4840224210204661),
    (1, 0.834032, -0.173514745292422),
    (1, 3.13662, -3.755311571089878e-10),
    (1.5, -15.1608, -1.586344750807096e-9),
    (1.5, -2.85743, -0.0356984129649644),
    (1.5, 0.168043, -0.3711783408122444),
    (1.5, 1.13966, -0.1380211697592421),
    (1.5, 3.20968, -3.212509134539391e-10),
    (3, -7.07782, -8.33398011812031e-10),
    (3, -0.830009, -0.02114712377544869),
    (3, 0.983598, -0.245920545203872),
    (3, 1.67191, -0.09601253567875425),
    (3, 3.37231, -2.485223641176507e-10),
    (10, -0.749248, -3.105026190975869e-10),
    (10, 1.41833, -0.009799834378882437),
    (10, 2.2689, -0.1286452578176933),
    (10, 2.65366, -0.05298355247995623),
    (10, 3.79836, -1.573495609069988e-10),
    (100, 3.88943, -7.295800246302163e-11),
    (100, 4.35947, -0.00277794089546924),
    (100, 4.60183, -0.03997193804620254),
    (100, 4.72748, -0.0172162001820355),
    (100, 5.17785, -5.897559723598021e-11),
    (1000, 6.69925, -2.129988520789027e-11),
    (1000, 6.83293, -0.0008532744966387174),
    (1000, 6.90742, -0.01261812001702891),
    (1000, 6.94768, -0.005513991165439184),
    (1000, 7.10209, -1.991621294783796e-11),
    (10000, 9.14601, -6.577088903916367e-12),
    (10000, 9.18695, -0.000267398326934073),
    (10000, 9.21031, -0.003989498233034637),
    (10000, 9.2231, -0.001750242590430172),
    (10000, 9.27325, -6.460012517511549e-12),
])  # fmt: skip


def test_derivative_of_the_incomplete_gamma_function():
    """∂P/∂α = −(d log x/dα) x q(x). Asked for: 1e-8. Here 1e-10, which is log Γ's at α = 10⁴."""
    alpha, log_x, truth = TABLE.T
    slope = log_gamma_sample_backward(1 / alpha, log_x, np.log(alpha))  # d log x/dα
    log_density = alpha * log_x - np.exp(log_x) - special.gammaln(alpha)  # of log x
    np.testing.assert_allclose(-slope * np.exp(log_density), truth, rtol=1e-10)


SHAPES = np.array([1e-6, 1e-3, 1e-2, 0.1, 0.5, 1.0, 1.5, 10.0, 1e3, 1e4, 1e6])
U = np.array([2.0**-53, 1e-10, 1e-3, 0.2, 0.5, 0.8, 0.999, 1 - 1e-10, 1 - 2.0**-53])[:, None]


def test_quantile_inverts_the_distribution_function():
    """P(α, x) = u, or Q(α, x) = 1 − u above the median, by SciPy where x is a float at all."""
    y = log_gamma_sample(U, np.log(SHAPES))
    x = np.exp(y)
    tiny = np.exp(SHAPES * np.minimum(y, -36) - special.gammaln(SHAPES + 1))
    lower = np.where(y < -36, tiny, special.gammainc(SHAPES, x))
    upper = special.gammaincc(SHAPES, x)
    above = (U > 0.5) & (y > -36)
    # P and Q answer to log x by x q(x)/P, as much as 10⁴ where α = 10⁶
    np.testing.assert_allclose(np.where(above, upper, lower), np.where(above, 1 - U, U), 2e-11)


def test_quantile_s_two_forms_meet():
    """Where log x = −36 the form for tiny x takes over: no step between them, nor a kink."""
    alpha = np.array([0.01, 0.1, 0.5])
    log_u = -36 * alpha - special.gammaln(alpha + 1)
    u = np.exp(log_u + np.array([[-1e-12], [1e-12]]))
    np.testing.assert_allclose(log_gamma_sample(u, np.log(alpha)), -36, rtol=1e-11)


def test_derivative_is_that_of_the_quantile():
    """Central differences of log x by log α at the same u; of second order, and SciPy's 1e-14."""
    log_shape, h = np.log(SHAPES[2:-1]), 1e-4
    u = U[2:-2]
    y = log_gamma_sample(u, log_shape)
    numerical = (log_gamma_sample(u, log_shape + h) - log_gamma_sample(u, log_shape - h)) / (2 * h)
    np.testing.assert_allclose(log_gamma_sample_backward(1.0, y, log_shape), numerical, 1e-6)


def test_shape_of_one_is_the_exponential():
    """log x = log(−log(1 − u)), also near both ends: nothing is lost in a tail."""
    zero = np.zeros(1)
    np.testing.assert_allclose(log_gamma_sample(U, zero), np.log(-np.log1p(-U)), rtol=1e-13)
    assert np.isfinite(log_gamma_sample(np.ones(1), zero)).all()


def test_small_special_functions():
    x = np.array([1e-6, 1e-2, 0.7, 4.0, 4.999, 5.0, 5.001, 30.0, 600.0])
    exact = np.exp(x) * special.exp1(x)
    np.testing.assert_allclose(scaled_exp1(x), exact, rtol=1e-13)
    np.testing.assert_allclose(scaled_exp1(np.array([1e6])), 1e-6 * (1 - 1e-6 + 2e-12), rtol=1e-15)
    np.testing.assert_allclose(trigamma(x), special.polygamma(1, x), rtol=1e-14)
    np.testing.assert_allclose(digamma(x), special.psi(x), rtol=1e-15)


@pytest.mark.parametrize("n", [1, 2, 5, 32])
def test_gauss_legendre_is_numpy_s(n):
    node, weight = np.polynomial.legendre.leggauss(n)
    rule = np.array(gauss_legendre(n))[::-1]
    np.testing.assert_allclose(rule, np.stack([0.5 + 0.5 * node, 0.5 * weight], -1), rtol=1e-13)
