"""Noise keyed by rows: NumPy's own Philox as the oracle, and what a hash of rows must do."""
import numpy as np
import pytest
from scipy import stats

from npvae import random
from npvae.row_noise import row_keys, row_normals, row_thresholds

KEYS = np.array([0, 1, 2**63 + 12345, 2**64 - 1], np.uint64)
SEEDS = [(0, 3, 0), (2**64 - 1, 2**63, 2**62 + 7), (12345, 9, 2)]


def reference(seed, stream, step, key, count):
    """Words of NumPy's generator with the row's key in the third word of the counter."""
    philox = np.random.Philox(
        key=np.array((seed, stream), np.uint64),
        counter=np.array((0, step, key, 0), np.uint64),
    )  # fmt: skip
    return philox.random_raw(count)


@pytest.mark.parametrize(("seed", "stream", "step"), SEEDS)
@pytest.mark.parametrize("copies", [1, 5])  # few rows and many: two ways to the same
@pytest.mark.parametrize(("L", "J", "start"), [(1, 1, 0), (3, 2, 0), (2, 5, 3), (4, 1, 1)])
def test_normals_are_those_of_numpys_words(seed, stream, step, L, J, start, copies):
    keys = np.tile(KEYS, copies)
    eps = row_normals(seed, stream, step, keys, L, J, start)
    for m, key in enumerate(keys):
        n = (start + L) * J + 1
        u = ((reference(seed, stream, step, key, n + n % 2) >> np.uint64(11)) + 1.0) * 2.0**-53
        r, angle = np.sqrt(-2 * np.log(u[0::2])), 2 * np.pi * u[1::2]
        z = np.stack([r * np.cos(angle), r * np.sin(angle)], axis=-1).ravel()
        expected = z[start * J :][: L * J].reshape(L, J)
        np.testing.assert_allclose(eps[:, m], expected, rtol=1e-13)


def test_key_zero_is_the_stream_without_keys():
    eps = row_normals(5, random.EVALUATE, 7, np.zeros(1, np.uint64), 2, 3)
    np.testing.assert_allclose(eps.ravel(), random.normal(5, random.EVALUATE, 7, 6), rtol=1e-13)


def test_samples_do_not_depend_on_how_they_are_cut():
    whole = row_normals(1, 2, 3, KEYS, 7, 3)
    parts = [row_normals(1, 2, 3, KEYS, n, 3, start) for start, n in ((0, 2), (2, 1), (3, 4))]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_noise_of_many_rows_is_normal_and_uncorrelated():
    """20,000 keys one apart: Kolmogorov-Smirnov at 1e-4, correlations at 4.5 standard errors."""
    n = 20_000
    eps = row_normals(0, random.EVALUATE, 0, np.arange(n, dtype=np.uint64), 2, 2)
    assert stats.kstest(eps.ravel(), "norm").pvalue > 1e-4
    flat = eps.swapaxes(0, 1).reshape(n, 4)
    pairs = [flat[:, i] * flat[:, j] for i in range(4) for j in range(i)]
    pairs.append(flat[1:, 0] * flat[:-1, 0])
    for product in pairs:
        assert abs(product.mean()) < 4.5 * product.std() / len(product) ** 0.5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_keys_are_of_values_alone(dtype):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 3, (1000, 9)).astype(dtype) / 2  # few values: many near twins
    keys = row_keys(x)
    order = rng.permutation(1000)
    again = row_keys(np.asfortranarray(x[order]))
    np.testing.assert_array_equal(again, keys[order])
    rows = np.unique(x, axis=0)
    assert len(np.unique(keys)) == len(rows)  # no collision among 2⁶⁴ by a thousand
    minus = np.where(x == 0, -x, x)
    there = row_keys(minus)
    np.testing.assert_array_equal(there, keys)  # −0 is 0


def test_binarized_rows_have_their_grey_for_a_mean():
    """5,000 rows that differ in one pixel; each other's frequency within 4.5 standard errors."""
    n, grey = 5000, np.array([0.0, 0.1, 0.5, 0.9, 1.0])
    x = np.tile(grey, (n, 1))
    x = np.concatenate([x, np.arange(n)[:, None] / n], axis=1)
    keys = row_keys(x)
    y = x > row_thresholds(3, random.BINARIZE_ONCE, keys, x.shape[1])
    mean = y[:, :5].mean(axis=0)
    assert mean[0] == 0 and mean[4] == 1
    assert (np.abs(mean - grey)[1:4] < 4.5 * np.sqrt(grey * (1 - grey) / n)[1:4]).all()
