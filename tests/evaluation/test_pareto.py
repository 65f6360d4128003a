"""k̂ against samples of a generalised Pareto variable of known shape, and weights of a normal."""
import numpy as np
import pytest
from scipy import stats

from npvae.evaluation.pareto import FEWEST, MOST, Tail, largest, pareto_k, tail_length


def fitted(log_w):
    """k̂ of columns (S, M), taken in blocks as importance sampling takes them."""
    n, kept = tail_length(len(log_w)) + 1, None
    for block in np.array_split(log_w, 7):
        kept = largest(np, kept, block, n)
    np.testing.assert_array_equal(kept, np.sort(log_w, axis=0)[-n:])
    return pareto_k(np, kept)


@pytest.mark.parametrize("k", [0.2, 0.5, 0.7, 1.0])
def test_it_is_the_shape_of_a_pareto_variable(k):
    """200 data sets of 20,000. The mean is drawn towards ½ by 10 of 435 observations; one fit has a
    standard deviation of about (1 + k)/√425 (the Fisher information of the shape)."""
    w = stats.genpareto.rvs(k, size=(20_000, 200), random_state=0)
    found = fitted(np.log(w))
    n = tail_length(20_000)
    shrunk = (n * k + 5) / (n + 10)
    deviation = (1 + k) / np.sqrt(n)
    assert abs(found.mean() - shrunk) < 4 * deviation / np.sqrt(200) + 0.01  # and 1/n
    assert found.std() == pytest.approx(deviation, rel=0.2)


def test_it_knows_when_weights_have_no_variance():
    """Weights N(z; 0, 1) / N(z; 0, s²): their tail has the shape 1 − s² for s < 1, E[wᵖ] being
    finite for p < 1/(1 − s²). So they have a variance above s = 0.71, and none at 0.5."""
    rng = np.random.default_rng(1)
    for s, low, high in ((0.5, 0.55, 1.0), (0.9, -0.3, 0.5)):
        z = s * rng.standard_normal((5000, 100))
        log_w = stats.norm.logpdf(z) - stats.norm.logpdf(z, scale=s)
        assert low < np.median(fitted(log_w)) < high


def test_what_cannot_be_fitted():
    """Too few weights say nothing, equal ones have no tail, and shifts of log w change nothing."""
    rng = np.random.default_rng(2)
    assert np.isnan(fitted(rng.standard_normal((4 * FEWEST, 3)))).all()
    assert (fitted(np.zeros((100, 3))) == -np.inf).all()
    log_w = 3 * rng.standard_normal((1000, 3))
    np.testing.assert_allclose(fitted(log_w - 5000), fitted(log_w), rtol=1e-9)


@pytest.mark.parametrize("S", [10, 40, 1000, 20_000])
def test_blocks_of_any_size_have_one_tail(S):
    """Whatever comes first: rising, falling, in one block or as single samples."""
    log_w = np.random.default_rng(3).standard_normal((S, 4))
    expected = pareto_k(np, np.sort(log_w, axis=0)[-tail_length(S) - 1 :])
    for order in (log_w, np.sort(log_w, axis=0), np.sort(log_w, axis=0)[::-1]):
        for size in (1, 7, 300, S):
            tail = Tail(np, S)
            for start in range(0, S, size):
                tail.add(order[start : start + size])
                held = sum(map(len, tail.waiting)) + len(() if tail.kept is None else tail.kept)
                assert held <= 2 * tail.n + size
            np.testing.assert_array_equal(tail.pareto_k(), expected)
    assert tail_length(10**9) == MOST


def test_a_tail_that_outgrows_its_type():
    """Over e^±5000 most weights are 0 beside the largest: no number, but the worst there is. NaN
    is none of those that are too small to matter, and what is equal to rounding has no tail."""
    rng = np.random.default_rng(4)
    log_w = rng.standard_normal((1000, 4)) * [2000, 1e-15, 1, 1] - 30
    log_w[990, 2], log_w[:600, 3], log_w[600:, 3] = np.nan, 0, -1
    tail = Tail(np, 1000)
    for block in np.split(log_w, 10):
        tail.add(block)
    wide, alike, lost, tied = tail.pareto_k()
    assert (wide, alike, tied) == (np.inf, -np.inf, -np.inf) and np.isnan(lost)
