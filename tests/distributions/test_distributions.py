"""Families and fused ops are the densities they say they are, by SciPy and by one another."""
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from op_cases import CASES, SIZES, complex_step
from oracles import (
    LOGITS,
    LOGVAR,
    MU,
    SIGMA,
    assert_bernoulli,
    assert_bernoulli_normalises,
    assert_kl,
    assert_log_ratio,
    assert_normal,
    assert_normal_normalises,
    assert_samples,
    kl_by_quadrature,
)
from scipy import special, stats

from npvae.backend import get_backend
from npvae.distributions import Bernoulli, BernoulliLikelihood, Normal, NormalLikelihood

OPS = get_backend("numpy").ops

each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])
each_mean = pytest.mark.parametrize("sigmoid_mean", [False, True])


# --- the fused ops ------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", ["A", "B"])
def test_samples_come_from_the_posterior(estimator):
    assert_samples(OPS, estimator)


def test_kl_is_the_integral_of_the_log_ratio():
    assert_kl(OPS)


def test_log_ratio_is_that_of_the_densities():
    assert_log_ratio(OPS)


@each_dtype
def test_bernoulli_is_the_cross_entropy_of_the_logits(dtype):
    assert_bernoulli(OPS, dtype)


def test_bernoulli_normalises():
    assert_bernoulli_normalises(OPS)


@each_dtype
@each_mean
def test_normal_is_the_log_density(sigmoid_mean, dtype):
    assert_normal(OPS, sigmoid_mean, dtype)


@each_mean
def test_normal_normalises(sigmoid_mean):
    assert_normal_normalises(OPS, sigmoid_mean)


@each_dtype
@pytest.mark.parametrize(
    "op", [name for name in CASES if name.startswith(("normal", "bernoulli_nll"))]
)
def test_extreme_products_give_finite_values_and_gradients(op, dtype):
    """And raise no warning, which pytest would make an error. (x − μ)²/σ² reaches 10³⁴."""
    extreme = [-1e4, -1e4, 1e4, 1e4, -60, 60, -60, 60]  # logits, or μ and log σ²
    arrays = CASES[op].arrays({"L": 2, "M": 3, "J": 4, "D": 4}, dtype)
    arrays["bias"][...], arrays["a"][...] = 0, extreme[: arrays["a"].shape[-1]]
    for call in CASES[op].calls:
        call(OPS, arrays)
        assert all(np.isfinite(arrays[word]).all() for word in call.results)


def test_likelihoods_say_what_their_heads_are():
    assert BernoulliLikelihood().heads(5) == {"logits": 5}
    assert NormalLikelihood().heads(5) == {"mean": 5, "logvar": 5}
    # Cross-entropy of pixels outside [0, 1] is not a likelihood: the data check asks this.
    x = np.array([-0.1, 0, 0.5, 1, 1.1])
    outside = BernoulliLikelihood.support.excludes(np, x)
    np.testing.assert_array_equal(outside, [True, False, False, False, True])
    assert not NormalLikelihood.support.excludes(np, x).any()


# --- the families -------------------------------------------------------------------------

RNG = np.random.default_rng(4)
X, NOISE, D_LOGP = RNG.standard_normal((3, 20, 3))


def test_normal_family_is_scipy_s():
    q = Normal()
    np.testing.assert_allclose(q.log_prob(X, MU, LOGVAR), stats.norm.logpdf(X, MU, SIGMA), 1e-13)
    np.testing.assert_allclose(q.entropy(MU, LOGVAR), stats.norm.entropy(MU, SIGMA), 1e-13)
    assert q.kl(MU, LOGVAR).sum() == pytest.approx(kl_by_quadrature(), rel=1.5e-8)


def test_normal_family_s_samples_fit_its_density():
    q, n = Normal(), 100_000
    z = q.rsample(q.draw_noise(5, (n, 3)), MU, LOGVAR)
    for j in range(3):  # p < 1e-3 once in a thousand seeds; this one is fixed
        assert stats.kstest(z[:, j], stats.norm(MU[j], SIGMA[j]).cdf).pvalue > 1e-3
    assert np.abs(np.corrcoef(z.T) - np.eye(3)).max() <= 4 / np.sqrt(n)


def test_normal_family_s_backward_passes_agree_with_the_complex_step():
    q, mu, logvar = Normal(), np.tile(MU, (20, 1)), np.tile(LOGVAR, (20, 1))

    def derivatives(f: Callable, *at: Any) -> list[Any]:
        """D_LOGP · ∂f/∂v for each argument v, element by element."""
        return [
            D_LOGP * complex_step(lambda h, i=i: f(*(v + h * (i == j) for j, v in enumerate(at))))
            for i in range(len(at))
        ]

    d_z, d_params = q.log_prob_backward(D_LOGP, X, mu, logvar)
    pairs = [
        ((d_z, *d_params), derivatives(q.log_prob, X, mu, logvar)),
        (q.kl_backward(D_LOGP, mu, logvar), derivatives(q.kl, mu, logvar)),
        (q.entropy_backward(D_LOGP, mu, logvar), derivatives(q.entropy, mu, logvar)),
        (
            q.rsample_backward(D_LOGP, NOISE, mu, logvar),
            derivatives(lambda mu, logvar: q.rsample(NOISE, mu, logvar), mu, logvar),
        ),
    ]
    for backward, numerical in pairs:
        np.testing.assert_allclose(backward, numerical, rtol=1e-12)


def test_bernoulli_family_is_scipy_s():
    p, x = Bernoulli(), np.array([[0.0], [0.3], [1.0]])
    exact = x * special.log_expit(LOGITS) + (1 - x) * special.log_expit(-LOGITS)
    np.testing.assert_allclose(p.log_prob(x, LOGITS), exact, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(p.mean(LOGITS), special.expit(LOGITS), rtol=1e-13, atol=1e-16)
    d_x, (d_logits,) = p.log_prob_backward(2.0, x, LOGITS)
    np.testing.assert_array_equal(d_x, np.broadcast_to(2 * LOGITS, d_x.shape))
    np.testing.assert_allclose(d_logits, 2 * (x - special.expit(LOGITS)), rtol=1e-13, atol=1e-15)


def test_bernoulli_family_s_samples_have_its_mean():
    n, logits = 100_000, np.array([-2.0, 0.0, 1.5], np.float32)
    x = Bernoulli().sample(6, np.tile(logits, (n, 1)))
    assert x.dtype == np.float32 and set(np.unique(x)) == {0.0, 1.0}
    p = special.expit(logits)
    assert (np.abs(x.mean(axis=0) - p) <= 4 * np.sqrt(p * (1 - p) / n)).all()


# --- the fused ops are the families, summed ------------------------------------------------


def ran(op: str) -> dict[str, Any]:
    """The arguments of an op's case after forward and backward."""
    arrays = CASES[op].arrays(SIZES["odd"])
    for call in CASES[op].calls:
        call(OPS, arrays)
    return arrays


def heads(a: Any) -> Any:
    """[left | right] → left, right."""
    return np.split(a, 2, axis=-1)


def close(a: Any, b: Any) -> None:
    np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


def test_normal_kl_is_the_family_summed():
    q, v = Normal(), ran("normal_kl")
    mu, logvar = heads(v["a"])
    close(v["z"], q.rsample(v["eps"], mu, logvar))
    close(v["kl"][0], q.kl(mu, logvar).sum(axis=-1))
    by_z = q.rsample_backward(v["d_z"], v["eps"], mu, logvar)  # (L, M, J) each
    by_kl = q.kl_backward(v["d_kl"][0][:, None], mu, logvar)  # (M, J) each
    for d, from_z, from_kl in zip(heads(v["d_a"]), by_z, by_kl, strict=True):
        close(d, from_z.sum(axis=0) + from_kl)
    close(v["d_bias"], v["d_a"].sum(axis=0))


def test_normal_log_ratio_is_the_family_summed():
    """Two densities and a sample, each differentiated by itself, add up to the fused formula."""
    q, v = Normal(), ran("normal_log_ratio")
    mu, logvar = heads(v["a"])
    close(v["z"], q.rsample(v["eps"], mu, logvar))
    zero = np.zeros_like(mu)
    log_q, log_p = q.log_prob(v["z"], mu, logvar), q.log_prob(v["z"], zero, zero)
    close(v["log_ratio"], (log_q - log_p).sum(axis=-1))
    d = v["d_log_ratio"][..., None]
    d_z_of_q, directly = q.log_prob_backward(d, v["z"], mu, logvar)
    d_z_of_p, _ = q.log_prob_backward(-d, v["z"], zero, zero)
    through_z = q.rsample_backward(v["d_z"] + d_z_of_q + d_z_of_p, v["eps"], mu, logvar)
    for d_half, by_z, by_q in zip(heads(v["d_a"]), through_z, directly, strict=True):
        close(d_half, (by_z + by_q).sum(axis=0))


def test_the_score_of_q_may_have_a_weight_of_its_own():
    """What log q gives directly, z held, is by another number than what it gives by way of z."""
    q, rng, (L, M, J) = Normal(), np.random.default_rng(7), (3, 4, 2)
    a, bias, eps = rng.standard_normal((M, 2 * J)), np.zeros(2 * J), rng.standard_normal((L, M, J))
    d_z, sigma, z = rng.standard_normal((L, M, J)), np.empty((M, J)), np.empty((L, M, J))
    path, score = rng.standard_normal((2, L, M))
    OPS.normal_log_ratio(a, bias, eps, sigma, z, np.empty((L, M)))
    d_a, d_bias = np.empty((M, 2 * J)), np.empty(2 * J)
    (mu, logvar), zero = heads(a), np.zeros((M, J))
    d_z_of_q, _ = q.log_prob_backward(path[..., None], z, mu, logvar)
    d_z_of_p, _ = q.log_prob_backward(-path[..., None], z, zero, zero)
    _, directly = q.log_prob_backward(score[..., None], z, mu, logvar)
    through_z = q.rsample_backward(d_z + d_z_of_q + d_z_of_p, eps, mu, logvar)
    OPS.normal_log_ratio_backward(d_z, path, score, a, eps, sigma, z, d_a, d_bias)
    for d_half, by_z, by_q in zip(heads(d_a), through_z, directly, strict=True):
        close(d_half, (by_z + by_q).sum(axis=0))
    close(d_bias, d_a.sum(axis=0))


def test_bernoulli_nll_is_the_family_summed():
    p, v = Bernoulli(), ran("bernoulli_nll")
    before = CASES["bernoulli_nll"].arrays(SIZES["odd"])
    logits = before["a"] + before["bias"]
    close(v["nll"], -p.log_prob(v["x"], logits).sum(axis=-1))
    close(v["y"], p.mean(logits))
    _, (d_logits,) = p.log_prob_backward(-v["d_nll"][..., None], v["x"], logits)
    close(v["d_a"], d_logits)


@each_mean
def test_normal_nll_is_the_family_summed(sigmoid_mean):
    p, v = Normal(), ran("normal_nll, sigmoid mean" if sigmoid_mean else "normal_nll")
    mean, logvar = heads(v["a"])
    close(v["nll"], -p.log_prob(v["x"], mean, logvar).sum(axis=-1))
    _, (d_mean, d_logvar) = p.log_prob_backward(-v["d_nll"][..., None], v["x"], mean, logvar)
    slope = mean * (1 - mean) if sigmoid_mean else 1
    close(v["d_a"], np.concatenate([d_mean * slope, d_logvar], axis=-1))
