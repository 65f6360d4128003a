"""Likelihood estimates where log p(x) is known: a linear-normal model, and quadrature.

The models and their truths are those of test_evaluation.py; here are the k-curve, annealed
importance sampling and the estimator of appendix D.
"""
import warnings
from contextlib import ExitStack
from functools import partial
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pytest
import shim
import strict_cupy
from scipy import integrate, special, stats
from strict_cupy.arrays import computed, operand
from strict_cupy.cublas import Cublas
from test_evaluation import (
    ONES,
    SIGMA2,
    TRUTH,
    B,
    W,
    X,
    bernoulli_model,
    by_quadrature,
    deviations,
)
from test_evaluation import linear_model as linear

import npvae
from npvae.backend import get_backend, to_numpy, why_no_gpu
from npvae.errors import NumericalError, ParameterError
from npvae.evaluation import (
    LogLikelihood,
    annealed,
    annealed_log_likelihood,
    chunks,
    density,
    harmonic,
    harmonic_log_likelihood,
    importance,
    iwae_bound,
    log_likelihood,
    prior,
    prior_log_likelihood,
)  # fmt: skip
from npvae.evaluation.chains import ChainNoise
from npvae.row_noise import row_keys

FEW = X[:8]
TRUE = TRUTH.logpdf(FEW)


def plane_model():
    """Two latents, four tanh units, six pixels: a posterior that is no normal."""
    vae = npvae.VAE(latent_dim=2, hidden=(4,), dtype="float64", random_state=5).initialize(6)
    vae.engine_.theta *= 2.5
    return vae


def on_a_grid(vae, X):
    """log Σ p(x|z) p(z) over a square of 12 by 12, from the parameters and SciPy alone.   (N,)

    The trapezoidal rule on a smooth function that is 0 at the ends is exact to rounding.
    """
    p, line = vae.parameters, np.linspace(-6, 6, 241)
    z = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    h = np.tanh(z @ p["decoder.hidden.0.weight"].T + p["decoder.hidden.0.bias"])
    l = h @ p["decoder.logits.weight"].T + p["decoder.logits.bias"]
    log_p = special.log_expit(l) @ X.T + special.log_expit(-l) @ (1 - X).T  # (G, N)
    log_prior = stats.norm.logpdf(z).sum(axis=-1)[:, None]
    return special.logsumexp(log_p + log_prior, axis=0) + 2 * np.log(line[1] - line[0])


QUADRATURE = [
    (bernoulli_model(), np.array([by_quadrature(bernoulli_model(), x) for x in ONES])),
    (plane_model(), on_a_grid(plane_model(), ONES)),
]


def assert_true(result, truth, largest):
    """Reported errors below ``largest`` nats, and the sum of squares over them no rarer than 1e-4.

    But for a factor of 1.5: an error reported from tens of weights is itself a sample.
    """
    assert result.standard_error.max() <= largest
    squares = (deviations(result, truth) ** 2).sum()
    assert squares <= 1.5 * stats.chi2.ppf(1 - 1e-4, len(truth))


def arrays(result):
    return [
        result.estimate, result.standard_error, result.effective_sample_size, result.pareto_k,
    ]  # fmt: skip


# --- annealed importance sampling ---------------------------------------------------------


def test_annealing_finds_the_linear_model_from_the_prior():
    result = annealed_log_likelihood(linear().engine_, FEW, n_chains=40, n_temperatures=100)
    assert_true(result, TRUE, largest=0.15)
    assert result.effective_sample_size.min() > 10
    assert result.chains.acceptance.min() > 0.7 and "HMC accepted" in str(result)


def test_annealing_finds_what_quadrature_finds():
    for vae, truth in QUADRATURE:
        result = annealed_log_likelihood(vae.engine_, ONES, n_chains=100, n_temperatures=30, seed=1)
        assert_true(result, truth, largest=0.1)


def assert_unbiased():
    """E[w] = p(x) at any number of temperatures: two of them, 4,000 chains, within 4 errors."""
    vae = linear(shift=0.5, widen=0.5)
    result = annealed_log_likelihood(
        vae.engine_, FEW[:4], n_chains=4000, n_temperatures=2, n_leapfrog=2, start="posterior"
    )
    assert result.standard_error.max() < 0.04
    assert (np.abs(deviations(result, TRUE[:4])) <= 4).all()


def test_weights_are_unbiased():
    assert_unbiased()


def another_start(monkeypatch):
    true = annealed.initial_density

    def wider(name, posterior):
        q = true(name, posterior)
        return SimpleNamespace(mu=q.mu, sigma=q.sigma, energy=q.energy, n_noise=q.n_noise,
                               rsample=lambda eps: q.rsample(1.5 * eps))  # fmt: skip

    monkeypatch.setattr(annealed, "initial_density", wider)


def no_density_of_the_start(monkeypatch):
    start = annealed.InitialDensity
    true = start.energy
    monkeypatch.setattr(start, "energy", lambda q, z: (0 * true(q, z)[0], true(q, z)[1]))


def moves_to_another_target(monkeypatch):
    true = annealed.TemperedTarget
    monkeypatch.setattr(
        annealed, "TemperedTarget", lambda q, p, beta: true(q, p, min(1.0, beta + 0.2))
    )


@pytest.mark.parametrize(
    "mistake", [another_start, no_density_of_the_start, moves_to_another_target]
)
def test_a_mistake_is_caught(mistake, monkeypatch):
    mistake(monkeypatch)
    with pytest.raises(AssertionError):
        assert_unbiased()


def test_one_temperature_is_importance_sampling():
    """Against weights made from SciPy's densities and the documented noise."""
    vae, S = linear(), 50
    noise = ChainNoise(get_backend("numpy").ops, 3, keys=row_keys(FEW))
    eps = noise(0, np.empty((S, 8, 2)))
    p = vae.parameters
    mu = FEW @ p["encoder.mean.weight"].T + p["encoder.mean.bias"]
    sigma = np.exp(0.5 * p["encoder.logvar.bias"])
    z = mu + sigma * eps
    log_w = (
        stats.norm.logpdf(FEW, z @ W.T + B, np.sqrt(SIGMA2)).sum(axis=-1)
        + (stats.norm.logpdf(z) - stats.norm.logpdf(z, mu, sigma)).sum(axis=-1)
    )  # (S, N)
    result = annealed_log_likelihood(
        vae.engine_, FEW, n_chains=S, n_temperatures=1, start="posterior", seed=3
    )
    np.testing.assert_allclose(result.estimate, np.log(np.exp(log_w).mean(axis=0)), rtol=1e-11)


def test_annealing_reaches_where_q_does_not():
    """A q that is narrow and in the wrong place: importance sampling is lost, and says so.

    From the prior there is no q to be wrong.
    """
    vae = linear(shift=3.0, widen=-3.0)
    lost = log_likelihood(vae.engine_, FEW, n_samples=4000)
    assert np.abs(lost.estimate - TRUE).max() > 5 and "take method='annealed'" in str(lost)
    found = annealed_log_likelihood(vae.engine_, FEW, n_temperatures=100)
    assert_true(found, TRUE, largest=0.3)


def test_too_fast_an_annealing_is_said():
    result = annealed_log_likelihood(linear().engine_, FEW, n_temperatures=2)
    assert "carry the weight: take more temperatures" in str(result)


@pytest.mark.parametrize(("settings", "words"), [
    ({"n_chains": 1}, "n_chains=1 gives no standard error"),
    ({"n_temperatures": 0}, "n_temperatures=0 leads nowhere"),
    ({"start": "q"}, "start='q' is not known"),
])  # fmt: skip
def test_annealing_refuses(settings, words):
    with pytest.raises(ParameterError, match=words):
        annealed_log_likelihood(linear().engine_, FEW, **settings)


def test_a_likelihood_that_is_not_finite_is_an_error():
    vae = linear()
    vae.engine_.P["decoder.logvar.bias"][0] = np.nan
    for estimate in (annealed_log_likelihood, harmonic_log_likelihood):
        with pytest.raises(NumericalError, match="not finite where"):
            estimate(vae.engine_, FEW)


# --- the estimator of appendix D ----------------------------------------------------------


@pytest.mark.parametrize("q", ["normal", "kernel"])
def test_samples_of_the_posterior_find_the_linear_model(q):
    result = harmonic_log_likelihood(
        linear().engine_, FEW, n_samples=200, n_chains=50, density=q, warm_up=40
    )
    assert_true(result, TRUE, largest={"normal": 0.05, "kernel": 0.1}[q])
    assert result.effective_sample_size.min() > 50 and "NaN" not in str(result)


@pytest.mark.parametrize("q", ["normal", "kernel"])
def test_samples_of_the_posterior_find_what_quadrature_finds(q):
    for vae, truth in QUADRATURE:
        result = harmonic_log_likelihood(
            vae.engine_, ONES, n_samples=200, n_chains=50, density=q, warm_up=40, n_leapfrog=4
        )
        assert_true(result, truth, largest=0.15)


def test_a_normal_is_fitted():
    """Against SciPy's density with NumPy's mean and covariance."""
    z = np.random.default_rng(0).standard_normal((5, 4, 3, 2)) @ [[1, 0.8], [0, 0.3]] + 2
    new = np.random.default_rng(1).standard_normal((6, 2, 3, 2)) + 2
    log_q = density.normal_density(np, z)(new)
    for m in range(3):
        flat = z[:, :, m].reshape(-1, 2)
        law = stats.multivariate_normal(flat.mean(axis=0), np.cov(flat.T))
        np.testing.assert_allclose(log_q[:, :, m], law.logpdf(new[:, :, m]), rtol=1e-9)


@pytest.mark.parametrize("factor", [0.4, 1.0])
def test_kernels_are_fitted(factor, monkeypatch):
    """Against SciPy's gaussian_kde, whose bandwidth is Scott's too."""
    monkeypatch.setattr(density, "FACTORS", (factor,))
    z = np.random.default_rng(0).standard_normal((5, 4, 3, 2)) @ [[1, 0.8], [0, 0.3]]
    new = np.random.default_rng(1).standard_normal((6, 2, 3, 2))
    log_q = density.kernel_density(np, z)(new)
    for m in range(3):
        kde = stats.gaussian_kde(z[:, :, m].reshape(-1, 2).T, lambda k: factor * k.scotts_factor())
        expected = kde.logpdf(new[:, :, m].reshape(-1, 2).T).reshape(6, 2)
        np.testing.assert_allclose(log_q[:, :, m], expected, rtol=1e-8)


def test_the_bandwidth_is_the_best_of_ten():
    """Two narrow heaps need narrow kernels, one normal heap wide ones; both integrate to 1."""
    rng = np.random.default_rng(0)
    heaps = 0.05 * rng.standard_normal((50, 4)) + rng.choice([-1, 1], (50, 4))
    z = np.stack([heaps, rng.standard_normal((50, 4))], axis=-1)[..., None]  # (S, C, M, J)
    line = np.linspace(-8, 8, 4001)
    q = np.exp(density.kernel_density(np, z)(np.tile(line[:, None, None, None], (1, 1, 2, 1))))
    np.testing.assert_allclose(integrate.simpson(q[:, 0].T, x=line), 1, rtol=1e-6)
    truth = [stats.norm.pdf(line, [[-1], [1]], 0.05).mean(axis=0), stats.norm.pdf(line)]
    apart = [integrate.simpson(abs(q[:, 0, m] - truth[m]), x=line) for m in range(2)]
    assert max(apart) < 0.3  # Scott's own bandwidth is 1.2 away from the two heaps
    assert len(density.FACTORS) == 10


def test_one_sample_that_outweighs_all_is_refused():
    """A q far from the posterior at one of the datapoints: NaN there, and said."""
    log_r = np.random.default_rng(0).standard_normal((4, 5, 3))
    log_r[2, 3, 1] = 50
    estimate, error, ess = harmonic.summary(np, log_r)
    assert np.isnan(estimate).tolist() == np.isnan(error).tolist() == [False, True, False]
    report = harmonic.ChainDiagnostics(4, np.full(3, 0.9), np.zeros(3), np.ones(3))
    text = str(harmonic.HarmonicLogLikelihood(estimate, error, ess, 20, report))
    assert "mean of 2 datapoints" in text and "1 more are NaN" in text and "= nan" not in text
    expected = -np.log(np.exp(log_r[..., 0]).mean())
    assert estimate[0] == pytest.approx(expected, rel=1e-12)


def test_a_density_that_fits_nowhere_is_an_error(monkeypatch):
    def astray(xp, z):
        return lambda z: -1000 * (z - 9).sum(axis=-1) ** 2

    monkeypatch.setitem(density.DENSITIES, "normal", astray)
    with pytest.raises(NumericalError, match="one sample outweighs the others at all of 8"):
        harmonic_log_likelihood(linear().engine_, FEW, density="normal", warm_up=20)


@pytest.mark.parametrize(("settings", "words"), [
    ({"density": "box"}, "density='box' is not known; choose from normal, kernel"),
    ({"n_samples": 110}, "n_samples=110 by n_chains=25 cannot be"),
    ({"n_samples": 1, "n_chains": 1}, "2 chains or more"),
    ({"n_samples": 4, "n_chains": 2}, "at least 6"),
])  # fmt: skip
def test_appendix_d_refuses(settings, words):
    with pytest.raises(ParameterError, match=words):
        harmonic_log_likelihood(linear().engine_, FEW, **settings)


def test_five_latents_are_too_many_for_appendix_d():
    vae = npvae.VAE(latent_dim=5, hidden=(4,), random_state=0).initialize(6)
    with pytest.raises(ParameterError, match=r"latent_dim=5 is too many .* take annealed_log"):
        harmonic_log_likelihood(vae.engine_, ONES)


# --- the k-curve --------------------------------------------------------------------------


def test_the_curve_begins_at_the_bound_and_rises():
    """Its first point is the ELBO of the same noise; it never falls, at any datapoint."""
    vae = linear(estimator="A", n_samples=2000)
    curve = iwae_bound(vae.engine_, X, k=(1, 2, 10, 100, 1000), n_samples=2000, seed=vae.seed_)
    np.testing.assert_allclose(curve.estimate[0], vae.elbo(X).total, rtol=1e-12)
    assert (np.diff(curve.estimate, axis=0) >= 0).all()
    last = log_likelihood(vae.engine_, X, n_samples=2000, seed=vae.seed_)
    assert (curve.estimate[-1] <= last.estimate + 1e-12).all()
    np.testing.assert_allclose(curve.effective_sample_size, last.effective_sample_size, rtol=1e-9)
    for k, bound in zip(curve.k, curve.estimate, strict=True):
        assert f"{k}  {bound.mean():10.3f} ±" in str(curve)


def exact_curve(k, n=200_000):
    """L_k of the first datapoint of a model with an exact q up to a shift, by brute force."""
    vae = linear()
    p, rng = vae.parameters, np.random.default_rng(0)
    mu = X[0] @ p["encoder.mean.weight"].T + p["encoder.mean.bias"]
    sigma = np.exp(0.5 * p["encoder.logvar.bias"])
    z = rng.normal(mu, sigma, (n // k, k, 2))
    log_w = stats.norm.logpdf(X[0], z @ W.T + B, np.sqrt(SIGMA2)).sum(axis=-1)
    log_w += (stats.norm.logpdf(z) - stats.norm.logpdf(z, mu, sigma)).sum(axis=-1)
    groups = special.logsumexp(log_w, axis=1) - np.log(k)
    return groups.mean(), groups.std() / np.sqrt(n // k)


def test_the_curve_is_that_of_its_definition():
    curve = iwae_bound(linear().engine_, X[:1], k=(1, 5, 50), n_samples=50_000)
    for k, bound, error in zip(curve.k, curve.estimate[:, 0], curve.standard_error[:, 0],
                               strict=True):  # fmt: skip
        truth, noise = exact_curve(k)
        assert abs(bound - truth) <= 4 * np.hypot(error, noise)
    assert curve.estimate[2, 0] == pytest.approx(TRUTH.logpdf(X[0]), abs=0.02)


def test_the_errors_of_the_curve_are_honest():
    """Thirty repeats at 10 datapoints scatter as they say: χ², the central 99.9 %."""
    engine = linear().engine_
    runs = [iwae_bound(engine, X[:10], k=(1, 10), n_samples=500, seed=s) for s in range(30)]
    for i in range(2):
        estimates = np.array([run.estimate[i] for run in runs])
        errors = np.array([run.standard_error[i] for run in runs])
        spread = ((estimates - estimates.mean(axis=0)) ** 2 / (errors**2).mean(axis=0)).sum()
        assert stats.chi2.ppf(0.0005, 290) <= spread <= stats.chi2.ppf(0.9995, 290)


def test_the_curve_takes_any_k_in_any_order():
    """Each is the mean over its own ⌊S/k⌋ groups of the same samples, by SciPy."""
    vae, ks, S = linear(), (7, 1, 100, 3, 7), 250
    curve = iwae_bound(vae.engine_, X[:4], k=ks, n_samples=S, seed=3)
    log_w = np.concatenate(list(importance.log_weights(
        vae.engine_, X[:4], 1.0, (0, 4), S, 3, vae.engine_.work
    )))  # fmt: skip
    assert curve.k == ks and len(str(curve).splitlines()) == 2 + len(ks)
    for i, k in enumerate(ks):
        groups = np.array([
            special.logsumexp(log_w[g * k : (g + 1) * k], axis=0) - np.log(k) for g in range(S // k)
        ])  # fmt: skip
        error = groups.std(axis=0, ddof=1) / np.sqrt(S // k)
        np.testing.assert_allclose(curve.estimate[i], groups.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(curve.standard_error[i], error, rtol=1e-9)
    sorted_k = iwae_bound(vae.engine_, X[:4], k=sorted(ks), n_samples=S, seed=3)
    np.testing.assert_array_equal(sorted_k.estimate, curve.estimate[np.argsort(ks, kind="stable")])


def test_a_poor_q_is_said():
    curve = iwae_bound(linear(shift=20, widen=-5).engine_, FEW, k=(1, 10), n_samples=100)
    assert "carry the weight: take method='annealed'" in str(curve)
    curve = iwae_bound(linear().engine_, FEW, k=(1, 10), n_samples=100)
    assert "take method" not in str(curve)


@pytest.mark.parametrize(("settings", "words"), [
    ({"k": (0,)}, "from 1 on"), ({"k": (5, -1)}, "from 1 on"), ({"k": ()}, "from 1 on"),
    ({"k": (5000,)}, r"k=5000 of n_samples=5000 leaves 1 group\(s\).*ask for 10000 samples"),
    ({"k": (2501, 1)}, "ask for 5002 samples"),
    ({"k": (9,), "n_samples": 8}, r"leaves 0 group\(s\)"),
])  # fmt: skip
def test_the_curve_refuses(settings, words):
    with pytest.raises(ParameterError, match=words):
        iwae_bound(linear().engine_, FEW, **settings)


# --- samples of the prior -----------------------------------------------------------------


def test_samples_of_the_prior_find_what_quadrature_finds():
    """Datapoints share their samples, so each is held to its own error: 4 of them, 6e-5."""
    for vae, truth in QUADRATURE:
        result = prior_log_likelihood(vae.engine_, ONES, n_samples=100_000)
        assert result.standard_error.max() < 0.02
        assert (np.abs(deviations(result, truth)) <= 4).all()


def test_the_error_of_their_mean_is_that_of_many_runs():
    """Shared samples: the mean's deviation over 30 seeds is the reported error, to a factor of 1.5.

    χ² with 29 degrees of freedom leaves that range for 1 seed in 500; the reported error is an
    upper bound, and near since every datapoint is at the same few places.
    """
    vae = plane_model()
    runs = [prior_log_likelihood(vae.engine_, ONES, n_samples=500, seed=s) for s in range(30)]
    reported = np.mean([run.mean_error for run in runs])
    alone = np.mean([LogLikelihood.mean_error.fget(run) for run in runs])
    spread = np.std([run.estimate.mean() for run in runs], ddof=1)
    assert alone < spread < 1.5 * reported


def test_samples_of_the_prior_come_in_any_blocks(monkeypatch):
    vae = plane_model()
    expected = prior_log_likelihood(vae.engine_, ONES, n_samples=500)
    for block in (1, 7, 500):
        monkeypatch.setattr(prior, "BLOCK", block)
        pixels = (255 * ONES).astype("u1")
        result = prior_log_likelihood(vae.engine_, pixels, 1 / 255, n_samples=500)
        for value, reference in zip(arrays(result), arrays(expected), strict=True):
            np.testing.assert_allclose(value, reference, rtol=1e-9)


def test_samples_of_the_prior_serve_any_likelihood():
    """Where they are worth something: to 4 errors; and a Bernoulli's pairs are its one product."""
    vae = linear()
    result = prior_log_likelihood(vae.engine_, FEW, n_samples=40_000)
    good = result.effective_sample_size > 30
    assert good.any() and (np.abs(deviations(result, TRUE))[good] <= 4).all()
    engine = plane_model().engine_
    a = np.random.default_rng(0).standard_normal((5, 6))
    one = prior.pairwise_log_p(engine, a.copy(), ONES)
    other = prior.pairwise_log_p_bernoulli(engine, a, ONES)
    np.testing.assert_allclose(one, other, rtol=1e-12)


def test_samples_of_the_prior_are_two_or_more():
    with pytest.raises(ParameterError, match="n_samples=1 gives no standard error"):
        prior_log_likelihood(plane_model().engine_, ONES, n_samples=1)


def test_lighter_tails_than_the_prior_are_said():
    vae = npvae.VAE(latent_dim=1, hidden=(3,), prior="laplace", estimator="A", random_state=0)
    vae.initialize(6)
    with pytest.warns(UserWarning, match="lighter tails than prior='laplace'.*'annealed'"):
        vae.log_likelihood(ONES, 20, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vae.log_likelihood(ONES, 20, 0, method="prior")


@pytest.mark.parametrize(("posterior", "prior", "method", "words"), [
    ("gamma", "gamma", "annealed", "take method='importance' or 'prior'"),
    ("pareto", "log-normal", "annealed", "take method='prior'"),
    ("pareto", "log-normal", "importance", "take method='prior'"),
    ("uniform", "normal", "importance", "take method='annealed' or 'prior'"),
])  # fmt: skip
def test_what_is_advised_instead_serves(posterior, prior, method, words):
    settings = {"posterior": posterior, "prior": prior, "estimator": "A", "random_state": 0}
    vae = npvae.VAE(latent_dim=1, hidden=(3,), **settings).initialize(6)
    with pytest.raises(ParameterError, match=words):
        vae.log_likelihood(ONES, 20, 0, method=method)
    for other in ("importance", "annealed", "prior"):
        if f"'{other}'" in words:
            assert vae.log_likelihood(ONES, 20, 0, method=other).mean_error >= 0


def test_of_lighter_tails_on_the_half_line_no_annealing_is_advised():
    vae = npvae.VAE(latent_dim=1, hidden=(3,), posterior="gamma", prior="log-normal",
                    estimator="A", random_state=0).initialize(6)  # fmt: skip
    with pytest.warns(UserWarning, match="standard error says; take method='prior'"):
        vae.log_likelihood(ONES, 20, 0, method="importance")


def test_chains_that_would_start_far_out_are_refused():
    vae = npvae.VAE(latent_dim=1, hidden=(3,), posterior="laplace", prior="cauchy", estimator="A")
    with pytest.raises(ParameterError, match=r"samples of prior='cauchy' begin too far out"):
        vae.initialize(6).log_likelihood(ONES, method="harmonic")


def test_without_an_encoder_there_is_nothing_to_draw_from():
    model = npvae.MCEM(latent_dim=1, hidden=(3,)).initialize(6)
    with pytest.raises(ParameterError, match=r"there is no q\(z\|x\) to sample from; take"):
        model.log_likelihood(ONES, method="importance")


def test_samples_of_the_prior_are_alike_on_cupy(cupy):
    settings = {"latent_dim": 2, "hidden": (5,), "random_state": 4, "dtype": "float64"}
    numpy = npvae.VAE(**settings).initialize(6)
    other = npvae.VAE(backend="cupy", **settings).initialize(6)
    expected = prior_log_likelihood(numpy.engine_, ONES, n_samples=300)
    result = prior_log_likelihood(other.engine_, cupy.asarray(ONES), n_samples=300)
    for value, reference in zip(arrays(result), arrays(expected), strict=True):
        np.testing.assert_allclose(to_numpy(value), reference, rtol=1e-9)


# --- by name, from the public class -------------------------------------------------------


@pytest.mark.parametrize(("method", "function", "options"), [
    ("importance", log_likelihood, {"n_samples": 50}),
    ("annealed", annealed_log_likelihood, {"n_chains": 5, "n_temperatures": 6}),
    ("harmonic", harmonic_log_likelihood, {"n_samples": 20, "n_chains": 4, "warm_up": 10}),
    ("prior", prior_log_likelihood, {"n_samples": 50}),
])  # fmt: skip
def test_every_method_has_a_name(method, function, options):
    vae, expected = plane_model(), function(plane_model().engine_, ONES, seed=3, **options)
    n = options.pop("n_chains") if method == "annealed" else options.pop("n_samples")
    result = vae.log_likelihood(ONES, n, 3, method=method, **options)
    assert type(result) is type(expected) and str(result) == str(expected)
    np.testing.assert_array_equal(result.estimate, expected.estimate)


def test_a_method_that_is_not_there_is_said():
    with pytest.raises(ParameterError, match="method='magic' is not known; choose from importance"):
        plane_model().log_likelihood(ONES, method="magic")
    with pytest.raises(ParameterError, match="method='prior' has no option 'n_temperatures'"):
        plane_model().log_likelihood(ONES, method="prior", n_temperatures=5)
    with pytest.raises(ParameterError, match="n_chains is what n_samples says already"):
        plane_model().log_likelihood(ONES, 4, method="annealed", n_chains=5)
    with pytest.raises(ParameterError, match=r"n_temperatures=1\.5 must be a whole number"):
        plane_model().log_likelihood(ONES, method="annealed", n_temperatures=1.5)


def test_where_q_stays_on_an_interval_samples_come_from_the_prior():
    vae = npvae.VAE(latent_dim=1, hidden=(3,), posterior="uniform", random_state=0).initialize(6)
    assert vae.log_likelihood(ONES, 50, 0).mean_error > 0


def test_the_bound_curve_from_the_public_class():
    curve = plane_model().iwae_bound(ONES, k=(1, 5), n_samples=20, rng=2)
    expected = iwae_bound(plane_model().engine_, ONES, k=(1, 5), n_samples=20, seed=2)
    np.testing.assert_array_equal(curve.estimate, expected.estimate)


# --- whatever the cut, and wherever it runs -----------------------------------------------

ESTIMATES = {
    "annealed": partial(annealed_log_likelihood, n_chains=6, n_temperatures=6),
    "annealed from q": partial(
        annealed_log_likelihood, n_chains=6, n_temperatures=6, start="posterior"
    ),
    "kernel": partial(harmonic_log_likelihood, n_samples=12, n_chains=4, warm_up=10),
    "normal": partial(
        harmonic_log_likelihood, n_samples=12, n_chains=4, warm_up=10, density="normal"
    ),
    "iwae": partial(iwae_bound, k=(1, 5), n_samples=20),
}
each_estimate = pytest.mark.parametrize("estimate", ESTIMATES.values(), ids=ESTIMATES)


@each_estimate
def test_results_do_not_depend_on_the_chunks(estimate, monkeypatch):
    expected = arrays(estimate(linear().engine_, FEW))
    alone = arrays(estimate(linear().engine_, FEW[:1]))
    for value, reference in zip(alone, expected, strict=True):
        np.testing.assert_allclose(value[..., 0], reference[..., 0], rtol=1e-7)
    for budget in (1, 100, 10**9):
        monkeypatch.setattr(chunks, "BUDGET", budget)
        for value, reference in zip(arrays(estimate(linear().engine_, FEW)), expected, strict=True):
            np.testing.assert_allclose(value, reference, rtol=1e-7)


@each_estimate
def test_data_may_be_bytes_with_a_scale(estimate):
    engine = bernoulli_model().engine_
    expected, result = estimate(engine, ONES), estimate(engine, (255 * ONES).astype("u1"), 1 / 255)
    for value, reference in zip(arrays(result), arrays(expected), strict=True):
        np.testing.assert_allclose(value, reference, rtol=1e-9)


@pytest.fixture(scope="module")
def cupy():
    """CuPy, or a stand-in as strict, with a cuBLAS of its own and the linear algebra it lacks."""
    if not why_no_gpu():
        yield pytest.importorskip("cupy")
        return
    if not shim.COMPILER:
        pytest.skip("neither a GPU nor g++")
    linalg = SimpleNamespace(
        cholesky=lambda a: computed(np.linalg.cholesky, operand(a)),
        inv=lambda a: computed(np.linalg.inv, operand(a)),
    )
    with ExitStack() as stack:
        stack.enter_context(patch("npvae.ops.gpu.cublas.library", lambda xp: Cublas()))
        module = stack.enter_context(strict_cupy.installed())
        module.linalg = linalg
        yield module


@each_estimate
@pytest.mark.parametrize("likelihood", ["bernoulli", "normal"])
def test_results_are_alike_on_cupy(estimate, likelihood, cupy):
    settings = {"latent_dim": 2, "hidden": (5,), "likelihood": likelihood, "random_state": 4,
                "dtype": "float64", "verbose": False}  # fmt: skip
    numpy = npvae.VAE(**settings).initialize(6)
    other = npvae.VAE(backend="cupy", **settings).initialize(6)
    expected, result = estimate(numpy.engine_, ONES), estimate(other.engine_, cupy.asarray(ONES))
    for value, reference in zip(arrays(result), arrays(expected), strict=True):
        assert isinstance(value, cupy.ndarray)
        np.testing.assert_allclose(to_numpy(value), reference, rtol=1e-6)
    assert str(result)[:40] == str(expected)[:40]


@pytest.mark.parametrize("q", density.DENSITIES)
@pytest.mark.parametrize("function", ["cholesky", "inv"])
def test_a_covariance_without_a_factor_is_an_error(q, function, cupy, monkeypatch):
    """Where NumPy raises, CuPy hands on what is not finite, as its checks are off."""
    z = np.random.default_rng(0).standard_normal((5, 4, 3, 2))
    monkeypatch.setattr(cupy.linalg, function, lambda a: a * np.nan)
    for xp, samples in ((np, np.full_like(z, np.nan)), (cupy, cupy.asarray(z))):
        with pytest.raises(NumericalError, match="covariance is not positive definite"):
            density.DENSITIES[q](xp, samples)


@each_estimate
def test_float32_is_close(estimate):
    """Positions round, and a chain near its threshold may go another way: a tenth of a nat."""
    few, many = (
        estimate(npvae.VAE(latent_dim=2, hidden=(5,), random_state=4, dtype=dtype)
                 .initialize(6).engine_, ONES)
        for dtype in ("float32", "float64")
    )  # fmt: skip
    assert few.estimate.dtype == np.float32
    np.testing.assert_allclose(few.estimate, many.estimate, rtol=0, atol=0.1)
