"""What SciPy, quadrature and sampling say about a table of ops.

Each ``assert_…`` takes the table as an argument, so that the same assertion which the true
table passes can be shown to refuse a table with a mistake in it.
"""
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy import integrate, special, stats

from npvae.distributions import BernoulliLikelihood, NormalLikelihood
from npvae.memory import Context, Workspace
from npvae.models import Noise
from npvae.models.latent import NormalLatent
from npvae.ops import Ops

# A generic point, J = 3: σ above, below and near one, μ of both signs.
MU, LOGVAR = np.array([0.7, -1.3, 0.2]), np.array([0.9, -1.1, -0.1])
SIGMA = np.exp(0.5 * LOGVAR)

# exp overflows near ±88 in float32, near ±710 in float64.
LOGITS = np.array([-1e4, -709.8, -88.8, -20, -1, -1e-30, 0, 1e-30, 1, 20, 88.8, 709.8, 1e4])


def latent(ops: Ops, estimator: str, eps: Any) -> tuple[Any, Any]:
    """eps (n, J) → z (n, J) and r (n,) of estimator A, (1,) of B, at the generic point."""
    a = np.concatenate([MU, LOGVAR])[None]  # (1, 2J)
    ctx = Context(ops, {}, {}, Workspace(np, a.dtype))
    cache = NormalLatent().forward(ctx, a, np.zeros(6), Noise(eps[:, None]), estimator == "B")
    return cache.z[:, 0], cache.kl[:, 0]


def nll(ops: Ops, likelihood: Any, a: Any, x: Any) -> Any:
    """−log p(x|z).   a (M, Σ heads), x (M, D) → (M,)"""
    bias, ctx = np.zeros(a.shape[-1], a.dtype), Context(ops, {}, {}, Workspace(np, a.dtype))
    return likelihood.nll(ctx, a[None].copy(), bias, x)[0][0]


# --- the stochastic layer -----------------------------------------------------------------


def assert_samples(ops: Ops, estimator: str = "B") -> None:
    """z ~ N(μ, σ²): moments within 4 standard errors, and goodness of fit.

    Over seeds a true sampler would fail once in 2,600 by a moment, once in 330 by a fit.
    """
    n = 100_000
    z, _ = latent(ops, estimator, np.random.default_rng(0).standard_normal((n, 3)))
    assert (np.abs(z.mean(axis=0) - MU) <= 4 * SIGMA / np.sqrt(n)).all()
    assert (np.abs(z.var(axis=0) - SIGMA**2) <= 4 * SIGMA**2 * np.sqrt(2 / n)).all()
    for j in range(3):
        assert stats.kstest(z[:, j], stats.norm(MU[j], SIGMA[j]).cdf).pvalue > 1e-3


@cache
def kl_by_sampling() -> tuple[float, float]:
    """E_q[log q − log p] from a million samples, and its standard error."""
    z = np.random.default_rng(1).normal(MU, SIGMA, (1_000_000, 3))
    ratio = (stats.norm.logpdf(z, MU, SIGMA) - stats.norm.logpdf(z)).sum(axis=-1)
    return ratio.mean(), ratio.std() / 1000


@cache
def kl_by_quadrature() -> float:
    """Σ_j ∫ q (log q − log p) dz."""

    def integral(q: Any) -> float:
        def integrand(z: float) -> float:
            return q.pdf(z) * (q.logpdf(z) - stats.norm.logpdf(z))

        return integrate.quad(integrand, *q.interval(1 - 1e-15))[0]

    return sum(map(integral, map(stats.norm, MU, SIGMA)))


def assert_kl(ops: Ops) -> None:
    """KL(q‖p) as sampled (within 4 standard errors) and as integrated."""
    _, (kl,) = latent(ops, "B", np.zeros((1, 3)))
    estimate, error = kl_by_sampling()
    assert abs(kl - estimate) <= 4 * error
    assert kl == pytest.approx(kl_by_quadrature(), rel=1.5e-8)  # quad's tolerance


def assert_log_ratio(ops: Ops) -> None:
    """log q(z|x) − log p(z) from SciPy's densities."""
    z, ratio = latent(ops, "A", np.random.default_rng(2).standard_normal((50, 3)))
    log_q = stats.norm.logpdf(z, MU, SIGMA).sum(axis=-1)
    np.testing.assert_allclose(ratio, log_q - stats.norm.logpdf(z).sum(axis=-1), 1e-12, 1e-12)


# --- likelihoods --------------------------------------------------------------------------


def assert_bernoulli(ops: Ops, dtype: Any = np.float64) -> None:
    """SciPy's log sigmoid, for black, grey and white pixels and logits up to ±10⁴."""
    l, x = np.meshgrid(LOGITS.astype(dtype), np.array([0, 0.3, 1], dtype))  # (3, D)
    exact_l, exact_x = l.astype(float), x.astype(float)
    terms = -exact_x * special.log_expit(exact_l) - (1 - exact_x) * special.log_expit(-exact_l)
    rounding = 4 * np.finfo(dtype).eps * (1 + np.abs(exact_l))  # that of x·l itself
    alone = nll(ops, BernoulliLikelihood(), l.reshape(-1, 1), x.reshape(-1, 1))
    assert (np.abs(alone - terms.ravel()) <= rounding.ravel()).all()
    together = nll(ops, BernoulliLikelihood(), l, x)
    assert (np.abs(together - terms.sum(axis=-1)) <= rounding.sum(axis=-1)).all()


def assert_bernoulli_normalises(ops: Ops) -> None:
    """Σ_x p(x|z) = 1 over all 2³ images of three pixels."""
    x = np.array(list(product([0.0, 1.0], repeat=3)))
    l = np.tile([0.3, -2.0, 1.5], (8, 1))
    assert np.exp(-nll(ops, BernoulliLikelihood(), l, x)).sum() == pytest.approx(1, rel=1e-14)


def assert_normal(ops: Ops, sigmoid_mean: bool = False, dtype: Any = np.float64) -> None:
    """SciPy's normal density, generic and for log σ² = ±60, x − μ up to 10⁴."""
    rng = np.random.default_rng(3)
    x, mean, logvar = rng.standard_normal((3, 8, 5))
    logvar[:3], logvar[3:6], mean[2:4] = -60, 60, 1e4
    x, mean, logvar = x.astype(dtype), mean.astype(dtype), logvar.astype(dtype)
    p = NormalLikelihood(sigmoid_mean, "unbounded")
    value = nll(ops, p, np.concatenate([mean, logvar], axis=-1), x)
    mean = special.expit(mean.astype(float)) if sigmoid_mean else mean.astype(float)
    log_p = stats.norm.logpdf(x.astype(float), mean, np.exp(0.5 * logvar.astype(float)))
    # A sigmoid in float32 is off by 6e-8, which is felt where x − μ is small: here 0.01.
    rtol = 1e-12 if dtype == np.float64 else 2e-5
    np.testing.assert_allclose(value, -log_p.sum(axis=-1), rtol)


def assert_normal_normalises(ops: Ops, sigmoid_mean: bool = False) -> None:
    """∫ p(x|z) dx = 1."""
    likelihood, a = NormalLikelihood(sigmoid_mean), np.array([[0.7, -1.1]])
    integral, _ = integrate.quad(
        lambda x: np.exp(-nll(ops, likelihood, a, np.array([[x]]))[0]), -8, 8, epsabs=1e-10
    )
    assert integral == pytest.approx(1, abs=1e-9)  # 8 is more than 12 σ away from the mean
