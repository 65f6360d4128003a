"""Figure 2 of Mohamed et al. 2020: E[f(x)], x ~ N(1, 1), by three kinds of estimators."""
import numpy as np
import pytest
from scipy import stats

from npvae.lab.measure_valued import ESTIMATORS

N = 100_000


def draws(name, f, df, mu=1.0, sigma=1.0, seed=0):
    return ESTIMATORS[name](f, df, mu, sigma, N, np.random.default_rng(seed))


def off(samples, mean):
    """Of the mean, in standard errors."""
    return (samples.mean() - mean) / (samples.std(ddof=1) / N**0.5)


def variance_off(samples, variance):
    """Of the variance, in standard errors by the fourth moment."""
    squares = (samples - samples.mean()) ** 2
    return (squares.mean() - variance) / (squares.std(ddof=1) / N**0.5)


@pytest.mark.parametrize("k", [-3, 0, 3])
@pytest.mark.parametrize(("name", "by_mu", "by_sigma"), [
    ("pathwise", lambda d: 4, lambda d: 8 + 4 * d**2),
    ("score function", lambda d: 15 + 14 * d**2 + d**4, lambda d: 74 + 60 * d**2 + 2 * d**4),
    ("measure-valued", lambda d: 4 * d**2 * (4 / np.pi - 1), lambda d: 4 + 4 * d**2),
])  # fmt: skip
def test_means_and_variances_are_those_in_closed_form(name, by_mu, by_sigma, k):
    """f = (x − k)², d = 1 − k: means 2d and 2. The 36 numbers at 4 errors each: 1 of 450 fails."""
    d = 1 - k
    mu, sigma = draws(name, lambda x: (x - k) ** 2, lambda x: 2 * (x - k))
    assert abs(off(mu, 2 * d)) < 4 and abs(off(sigma, 2)) < 4
    assert abs(variance_off(mu, by_mu(d))) < 4 and abs(variance_off(sigma, by_sigma(d))) < 4


def test_the_variances_of_the_issue():
    """495, 30 and 87 at k = −3, 0 and 3: the polynomial above is theirs."""
    assert [15 + 14 * (1 - k) ** 2 + (1 - k) ** 4 for k in (-3, 0, 3)] == [495, 30, 87]


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize(("mu", "sigma"), [(1.0, 1.0), (-0.5, 0.3), (2.0, 2.0)])
@pytest.mark.parametrize(("f", "df"), [
    (np.sin, np.cos), (lambda x: np.exp(-(x**2)), lambda x: -2 * x * np.exp(-(x**2))),
], ids=["sin", "exp"])  # fmt: skip
def test_no_function_has_a_bias(name, mu, sigma, f, df):
    """Against quadrature of E[f] by SciPy, differentiated by its parameters; at 4 errors."""

    def expected(m, s):
        return stats.norm.expect(f, loc=m, scale=s)

    h = 1e-4
    by_mu = (expected(mu + h, sigma) - expected(mu - h, sigma)) / (2 * h)
    by_sigma = (expected(mu, sigma + h) - expected(mu, sigma - h)) / (2 * h)
    found = draws(name, f, df, mu, sigma)
    assert abs(off(found[0], by_mu)) < 4 and abs(off(found[1], by_sigma)) < 4


def test_what_has_no_derivative():
    """A step: E = Φ(μ/σ). The pathwise derivative is 0 and wrong, the other two are right."""
    def step(x):
        return (x > 0).astype(float)

    for name in ("score function", "measure-valued"):
        by_mu, by_sigma = draws(name, step, None)
        assert abs(off(by_mu, stats.norm.pdf(1))) < 4
        assert abs(off(by_sigma, -stats.norm.pdf(1))) < 4
