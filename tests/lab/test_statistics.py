"""Statistics of few batches, against what they estimate: many experiments whose answer is known."""
import numpy as np
import pytest
from scipy import stats

from npvae.lab.statistics import (
    BATCHES,
    interval,
    log_interval,
    mean,
    median_interval,
    norm_of_mean,
    product_of_means,
    root_interval,
    student,
)

N, EXPERIMENTS = 5, 2000  # draws a batch


def experiments(mu, sigma, seed=0, draw="normal"):
    """Batch means (E, B, P) and mean squares (E, B) of independent draws μ + σ ε."""
    rng = np.random.default_rng(seed)
    shape = (EXPERIMENTS, BATCHES, N, len(mu))
    eps = {"normal": rng.standard_normal, "exponential": rng.standard_exponential}[draw](shape)
    eps -= eps.mean() * (draw == "exponential")
    g = mu + sigma * eps
    return g.mean(axis=2), (g**2).sum(axis=-1).mean(axis=2)


def batch_means(mu, sigma, seed=0):
    """Of normal draws, (E, B, P): a mean of N of them is a normal of σ/√N."""
    noise = np.random.default_rng(seed).standard_normal((EXPERIMENTS, BATCHES, len(mu)))
    return mu + sigma / N**0.5 * noise


def grams(x):
    return x @ x.swapaxes(-1, -2)


def test_student_is_scipys():
    for nu in (3, 5, 18, 19, 30, 1000):
        assert student(nu) == pytest.approx(stats.t.ppf(0.975, nu), rel=0.01)
    assert student(BATCHES - 1) == pytest.approx(stats.t.ppf(0.975, BATCHES - 1), rel=1e-5)


def test_statistics_without_a_batch_are_those_of_the_others():
    rng = np.random.default_rng(0)
    x, q = rng.standard_normal((7, 3)), rng.random(7)
    K = x @ x.T
    u, m = product_of_means(K), mean(q)
    for b in range(7):
        rest = np.delete(np.arange(7), b)
        assert u[1 + b] == pytest.approx(product_of_means(K[np.ix_(rest, rest)])[0], rel=1e-12)
        assert m[1 + b] == pytest.approx(q[rest].mean(), rel=1e-14)


@pytest.mark.parametrize("mu", [np.zeros(5), np.array([0.02, 0, 0, 0, 0.05])], ids=["0", "small"])
def test_the_square_of_a_small_mean_has_no_floor(mu):
    """Right on average at 4 standard errors, 1 of 16,000; the naive square has it."""
    x = batch_means(mu, 1.0)
    u = product_of_means(grams(x))[:, 0]
    error = u.std(ddof=1) / EXPERIMENTS**0.5
    assert abs(u.mean() - mu @ mu) < 4 * error
    naive = (x.mean(axis=1) ** 2).sum(axis=-1).mean()
    assert naive - mu @ mu == pytest.approx(5 / (N * BATCHES), rel=0.1)


@pytest.mark.parametrize(("draw", "least"), [("normal", 0.93), ("exponential", 0.91)])
def test_the_interval_of_a_variance_covers_it(draw, least):
    """As often as it says, 95 %; where tails are heavy a little less. ±1.5 % are 3 deviations."""
    mu, sigma = np.array([1.0, 2.0, -3.0]), np.array([1.0, 0.5, 2.0])
    x, squares = experiments(mu, sigma, draw=draw)
    V = mean(squares) - product_of_means(grams(x))
    truth = (sigma**2).sum()
    assert abs(V[:, 0].mean() - truth) < 4 * V[:, 0].std() / EXPERIMENTS**0.5
    _, low, high = log_interval(V)
    assert least < ((low < truth) & (truth < high)).mean() < 0.97


def test_the_interval_of_a_signal_to_noise_ratio_covers_it():
    """95 %, less where batches are of but 5 draws; ±1.5 % are 3 deviations."""
    mu, sigma = np.array([0.3, -0.2]), np.array([1.0, 0.5])
    x, squares = experiments(mu, sigma)
    square = product_of_means(grams(x))
    _, low, high = root_interval(square / (mean(squares) - square))
    truth = np.sqrt(mu @ mu / (sigma**2).sum())
    assert 0.92 < ((low < truth) & (truth < high)).mean() < 0.97


@pytest.mark.parametrize("sigma", [
    np.ones(1), np.ones(40), np.array([1.0, *[0.1] * 50])
], ids=["1", "40", "1 and 50 small"])  # fmt: skip
def test_a_bias_that_is_none_is_rarely_found(sigma):
    """Above 2 standard errors in at most 5 % of experiments, and above 4 in one of 1,000."""
    x = batch_means(np.zeros(len(sigma)), sigma)
    bias, error = norm_of_mean(grams(x))
    assert (bias > 2 * error).mean() < 0.05
    assert (bias > 4 * error).mean() <= 0.001


@pytest.mark.parametrize("P", [1, 30])
def test_a_bias_that_stands_out_is_as_large_as_it_is(P):
    """The error is that of the estimate, to a tenth, and it is right on average."""
    mu = np.zeros(P)
    mu[0] = 2.0
    x = batch_means(mu, 1.0)
    bias, error = norm_of_mean(grams(x))
    assert bias.mean() == pytest.approx(2, rel=0.01)
    assert np.sqrt((error**2).mean()) == pytest.approx(bias.std(), rel=0.1)
    assert (bias > 4 * error).all()


def test_the_interval_of_a_median_covers_it_whatever_the_distribution():
    """By order statistics, 11 and 22 of 32, whose coverage is the binomial's; at 3 deviations."""
    times = np.random.default_rng(0).pareto(1.0, (EXPERIMENTS, BATCHES))  # of infinite mean
    found = np.array([median_interval(t) for t in times])
    nominal = stats.binom.cdf(21, 32, 0.5) - stats.binom.cdf(10, 32, 0.5)
    assert nominal == pytest.approx(0.95, abs=0.015)
    covered = ((found[:, 1] < 1) & (found[:, 2] > 1)).mean()
    assert covered == pytest.approx(nominal, abs=3 * (nominal * (1 - nominal) / EXPERIMENTS) ** 0.5)


def test_what_is_zero_is_told_as_zero():
    zero = np.zeros((1, 1 + BATCHES))
    np.testing.assert_array_equal(log_interval(zero), 0)
    np.testing.assert_array_equal(interval(zero), 0)
    np.testing.assert_array_equal(norm_of_mean(np.zeros((1, BATCHES, BATCHES))), 0)
