"""q(z|x) and p(x|z) of a model as distributions: moments, draws, and arrays of their own."""
import pickle

import numpy as np
import pytest
from scipy import special, stats

import npvae
from npvae.distributions.compatibility import compatible_priors
from npvae.distributions.latents import FAMILIES, family
from npvae.errors import DataError, ParameterError
from npvae.evaluation import PosteriorDistribution, conditional

DIGITS = npvae.data.load_digits()
X = DIGITS.images[:40]
SMALL = {"latent_dim": 2, "hidden": (6,), "random_state": 3, "verbose": False}
K = 5
LIKELIHOODS = {  # every kind, with what the constructor is told
    "bernoulli": {}, "continuous-bernoulli": {}, "normal": {}, "laplace": {}, "poisson": {},
    "categorical": {"n_levels": K}, "discretized-logistic": {"n_levels": K},
    "fixed normal": {"likelihood": "normal", "likelihood_std": 0.3},
    "sigmoid normal": {"likelihood": "normal", "likelihood_mean": "sigmoid"},
    "sigmoid fixed normal": {"likelihood": "normal", "likelihood_mean": "sigmoid",
                             "likelihood_std": 0.3},
}  # fmt: skip
each_likelihood = pytest.mark.parametrize("name", LIKELIHOODS)
ALL = [npvae.VAE, npvae.WakeSleep, npvae.FullVB, npvae.MCEM, npvae.Autoencoder]
each_class = pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
with_posterior = pytest.mark.parametrize("cls", ALL[:3], ids=lambda cls: cls.__name__)
Z = np.array([[0.5, -1.0], [2.0, 0.3], [-1.5, 1.5]])
N = 20_000


def model(name="bernoulli", cls=npvae.VAE, **settings):
    """One of three features, with heads that are far from 0."""
    made = cls(**{"likelihood": name, **SMALL, **LIKELIHOODS[name], **settings}).initialize(3)
    for key, value in made.parameters.items():
        if key.startswith("decoder") and not key.endswith(".logvar"):
            value *= 1.5
    return made


def truth(name, p, row, d):
    """SciPy's distribution of feature d, or the values and their probabilities."""
    params = {key: value[row].astype(float) for key, value in p.parameters.items()}
    if "normal" in name:
        std = 0.3 if "fixed" in name else np.exp(0.5 * params["logvar"][d])
        return stats.norm(params["mean"][d], std)
    if name == "laplace":
        return stats.laplace(params["mean"][d], np.exp(params["logscale"][d]))
    if name == "poisson":
        return stats.poisson(np.exp(params["lograte"][d]))
    if name == "bernoulli":
        return stats.bernoulli(special.expit(params["logits"][d]))
    if name == "continuous-bernoulli":
        return ContinuousBernoulli(params["logits"][d])
    if name == "categorical":
        return Levels(special.softmax(params["logits"].reshape(K, 3)[:, d]))
    edges = np.r_[-np.inf, (np.arange(1, K) - 0.5) / (K - 1), np.inf]
    below = stats.logistic(params["mean"][d], np.exp(params["logscale"][d])).cdf(edges)
    return Levels(np.diff(below))


class ContinuousBernoulli:
    """λ = sigmoid(l): F(x) = (eˡˣ − 1)/(eˡ − 1); its moments by quadrature."""

    def __init__(self, l):
        self.l = l
        node, weight = np.polynomial.legendre.leggauss(100)
        self.x, self.w = 0.5 + 0.5 * node, 0.5 * weight
        self.w = self.w * np.exp(l * self.x) * l / np.expm1(l)

    def cdf(self, x):
        return np.expm1(self.l * x) / np.expm1(self.l)

    def mean(self):
        return self.w @ self.x

    def std(self):
        return (self.w @ (self.x - self.mean()) ** 2) ** 0.5


class Levels:
    """Values 0, 1/(K − 1), …, 1 of given probabilities."""

    def __init__(self, probabilities):
        self.p, self.x = probabilities, np.arange(K) / (K - 1)

    def mean(self):
        return self.p @ self.x

    def std(self):
        return (self.p @ (self.x - self.mean()) ** 2) ** 0.5


def fits(x, q):
    """The p-value of draws: chi-squared of counts, Kolmogorov-Smirnov of reals."""
    if isinstance(q, Levels):
        values, p = q.x, q.p
    elif isinstance(q.dist if hasattr(q, "dist") else q, stats.rv_discrete):
        values = np.arange(q.ppf(1 - 1e-12) + 1)
        p = q.pmf(values)
    else:
        return stats.kstest(x, q.cdf).pvalue
    assert np.isin(np.round(x, 6), np.round(values, 6)).all()
    seen = np.array([(abs(x - v) < 1e-6).sum() for v in values])
    many = p * len(x) > 10
    seen = np.r_[seen[many], seen[~many].sum()]
    expected = np.r_[p[many], 1 - p[many].sum()] * len(x)
    if expected[-1] < 5:  # the rest, too rare to count by itself
        seen = np.r_[seen[:-2], seen[-2:].sum()]
        expected = np.r_[expected[:-2], expected[-2:].sum()]
    return stats.chisquare(seen, expected).pvalue if len(seen) > 1 else 1.0


# --- p(x|z) ---------------------------------------------------------------------------------


@each_likelihood
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_draws_of_x_fit_the_density_of_every_likelihood(name, dtype):
    """20,000 draws of each of 9 features, by 20 kinds: 180 tests at 1e-6 fail once in 5,000 seeds.

    The seed is fixed. Moments of the same draws within 5 standard errors: once in 10,000 seeds.
    """
    p = model(name, dtype=dtype).likelihood_of(Z)
    x = p.sample(11, N)
    assert x.shape == (N, 3, 3) and x.dtype == dtype
    for row in range(3):
        for d in range(3):
            q, here = truth(name, p, row, d), x[:, row, d].astype(float)
            assert fits(here, q) > 1e-6, (row, d)
            assert here.mean() == pytest.approx(q.mean(), abs=5 * q.std() / N**0.5)
            fourth = ((here - here.mean()) ** 4).mean() - here.var() ** 2
            assert here.var() == pytest.approx(q.std() ** 2, abs=5 * (fourth / N) ** 0.5 + 1e-9)


@each_likelihood
def test_mean_and_deviation_of_x_are_scipy_s(name):
    vae = model(name, dtype="float64")
    p = vae.likelihood_of(Z)
    np.testing.assert_array_equal(p.mean, vae.inverse_transform(Z))
    for row in range(3):
        for d in range(3):
            q = truth(name, p, row, d)
            assert p.mean[row, d] == pytest.approx(q.mean(), rel=1e-9)
            assert p.std[row, d] == pytest.approx(q.std(), rel=1e-9, abs=1e-9)
    assert p.std.dtype == p.mean.dtype == np.float64


def test_draws_are_independent_of_one_another():
    """Of rows, features and repetitions: 81 correlations of 20,000 normals stay below 5/√20,000."""
    x = model("normal", dtype="float64").likelihood_of(Z).sample(5, N).reshape(N, -1)
    x = np.c_[x, np.roll(x, -1, axis=0)]  # and those of the next repetition
    off = np.corrcoef(x.T) - np.eye(x.shape[1])
    assert abs(off).max() < 5 / N**0.5


def test_blocks_have_noise_of_their_own(monkeypatch):
    """And the first rows are the same however many follow."""
    p = model("normal").likelihood_of(np.repeat(Z[:1], 100, axis=0))
    whole = p.sample(1)
    monkeypatch.setattr(conditional, "BLOCK", 60)  # ten rows
    cut = p.sample(1)
    assert len(np.unique(cut)) == cut.size
    np.testing.assert_array_equal(cut[:10], whole[:10])
    np.testing.assert_array_equal(p.sample(1, 3)[0], cut)
    few = model("normal").likelihood_of(Z[:1]).sample(1, 25)[:, 0]
    np.testing.assert_allclose(cut[:25], few, atol=1e-5)
    np.testing.assert_allclose(
        p.std, np.repeat(model("normal").likelihood_of(Z[:1]).std, 100, 0), 1e-6
    )


# --- from the prior -------------------------------------------------------------------------


def test_draws_of_counts_have_the_variance_of_counts():
    """Of data with rate 3 the means of p(x|z) vary by some hundredths; x itself by 3."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(3, (2000, 8)).astype(float)
    vae = npvae.VAE(**SMALL, likelihood="poisson", epochs=10, learning_rate=0.01).fit(counts)
    means, draws = vae.sample(20_000, rng=1), vae.sample(20_000, rng=1, draw=True)
    assert means.var() < 0.3
    assert draws.var() == pytest.approx(3, abs=0.3)
    assert (draws == np.round(draws)).all() and draws.min() == 0
    np.testing.assert_allclose(draws.mean(), means.mean(), atol=0.05)


@pytest.mark.parametrize("cls", ALL[:4], ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("prior", ["normal", "mixture"])
def test_samples_without_draw_are_what_they_were(cls, prior):
    """E[x|z] of z = ε, to the bit; and those with draw are of the same z."""
    if prior != "normal" and cls is not npvae.VAE:
        return
    settings = {"prior": prior, "estimator": "A"} if prior != "normal" else {}
    made = cls(**SMALL, **settings, likelihood="normal", likelihood_std=1e-4).initialize(64)
    z = np.random.default_rng(7).standard_normal((500, 2 + (prior == "mixture")))
    means = made.sample(500, rng=7)
    if prior == "normal":
        np.testing.assert_array_equal(means, made.inverse_transform(z.astype(np.float32)))
    np.testing.assert_array_equal(made.sample(500, 7, draw=False), means)
    r = (made.sample(500, rng=7, draw=True) - means) / 1e-4
    assert r.std() == pytest.approx(1, abs=0.02) and abs(r).max() < 6


@pytest.mark.parametrize("name", ["bernoulli", "poisson", "categorical", "normal"])
def test_a_draw_from_the_prior_is_a_draw_from_p_of_x(name):
    """A decoder that does not look at z has p(x) = p(x|z): three features, p above 1e-6."""
    vae = model(name)
    for key, value in vae.parameters.items():
        if key.startswith("decoder") and key.endswith("weight"):
            value[...] = 0
        elif key.startswith("decoder."):
            value += 0.3 * np.arange(value.size)[::-1] / value.size
    p, x = vae.likelihood_of(Z[:1]), vae.sample(N, rng=2, draw=True)
    for d in range(3):
        assert fits(x[:, d].astype(float), truth(name, p, 0, d)) > 1e-6


def test_seeds_say_what_is_drawn():
    vae = model("poisson")
    q, p = vae.posterior_of(np.ones((4, 3))), vae.likelihood_of(Z)
    for sample in (q.sample, p.sample, lambda rng: vae.sample(5, rng, draw=True)):
        np.testing.assert_array_equal(sample(3), sample(3))
        first, again = np.random.default_rng(3), np.random.default_rng(3)
        one = sample(first)
        np.testing.assert_array_equal(one, sample(again))
        assert (sample(first) != one).any()  # a generator goes on
        assert (sample(4) != sample(3)).any()
        with pytest.raises(ParameterError, match="rng=-1"):
            sample(-1)
    assert (q.sample() != q.sample()).any()  # None is another seed each time
    for what in (q, p):
        np.testing.assert_array_equal(what.sample(3, 4)[0], what.sample(3))
        for n in (0, 1.5, True):
            with pytest.raises(ParameterError, match=r"n=.* must be a whole number"):
                what.sample(0, n)


# --- q(z|x) ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_posterior_is_read_from_a_model(name, dtype):
    """Its parameters by name, and samples with the moments that it says, where they are finite.

    44 means of 20,000 within 6 standard errors: below 1e-7.
    """
    prior = compatible_priors(name)[0]
    vae = npvae.VAE(**SMALL, posterior=name, prior=prior, prior_components=3, estimator="A",
                    dtype=dtype).initialize(64)  # fmt: skip
    q = vae.posterior_of(X[:3])
    assert tuple(q.parameters) == family(name).parameters
    z = q.sample(5, N)
    assert z.shape == (N, 3, 2) and z.dtype == dtype and np.isfinite(z).all()
    assert q.mean.shape == q.std.shape == (3, 2) and q.mean.dtype == q.std.dtype == dtype
    log_q = q.family.log_prob(z, *q.parameters.values())
    assert np.isfinite(log_q).mean() > 0.9999
    finite = np.isfinite(q.std)
    off = abs(z.astype(float).mean(axis=0) - q.mean)[finite]
    assert (off < 6 * q.std[finite] / N**0.5).all()
    if name == "cauchy":
        assert np.isnan(q.mean).all() and np.isnan(q.std).all()
    elif np.isfinite(q.mean).all():
        np.testing.assert_allclose(q.mean, vae.transform(X[:3]), 1e-5)


FITS = {  # parameters (1, 4), and SciPy's distribution
    "normal": lambda mu, v: stats.norm(mu, np.exp(0.5 * v)),
    "laplace": lambda m, s: stats.laplace(m, np.exp(s)),
    "gumbel": lambda m, s: stats.gumbel_r(m, np.exp(s)),
    "cauchy": lambda m, s: stats.cauchy(m, np.exp(s)),
    "gamma": lambda a, s: stats.gamma(np.exp(a), scale=np.exp(s)),
    "beta": lambda a, b: stats.beta(np.exp(a), np.exp(b)),
    "pareto": lambda m, s: stats.pareto(np.exp(-s), 0, np.exp(m)),
    "log-normal": lambda mu, v: stats.lognorm(np.exp(v / 2), 0, np.exp(mu)),
}


@pytest.mark.parametrize("name", FITS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_draws_of_z_fit_the_density(name, dtype):
    """50,000 of each of 4: 64 tests at 1e-6 fail for one seed in 15,000; the seed is fixed."""
    params = [np.array([[0.3, -0.5, 0.7, 0.0]], dtype), np.array([[0.2, -1.0, -0.3, 0.0]], dtype)]
    by_name = dict(zip(family(name).parameters, params, strict=True))
    z = PosteriorDistribution(family(name), by_name, 4).sample(9, 50_000)[:, 0].astype(float)
    truths = FITS[name](*(p.astype(float) for p in params))
    for j in range(4):
        cdf = lambda v, j=j: truths.cdf(np.repeat(v[:, None], 4, 1))[:, j]  # noqa: E731
        assert stats.kstest(z[:, j], cdf).pvalue > 1e-6


@pytest.mark.parametrize("name", ["gumbel", "laplace", "logistic"])
def test_a_tail_in_float32_is_that_of_float64(name):
    """A u of float32 is 6e-8 from its neighbours: 1e-2 of 1 − u among 200,000 samples."""
    params = {"loc": np.zeros((1, 1)), "log_scale": np.zeros((1, 1))}
    single = {key: value.astype(np.float32) for key, value in params.items()}
    double = PosteriorDistribution(family(name), params, 1).sample(3, 200_000)
    found = PosteriorDistribution(family(name), single, 1).sample(3, 200_000)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, double, 1e-6, 1e-6)


def test_a_full_covariance_is_drawn_from():
    q = npvae.VAE(**SMALL, posterior="elliptical").initialize(64).posterior_of(X[:1])
    p = {name: value[0].astype(float) for name, value in q.parameters.items()}
    L = np.array([[np.exp(p["log_diagonal"][0]), 0], [p["lower"][0], np.exp(p["log_diagonal"][1])]])
    z = q.sample(1, N)[:, 0]
    np.testing.assert_allclose(np.cov(z.T), L @ L.T, atol=6 * np.linalg.norm(L @ L.T) / N**0.5)
    np.testing.assert_allclose(q.std[0], np.diag(L @ L.T) ** 0.5, 1e-6)


def test_a_uniform_sample_stays_in_an_open_interval_in_float32():
    """Drawn in float64 and rounded, but never onto 1, where a beta variable is not."""
    params = {"log_a": np.full((1, 2), 3, np.float32), "log_b": np.full((1, 2), -9, np.float32)}
    z = PosteriorDistribution(family("beta"), params, 2).sample(0, 10_000)
    assert z.max() < 1 and np.isfinite(family("beta").log_prob(z, *params.values())).all()


# --- of every class -------------------------------------------------------------------------


@each_class
def test_every_class_has_what_it_can_have(cls):
    made = cls(**SMALL, epochs=2).initialize(64)
    assert hasattr(made, "posterior_of") == (cls in ALL[:3])
    p = made.likelihood_of(Z)
    np.testing.assert_array_equal(p.mean, made.inverse_transform(Z))
    np.testing.assert_allclose(p.mean, special.expit(p.parameters["logits"]), 1e-6)
    assert set(np.unique(p.sample(0))) == {0, 1}
    X_hat = made.reconstruct(X[:4])
    np.testing.assert_array_equal(X_hat, made.inverse_transform(made.transform(X[:4])))
    assert X_hat.dtype == np.float32 and type(X_hat) is np.ndarray


def test_full_vb_is_read_at_the_mean_of_its_parameters():
    full = npvae.FullVB(**SMALL).initialize(64)
    vae = npvae.VAE(**SMALL).initialize(64)
    vae.set_parameters({name: full.parameters[name] for name in vae.parameters})
    np.testing.assert_array_equal(full.likelihood_of(Z).sample(0), vae.likelihood_of(Z).sample(0))
    np.testing.assert_array_equal(full.sample(9, 0, draw=True), vae.sample(9, 0, draw=True))
    np.testing.assert_array_equal(full.posterior_of(X).sample(0), vae.posterior_of(X).sample(0))


@with_posterior
def test_results_are_their_own(cls):
    """Neither another call, nor training, nor writing to one array changes another."""
    made = cls(**SMALL, epochs=1).initialize(64)
    q, p, x = made.posterior_of(X), made.likelihood_of(Z), made.sample(4, 0, draw=True)
    arrays = [*q.parameters.values(), q.mean, q.std, q.sample(0), *p.parameters.values(), p.mean,
              p.std, p.sample(0), x]  # fmt: skip
    before = [array.copy() for array in arrays]
    for i, one in enumerate(arrays):
        assert not any(np.shares_memory(one, other) for other in arrays[i + 1 :])
        assert not any(np.shares_memory(one, b) for b in made.engine_.work.buffers().values())
        assert not np.shares_memory(one, made.engine_.theta)
    made.partial_fit(1 - X), made.posterior_of(1 - X), made.likelihood_of(-Z).sample(1)
    made.sample(9, 1, draw=True)
    for array, value in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, value)
    np.testing.assert_array_equal(p.sample(0), before[-2])
    np.testing.assert_array_equal(q.sample(0), before[len(q.parameters) + 2])


def test_they_print_in_a_line_and_are_frozen():
    vae = npvae.VAE(**SMALL, posterior="elliptical").initialize(64)
    q, p = vae.posterior_of(X), vae.likelihood_of(Z)
    assert repr(q) == ("q(z|x) of 40 datapoints: Elliptical() of 2 latents, by mu (40, 2), "
                       "log_diagonal (40, 2), lower (40, 1)")  # fmt: skip
    assert repr(p) == "p(x|z) of 3 latents: BernoulliLikelihood() of 64 features, by logits (3, 64)"
    for what, name in ((q, "family"), (p, "mean")):
        with pytest.raises(AttributeError):
            setattr(what, name, None)
        again = pickle.loads(pickle.dumps(what))
        np.testing.assert_array_equal(again.sample(0), what.sample(0))


def test_data_are_checked():
    vae = npvae.VAE(**SMALL).initialize(64)
    with pytest.raises(DataError, match="9"):
        vae.posterior_of(X[:, :9])
    with pytest.raises(DataError):
        vae.posterior_of(X + 5)
    with pytest.raises(DataError):
        vae.likelihood_of(Z[:, :1])
    with pytest.raises(DataError):
        vae.likelihood_of(Z * np.nan)
    q = vae.posterior_of(DIGITS)
    np.testing.assert_allclose(q.mean[:40], vae.posterior_of(X).mean, atol=1e-6)


def test_one_latent_has_no_correlations():
    vae = npvae.VAE(**SMALL | {"latent_dim": 1}, posterior="elliptical").initialize(64)
    q = vae.posterior_of(X)
    assert q.parameters["lower"].shape == (40, 0) and q.sample(0).shape == q.std.shape == (40, 1)
