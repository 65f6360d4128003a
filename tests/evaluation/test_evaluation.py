"""Bounds and likelihoods against models whose likelihood is known by other means.

A linear decoder with constant variance makes x normal: x ~ N(b, WWᵀ + σ²I), and the posterior of
z is normal too. A model with one latent variable is an integral that quadrature solves.
"""
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from scipy import integrate, special, stats

import npvae
from npvae.cli import main
from npvae.errors import DataError, NumericalError, ParameterError
from npvae.evaluation import active_units, chunks, importance, iwae
from npvae.models import VAEModel
from npvae.row_noise import row_keys, row_normals

# --- models with a known likelihood -------------------------------------------------------

W = np.array([[1.0, 0.5], [-1.0, 0.5], [0.3, 1.2], [0.0, -0.7], [0.6, 0.1]])  # (D, J)
B = np.array([0.3, -1.0, 0.0, 2.0, 0.5])  # (D,)
SIGMA2 = 0.25
TRUTH = stats.multivariate_normal(B, W @ W.T + SIGMA2 * np.eye(5))
X = TRUTH.rvs(40, random_state=0)  # (N, D)


def linear_model(shift=0.1, widen=0.3, weights=W, **settings):
    """x = W z + b + σ · noise, with nothing hidden.

    q has the posterior's mean plus ``shift``, and the posterior's marginal variances times
    exp(``widen``): it covers the posterior, so the weights have a variance.
    """
    settings = {"dtype": "float64", "random_state": 0} | settings
    vae = npvae.VAE(
        latent_dim=2, hidden=(), activation="identity", likelihood="normal", **settings
    ).initialize(5)
    precision = np.eye(2) + weights.T @ weights / SIGMA2  # of z given x
    encoder = np.linalg.inv(precision) @ weights.T / SIGMA2  # (J, D)
    return vae.set_parameters({
        "encoder.mean.weight": encoder, "encoder.mean.bias": shift - encoder @ B,
        "encoder.logvar.weight": np.zeros((2, 5)),
        "encoder.logvar.bias": widen + np.log(np.diag(np.linalg.inv(precision))),
        "decoder.mean.weight": weights, "decoder.mean.bias": B,
        "decoder.logvar.weight": np.zeros((5, 2)),
        "decoder.logvar.bias": np.full(5, np.log(SIGMA2)),
    })  # fmt: skip


def bernoulli_model():
    """One latent, four tanh units, six pixels; weights as they come."""
    vae = npvae.VAE(latent_dim=1, hidden=(4,), dtype="float64", random_state=3).initialize(6)
    vae.engine_.theta *= 1.5
    return vae


ONES = np.array([[1, 0, 1, 1, 0, 0], [0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1.0]])


def by_quadrature(vae, x):
    """log ∫ N(z; 0, 1) p(x|z) dz, from the parameters and SciPy alone."""
    p = vae.parameters

    def integrand(z):
        h = np.tanh(p["decoder.hidden.0.weight"][:, 0] * z + p["decoder.hidden.0.bias"])
        l = p["decoder.logits.weight"] @ h + p["decoder.logits.bias"]
        log_p = x @ special.log_expit(l) + (1 - x) @ special.log_expit(-l)
        return np.exp(log_p) * stats.norm.pdf(z)

    return np.log(integrate.quad(integrand, -12, 12, epsabs=1e-12)[0])


# --- the marginal likelihood --------------------------------------------------------------


def assert_likelihood(log_likelihood=importance.log_likelihood):
    """Within 4 standard errors of the truth at every datapoint, both models.

    So is the mean of all; and the sum of the squared errors, each over its reported error, is
    within the central 99.9 % of its χ²: an error too large by 1.6, or too small, would show.
    """
    vae = linear_model()
    z = deviations(log_likelihood(vae.engine_, X, n_samples=4000, seed=1), TRUTH.logpdf(X))
    assert (np.abs(z) <= 4).all()
    assert abs(z.mean()) <= 4 / np.sqrt(len(z))
    assert stats.chi2.ppf(0.0005, len(z)) <= (z**2).sum() <= stats.chi2.ppf(0.9995, len(z))

    vae = bernoulli_model()
    truth = [by_quadrature(vae, x) for x in ONES]
    z = deviations(log_likelihood(vae.engine_, ONES, n_samples=4000, seed=2), truth)
    assert (np.abs(z) <= 4).all()


def deviations(result, truth):
    return (result.estimate - truth) / result.standard_error


def assert_alone_as_in_company(log_likelihood=importance.log_likelihood):
    """A datapoint's result does not depend on how many others there are beside it."""
    vae = linear_model()
    alone = log_likelihood(vae.engine_, X[:1], n_samples=500, seed=4)
    together = log_likelihood(vae.engine_, X, n_samples=500, seed=4)
    np.testing.assert_allclose(alone.estimate[0], together.estimate[0], rtol=1e-12)
    np.testing.assert_allclose(alone.standard_error[0], together.standard_error[0], rtol=1e-9)
    assert alone.n_samples == together.n_samples == 500


def test_likelihood_is_the_truth_within_its_error():
    assert_likelihood()


def test_a_datapoint_has_its_result_to_itself():
    assert_alone_as_in_company()


def test_an_exact_posterior_leaves_no_error():
    """With orthogonal columns of W the posterior factorises, and q can be it: every weight is
    p(x), the bound of every sample too, and what is left is rounding.
    """
    weights = np.array([[1.0, 0.5], [-1.0, 0.5], [0.5, 1.0], [0.5, -1.0], [0.0, 0.0]])
    assert weights[:, 0] @ weights[:, 1] == 0
    vae = linear_model(0, 0, weights, n_samples=3, estimator="A")
    truth = stats.multivariate_normal(B, weights @ weights.T + SIGMA2 * np.eye(5)).logpdf(X)
    result = vae.log_likelihood(X, n_samples=100, rng=0)
    np.testing.assert_allclose(result.estimate, truth, rtol=1e-12)
    np.testing.assert_allclose(vae.elbo(X).total, truth, rtol=1e-12)  # A's: no noise at all
    assert (result.standard_error <= 1e-7).all()  # √ of a rounding of 1e-16, by 1/√S
    np.testing.assert_allclose(result.effective_sample_size, 100, rtol=1e-12)


def test_the_standard_error_is_honest():
    """Fifty repeats of ten datapoints scatter as much as they say: χ² of 500 deviations.

    The central 99.9 % allows a reported error that is wrong by a tenth, and little more.
    """
    vae, truth = linear_model(), TRUTH.logpdf(X[:10])
    z = np.array([
        deviations(vae.log_likelihood(X[:10], n_samples=400, rng=seed), truth)
        for seed in range(50)
    ])  # fmt: skip
    assert stats.chi2.ppf(0.0005, z.size) <= (z**2).sum() <= stats.chi2.ppf(0.9995, z.size)


def test_the_error_falls_with_the_root_of_the_samples():
    few, many = (linear_model().log_likelihood(X, n, 0).standard_error for n in (500, 12_500))
    np.testing.assert_allclose(few / many, 5, rtol=0.2)  # 500 samples know σ_w to some 5 %


def test_effective_sample_size_is_between_one_and_all():
    good = linear_model().log_likelihood(X, 300, 0).effective_sample_size
    assert ((good > 100) & (good <= 300)).all()
    poor = linear_model(shift=20, widen=-5).log_likelihood(X, 300, 0)
    assert (poor.effective_sample_size >= 1).all()
    assert poor.effective_sample_size.min() < 2
    assert "carry the weight: take method='annealed'" in str(poor)
    assert "take method" not in str(linear_model().log_likelihood(X, 300, 0))


def test_effective_sample_size_is_that_of_the_weights():
    """Against (Σ w)² / Σ w² of weights made from SciPy's densities and the documented noise."""
    vae, S = linear_model(), 50
    eps = row_normals(7, npvae.random.EVALUATE, 0, row_keys(X), S, 2)  # (S, N, J)
    p = vae.parameters
    mu = X @ p["encoder.mean.weight"].T + p["encoder.mean.bias"]
    sigma = np.exp(0.5 * p["encoder.logvar.bias"])
    z = mu + sigma * eps
    log_w = (
        stats.norm.logpdf(X, z @ W.T + B, np.sqrt(SIGMA2)).sum(axis=-1)
        + (stats.norm.logpdf(z) - stats.norm.logpdf(z, mu, sigma)).sum(axis=-1)
    )  # (S, N)
    w = np.exp(log_w)
    result = vae.log_likelihood(X, S, rng=7)
    np.testing.assert_allclose(result.estimate, np.log(w.mean(axis=0)), rtol=1e-11)
    error = w.std(axis=0, ddof=1) / np.sqrt(S) / w.mean(axis=0)
    np.testing.assert_allclose(result.standard_error, error, rtol=1e-9)
    ess = w.sum(axis=0) ** 2 / (w**2).sum(axis=0)
    np.testing.assert_allclose(result.effective_sample_size, ess, rtol=1e-9)


def test_likelihood_is_above_the_bound():
    vae = linear_model(shift=0.5, widen=1.0, n_samples=10)
    result, bound = vae.log_likelihood(X, 2000, 0), vae.elbo(X).total
    gap = (TRUTH.logpdf(X) - exact_bound(vae)).mean()  # KL(q‖posterior), 3.9 nats here
    error = np.sqrt((result.standard_error**2).sum() + 40 * bound.var()) / 40  # and some more
    assert gap > 8 * error
    assert abs(result.estimate.mean() - bound.mean() - gap) <= 4 * error


def test_no_overflow_however_unlikely_the_data():
    """log w is near −10⁶, whose exponential is 0 in any precision."""
    for dtype in ("float64", "float32"):
        vae, far = linear_model(dtype=dtype), X + 300
        result = vae.log_likelihood(far, 200, 0)
        np.testing.assert_allclose(result.estimate, TRUTH.logpdf(far), rtol=1e-3)
        assert result.estimate.max() < -1e4


# --- bounded memory, whatever the cut -----------------------------------------------------

BUDGETS = [1, 64, 1000, 10**9]  # one row at a time, samples in blocks, some, all in one


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_results_do_not_depend_on_the_chunks(dtype, monkeypatch):
    """But for rounding: a matrix product of other sizes adds in another order."""
    vae = linear_model(dtype=dtype, n_samples=3)
    tolerance = 1e-12 if dtype == "float64" else 1e-5

    eps = np.random.default_rng(0).standard_normal((2, 40, 2))

    def results():
        likelihood, bound = vae.log_likelihood(X, 60, rng=5), vae.elbo(X)
        Z = vae.transform(X)
        return (
            vae.elbo(X, eps).total,
            likelihood.estimate, likelihood.standard_error, likelihood.effective_sample_size,
            bound.total, bound.reconstruction, bound.kl, Z, vae.inverse_transform(Z),
        )  # fmt: skip

    expected = results()
    for budget in BUDGETS:
        monkeypatch.setattr(chunks, "BUDGET", budget)
        for value, reference in zip(results(), expected, strict=True):
            scale = np.abs(reference).max()
            np.testing.assert_allclose(value, reference, rtol=0, atol=50 * tolerance * scale)


@pytest.mark.parametrize("order", [1, -1])
def test_blocks_add_up_whatever_their_size(order):
    """Weights from e⁻⁵⁰⁰⁰ to e⁵⁰⁰⁰, rising or falling, against SciPy's logsumexp."""
    log_w = np.sort(np.random.default_rng(0).uniform(-5000, 5000, (60, 3)), axis=0)[::order]
    sums = None
    for block in np.split(log_w, [1, 2, 10, 11, 40]):
        sums = importance.accumulate_weights(np, sums, block)
    estimate, _, ess = importance.summary(np, sums, 60)
    total, squares = special.logsumexp(log_w, axis=0), special.logsumexp(2 * log_w, axis=0)
    np.testing.assert_allclose(estimate, total - np.log(60), rtol=1e-14)
    np.testing.assert_allclose(ess, np.exp(2 * total - squares), rtol=1e-9)


@pytest.mark.filterwarnings("error")
def test_samples_of_no_weight_count_as_none():
    """Whole blocks of them before, between and after; a datapoint that has no others is at −∞."""
    log_w = np.random.default_rng(0).standard_normal((40, 4))
    log_w[:10], log_w[20:25], log_w[39], log_w[:, 3] = -np.inf, -np.inf, -np.inf, -np.inf
    sums = None
    for block in np.split(log_w, [1, 5, 20, 22, 39]):
        sums = importance.accumulate_weights(np, sums, block)
    estimate, error, ess = importance.summary(np, sums, 40)
    total, squares = (special.logsumexp(n * log_w[:, :3], axis=0) for n in (1, 2))
    np.testing.assert_allclose(estimate[:3], total - np.log(40), atol=1e-14)
    np.testing.assert_allclose(ess[:3], np.exp(2 * total - squares), rtol=1e-12)
    assert (estimate[3], error[3], ess[3]) == (-np.inf, np.inf, 0)
    groups = iwae.log_mean_exp(np, log_w.reshape(8, 5, 4), axis=1)
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(groups, np.log(np.exp(log_w).reshape(8, 5, 4).mean(1)))


def test_weights_that_are_no_numbers_are_said():
    vae = linear_model()
    vae.parameters["encoder.mean.bias"][0] = np.nan
    with pytest.raises(NumericalError, match=r"encoder\.mean\.bias"):
        vae.log_likelihood(X, 20, rng=0)
    result = importance.log_likelihood(vae.engine_, X, n_samples=20)
    assert f"{len(X)} of the estimates are NaN" in str(result)
    assert "look at the parameters" in str(result)


def test_memory_does_not_grow_with_samples(monkeypatch):
    """Ten times the samples, the same peak, to 4 KB of bookkeeping; and it is a small one.

    The tail that is kept grows as √S, from 135 weights to 426 here, and to a thousand at most.
    """
    monkeypatch.setattr(chunks, "BUDGET", 2**12)
    vae = linear_model()
    for n in (2_000, 20_000):
        vae.log_likelihood(X[:9], n, rng=0)  # makes the buffers, and what is kept by their shapes
    few, many = (peak(lambda n=n: vae.log_likelihood(X[:9], n, rng=0)) for n in (2_000, 20_000))
    assert abs(many - few) <= 4096
    assert many < 20_000 * 8  # not so much as one float64 for each sample of one datapoint


def test_memory_does_not_grow_with_datapoints(monkeypatch):
    """But for the results, one number a datapoint each, and a list of chunks."""
    monkeypatch.setattr(chunks, "BUDGET", 2**12)
    vae, many_X = linear_model(), np.tile(X, (100, 1))
    vae.elbo(many_X)
    few, many = (peak(lambda n=n: vae.elbo(many_X[:n])) for n in (1000, 4000))
    assert many - few <= 4 * 8 * 3000 + 8192


def peak(call):
    """Bytes above the start at the worst moment of a call."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_progress_sees_every_chunk(monkeypatch):
    monkeypatch.setattr(chunks, "BUDGET", 5 * 60 * 4)  # four datapoints of 60 samples
    seen = []

    def progress(iterable):
        for item in iterable:
            seen.append(item)
            yield item

    linear_model().log_likelihood(X, 60, rng=0, progress=progress)
    assert seen == [(start, start + 4) for start in range(0, 40, 4)]


# --- the bound ----------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", ["A", "B"])
def test_bound_is_that_of_the_noise_given(estimator):
    """Against SciPy's densities at z = μ + σ ε, three samples a datapoint."""
    vae = linear_model(estimator=estimator)
    p, eps = vae.parameters, np.random.default_rng(0).standard_normal((3, 40, 2))
    mu = X @ p["encoder.mean.weight"].T + p["encoder.mean.bias"]
    sigma = np.exp(0.5 * p["encoder.logvar.bias"])
    z = mu + sigma * eps
    reconstruction = stats.norm.logpdf(X, z @ W.T + B, np.sqrt(SIGMA2)).sum(axis=-1).mean(axis=0)
    if estimator == "A":
        ratio = stats.norm.logpdf(z, mu, sigma) - stats.norm.logpdf(z)
        kl = ratio.sum(axis=-1).mean(axis=0)
    else:
        kl = 0.5 * (mu**2 + sigma**2 - 1 - 2 * np.log(sigma)).sum(axis=-1)
    bound = vae.elbo(X, eps)
    np.testing.assert_allclose(bound.reconstruction, reconstruction, rtol=1e-11)
    np.testing.assert_allclose(bound.kl, kl, rtol=1e-11)
    np.testing.assert_allclose(bound.total, reconstruction - kl, rtol=1e-11)


def exact_bound(vae):
    """E_q in closed form: E (x − Wz − b)² = (x − Wμ − b)² + Σ_j W_dj² σ_j².   (N,)"""
    p = vae.parameters
    mu = X @ p["encoder.mean.weight"].T + p["encoder.mean.bias"]
    variance = np.exp(p["encoder.logvar.bias"])
    squares = (X - mu @ W.T - B) ** 2 + variance @ W.T**2
    reconstruction = -0.5 * (np.log(2 * np.pi * SIGMA2) + squares / SIGMA2).sum(axis=-1)
    return reconstruction - 0.5 * (mu**2 + variance - 1 - np.log(variance)).sum(axis=-1)


@pytest.mark.parametrize("estimator", ["A", "B"])
def test_bound_is_right_on_average(estimator):
    """Its own noise, 5,000 samples a datapoint: within 4 standard errors, at each of 40."""
    vae = linear_model(estimator=estimator, n_samples=100)
    values = []
    for seed in range(50):
        vae.seed_ = seed
        values.append(vae.elbo(X).total)
    error = np.std(values, axis=0, ddof=1) / np.sqrt(50)
    # t with 49 degrees of freedom strays beyond 4 once in 5,000, so 40 do once in 120
    assert (np.abs(np.mean(values, axis=0) - exact_bound(vae)) <= 4 * error).all()


def test_bound_is_below_the_likelihood_by_the_divergence_from_the_posterior():
    """log p(x) − ELBO = KL(q‖p(z|x)) ≥ 0, here the same for every x."""
    gap = TRUTH.logpdf(X) - exact_bound(linear_model())
    precision = np.eye(2) + W.T @ W / SIGMA2
    variance = np.exp(0.3) * np.diag(np.linalg.inv(precision))
    shift = np.full(2, 0.1)
    kl = 0.5 * (np.diag(precision) @ variance + shift @ precision @ shift - 2
                - np.log(np.linalg.det(precision)) - np.log(variance).sum())  # fmt: skip
    np.testing.assert_allclose(gap, kl, rtol=1e-10)


def test_bound_prints_its_parts():
    text = str(linear_model().elbo(X))
    assert "ELBO" in text and "nats" in text and "40 datapoints" in text


# --- means --------------------------------------------------------------------------------


def test_codes_and_images_are_means():
    vae = linear_model()
    p = vae.parameters
    mu = X @ p["encoder.mean.weight"].T + p["encoder.mean.bias"]
    np.testing.assert_allclose(vae.transform(X), mu, rtol=1e-12)
    np.testing.assert_allclose(vae.inverse_transform(mu), mu @ W.T + B, rtol=1e-12)


def test_samples_have_the_moments_of_the_prior():
    """Means of p(x|z), z ~ N(0, I), are N(b, WWᵀ): within 4 standard errors."""
    n = 20_000
    sample = linear_model().sample(n, rng=0)
    variance = np.diag(W @ W.T)
    assert (np.abs(sample.mean(axis=0) - B) <= 4 * np.sqrt(variance / n)).all()
    assert (np.abs(sample.var(axis=0) - variance) <= 4 * variance * np.sqrt(2 / n)).all()


def test_active_units():
    """Var_x of the posterior mean above 0.01, as Burda et al. count them."""
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((5000, 3)) * np.sqrt([0.02, 0.005, 1.0]) + [0, 100, 0]
    assert active_units(Z).tolist() == [True, False, True]
    assert active_units(Z, threshold=0.5).tolist() == [False, False, True]
    with pytest.raises(DataError, match="1 datapoint has no variance"):
        active_units(Z[:1])
    for wrong in (0.0, np.array([1.0, np.inf, 1.0])):
        with pytest.raises(ParameterError, match="has to be positive, and finite"):
            active_units(Z, prior_variance=wrong)


def test_activity_is_a_share_of_the_prior_s_variance():
    """Codes that use all of a simplex are active, and no unit of any data was by 0.01."""
    Z = np.random.default_rng(0).dirichlet(np.ones(20), 5000)
    assert not active_units(Z).any()
    assert active_units(Z, prior_variance=19 / (400 * 21)).all()
    scale = np.array([4.0, 0.25, 1.0])
    units = np.random.default_rng(1).standard_normal((5000, 3)) * np.sqrt([0.02, 0.02, 0.02])
    assert active_units(units, prior_variance=scale).tolist() == [False, True, True]
    assert active_units(units).all()


def test_the_command_line_counts_active_units_by_the_prior_s_scale(tmp_path, capsys):
    """A Dirichlet of 20 variables has prior variance 0.0023: of 0.01 nothing could be active."""
    vae = npvae.VAE(latent_dim=20, hidden=(4,), posterior="dirichlet", prior="dirichlet",
                    random_state=0).initialize(64)  # fmt: skip
    vae.engine_.theta *= 8  # codes that differ from digit to digit
    vae.save(tmp_path / "model.npz")
    assert main(["evaluate", str(tmp_path / "model.npz"), "--data", "digits", "--samples", "5",
                 "--limit", "200"]) == 0  # fmt: skip
    codes = vae.transform(npvae.data.load_digits().images[:200])
    by_one, found = active_units(codes).sum(), active_units(codes, 0.01, 19 / (400 * 21)).sum()
    assert by_one < found
    assert f"latents    {found} of 20 active" in capsys.readouterr().out


def test_one_sample_has_no_standard_error():
    with pytest.raises(ParameterError, match="n_samples=1 gives no standard error"):
        linear_model().log_likelihood(X, n_samples=1)


# --- mistakes that public code has made ---------------------------------------------------


def wrong_sign(monkeypatch):
    add = importance.accumulate_weights
    monkeypatch.setattr(
        importance, "accumulate_weights", lambda xp, sums, log_w: add(xp, sums, -log_w)
    )
    return importance.log_likelihood


def closed_form_kl(monkeypatch):
    """KL(q‖p) where a sample's own log q(z|x) − log p(z) belongs."""
    true = VAEModel.forward
    monkeypatch.setattr(VAEModel, "forward", lambda model, *given: true(model, *given, True))
    return importance.log_likelihood


def mean_of_logs(monkeypatch):
    """(1/S) Σ log w, which is the bound."""

    def log_likelihood(engine, X, **options):
        result = importance.log_likelihood(engine, X, **options)
        bound = npvae.evaluation.elbo(engine, X, n_samples=options["n_samples"])
        return replace(result, estimate=bound.total)

    return log_likelihood


def fewer_in_company(monkeypatch):
    """As many samples as fit: S over the number of datapoints."""

    def log_likelihood(engine, X, *, n_samples, seed):
        few = max(2, n_samples // len(X))
        return importance.log_likelihood(engine, X, n_samples=few, seed=seed)

    return log_likelihood


def noise_of_the_batch(monkeypatch):
    """The same noise for every datapoint of a chunk, counted from its first."""

    def noise(engine, seed, L, keys, first, work):
        M, J = len(keys), engine.model.n_noise
        eps = np.random.default_rng(seed + M).standard_normal((L, 1, J))
        return np.broadcast_to(eps, (L, M, J))

    monkeypatch.setattr(importance, "row_noise", noise)
    return importance.log_likelihood


def error_of(factor):
    def plant(monkeypatch):
        def log_likelihood(engine, X, **options):
            result = importance.log_likelihood(engine, X, **options)
            return replace(result, standard_error=result.standard_error * factor)

        return log_likelihood

    return plant


def minus_log_p(monkeypatch):
    def log_likelihood(engine, X, **options):
        result = importance.log_likelihood(engine, X, **options)
        return replace(result, estimate=-result.estimate)

    return log_likelihood


@pytest.mark.parametrize(
    ("plant", "assertion"),
    [
        (wrong_sign, assert_likelihood),
        (minus_log_p, assert_likelihood),
        (closed_form_kl, assert_likelihood),
        (mean_of_logs, assert_likelihood),
        (error_of(np.sqrt(4000)), assert_likelihood),  # the deviation of one sample
        (error_of(2), assert_likelihood),
        (error_of(0.5), assert_likelihood),
        (fewer_in_company, assert_alone_as_in_company),
        (noise_of_the_batch, assert_alone_as_in_company),
    ],
)
def test_a_mistake_is_caught(plant, assertion, monkeypatch):
    mistaken = plant(monkeypatch)
    with pytest.raises(AssertionError):
        assertion(mistaken)


DIGITS = npvae.data.load_digits()

# --- a row's score is its own -----------------------------------------------------------------

SCORED = [
    {}, {"binarize": "dynamic"}, {"binarize": "fixed"}, {"estimator": "A", "n_samples": 7},
    {"estimator": "iwae", "n_samples": 3}, {"posterior": "gamma", "prior": "gamma"},
    {"prior": "mixture", "prior_components": 3, "estimator": "A"}, {"dtype": "float64"},
]  # fmt: skip


@pytest.mark.parametrize("settings", SCORED, ids=str)
def test_a_row_is_scored_alike_wherever_it_stands(settings):
    """Alone, among others, in any order, many times over: to the rounding of the matrix products.
    One row two hundred times had bounds 0.5 nats apart when noise went by place."""
    X = DIGITS.images[:60]
    vae = npvae.VAE(2, (16,), epochs=1, random_state=0, verbose=False, **settings).fit(X)
    tolerance = 1e-9 if settings.get("dtype") == "float64" else 2e-5
    order = np.random.default_rng(0).permutation(60)
    for score in (vae.score_samples, lambda X: vae.elbo(X).total,
                  lambda X: vae.log_likelihood(X, 8, rng=0).estimate):  # fmt: skip
        whole = score(X)
        np.testing.assert_allclose(score(X[order]), whole[order], atol=tolerance, rtol=tolerance)
        np.testing.assert_allclose(score(X[41:42]), whole[41:42], atol=tolerance, rtol=tolerance)
        np.testing.assert_allclose(score(X[:7]), whole[:7], atol=tolerance, rtol=tolerance)
        again = score(np.tile(X[3], (200, 1)))
        np.testing.assert_allclose(again, whole[3], atol=tolerance, rtol=tolerance)
    assert np.ptp(whole) > 1  # and rows do differ


def test_so_is_a_posterior_mean_by_chains():
    X = DIGITS.images[:12]
    model = npvae.MCEM(2, (8,), epochs=1, random_state=0, verbose=False, dtype="float64").fit(X)
    whole = model.transform(X)
    np.testing.assert_allclose(model.transform(X[::-1])[::-1], whole, rtol=1e-6)
    np.testing.assert_allclose(model.transform(X[2:11]), whole[2:11], rtol=1e-6)
    # products of few rows are added up in another order, and a chain is chaotic: it multiplies a
    # difference by ten in a few moves
    np.testing.assert_allclose(model.transform(X[4:6]), whole[4:6], atol=1e-3)


def test_more_samples_vary_less():
    """Over 30 seeds the mean bound's variance falls as 1/n: 16 for 4·16, within a factor of 3."""
    X = DIGITS.images[:20]
    vae = npvae.VAE(2, (16,), epochs=2, random_state=0, verbose=False, estimator="A").fit(X)
    spread = {}
    for n in (4, 64):
        scores = []
        for seed in range(30):
            vae.seed_ = seed
            scores.append(vae.score(X, n_samples=n))
        spread[n] = np.var(scores)
    assert 16 / 3 < spread[4] / spread[64] < 16 * 3


@pytest.mark.parametrize("binarize", ["none", "threshold", "fixed", "dynamic"])
def test_what_is_scored_is_what_was_trained(binarize):
    """score, elbo and the validation bound of the same rows are one number; and a grey image is
    scored as the black and white one that it becomes."""
    X, held_out = DIGITS.images[:100], DIGITS.images[100:140]
    vae = npvae.VAE(2, (16,), epochs=2, random_state=0, verbose=False, binarize=binarize)
    vae.fit(X, validation=held_out)
    bound = vae.history_["validation_elbo"][-1]
    assert vae.score(held_out) == pytest.approx(bound, rel=1e-6)
    assert vae.elbo(held_out).total.mean() == pytest.approx(bound, rel=1e-5)
    if binarize == "threshold":
        black = (held_out > 0.5).astype("float32")
        assert vae.score(black) == pytest.approx(bound, rel=1e-6)
    else:
        grey = vae.set_params(binarize="none").score(held_out)
        assert (grey == pytest.approx(bound, rel=1e-6)) == (binarize == "none")
