"""Priors: their densities against SciPy, samples, and gradients against differences."""
import numpy as np
import pytest
from scipy import special, stats
from test_families import five_point
from test_posteriors import DIGITS, SCIPY, D, X, logpdf, make, noise

import npvae
from npvae import plotting
from npvae.backend import get_backend
from npvae.distributions.compatibility import ALIASES, LEARNED, incompatibility
from npvae.distributions.latents import FAMILIES, BoundDistribution, LatentFamily, family
from npvae.distributions.priors import FamilyPrior, Mixture, VampPrior, named_prior
from npvae.errors import ParameterError
from npvae.evaluation import prior_variance
from npvae.evaluation.chunks import chunk_size
from npvae.memory import Context, Workspace
from npvae.testing import check_gradients

K, J = 4, 3
FIXED = sorted(SCIPY.keys() - ALIASES.keys() - {"pareto", "reciprocal", "triangular"})
CTX = Context(get_backend("numpy").ops, {}, {}, Workspace(np, float))  # without parameters
each_learned = pytest.mark.parametrize("name", LEARNED)


def coordinates(name, z):
    """y of z, and log |dz/dy|, by NumPy: what a density of z is multiplied by."""
    lies = family(name).support
    if lies == "positive":
        return np.log(z), np.log(z)
    if lies == "unit interval":
        return special.logit(z), np.log(z) + np.log1p(-z)
    return z, 0 * z


# --- the member of a family -------------------------------------------------------------------


@pytest.mark.parametrize("name", FIXED)
def test_a_fixed_prior_is_the_family_with_parameters_zero(name):
    """Its density is SciPy's; and its samples fit that by Kolmogorov-Smirnov, at 1e-4 each: of the
    15 here a true one fails once in 660 seeds."""
    truth = SCIPY[name](*np.zeros(len(family(name).parameters)))
    prior = FamilyPrior(name)
    z = truth.ppf(np.linspace(0.01, 0.99, 3 * J)).reshape(3, J)
    y, log_slope = coordinates(name, z)
    expected = (truth.logpdf(z) + log_slope).sum(axis=-1)
    at = prior.density(CTX, None, J)
    np.testing.assert_allclose(at.log_prob(y), expected, rtol=1e-12)
    eps = np.random.default_rng(0).standard_normal((5000, prior.n_noise(J)))
    z, _ = at.transform(at.rsample(eps))
    assert z.shape == (5000, J)
    assert stats.kstest(z.ravel(), truth.cdf).pvalue > 1e-4


def test_twins_are_one_distribution():
    z = np.linspace(0.1, 0.9, 7)
    for name, twin in ALIASES.items():
        if name in SCIPY and twin in SCIPY:
            a, b = (SCIPY[n](*np.zeros(len(family(n).parameters))) for n in (name, twin))
            np.testing.assert_allclose(a.logpdf(z), b.logpdf(z), rtol=1e-12)
        assert FamilyPrior(name).variables == LatentFamily(twin)


# --- mixtures ---------------------------------------------------------------------------------


def mixture(name, seed=0, k=K):
    """A mixture of members of a family, and its parameters: (k, J) each, and logits (k,)."""
    rng = np.random.default_rng(seed)
    widths = family(name).heads(J).values()
    params = tuple(0.7 * rng.standard_normal((k, width)) for width in widths)
    logits = rng.standard_normal(k)
    return Mixture(BoundDistribution(family(name), params), logits), params, logits


@pytest.mark.parametrize("name", ["normal", "laplace", "gamma", "beta", "elliptical", "dirichlet"])
def test_a_mixture_is_the_sum_of_its_components(name):
    p, params, logits = mixture(name)
    eps = np.random.default_rng(1).standard_normal((2, 5, 1 + LatentFamily(name).n_noise(J)))
    y = p.rsample(eps)
    z, _ = p.transform(y)
    log_slope = y if name == "dirichlet" else coordinates(name, z)[1]
    log_p = [logpdf(name, z.reshape(-1, J), [a[k] for a in params]) for k in range(K)]
    expected = special.logsumexp(log_p, axis=0, b=special.softmax(logits)[:, None])
    expected = expected.reshape(2, 5) + log_slope.sum(axis=-1)
    # SciPy is asked at z, which near 1 has lost digits that y has
    np.testing.assert_allclose(p.log_prob(y), expected, rtol=1e-8 if name == "beta" else 1e-11)


@pytest.mark.parametrize("name", ["normal", "gumbel", "student-t", "gamma", "beta", "elliptical"])
def test_the_gradient_of_a_mixture_is_that_of_differences(name):
    """By z, by the components' parameters and by the logits."""
    p, params, logits = mixture(name)
    rng = np.random.default_rng(2)
    y, d = rng.standard_normal((2, 5, J)), rng.standard_normal((2, 5))
    d_y, d_params, d_logits = p.log_prob_backward(d, y)

    def objective(y, logits, *params):
        return (d * Mixture(BoundDistribution(family(name), params), logits).log_prob(y)).sum()

    at = [y, logits, *params]
    for i, gradient in enumerate([d_y, d_logits, *d_params]):
        direction = rng.standard_normal(gradient.shape)

        def along(h, i=i, direction=direction):
            return objective(*(a + h * direction if i == k else a for k, a in enumerate(at)))

        assert (gradient * direction).sum() == pytest.approx(five_point(along), rel=1e-8, abs=1e-9)


def test_draws_of_a_mixture_fit_it():
    """Kolmogorov-Smirnov on each of 3 marginals: a true one fails once in 3,300 seeds."""
    p, (mean, logvar), logits = mixture("normal")
    z = p.rsample(np.random.default_rng(3).standard_normal((5000, 1 + J)))
    for j in range(J):
        components = stats.norm(mean[:, j], np.exp(0.5 * logvar[:, j]))
        fit = stats.kstest(z[:, j], lambda at, c=components: c.cdf(at[:, None]) @ special.softmax(
            logits))  # fmt: skip
        assert fit.pvalue > 1e-4


def test_a_mixture_is_finite_far_away():
    """Also in float32, where all components but one, or all of them, have no density left."""
    p, params, logits = mixture("normal")
    single = Mixture(BoundDistribution(p.components.family, tuple(a.astype("f4") for a in params)),
                     logits.astype("f4"))  # fmt: skip
    y = np.array([[1e6], [-1e6], [0]], "f4") * np.ones(J, "f4")
    d_y, d_params, d_logits = single.log_prob_backward(np.ones(3, "f4"), y)
    for array in (single.log_prob(y), d_y, *d_params, d_logits):
        assert np.isfinite(array).all() and array.dtype == np.float32


def test_one_component_is_the_component():
    p, params, _ = mixture("laplace", k=1)
    y = np.random.default_rng(4).standard_normal((6, J))
    one = BoundDistribution(family("laplace"), tuple(a[0] for a in params))
    np.testing.assert_allclose(p.log_prob(y), one.log_prob(y), rtol=1e-14)
    eps = np.random.default_rng(5).standard_normal((6, 1 + J))
    np.testing.assert_array_equal(p.rsample(eps), one.rsample(eps[:, 1:]))


# --- priors that learn ------------------------------------------------------------------------


@pytest.mark.parametrize("q", ["normal", "gamma", "student-t", "beta", "dirichlet", "elliptical"])
def test_a_vamp_prior_is_the_mixture_of_its_posteriors(q):
    """(1/K) Σ q(z|u_k), where q(z|u) is what the model says of datapoints u."""
    vae = make(q, "vamp", "A", prior_components=K)
    model, engine = vae.engine_.model, vae.engine_
    y = np.random.default_rng(6).standard_normal((7, 2))
    if q == "dirichlet":
        y -= np.log(np.exp(y).sum(axis=-1, keepdims=True))
    u = vae.parameters["prior.inputs"].copy()
    log_q = [
        model.posterior_at(engine.ctx, u[k : k + 1]).log_prob(y) for k in range(K)
    ]
    expected = special.logsumexp(log_q, axis=0) - np.log(K)
    found = model.prior_at(engine.ctx).log_prob(y)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize(("name", "q"), [("mixture", "normal"), ("vamp", "normal"),
                                         ("vamp", "beta")])  # fmt: skip
@pytest.mark.parametrize("activation", ["tanh", "softplus"])
def test_every_element_of_a_learned_prior_has_its_gradient(name, q, activation):
    """All of them walked, L = 2; the encoder's too, which learns from data and pseudo-inputs."""
    vae = make(q, name, "A", n_samples=2, activation=activation, kl_weight=1.0)
    report = check_gradients(vae, X)
    assert report.ok, str(report)
    found = {row.name: row for row in report.rows}
    assert {n for n in found if n.startswith("prior.")} == set(vae.engine_.model.prior.shapes(D, 2))


@each_learned
def test_components_begin_apart_and_move(name):
    vae = npvae.VAE(latent_dim=2, hidden=(32,), prior=name, estimator="A", prior_components=8,
                    epochs=3, batch_size=50, random_state=0, verbose=False)  # fmt: skip
    vae.initialize(64)
    key = "prior.inputs" if name == "vamp" else "prior.mean"
    before = vae.parameters[key].copy()
    assert len(np.unique(before[:, 0])) == 8 and 0.5 < before.std() < 2
    vae.fit(DIGITS)
    assert np.abs(vae.parameters[key] - before).max() > 1e-3
    assert vae.history_["elbo"][-1] > vae.history_["elbo"][0]


@each_learned
def test_the_parameter_prior_is_on_the_networks_weights(name):
    """Not on the prior's own parameters."""
    plain, penalised = (make("normal", name, "A", parameter_prior=b) for b in (False, True))
    eps = noise(plain)
    (_, one), (_, other) = (vae.loss_and_grad(X, eps) for vae in (plain, penalised))
    for key, gradient in one.items():
        same = np.array_equal(gradient, other[key])
        assert same != key.endswith(".weight"), key


@each_learned
def test_files_keep_a_learned_prior(name, tmp_path):
    vae = make("normal", name, "A", prior_components=5)
    vae.save(tmp_path / "model.npz")
    again = npvae.load(tmp_path / "model.npz")
    assert again.prior_components == 5 and again.parameters.keys() == vae.parameters.keys()
    eps = noise(vae)
    np.testing.assert_array_equal(again.elbo(X, eps).total, vae.elbo(X, eps).total)
    assert again.sample(4, rng=0).tobytes() == vae.sample(4, rng=0).tobytes()


def test_sample_draws_from_the_prior():
    """With a decoder that passes z on, moments within 5 errors of the prior's: 6 · 10⁻⁷ each."""
    n = 20_000
    for q, p in (("gamma", "gamma"), ("laplace", "laplace"), ("normal", "mixture")):
        vae = npvae.VAE(latent_dim=2, hidden=(), activation="identity", posterior=q, prior=p,
                        likelihood="normal", estimator="A", prior_components=3,
                        dtype="float64", random_state=0).initialize(2)  # fmt: skip
        vae.parameters["decoder.mean.weight"][...] = np.eye(2)
        z = vae.sample(n, rng=1)
        if p == "mixture":
            means = vae.parameters["prior.mean"]
            mean, variance = means.mean(axis=0), 1 + means.var(axis=0)
        else:
            truth = SCIPY[p](*np.zeros(2))
            mean, variance = truth.mean(), truth.var()
        assert (np.abs(z.mean(axis=0) - mean) <= 5 * np.sqrt(variance / n)).all()
        assert (np.abs(z.var(axis=0) / variance - 1) <= 5 * np.sqrt(8 / n)).all()  # kurtosis ≤ 9


def test_a_chunk_holds_fewer_datapoints_of_many_components():
    few, many = (make("normal", "mixture", "A", prior_components=k).engine_ for k in (3, 3000))
    assert chunk_size(many) <= chunk_size(few) // 500


def test_a_prior_is_made_by_its_name():
    q = LatentFamily("gamma")
    assert named_prior("laplace", q, 1) == FamilyPrior("laplace")
    assert named_prior("vamp", q, 7) == VampPrior(7, q) != named_prior("vamp", LatentFamily("f"), 7)
    assert named_prior("mixture", q, 7).variables == LatentFamily("normal")


# --- the manifold -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n in FIXED if len(family(n).noise) == 1])
def test_the_manifold_takes_the_prior_s_own_quantiles(name):
    vae = make("normal", "normal", "B").set_params(prior=name)
    shares = [0.01, 0.3, 0.5, 0.9]
    truth = SCIPY[name](*np.zeros(len(family(name).parameters)))
    found = plotting.latent_space.quantiles(vae, shares)
    np.testing.assert_allclose(found, truth.ppf(shares), rtol=1e-10, atol=1e-14)


def test_without_quantiles_there_is_no_manifold(tmp_path):
    for name in ("mixture", "vamp", "dirichlet", "f", "erlang"):
        assert name in (*LEARNED, *FAMILIES)
        q = "normal" if name in LEARNED else name
        vae = make(q, name, "A")
        with pytest.raises(ParameterError, match=f"prior='{name}' has no quantiles of one latent"):
            plotting.manifold(vae, (2, 3), 4)
    assert plotting.manifold(make("gamma", "gamma", "B"), (2, 3), 4)


def test_one_elliptical_latent_has_no_lower_triangle():
    """And so an empty head: a VampPrior hands its components nothing for it."""
    vae = npvae.VAE(latent_dim=1, hidden=(4,), posterior="elliptical", prior="vamp", estimator="A",
                    prior_components=3, dtype="float64", random_state=0)  # fmt: skip
    X = np.random.default_rng(0).random((5, 6))
    assert check_gradients(vae.initialize(6), X).ok


# --- the scale that activity is measured by ---------------------------------------------------


def scale_of(q, p, **settings):
    vae = make(q, p, "A", **settings)
    return vae, prior_variance(vae.engine_)


@pytest.mark.parametrize("p", FIXED)
def test_the_variance_of_a_prior_is_scipy_s(p):
    """Or, where that is infinite, that of the normal with the same quartiles: both to 5 %."""
    name = ALIASES.get(p, p)
    fitting = next((q for q in (p, *FAMILIES) if not incompatibility(q, p)), None)
    if fitting is None:
        pytest.skip("no posterior may have it")
    truth = SCIPY[name](*np.zeros(len(family(name).parameters)))
    with np.errstate(all="ignore"):
        expected = truth.var()
    if not np.isfinite(expected):
        expected = ((truth.ppf(0.75) - truth.ppf(0.25)) / (2 * stats.norm.ppf(0.75))) ** 2
    exact = family(name).standard_variance is not None
    _, found = scale_of(fitting, p)
    np.testing.assert_allclose(found, np.full(2, expected), rtol=1e-12 if exact else 0.05)


def test_the_variance_of_a_simplex_and_of_learned_priors_is_their_own():
    for n in (2, 5):
        _, found = scale_of("dirichlet", "dirichlet", latent_dim=n)
        np.testing.assert_allclose(found, stats.dirichlet.var(np.ones(n)), rtol=0.05)
    vae, found = scale_of("normal", "mixture")
    P = vae.parameters
    weights = special.softmax(P["prior.logits"])
    z = np.random.default_rng(0).choice(len(weights), 400_000, p=weights)
    deviation = np.exp(0.5 * P["prior.logvar"])[z]
    z = P["prior.mean"][z] + deviation * np.random.default_rng(1).standard_normal((400_000, 2))
    np.testing.assert_allclose(found, z.var(axis=0), rtol=0.02)
    for q in ("normal", "laplace", "gamma", "elliptical"):
        vae, found = scale_of(q, "vamp")
        n_noise = vae.engine_.model.prior.n_noise(2)
        eps = np.random.default_rng(2).standard_normal((200_000, n_noise))
        p = vae.engine_.model.prior_at(vae.engine_.ctx)
        np.testing.assert_allclose(found, p.transform(p.rsample(eps))[0].var(axis=0), rtol=0.1)
    for q in ("cauchy", "student-t", "f"):
        _, found = scale_of(q, "vamp")
        assert (found < 100).all()  # whatever a sample's largest


def test_the_variance_of_a_prior_is_the_same_each_time():
    vae, found = scale_of("dirichlet", "dirichlet")
    np.testing.assert_array_equal(found, prior_variance(vae.engine_))
    vae.sample(3, rng=0)
    np.testing.assert_array_equal(found, prior_variance(vae.engine_))
