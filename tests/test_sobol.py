"""Scrambled Sobol points: a net still, uniform each by itself, and as good as SciPy's."""
import numpy as np
import pytest
from scipy import stats
from scipy.stats import qmc

from npvae import random, sobol


def uniforms(L, n, M, step=0):
    """Φ of the normals.   (L, M, n)"""
    words = random.words(1, random.POSTERIOR, step, M * sobol.n_words(L, n)).reshape(M, -1)
    return stats.norm.cdf(sobol.sobol_normals(words, L, n))


@pytest.mark.parametrize(("L", "n"), [(2, 1), (5, 2), (16, 3)])
def test_each_point_is_uniform(L, n):
    """χ² of 32 intervals in each dimension, over 10,000 scrambles: p > 1e-4 of 60 in all, so that
    1 in 170 seeds fails."""
    u = uniforms(L, n, M=10_000)
    counts = np.stack([(u * 32 // 1 == i).sum(axis=1) for i in range(32)])  # (32, L, n)
    assert stats.chisquare(counts, axis=0).pvalue.min() > 1e-4


@pytest.mark.parametrize("digits", [1, 3, 6])
def test_a_scramble_leaves_a_net_a_net(digits):
    """Of 2^m points in two dimensions every box of 2^−a by 2^−(m−a) has one: the definition of a
    (0, m, 2)-net, which the first two dimensions of Sobol's are."""
    L = 2**digits
    u = uniforms(L, 2, M=20)  # (L, M, 2)
    for a in range(digits + 1):
        box = np.floor(u[..., 0] * 2**a) * 2 ** (digits - a) + u[..., 1] * 2 ** (digits - a) // 1
        np.testing.assert_array_equal(np.sort(box, axis=0), np.repeat(np.arange(L)[:, None], 20, 1))


def test_the_variance_of_a_mean_is_that_of_scipys_scrambles():
    """Of exp(u₁ + u₂ + u₃) over 16 points, by 400 of SciPy's: a quotient of two such variances is
    between 0.6 and 1.6 but for 1 in 30,000; of independent points it is 30 times as large."""

    def f(u):
        return np.exp(u.sum(axis=-1)).mean(axis=0)

    own = f(uniforms(16, 3, M=4000))
    others = [f(qmc.Sobol(3, seed=seed).random_base2(4)) for seed in range(400)]
    assert 0.6 < own.var() / np.var(others) < 1.6
    exact = (np.e - 1) ** 3
    assert abs(own.mean() - exact) < 4 * own.std() / 4000**0.5  # 1 in 16,000
    independent = np.random.default_rng(0).random((16, 4000, 3))
    assert f(independent).var() > 10 * own.var()


def test_datapoints_have_scrambles_of_their_own_that_do_not_depend_on_how_many_they_are():
    few, many = uniforms(4, 3, M=5), uniforms(4, 3, M=50)
    np.testing.assert_array_equal(many[:, :5], few)
    assert len(np.unique(many)) == many.size
    assert not np.isclose(uniforms(4, 3, M=5, step=1), few).any()
    means = uniforms(2, 1, M=10_000).mean(axis=0)[:, 0]  # of neighbours: 4 deviations, 1 in 16,000
    assert abs(np.corrcoef(means[::2], means[1::2])[0, 1]) < 4 / 5000**0.5
