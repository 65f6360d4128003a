"""Every family of section 2.4: its density is SciPy's, its samples fit it, its gradients are true.

One table drives the tests; a family without a case fails. Each case has four settings of the
parameters, on the last axis.
"""
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from math import log
from typing import Any

import numpy as np
import pytest
import strict_cupy
from op_cases import complex_step
from scipy import special, stats
from scipy.special import gammaln

from npvae import distributions
from npvae.distributions import Elliptical, Erlang, Family, Normal
from npvae.distributions.transformed import ExpTransformed
from npvae.errors import ParameterError

LOC, SHAPE = np.array([0.7, -1.3, 0.2, 2.0]), np.log([0.3, 1.0, 2.5, 40.0])
LOG_SCALE, DF = np.array([0.4, -0.6, 0.1, -1.0]), np.log([0.7, 2.0, 5.5, 90.0])
INSIDE = np.array([0.1, 0.0, 0.5, 0.2]), np.log([0.3, 1.0, 0.4, 0.7])  # of [0, 1]
exp = np.exp


@dataclass(frozen=True)
class Case:
    """A family, some parameters, and what SciPy calls it.

    ``analytic`` says that a sample and a log-density may be given complex numbers.
    """

    params: tuple[Any, ...]
    scipy: Callable[..., Any]
    analytic: bool = False
    family: Family | None = None  # where it is made with arguments


CASES = {
    "Beta": Case((SHAPE, np.array([0.4, 0.0, 0.1, 1.0])), lambda a, b: stats.beta(exp(a), exp(b))),
    "Cauchy": Case((LOC, LOG_SCALE), lambda m, s: stats.cauchy(m, exp(s)), True),
    "ChiSquared": Case((DF,), lambda df: stats.chi2(exp(df))),
    "Erlang": Case((LOG_SCALE,), lambda s: stats.gamma(3, scale=exp(s)), True, Erlang(3)),
    "Exponential": Case((LOG_SCALE,), lambda s: stats.expon(scale=exp(s)), True),
    "F": Case((DF, DF[[2, 3, 0, 1]]), lambda n, m: stats.f(exp(n), exp(m))),
    "Gamma": Case((SHAPE, LOG_SCALE), lambda a, s: stats.gamma(exp(a), scale=exp(s))),
    "Gompertz": Case((LOG_SCALE, SHAPE), lambda s, c: stats.gompertz(exp(c), scale=exp(s)), True),
    "Gumbel": Case((LOC, LOG_SCALE), lambda m, s: stats.gumbel_r(m, exp(s)), True),
    "Laplace": Case((LOC, LOG_SCALE), lambda m, s: stats.laplace(m, exp(s))),
    "LogNormal": Case((LOC, LOG_SCALE), lambda m, v: stats.lognorm(exp(v / 2), 0, exp(m)), True),
    "Logistic": Case((LOC, LOG_SCALE), lambda m, s: stats.logistic(m, exp(s))),
    "Pareto": Case((LOC + 1.3, LOG_SCALE), lambda m, s: stats.pareto(exp(-s), 0, exp(m)), True),
    "Rayleigh": Case((LOG_SCALE,), lambda s: stats.rayleigh(scale=exp(s)), True),
    "Reciprocal": Case(INSIDE, lambda a, w: stats.loguniform(exp(a), exp(a + exp(w))), True),
    "StudentT": Case((LOC, LOG_SCALE, DF), lambda m, s, df: stats.t(exp(df), m, exp(s))),
    "Triangular": Case((LOC, LOG_SCALE), lambda m, s: stats.triang(0.5, m - exp(s), 2 * exp(s))),
    "Uniform": Case(INSIDE, lambda a, w: stats.uniform(a, exp(w)), True),
    "Weibull": Case((LOC, LOG_SCALE), lambda m, s: stats.weibull_min(exp(-s), 0, exp(m)), True),
}
JOINT = {  # of all numbers on the last axis
    "Dirichlet": (np.log([[0.3, 1.0, 2.5, 40.0], [1.0, 1.0, 1.0, 0.5], [0.02, 0.1, 3.0, 7.0]]),),
    "Elliptical": (  # (3, J), (3, J), (3, J(J−1)/2) for J = 4
        np.tile(LOC, (3, 1)), np.tile(LOG_SCALE, (3, 1)),
        np.random.default_rng(9).standard_normal((3, 6)),
    ),
}  # fmt: skip
SETTINGS = {name: case.params for name, case in CASES.items()} | JOINT
WITHOUT_KL = {"F", "Gompertz", "Logistic", "StudentT", "Triangular"}  # no closed form is known
TO_NORMAL = {"Gumbel", "Laplace", "Logistic", "Triangular", "Uniform"}

each_case = pytest.mark.parametrize("name", CASES)
each_family = pytest.mark.parametrize("name", SETTINGS)


def family(name: str) -> Any:
    made = CASES[name].family if name in CASES else None
    return made or getattr(distributions, name)()


def sample_with_noise(name: str, n: int, seed: int) -> tuple[Any, Any]:
    """A family's noise, and its samples at the settings of the table.   z: (n, …, 4)"""
    q, params = family(name), SETTINGS[name]
    noise = q.draw_noise(seed, (n, *np.shape(params[0])))
    return noise, q.rsample(noise, *params)


def test_every_family_has_a_case():
    """Normal is tested by itself; what else has samples must be in the table."""
    public = {name: getattr(distributions, name) for name in distributions.__all__}
    sampled = {q.__name__ for q in public.values() if hasattr(q, "rsample")}  # an alias is no other
    assert sampled == SETTINGS.keys() | {"Normal"}
    assert {name for name in SETTINGS if not hasattr(public[name], "kl")} == WITHOUT_KL
    assert {name for name in SETTINGS if hasattr(public[name], "kl_normal")} == TO_NORMAL


@each_family
def test_a_family_says_what_it_takes(name):
    q, params = family(name), SETTINGS[name]
    assert len(q.parameters) == len(params)
    assert sum(q.heads(4).values()) == sum(p.shape[-1] for p in params)
    noise = q.draw_noise(0, (7, 5))
    assert noise.shape == ((7, 5) if len(q.noise) == 1 else (len(q.noise), 7, 5))
    np.testing.assert_array_equal(noise, q.draw_noise(0, (7, 5)))


# --- densities ------------------------------------------------------------------------------


@each_case
def test_log_density_is_scipy_s(name):
    case, q = CASES[name], family(name)
    z = case.scipy(*case.params).ppf(np.linspace(0.001, 0.999, 51)[:, None])  # (51, 4)
    expected = case.scipy(*case.params).logpdf(z)
    # a log-density of 10⁻¹⁶ is that of a density near 1: absolute where it crosses 0
    np.testing.assert_allclose(q.log_prob(z, *case.params), expected, rtol=1e-11, atol=1e-11)


@each_case
def test_outside_its_support_a_log_density_is_minus_infinity(name):
    case, q = CASES[name], family(name)
    low, high = case.scipy(*case.params).support()
    for end, beyond in ((low, low - 0.1), (high, high + 0.1)):
        at = q.log_prob(np.where(np.isfinite(end), beyond, 0.5), *case.params)
        assert (at[np.isfinite(end)] == -np.inf).all()


@pytest.mark.parametrize("name", ["Triangular", "Uniform"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_ends_of_a_narrow_interval_are_its_own(name, dtype):
    """Of a width of 1e-6, in float32 too; and nothing is there at infinity."""
    zero, log_scale = np.zeros(3, dtype), np.full(3, log(1e-6), dtype)
    low, high = (1e-6 * end for end in (family(name).lower, family(name).upper))
    z = np.array([low - 2e-8, high + 2e-8, np.inf], dtype)
    assert (family(name).log_prob(z, zero, log_scale) == -np.inf).all()
    ends = np.array([low, 0.5 * (low + high), high], dtype)
    assert np.isfinite(family(name).log_prob(ends, zero, log_scale)).all()


@each_case
def test_a_value_that_is_no_number_has_no_log_density(name):
    assert np.isnan(family(name).log_prob(np.full(4, np.nan), *SETTINGS[name])).all()


def expectation(q: Any, f: Callable[[Any], Any]) -> Any:
    """E_q[f(z)] by the tanh-sinh rule over u, z = F⁻¹(u); its error here is below 1e-10.

    In three parts, for f may have a kink at the median and at z = 0.
    """
    t = np.linspace(-2.9, 2.9, 301)[:, None]
    v = 1 / (1 + np.exp(-np.pi * np.sinh(t)))
    weight = (t[1] - t[0]) * np.pi * np.cosh(t) * v * (1 - v)
    zero = q.cdf(0.0)
    zero = np.where((zero > 1e-9) & (zero < 1 - 1e-9), zero, 0.5)
    first, last = np.minimum(zero, 0.5), np.maximum(zero, 0.5)
    return (
        weight * first * f(q.ppf(first * v))
        + weight * (last - first) * f(q.ppf(first + (last - first) * v))
        + weight * (1 - last) * f(q.isf((1 - last) * v))
    ).sum(axis=0)


@each_case
def test_entropy_is_the_integral_of_the_log_density(name):
    case, q = CASES[name], family(name)
    truth = case.scipy(*case.params)
    integral = expectation(truth, lambda z: -truth.logpdf(z))
    np.testing.assert_allclose(q.entropy(*case.params), integral, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", [n for n in CASES if n not in WITHOUT_KL])
def test_kl_is_the_integral_of_the_log_ratio(name):
    case, q = CASES[name], family(name)
    truth, prior = case.scipy(*case.params), case.scipy(*np.zeros(len(case.params)))
    integral = expectation(truth, lambda z: truth.logpdf(z) - prior.logpdf(z))
    np.testing.assert_allclose(q.kl(*case.params), integral, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", sorted(TO_NORMAL))
def test_kl_to_the_normal_is_the_integral_of_the_log_ratio(name):
    case, q = CASES[name], family(name)
    truth = case.scipy(*case.params)
    integral = expectation(truth, lambda z: truth.logpdf(z) - stats.norm.logpdf(z))
    np.testing.assert_allclose(q.kl_normal(*case.params), integral, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", sorted(SETTINGS.keys() - WITHOUT_KL))
def test_nothing_is_paid_at_the_prior(name):
    q, zeros = family(name), [np.zeros_like(p) for p in SETTINGS[name]]
    kl = q.kl(*zeros)
    np.testing.assert_allclose(kl, 0, atol=1e-14)
    if name not in ("Pareto", "Reciprocal", "Uniform"):  # whose prior is at the edge of KL < ∞
        for d in q.kl_backward(np.ones_like(kl), *zeros):
            np.testing.assert_allclose(d, 0, atol=1e-14)


@pytest.mark.parametrize("name", ["Pareto", "Reciprocal", "Uniform"])
def test_kl_is_infinite_where_the_prior_does_not_cover_the_posterior(name):
    assert family(name).kl(np.array([-0.1]), np.array([-1.0])) == np.inf


def test_erlang_counts_its_exponentials():
    for shape in (0, 1.5, np.nan, np.inf, "2"):
        with pytest.raises(ParameterError, match=f"shape={shape!r}"):
            Erlang(shape)
    one = Erlang(np.int64(1))
    np.testing.assert_array_equal(one.rsample(np.exp([-2.0]), np.zeros(1)), [2.0])


# --- samples --------------------------------------------------------------------------------


@each_case
def test_samples_fit_the_density(name):
    """Kolmogorov-Smirnov. A true sampler fails once in 130 seeds, of 76 fits at 1e-4 each."""
    truth = CASES[name].scipy(*CASES[name].params)
    _, z = sample_with_noise(name, 10_000, seed=11)
    for j in range(4):
        fit = stats.kstest(z[:, j], lambda at, j=j: truth.cdf(at[:, None])[:, j])
        assert fit.pvalue > 1e-4, f"setting {j}"


@each_case
def test_samples_have_the_moments(name):
    """Within 5 standard errors, where the moment and its error are finite: fails once in 10⁴."""
    n = 10_000
    mean, variance, kurtosis = CASES[name].scipy(*CASES[name].params).stats("mvk")
    _, z = sample_with_noise(name, n, seed=12)
    known = np.isfinite(variance) & np.isfinite(mean)
    error = 5 * np.sqrt(variance / n)
    assert (np.abs(z.mean(axis=0) - mean) <= error)[known].all()
    known &= np.isfinite(kurtosis) & (kurtosis < 20)  # else its own estimate is far from normal
    error = 5 * variance * np.sqrt((kurtosis + 2) / n)
    assert (np.abs(z.var(axis=0) - variance) <= error)[known].all()


def test_dirichlet_samples_fit_its_marginals():
    """z_k ~ Beta(α_k, Σα − α_k), and so for sums. Fails once in 830 seeds, of 12 fits at 1e-4."""
    _, z = sample_with_noise("Dirichlet", 10_000, seed=13)  # (n, 3, 4)
    alpha = exp(JOINT["Dirichlet"][0])
    np.testing.assert_allclose(z.sum(axis=-1), 1, rtol=1e-14)
    for i, k in product(range(2), range(4)):
        beta = stats.beta(alpha[i, k], alpha[i].sum() - alpha[i, k])
        assert stats.kstest(z[:, i, k], beta.cdf).pvalue > 1e-4
    for i, pair in product(range(2), ([0, 1], [1, 2])):
        total = alpha[i, pair].sum()
        beta = stats.beta(total, alpha[i].sum() - total)
        assert stats.kstest(z[:, i, pair].sum(axis=-1), beta.cdf).pvalue > 1e-4


def factor(log_diagonal: Any, lower: Any) -> Any:
    """L, put together by NumPy.   (J, J)"""
    L = np.diag(exp(log_diagonal))
    L[np.tril_indices(len(L), -1)] = lower
    return L


def test_elliptical_is_the_multivariate_normal():
    """Moments within 5 standard errors; density, entropy and KL by linear algebra."""
    q, (mu, log_diagonal, lower) = Elliptical(), JOINT["Elliptical"]
    n, J = 20_000, 4
    z = q.rsample(q.draw_noise(14, (n, 3, J)), mu, log_diagonal, lower)
    log_q, entropy = q.log_prob(z, mu, log_diagonal, lower), q.entropy(mu, log_diagonal, lower)
    for i in range(3):
        L = factor(log_diagonal[i], lower[i])
        covariance = L @ L.T
        truth = stats.multivariate_normal(mu[i], covariance)
        np.testing.assert_allclose(log_q[:, i], truth.logpdf(z[:, i]), rtol=1e-11)
        assert entropy[i] == pytest.approx(truth.entropy(), rel=1e-12)
        kl = 0.5 * (np.trace(covariance) + mu[i] @ mu[i] - J - np.linalg.slogdet(covariance)[1])
        assert q.kl(mu, log_diagonal, lower)[i] == pytest.approx(kl, rel=1e-12)
        white = np.linalg.solve(L, (z[:, i] - mu[i]).T)  # (J, n)
        assert np.abs(white.mean(axis=1)).max() <= 5 / np.sqrt(n)
        assert np.abs(np.cov(white) - np.eye(J)).max() <= 5 * np.sqrt(2 / n)


def test_elliptical_with_a_diagonal_factor_is_the_normal():
    q, n, (mu, log_diagonal, lower) = Elliptical(), Normal(), JOINT["Elliptical"]
    eps = q.draw_noise(15, (3, 4))
    z = q.rsample(eps, mu, log_diagonal, 0 * lower)
    np.testing.assert_allclose(z, n.rsample(eps, mu, 2 * log_diagonal), rtol=1e-14)
    kl = q.kl(mu, log_diagonal, 0 * lower)
    np.testing.assert_allclose(kl, n.kl(mu, 2 * log_diagonal).sum(axis=-1), rtol=1e-14)


def test_dirichlet_is_scipy_s():
    q, (log_alpha,) = family("Dirichlet"), JOINT["Dirichlet"]
    _, z = sample_with_noise("Dirichlet", 20, seed=16)
    z = np.maximum(z, 1e-12)
    z /= z.sum(axis=-1, keepdims=True)
    for i, alpha in enumerate(exp(log_alpha)):
        expected = [stats.dirichlet.logpdf(at, alpha) for at in z[:, i]]
        np.testing.assert_allclose(q.log_prob(z, log_alpha)[:, i], expected, rtol=1e-11)
        entropy = stats.dirichlet.entropy(alpha)
        assert q.entropy(log_alpha)[i] == pytest.approx(entropy, rel=1e-12)
        assert q.kl(log_alpha)[i] == pytest.approx(-entropy - gammaln(4), rel=1e-12)


def test_two_concentrations_are_a_beta():
    beta, dirichlet = family("Beta"), family("Dirichlet")
    params = np.log([[0.3, 1.2], [5.0, 0.02]])
    noise = beta.draw_noise(17, (50, 2))  # (2, 50, 2)
    z = beta.rsample(noise, *params.T)
    both = dirichlet.rsample(np.moveaxis(noise, 0, -1), params)  # (50, 2, 2)
    np.testing.assert_allclose(both[..., 0], z, rtol=1e-12)
    np.testing.assert_allclose(dirichlet.kl(params), beta.kl(*params.T), rtol=1e-12)


# --- mean and deviation -----------------------------------------------------------------------

WITHOUT_MOMENTS = {"F": "inf", "Pareto": "inf", "StudentT": "nan", "Cauchy": "nan"}  # where none is


@each_case
def test_mean_and_deviation_are_scipy_s(name):
    """∞ where they are; NaN where there is none, of which SciPy says ∞ for Student's t of ν ≤ 1.

    SciPy integrates those of the Gompertz distribution numerically, to 1e-10.
    """
    q, params = family(name), SETTINGS[name]
    truth, mean, std = CASES[name].scipy(*params), q.mean(*params), q.std(*params)
    if name == "StudentT":
        np.testing.assert_array_equal(np.isnan(mean), DF <= 0)
        there = DF > 0
        np.testing.assert_array_equal(mean[there], truth.mean()[there])
    else:
        np.testing.assert_allclose(mean, truth.mean(), rtol=1e-9)
    np.testing.assert_allclose(std, truth.std(), rtol=1e-9)
    for method, value in ((q.mean, mean), (q.std, std)):
        single = method(*(p.astype(np.float32) for p in params))
        assert single.dtype == np.float32 and single.shape == value.shape
        if name not in ("StudentT", "F"):  # float32 has no log 2, and of ν = 2 there is a jump
            np.testing.assert_allclose(single, value, rtol=1e-6)


def test_mean_and_deviation_of_joint_families_are_scipy_s():
    (log_alpha,) = SETTINGS["Dirichlet"]
    q = distributions.Dirichlet()
    for row, mean, std in zip(log_alpha, q.mean(log_alpha), q.std(log_alpha), strict=True):
        np.testing.assert_allclose(mean, stats.dirichlet.mean(exp(row)), rtol=1e-13)
        np.testing.assert_allclose(std, stats.dirichlet.var(exp(row)) ** 0.5, rtol=1e-12)
    for mu, log_diagonal, lower in zip(*SETTINGS["Elliptical"], strict=True):
        L = np.diag(exp(log_diagonal))
        L[np.tril_indices(4, -1)] = lower
        np.testing.assert_array_equal(Elliptical().mean(mu, log_diagonal, lower), mu)
        np.testing.assert_allclose(
            Elliptical().std(mu, log_diagonal, lower), np.diag(L @ L.T) ** 0.5, rtol=1e-14
        )
    np.testing.assert_array_equal(Normal().mean(LOC, LOG_SCALE), LOC)
    np.testing.assert_allclose(Normal().std(LOC, LOG_SCALE), exp(LOG_SCALE / 2), rtol=1e-15)


@pytest.mark.parametrize(("name", "params", "std"), [
    ("Weibull", (0, log(1e-6)), 1e-6 * np.pi / 6**0.5),  # 1/k → 0: log z is a Gumbel variable
    ("Reciprocal", (0, log(1e-6)), 1e-6 / 12**0.5),  # uniform
    ("Gompertz", (0, log(1e6)), 1e-6),  # exponential
    ("Gompertz", (0, log(1e-12)), np.pi / 6**0.5),  # minus a Gumbel variable
    ("LogNormal", (0, log(1e-12)), 1e-6),  # normal
], ids=str)  # fmt: skip
def test_a_deviation_in_the_limit_of_a_small_one_loses_no_digits(name, params, std):
    """To the order at which the limit is left."""
    got = family(name).std(*(np.array([p], float) for p in params))
    np.testing.assert_allclose(got, std, rtol=1e-5)


def test_the_deviation_of_a_weibull_variable_is_exact_about_where_its_series_ends():
    """By 50 digits of mpmath: at 1/k of 3e-4, 0.0498 and 0.064; the series is below 0.05."""
    log_scale = np.array([-8.0, -3.0, -2.75])
    exact = [0.0004300588842819774, 0.060091774433596035, 0.07595468285925148]
    std = distributions.Weibull().std(np.zeros(3), log_scale)
    np.testing.assert_allclose(std, exact, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@each_case
def test_moments_from_one_millionth_to_one_million_are_numbers(name, dtype):
    """And no warning, which pytest would make an error; those without a moment say which."""
    q = family(name)
    sizes = np.log(np.array([1e-6, 1e-3, 1, 1e3, 1e6], dtype))
    params = [p.ravel() for p in np.meshgrid(*[sizes] * len(q.parameters))]
    for value in (q.mean(*params), q.std(*params)):
        wrong = ~np.isfinite(value)
        assert value.dtype == dtype and (np.isfinite(value) | (name in WITHOUT_MOMENTS)).all()
        if name == "Cauchy" or name == "StudentT":
            assert np.isnan(value[wrong]).all()
        else:
            assert (value[wrong] == np.inf).all()


@pytest.mark.parametrize(("name", "params", "mean", "std"), [
    ("Pareto", (0, log(2)), np.inf, np.inf), ("Pareto", (0, 0), np.inf, np.inf),
    ("Pareto", (0, -log(2)), 2, np.inf), ("Pareto", (0, -log(3)), 1.5, 0.75**0.5),
    ("F", (0, log(1.5)), np.inf, np.inf), ("F", (0, log(4)), 2, np.inf),
    ("StudentT", (5, 0, 0), np.nan, np.nan), ("StudentT", (5, 0, log(1.5)), 5, np.inf),
    ("StudentT", (5, 0, log(2)), 5, np.inf), ("StudentT", (5, 0, log(4)), 5, 2**0.5),
    ("Cauchy", (5, 0), np.nan, np.nan),
])  # fmt: skip
def test_a_moment_that_does_not_exist_is_said_to_be_infinite_or_no_number(name, params, mean, std):
    params = [np.array([p], float) for p in params]
    np.testing.assert_allclose(family(name).mean(*params), mean, rtol=1e-14)
    np.testing.assert_allclose(family(name).std(*params), std, rtol=1e-13)


def test_a_family_without_moments_says_what_to_do():
    class Own(Family):
        parameters = ("loc",)

    for method in ("mean", "std"):
        with pytest.raises(ParameterError, match=rf"give it a method {method}\(\*params\)"):
            getattr(Own(), method)(LOC)


# --- gradients ------------------------------------------------------------------------------


def five_point(f: Callable[[Any], Any]) -> Any:
    """Exact for polynomials of degree 4: h⁴ is 6e-14, and rounding is multiplied by 2000."""
    h = 5e-4
    return (f(-2 * h) - 8 * f(-h) + 8 * f(h) - f(2 * h)) / (12 * h)


def calls(name: str, n: int = 6) -> Iterator[tuple[str, Callable[..., Any], tuple[Any, ...], Any]]:
    """What a family can do: its name, the function, where, and its backward given d of the result.

    Away from the ends of the noise, where every derivative is large, and from the medians, where
    some densities have a kink. A step of z
    is as long as z is far from the ends of its support.
    """
    q, params = family(name), SETTINGS[name]
    noise = q.draw_noise(18, (n, *params[0].shape))
    if "normal" not in q.noise:
        noise = 0.05 + 0.4 * noise
    z = q.rsample(noise, *params)
    params = tuple(np.broadcast_to(p, (n, *p.shape)).copy() for p in params)
    yield (
        "rsample", lambda *params: q.rsample(noise, *params), params,
        lambda d: q.rsample_backward(d, noise, *params),
    )  # fmt: skip

    sizes = {"positive": z, "simplex": z, "unit interval": z * (1 - z)}
    size = sizes.get(q.support, 1.0)

    def log_prob(steps: Any, *params: Any) -> Any:
        return q.log_prob(z + size * steps, *params)

    def log_prob_backward(d: Any) -> tuple[Any, ...]:
        d_z, d_params = q.log_prob_backward(d, z, *params)
        return d_z * size, *d_params

    yield "log_prob", log_prob, (np.zeros_like(z), *params), log_prob_backward
    if name in ("Pareto", "Reciprocal", "Uniform"):  # a step must stay where the KL is finite
        params = (params[0] + 0.01, params[1] - 0.1)
    for method in ("entropy", "kl", "kl_normal"):
        if hasattr(q, method):
            backward = getattr(q, method + "_backward")
            yield method, getattr(q, method), params, lambda d, b=backward: b(d, *params)


def compare(f: Callable, at: tuple[Any, ...], backward: Callable, rule: Callable, tol: float):
    """The derivatives of Σ d·f by each number, all datapoints stepped at once."""
    value = f(*at)
    d = np.random.default_rng(19).standard_normal(value.shape)
    grads = backward(d)
    assert len(grads) == len(at)
    for i, (v, grad) in enumerate(zip(at, grads, strict=True)):
        assert grad.shape == v.shape
        for j in range(v.shape[-1]):
            one = np.arange(v.shape[-1]) == j

            def along(step: Any, i: int = i, one: Any = one) -> Any:
                return f(*(p + (step * one if k == i else 0 * step) for k, p in enumerate(at)))

            numerical = d * rule(along)
            if numerical.ndim == v.ndim:  # of a joint density there is one for all of them
                numerical = numerical.sum(axis=-1)
            atol = tol * np.abs(grad).max() + 1e-3 * tol * np.abs(value).max()
            np.testing.assert_allclose(grad[..., j], numerical, rtol=tol, atol=atol)


@each_family
def test_gradients_agree_with_differences(name):
    for _, f, at, backward in calls(name):
        compare(f, at, backward, five_point, 1e-8)


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if c.analytic] + ["Elliptical"])
def test_gradients_agree_with_the_complex_step(name):
    """Where no special function, and no absolute value, is in the way."""
    for what, f, at, backward in calls(name):
        if what in ("rsample", "log_prob"):
            compare(f, at, backward, complex_step, 1e-12)


# --- extremes -------------------------------------------------------------------------------

ENDS = np.array([2.0**-53, 1e-9, 0.3, 0.5, 1 - 1e-9, 1 - 2.0**-53, 1.0])
NORMALS = np.array([-8.6, -1.0, 0.0, 1e-9, 0.5, 3.0, 8.6])
SIZES = (-log(1e6), 0.0, log(1e6))


def extremes(q: Any, dtype: Any) -> tuple[Any, tuple[Any, ...]]:
    """Noise at its ends (…, 7, 1), parameters of 10⁻⁶, 1 and 10⁶ in all combinations."""
    rows = {"uniform": ENDS, "normal": NORMALS}
    if len(q.noise) == 1:
        noise = rows[q.noise[0]][:, None]
    elif len(q.noise) == 2:
        pair = np.meshgrid(*(rows[kind] for kind in q.noise), indexing="ij")
        noise = np.stack([axis.reshape(-1, 1) for axis in pair])
    else:
        noise = np.stack([np.roll(ENDS, i)[:, None] for i in range(len(q.noise))])
    locations = SIZES if isinstance(q, ExpTransformed) else (-1e6, -1e-6, 1e-6, 1e6)
    grids = [SIZES if word.startswith("log") else locations for word in q.parameters]
    params = np.array(list(product(*grids))).T
    return noise.astype(dtype), tuple(params.astype(dtype))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@each_case
def test_extremes_are_finite(name, dtype):
    """And no warning is given, which pytest would make an error."""
    q = family(name)
    noise, params = extremes(q, dtype)
    z = q.rsample(noise, *params)
    one = np.ones_like(z)
    d_z, d_params = q.log_prob_backward(one, z, *params)
    found = {
        "sample": z, "log-density": q.log_prob(z, *params), "d_z": d_z, "d_params": d_params,
        "rsample": q.rsample_backward(one, noise, *params), "entropy": q.entropy(*params),
        "entropy_backward": q.entropy_backward(one[0], *params),
        "pathwise": q.rsample_backward(d_z, noise, *params),
    }  # fmt: skip
    for method in ("kl", "kl_normal"):
        if hasattr(q, method):
            kl = getattr(q, method)(*params)
            found[method] = np.where(kl == np.inf, 0, kl) if q.support == "interval" else kl
            found[method + "_backward"] = getattr(q, method + "_backward")(one[0], *params)
    for what, value in found.items():
        for array in value if isinstance(value, tuple) else (value,):
            assert np.isfinite(array).all(), what
            assert np.asarray(array).dtype == dtype, what


@pytest.mark.parametrize("name", ["Beta", "ChiSquared", "F", "Gamma", "StudentT"])
def test_sums_of_log_gammas_keep_their_digits_in_float32(name):
    """Of shapes of 10⁶, log Γ is 10⁷ and the sum may be 1: all from the same float32 numbers.

    A KL or an entropy is the rounded float64; so is a log-density at y, if not at z = eʸ, whose
    rounding is multiplied by the shape.
    """
    q = family(name)
    _, single = extremes(q, np.float32)
    double = tuple(p.astype(np.float64) for p in single)
    one, y = np.ones_like(single[0]), np.linspace(-2, 2, len(single[0]), dtype=np.float32)
    found = [(q.base.log_prob, (y,)), (q.base.log_prob_backward, (one, y)),
             (q.entropy, ()), (q.entropy_backward, (one,))]  # fmt: skip
    if hasattr(q, "kl"):
        found += [(q.kl, ()), (q.kl_backward, (one,))]
    for method, first in found:
        ours = method(*first, *single)
        expected = method(*(a.astype(np.float64) for a in first), *double)
        for a, b in zip(flat(ours), flat(expected), strict=True):
            assert a.dtype == np.float32
            np.testing.assert_allclose(a, b, rtol=3e-7, atol=1e-5)


def test_what_is_beyond_float32_is_its_largest_number():
    """−e⁹⁵, which float64 holds; and a density that is 0 is that."""
    zero = np.zeros(1, np.float32)
    q = family("Gamma").base
    assert q.log_prob(zero + 95, zero, zero) == -np.finfo(np.float32).max
    assert family("Gamma").log_prob(zero - 1, zero, zero) == -np.inf
    assert family("Gamma").kl(0.5, 0.1).dtype == np.float64  # of Python's numbers


def flat(result: Any) -> Iterator[Any]:
    """Arrays out of tuples of them."""
    if not isinstance(result, tuple):
        yield result
    else:
        for part in result:
            yield from flat(part)


@pytest.mark.parametrize("df", [0.05, 1.0, 30.0])
@pytest.mark.parametrize("sign", [-1, 1])
def test_far_out_a_heavy_tail_is_what_it_is_in_float32(df, sign):
    """Squares of z overflow: log-density and slopes by the formulas in float64."""
    z = np.array([1e-30, 1e-3, 1.0, 1e4, 1e16, 1e24, 1e37], np.float32)
    r, zero, one = sign * z.astype(float), np.zeros_like(z), np.ones_like(z)
    log_df = zero + np.float32(log(df))
    df = exp(log_df[0].astype(float))
    families = [(family("StudentT"), (zero, zero, log_df), df)]
    if df == 1:
        families.append((family("Cauchy"), (zero, zero), 1.0))
    for q, params, nu in families:
        expected = stats.t(nu).logpdf(0) - 0.5 * (nu + 1) * np.log1p(r * r / nu)
        np.testing.assert_allclose(q.log_prob(sign * z, *params), expected, rtol=1e-6)
        d_z, d_params = q.log_prob_backward(one, sign * z, *params)
        slope = -(nu + 1) / (nu / r + r)
        np.testing.assert_allclose(d_z, slope, rtol=1e-5)
        np.testing.assert_allclose(d_params[0], -slope, rtol=1e-5)
        np.testing.assert_allclose(d_params[1], -slope * r - 1, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["Gumbel", "Uniform"])
def test_a_far_location_leaves_the_slope_of_the_kl_by_the_scale(name):
    """E[z] − loc is not to be had by subtraction: 10⁶ + 10⁻³ is 10⁶ in float32."""
    one, loc, log_scale = (np.full(1, v, np.float32) for v in (1, 1e6, log(1e-3)))
    _, d_log_scale = family(name).kl_normal_backward(one, loc, log_scale)
    mean = 1e-3 * {"Gumbel": np.euler_gamma, "Uniform": 0.5}[name]  # of z − loc
    np.testing.assert_allclose(d_log_scale, 1e6 * mean - 1, rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@each_family
def test_samples_lie_in_the_support(name, dtype):
    """Strictly: on its edge a density may be 0 or infinite. Here with uniform noise of 1, too."""
    q, params = family(name), [p.astype(dtype) for p in SETTINGS[name]]
    noise = q.draw_noise(20, (1000, *params[0].shape)).astype(dtype)
    noise.reshape(-1)[::7] = 1
    z = q.rsample(noise, *params)
    assert z.dtype == dtype
    assert np.isfinite(q.log_prob(z, *params)).all()
    if q.support in ("positive", "unit interval", "simplex"):
        assert (z > 0).all()
    if q.support == "unit interval":
        assert (z < 1).all()
    if q.support == "simplex":
        np.testing.assert_allclose(z.sum(axis=-1), 1, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_joint_extremes_are_finite(dtype):
    grid = np.array(list(product(SIZES, repeat=3)), dtype)  # (27, 3)
    dirichlet, elliptical = family("Dirichlet"), Elliptical()
    u = np.array(list(product(ENDS[[0, 3, 6]], repeat=3)), dtype)[:, None]  # (27, 1, 3)
    eps = np.array(list(product(NORMALS[[0, 2, 6]], repeat=3)), dtype)[:, None]
    lower = np.linspace(-2, 2, 81, dtype=dtype).reshape(27, 3)
    for q, noise, params in ((dirichlet, u, (grid,)), (elliptical, eps, (grid, grid / 4, lower))):
        z = q.rsample(noise, *params)
        log_q = q.log_prob(z, *params)
        d_z, d_params = q.log_prob_backward(np.ones_like(log_q), z, *params)
        one = np.ones(27, dtype)
        found = [z, log_q, d_z, *d_params, *q.rsample_backward(d_z, noise, *params)]
        found += [q.entropy(*params), *q.entropy_backward(one, *params)]
        found += [q.kl(*params), *q.kl_backward(one, *params)]
        assert all(np.isfinite(array).all() and array.dtype == dtype for array in found)


# --- on a device ----------------------------------------------------------------------------


def results(q: Any, noise: Any, z: Any, params: Any, ones: Any) -> list[Any]:
    """What a family computes, forward and backward."""
    d_z, d_params = q.log_prob_backward(ones, z, *params)
    found = [q.rsample(noise, *params), q.log_prob(z, *params), d_z, *d_params]
    found += q.rsample_backward(d_z, noise, *params)
    found += [q.mean(*params), q.std(*params)]
    for method in ("entropy", "kl", "kl_normal"):
        if hasattr(q, method):
            found += [getattr(q, method)(*params)]
            found += getattr(q, method + "_backward")(ones[0], *params)
    return found


@each_family
def test_a_device_gives_the_same(name, monkeypatch):
    """With CuPy's strict stand-in, no array of NumPy takes part. To the bit, for it is NumPy's."""
    q, (noise, z), params = family(name), sample_with_noise(name, 6, seed=18), SETTINGS[name]
    ones = np.ones(z.shape[:-1] if name in JOINT else z.shape)
    expected = results(q, noise, z, params, ones)
    with strict_cupy.installed() as cupy:
        functions = {
            word: lambda *args, w=word: strict_cupy.arrays.into(getattr(special, w), args)
            for word in ("gammaln", "digamma", "zeta", "gammaincinv", "exp1")
        }
        stand_in = strict_cupy.module("cupyx.scipy.special", **functions)
        monkeypatch.setitem(sys.modules, "cupyx", strict_cupy.module("cupyx"))
        monkeypatch.setitem(sys.modules, "cupyx.scipy.special", stand_in)
        there = [cupy.asarray(array) for array in (noise, z, ones, *params)]
        found = results(q, there[0], there[1], there[3:], there[2])
        assert len(found) == len(expected)
        for ours, numpy_s in zip(found, expected, strict=True):
            np.testing.assert_array_equal(ours.get(), numpy_s)


def test_the_elliptical_family_has_the_fields_name_too():
    assert distributions.MultivariateNormal is Elliptical
