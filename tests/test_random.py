"""Noise as a function: the published generator, the right distributions, any range by itself.

Statistical tests run at fixed seeds. Each states p > 1e-3, so that over seeds a perfect
generator would fail it once in a thousand; or 4 standard errors, once in 16,000.
"""
from itertools import pairwise
from math import cos, log, pi, sin, sqrt

import numpy as np
import pytest
from scipy import stats

from npvae import random
from npvae.errors import ParameterError

STREAMS = (
    random.INITIALIZE, random.PERMUTE, random.POSTERIOR,
    random.BINARIZE, random.EVALUATE, random.BINARIZE_ONCE,
)  # fmt: skip


# --- the generator --------------------------------------------------------------------------


def philox(counter: tuple[int, ...], key: tuple[int, ...]) -> list[int]:
    """Philox-4x64-10 as Salmon et al. (2011) define it, in Python's integers."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        high0, low0 = divmod(0xD2E7470EE14C6C93 * c0, 2**64)
        high1, low1 = divmod(0xCA5A826395121157 * c2, 2**64)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) % 2**64, (k1 + 0xBB67AE8584CAA73B) % 2**64
    return [c0, c1, c2, c3]


def test_the_oracle_gives_the_published_answers():
    """Known answers of the authors' Random123 library, kat_vectors."""
    assert philox((0,) * 4, (0,) * 2) == [
        0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B,
    ]  # fmt: skip
    assert philox((2**64 - 1,) * 4, (2**64 - 1,) * 2) == [
        0x87B092C3013FE90B, 0x438C3C67BE8D0224, 0x9CC7D7C69CD777B6, 0xA09CAEBF594F0BA0,
    ]  # fmt: skip


@pytest.mark.parametrize("seed", [0, 1, 2**32 + 5, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1])
@pytest.mark.parametrize(("stream", "step"), [(0, 0), (2, 1), (5, 10**9)])
def test_words_are_philox_s(seed, stream, step):
    """Block b is Philox at counter b + 1, for NumPy counts before it streams."""
    blocks = [philox((b + 1, step, 0, 0), (seed, stream)) for b in range(3)]
    assert random.words(seed, stream, step, 12).reshape(3, 4).tolist() == blocks


def test_uniforms_are_the_top_53_bits():
    words = random.words(3, 1, 4, 1000).tolist()
    assert random.uniform(3, 1, 4, 1000).tolist() == [((w >> 11) + 1) / 2**53 for w in words]


def test_thresholds_are_24_bits_of_each_half_word():
    words = random.words(3, 1, 4, 500).tolist()
    halves = [half for w in words for half in (w % 2**32, w >> 32)]
    thresholds = random.thresholds(3, 1, 4, 1000)
    assert thresholds.dtype == np.float32
    assert thresholds.tolist() == [(half >> 8) / 2**24 for half in halves]


def test_normals_are_box_muller_s():
    u = random.uniform(3, 1, 4, 1000).tolist()
    expected = [
        sqrt(-2 * log(u1)) * f(2 * pi * u2)
        for u1, u2 in zip(u[0::2], u[1::2], strict=True)
        for f in (cos, sin)
    ]
    # The libraries' sine and cosine may differ by a rounding or two.
    np.testing.assert_allclose(random.normal(3, 1, 4, 1000), expected, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("noise", [random.words, random.uniform, random.thresholds, random.normal])
def test_any_range_can_be_generated_by_itself(noise):
    whole = noise(7, 2, 5, 40)
    for start in range(11):
        for count in (0, 1, 2, 3, 8, 29):
            assert noise(7, 2, 5, count, start).tobytes() == whole[start : start + count].tobytes()
    assert noise(7, 2, 5, 3, 10**12).tobytes() == noise(7, 2, 5, 5, 10**12 - 2)[2:].tobytes()


# --- the distributions ----------------------------------------------------------------------

N = 100_000


def test_uniforms_are_uniform_on_the_half_open_interval():
    u = random.uniform(11, random.BINARIZE, 0, N)
    assert u.min() > 0 and u.max() <= 1
    assert stats.kstest(u, "uniform").pvalue > 1e-3


def test_thresholds_are_uniform_and_never_one():
    """So that a white pixel is always a one, and a black one never, even in float32."""
    u = random.thresholds(11, random.BINARIZE, 0, 1_000_000)
    assert u.min() >= 0 and u.max() < 1
    assert stats.kstest(u[:N], "uniform").pvalue > 1e-3


def test_normals_are_normal():
    z = random.normal(12, random.POSTERIOR, 0, N)
    assert stats.kstest(z, "norm").pvalue > 1e-3
    assert abs(z.mean()) <= 4 / sqrt(N) and abs(z.var() - 1) <= 4 * sqrt(2 / N)
    assert abs(stats.kurtosis(z)) <= 4 * sqrt(24 / N)


def test_the_largest_normal_is_finite():
    """u₁ is never 0: at its least, 2⁻⁵³, the radius is 8.57."""
    assert sqrt(-2 * log(2**-53)) < 8.6
    assert np.abs(random.normal(13, 0, 0, 1_000_000)).max() < 8.6


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """In standard errors of the correlation of independent variables."""
    return abs(np.corrcoef(a, b)[0, 1]) * sqrt(len(a))


def test_the_two_of_a_pair_are_independent():
    z = random.normal(14, 0, 0, N)
    for f in (np.asarray, np.square):  # a common radius would show in the squares
        assert correlation(f(z[0::2]), f(z[1::2])) <= 4
        assert correlation(f(z[:-1]), f(z[1:])) <= 4
    quadrant = 2 * (z[0::2] > 0) + (z[1::2] > 0)
    assert stats.chisquare(np.bincount(quadrant)).pvalue > 1e-3


def test_seeds_streams_and_steps_are_independent():
    streams = [random.normal(seed, 0, 0, N) for seed in (0, 1, 2**63, 2**63 + 1)]
    streams += [random.normal(0, stream, 0, N) for stream in STREAMS[1:]]
    streams += [random.normal(0, 0, step, N) for step in (1, 2, 2**40)]
    # 66 pairs: over seeds, one set in 240 would have a pair beyond 4 standard errors.
    r = np.corrcoef(streams) - np.eye(len(streams))
    assert np.abs(r).max() <= 4 / sqrt(N)


def test_no_two_uses_share_a_stream():
    assert len(set(STREAMS)) == len(STREAMS)


# --- what models ask for --------------------------------------------------------------------


def test_posterior_noise_does_not_depend_on_how_a_batch_is_cut():
    L, J, M = 3, 5, 10
    whole = random.fill_noise(1, random.POSTERIOR, 7, L, J, M)
    assert whole.shape == (L, M, J)
    for cuts in ([0, 10], [0, 1, 10], [0, 3, 4, 9, 10]):
        parts = [
            random.fill_noise(1, random.POSTERIOR, 7, L, J, stop - start, start * L)
            for start, stop in pairwise(cuts)
        ]
        np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


def test_posterior_noise_gives_every_datapoint_sample_and_unit_its_own():
    eps = random.fill_noise(1, random.POSTERIOR, 7, 3, 5, 100)
    assert len(np.unique(eps)) == eps.size


def test_a_permutation_visits_every_datapoint_once():
    orders = [random.permutation(5, epoch, 100) for epoch in range(3)]
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(100))
    assert not (orders[0] == orders[1]).all() and not (orders[1] == orders[2]).all()
    np.testing.assert_array_equal(orders[2], random.permutation(5, 2, 100))
    assert not (orders[0] == random.permutation(6, 0, 100)).all()


def test_permutations_are_uniform():
    """All 4! orders are as likely as one another, over epochs."""
    orders = [tuple(random.permutation(2**64 - 1, epoch, 4)) for epoch in range(4800)]
    _, counts = np.unique(orders, axis=0, return_counts=True)
    assert len(counts) == 24 and stats.chisquare(counts).pvalue > 1e-3


# --- rng and random_state -------------------------------------------------------------------


def test_as_generator_takes_an_int_a_generator_or_none():
    generator = np.random.default_rng(0)
    assert random.as_generator(generator) is generator
    assert random.as_generator(3).random() == np.random.default_rng(3).random()
    assert random.as_generator(None).random() != random.as_generator(None).random()


def test_as_seed_takes_an_int_a_generator_or_none():
    assert random.as_seed(np.int64(3)) == 3 and random.as_seed(2**64 - 1) == 2**64 - 1
    assert random.as_seed(np.random.default_rng(0)) == random.as_seed(np.random.default_rng(0))
    legacy = np.random.RandomState
    assert random.as_seed(legacy(0)) == random.as_seed(legacy(0)) != random.as_seed(legacy(1))
    assert random.as_seed(None) != random.as_seed(None)


@pytest.mark.parametrize("function", [random.as_generator, random.as_seed])
@pytest.mark.parametrize("value", [-1, "seven", 1.5, object])
def test_a_bad_seed_is_refused_in_one_line(function, value):
    with pytest.raises(ParameterError) as error:
        function(value)
    assert str(value) in str(error.value) and "\n" not in str(error.value)


def test_a_seed_of_more_than_64_bits_is_refused():
    with pytest.raises(ParameterError, match=str(2**64)):
        random.as_seed(2**64)
