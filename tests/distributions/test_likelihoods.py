"""Each likelihood is the distribution it says it is, by SciPy, quadrature and exact arithmetic.

SciPy has the normal, Laplace and Poisson. What the others need is written here from their
definitions in decimals of 250 digits, where no difference of two small numbers is lost.
"""
import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from scipy import integrate, special, stats

import npvae
from npvae import random
from npvae.backend import get_backend
from npvae.distributions.likelihoods import LIKELIHOODS, likelihood
from npvae.memory import Context, Workspace
from npvae.ops.likelihoods.poisson import log_factorial
from npvae.testing import check_gradients

OPS = get_backend("numpy").ops
DIGITS = npvae.data.load_digits()
K = 5
NEW = {  # what the constructor is told, and the digits as such a likelihood takes them
    "continuous-bernoulli": ({}, DIGITS.images),
    "normal": ({"likelihood_std": 0.3}, DIGITS.images),
    "laplace": ({}, DIGITS.images),
    "poisson": ({}, DIGITS.pixels),
    "categorical": ({"n_levels": 17}, DIGITS.images),
    "discretized-logistic": ({"n_levels": 17}, DIGITS.images),
}
each_new = pytest.mark.parametrize("name", NEW)
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def made(name):
    return likelihood(name, std=0.3 if name == "normal" else None,
                      n_levels=K if name in ("categorical", "discretized-logistic") else None)


def context(dtype=float):
    """Buffers of a dtype, and no parameters: a likelihood has none."""
    return Context(OPS, {}, {}, Workspace(np, dtype))


def nll(p, a, x):
    """−log p(x|z) and its slope.   a (M, Σ heads), x (M, D) → (M,), (M, Σ heads)"""
    a, x = np.atleast_2d(a), np.atleast_2d(x)
    bias = np.zeros(a.shape[1], a.dtype)
    value, cache = p.nll(context(a.dtype), a[None].copy(), bias, x.astype(a.dtype))
    return value[0], cache.d_nll_d_a[0]


def mean(p, a, D):
    out = np.empty((len(a), D), a.dtype)
    width = p.heads(D).get(p.mean_head, a.shape[1])  # the mean's own head comes first
    p.mean(context(a.dtype), a[:, :width].copy(), np.zeros(width, a.dtype), out)
    return out


# --- definitions, of one feature --------------------------------------------------------------


def of_continuous_bernoulli(x, l):
    l = Decimal(l)
    kappa = ((l.exp() - 1) / l).ln() if l else Decimal(0)
    return Decimal(x) * l - kappa


def of_categorical(x, *logits):
    weights = [Decimal(l).exp() for l in logits]
    return (weights[round(x * (K - 1))] / sum(weights)).ln()


def of_discretized_logistic(x, mu, logscale, levels=K):
    top = levels - 1
    level, scale = round(x * top), Decimal(logscale).exp()

    def below(edge):  # F at the edge under level number ``edge``
        if edge in (0, levels):
            return Decimal(edge // levels)
        return 1 / (1 + (-((Decimal(edge) - Decimal("0.5")) / top - Decimal(mu)) / scale).exp())

    return (below(level + 1) - below(level)).ln()


EXACT = {
    "continuous-bernoulli": of_continuous_bernoulli, "categorical": of_categorical,
    "discretized-logistic": of_discretized_logistic,
    "normal": lambda x, mu: stats.norm.logpdf(x, mu, 0.3),
    "laplace": lambda x, mu, logscale: stats.laplace.logpdf(x, mu, np.exp(logscale)),
    "poisson": lambda x, l: stats.poisson.logpmf(x, np.exp(l)),
}  # fmt: skip


def exact(name, x, heads):
    with localcontext(prec=250):
        return float(EXACT[name](float(x), *map(float, heads)))


VALUES = {  # some x of every likelihood
    "continuous-bernoulli": np.linspace(0, 1, 7), "normal": np.array([-2.0, 0.1, 3.0]),
    "laplace": np.array([-2.0, 0.1, 3.0]), "poisson": np.array([0, 1, 7, 255, 256, 4000.0]),
    "categorical": np.arange(K) / (K - 1), "discretized-logistic": np.arange(K) / (K - 1),
}  # fmt: skip


@each_new
@each_dtype
def test_it_is_the_log_density(name, dtype):
    """Generic heads, each x by itself and all together; in float32 a few roundings more."""
    p, x = made(name), VALUES[name]
    heads = np.random.default_rng(0).normal(0, 1.5, (4, sum(p.heads(1).values()))).astype(dtype)
    rtol = 1e-12 if dtype == np.float64 else 1e-5
    for row in heads:
        expected = np.array([exact(name, v, row) for v in x.astype(dtype)])
        alone, _ = nll(p, np.tile(row, (len(x), 1)), x[:, None])
        np.testing.assert_allclose(alone, -expected, rtol, rtol)
        together, _ = nll(p, np.repeat(row, len(x)), x)  # (1, Σ heads): head by head
        np.testing.assert_allclose(together, -expected.sum(), rtol, rtol)


@each_new
def test_it_adds_up_or_integrates_to_one(name):
    p = made(name)
    heads = np.random.default_rng(1).normal(0, 1, (3, sum(p.heads(1).values())))

    def density(row, x):
        return np.exp(-nll(p, np.tile(row, (np.size(x), 1)), np.reshape(x, (-1, 1)))[0])

    for row in heads:
        if name == "poisson":
            total = density(row, np.arange(300.0)).sum()
        elif name in ("categorical", "discretized-logistic"):
            total = density(row, VALUES[name]).sum()
        else:
            ends = (0, 1) if name == "continuous-bernoulli" else (-60, 60)
            total, _ = integrate.quad(
                lambda x, row=row: density(row, x)[0], *ends, points=[row[0]] if ends[0] else None,
                epsabs=1e-11, limit=200,
            )  # fmt: skip
        assert total == pytest.approx(1, abs=1e-10)


LOGITS = [0, 1e-100, 1e-12, 1e-6, 1e-3, 0.1, 0.49999, 0.5, 0.50001, 1, 3, 30, 300]


@pytest.mark.parametrize("sign", [1, -1])
def test_the_continuous_bernoulli_is_exact_about_one_half(sign):
    """κ and κ′, through λ = ½ and the two forms that meet at |l| = ½, to 1e-14."""
    l = sign * np.array(LOGITS)[:, None]
    kappa, slope = nll(made("continuous-bernoulli"), l, np.zeros_like(l))

    def exact_mean(l):
        l = Decimal(l)
        return float(1 / (1 - (-l).exp()) - 1 / l) if l else 0.5

    with localcontext(prec=250):
        expected = [exact_mean(float(v)) for v in l[:, 0]]
        exact_kappa = [-float(of_continuous_bernoulli(0, float(v))) for v in l[:, 0]]
    np.testing.assert_allclose(kappa, exact_kappa, 1e-14, 1e-14)
    np.testing.assert_allclose(slope[:, 0], expected, 1e-14, 1e-15)


@pytest.mark.parametrize("logscale", [-12, -7, -3, 0, 5, 40])
@pytest.mark.parametrize("mu", [-3.0, 0.0, 0.3, 0.5, 1.0, 20.0])
def test_the_discretized_logistic_is_exact_far_out(mu, logscale):
    """Where its two edges have the same sigmoid in floats: probabilities down to e^−10⁶ and less.

    Farther out than 100 scales F is e^−|y − μ|/s or one less that, but for e^−100 of it.
    """
    x = np.arange(0, 256, 15)[:, None] / 255
    p = likelihood("discretized-logistic")
    value, _ = nll(p, np.tile([mu, logscale], (len(x), 1)), x)
    for v, got in zip(x[:, 0], value, strict=True):
        with localcontext(prec=250):
            s = Decimal(logscale).exp()
            beyond = (abs(Decimal(v) - Decimal(mu)) - Decimal("0.5") / 255) / s
            if beyond < 100:
                expected = -of_discretized_logistic(v, mu, logscale, 256)
            else:
                near, far = (0, 1) if mu < v else (1, 0)
                rest = 0 if v == far else (1 - (-1 / (255 * s)).exp()).ln()
                expected = 0 if v == near else beyond - rest
        assert got == pytest.approx(float(expected), rel=1e-12, abs=1e-12)


def test_the_first_and_last_level_take_what_lies_beyond():
    p = likelihood("discretized-logistic")
    value, _ = nll(p, np.array([[-50.0, -3.0], [50.0, -3.0]]), np.array([[0.0], [1.0]]))
    np.testing.assert_array_equal(value, 0)


@each_new
@each_dtype
def test_extreme_heads_give_finite_values_and_gradients(name, dtype):
    """And raise no warning, which pytest would make an error."""
    p = made(name)
    extreme = np.array([-1e6, -1e4, -709.8, -88.8, 0, 88.8, 709.8, 1e4, 1e6], dtype)
    for x in VALUES[name]:
        for other in extreme[[0, 4, 8]]:
            width = sum(p.heads(1).values())
            a = np.full((len(extreme), width), other, dtype)
            for head in range(min(width, 2)):
                here = a.copy()
                here[:, head] = extreme
                value, slope = nll(p, here, np.full((len(extreme), 1), x))
                assert np.isfinite(value).all() and np.isfinite(slope).all()
                assert np.isfinite(mean(p, here, 1)).all()
    d_a, d_bias = np.empty((2, 1, 1, 1), dtype)
    OPS.nll_backward(np.ones((1, 1), dtype), slope[None, :1, :1].copy(), d_a, d_bias[0, 0])
    assert np.isfinite(d_a).all()


def test_log_factorials_are_those_of_the_gamma_function():
    n = np.concatenate([np.arange(3000.0), [1e5, 2.0**24, 1e9]])
    np.testing.assert_allclose(log_factorial(np, n), special.gammaln(n + 1), 1e-15)


# --- means and samples ----------------------------------------------------------------------------


def density_of(name, row):
    """Values x and their probabilities; for a density, the nodes and weights of Gauss-Legendre."""
    p = made(name)
    if name in ("poisson", "categorical", "discretized-logistic"):
        x, weight = (np.arange(4000.0) if name == "poisson" else VALUES[name]), 1.0
    else:
        node, weight = np.polynomial.legendre.leggauss(200)
        x, weight = 0.5 + 0.5 * node, 0.5 * weight
    return x, weight * np.exp(-nll(p, np.tile(row, (len(x), 1)), x[:, None])[0])


@pytest.mark.parametrize(
    "name", ["continuous-bernoulli", "poisson", "categorical", "discretized-logistic"]
)
def test_the_mean_is_that_of_the_density(name):
    """By summing or integrating x p(x|z). λ and μ are something else for two of these."""
    p = made(name)
    rows = np.random.default_rng(2).normal(0, 2, (6, sum(p.heads(1).values())))
    rows[0] = 0  # λ = ½ exactly, for one
    got = mean(p, rows, 1)[:, 0]
    for row, value in zip(rows, got, strict=True):
        x, probability = density_of(name, row)
        assert value == pytest.approx((x * probability).sum(), rel=1e-11)


def stddev(p, a, D):
    out = np.empty((len(a), D), a.dtype)
    p.stddev(context(a.dtype), a.copy(), np.zeros(a.shape[1], a.dtype), out)
    return out


@pytest.mark.parametrize(
    "name", ["continuous-bernoulli", "poisson", "categorical", "discretized-logistic"]
)
def test_the_deviation_is_that_of_the_density(name):
    """By summing or integrating (x − m)² p(x|z); and of three features at once that of each."""
    p = made(name)
    rows = np.random.default_rng(2).normal(0, 2, (6, sum(p.heads(1).values())))
    rows[0] = 0
    got = stddev(p, rows, 1)[:, 0]
    for row, value in zip(rows, got, strict=True):
        x, probability = density_of(name, row)
        m = (x * probability).sum()
        assert value == pytest.approx(((x - m) ** 2 * probability).sum() ** 0.5, rel=1e-10)
    np.testing.assert_allclose(stddev(p, rows[:3].T.reshape(1, -1), 3)[0], got[:3], 1e-14)


@pytest.mark.parametrize(("p", "a", "expected"), [
    (likelihood("bernoulli"), [0.3, -40], stats.bernoulli.std(special.expit([0.3, -40]))),
    (likelihood("normal"), [9, 9, 0.4, -3], np.exp([0.2, -1.5])),
    (likelihood("normal", sigmoid_mean=True), [9, 9, 0.4, -3], np.exp([0.2, -1.5])),
    (likelihood("normal", std=0.3), [9, 9], [0.3, 0.3]),
    (likelihood("laplace"), [9, 9, 0.4, -3], stats.laplace.std(0, np.exp([0.4, -3]))),
    (likelihood("continuous-bernoulli"), [0.0, 1e-9], [12**-0.5, 12**-0.5]),
    (likelihood("discretized-logistic"), [0.5, 0.2, -30, -30], [0.5 / 255, 0]),  # of two levels
], ids=str)  # fmt: skip
def test_the_deviation_is_the_known_one(p, a, expected):
    np.testing.assert_allclose(stddev(p, np.array([a], float), 2)[0], expected, 1e-12, 1e-15)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_deviation_of_the_continuous_bernoulli_is_exact_about_one_half(sign):
    l = sign * np.array(LOGITS)[:, None]
    with localcontext(prec=250):
        exact = [Decimal(float(v)) for v in np.abs(l[:, 0])]
        expected = [float((1 / t**2 - (-t).exp() / (1 - (-t).exp()) ** 2).sqrt()) if t > Decimal(
            "1e-50") else 12**-0.5 for t in exact]  # fmt: skip
    np.testing.assert_allclose(stddev(made("continuous-bernoulli"), l, 1)[:, 0], expected, 1e-14)


@each_new
@each_dtype
def test_extreme_heads_give_finite_deviations(name, dtype):
    p = made(name)
    extreme = np.array([-1e6, -1e4, -709.8, -88.8, 0, 88.8, 709.8, 1e4, 1e6], dtype)
    width = sum(p.heads(1).values())
    a = np.stack(np.meshgrid(*[extreme] * min(width, 2), *[[0]] * (width - 2)), -1)
    a = np.ascontiguousarray(a.reshape(-1, width), dtype)
    assert np.isfinite(stddev(p, a, 1)).all()


@pytest.mark.parametrize("name", ["normal", "laplace"])
def test_the_mean_of_a_symmetric_density_is_its_head(name):
    p, a = made(name), np.random.default_rng(3).normal(size=(2, sum(made(name).heads(3).values())))
    np.testing.assert_array_equal(mean(p, a, 3), a[:, :3])


@pytest.mark.parametrize("name", [name for name in NEW if name != "normal"])
def test_all_heads_lie_where_the_mean_looks_for_them(name):
    """A model's E[x|z] of three features is that of each by itself."""
    p = made(name)
    H = sum(p.heads(1).values())
    alone = np.random.default_rng(4).normal(size=(3, H))
    together = mean(p, alone.T.reshape(1, -1), 3)
    np.testing.assert_allclose(together[0], mean(p, alone, 1)[:, 0], 1e-14)


N = 20_000
HEADS = {  # of samples
    "continuous-bernoulli": [[0.0], [1e-9], [-7.0], [2.0]],
    "normal": [[0.4]],
    "laplace": [[0.4, -1.0], [-3.0, 2.0]],
    "poisson": [[-2.0], [1.0], [4.1], [4.2], [7.0]],  # e⁴·¹ < 64 < e⁴·²
    "categorical": [[0.0, 1.0, -1.0, 2.0, -3.0], [3.0, -50.0, 0.0, 0.0, 3.0]],
    "discretized-logistic": [[0.4, -1.0], [1.2, -2.0], [0.5, 5.0]],
}


@pytest.mark.parametrize(("name", "row"), [(name, row) for name in NEW for row in HEADS[name]])
def test_draws_fit_the_density(name, row):
    """20,000 samples: a chi-squared test of counts, or Kolmogorov-Smirnov.

    Sixteen tests at 1e-5 fail for one seed in 6,000; the seed is fixed.
    """
    p, step = made(name), np.array([3])
    a = np.repeat(np.array(row), 4)[None].repeat(N // 4, 0)  # (B, Σ heads) of four alike features
    x = p.sample(context(), a, np.zeros(a.shape[1]), (7, random.DREAM, step))
    assert x.shape == (N // 4, 4) and not p.support.excludes(np, x).any()
    x = x.ravel()
    if name in ("normal", "laplace"):
        q = stats.norm(row[0], 0.3) if name == "normal" else stats.laplace(row[0], np.exp(row[1]))
        pvalue = stats.kstest(x, q.cdf).pvalue
    elif name == "continuous-bernoulli":
        l = row[0]
        cdf = (lambda v: np.expm1(v * l) / np.expm1(l)) if l else stats.uniform.cdf
        pvalue = stats.kstest(x, cdf).pvalue
    else:
        values, probability = density_of(name, np.array(row))
        expected = N * probability / probability.sum()
        bins = np.minimum(np.cumsum(expected) // 20, (N - 20) // 20)  # at least 20 in each
        _, bins = np.unique(bins, return_inverse=True)
        level = np.searchsorted(values, x - 1e-9)
        seen = np.bincount(bins[level], minlength=bins.max() + 1)
        pvalue = stats.chisquare(seen, np.bincount(bins, expected)).pvalue
    assert pvalue > 1e-5


@each_new
def test_draws_go_by_step_and_element_alone(name):
    """The first rows are the same however many follow; another step gives others."""
    p = made(name)
    a = np.zeros((5000, sum(p.heads(3).values())))

    def samples(B, step):
        return p.sample(context(), a[:B].copy(), np.zeros(a.shape[1]), (7, 0, np.array([step])))

    np.testing.assert_array_equal(samples(5000, 1)[:10], samples(10, 1))
    assert (samples(10, 1) != samples(10, 2)).any()


# --- in a model ---------------------------------------------------------------------------------


def model(name, kind=npvae.VAE, **settings):
    own, X = NEW[name]
    defaults = {"latent_dim": 2, "hidden": (5,), "random_state": 1, "verbose": False}
    return kind(likelihood=name, **(defaults | own | settings)), X


@each_new
@pytest.mark.parametrize("kind", [npvae.VAE, npvae.WakeSleep, npvae.Autoencoder])
def test_gradients_agree_with_the_complex_step(name, kind):
    vae, X = model(name, kind, dtype="float64")
    report = check_gradients(vae.initialize(64), X[:5], method="complex", directions=5)
    assert report.ok, str(report)


@each_new
def test_gradients_agree_with_three_point_differences(name):
    vae, X = model(name, dtype="float64", hidden=(3,), n_samples=2)
    report = check_gradients(vae.initialize(64), X[:3], directions=20)
    assert report.ok, str(report)


@each_new
def test_training_on_the_digits_raises_the_bound(name, tmp_path):
    """By more than ten times its error, and the model comes back from its file."""
    vae, X = model(name, hidden=(32,), epochs=8)
    X = X[:600]
    vae.initialize(64)
    before = vae.score_samples(X)
    vae.fit(X)
    after = vae.score_samples(X)
    gain = after - before
    assert gain.mean() > 10 * gain.std() / len(gain) ** 0.5
    vae.save(tmp_path / "model.npz")
    again = npvae.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(again.score_samples(X), after)
    mean = again.inverse_transform(vae.transform(X[:50]))
    assert mean.shape == (50, 64) and np.isfinite(mean).all()
    if name not in ("normal", "laplace"):
        assert mean.min() >= 0 and mean.max() <= (np.inf if name == "poisson" else 1)


# --- where decoders begin -----------------------------------------------------------------------


def heads_at(p, x):
    """The first biases of data (n, D), as a row (1, Σ heads)."""
    first = p.initial_bias(x.mean(0), x.var(0).mean(keepdims=True), len(x))
    D = x.shape[1]
    return np.concatenate([np.broadcast_to(first[h], D) for h in p.heads(D)])[None]


@pytest.mark.parametrize("p", [
    likelihood("bernoulli"), likelihood("poisson"), likelihood("normal"),
    likelihood("normal", sigmoid_mean=True), likelihood("normal", std=0.3),
    likelihood("normal", sigmoid_mean=True, std=0.3),
], ids=str)  # fmt: skip
def test_the_first_bias_is_where_a_decoder_without_latents_would_end(p):
    """There the slope of the log-density of all data is 0 but for one datapoint among them.

    That is by the mean of each feature; by a variance that all of them share, it is so in sum.
    """
    n, D = 400, 3
    x = np.random.default_rng(5).random((n, D)) * [1, 0.2, 0]  # the last one is always 0
    x = np.round(9 * x) if p == likelihood("poisson") else x
    bias = heads_at(p, x)[0]
    a, ctx, slope = np.zeros((1, n, len(bias))), context(), bias.copy()
    _, cache = p.nll(ctx, a, bias, x)
    p.nll_backward(ctx, np.full((1, n), 1 / n), cache, slope)
    # the sigmoid's 1/n is times the slope of the sigmoid over the variance: (1/4)/0.04 or less
    np.testing.assert_allclose(slope[:D], 0, atol=7 / n)
    assert abs(slope[D:].sum()) <= 1 / n


def test_a_normal_of_any_unit_begins_there():
    x = np.random.default_rng(6).normal(3e4, 2e-3, (500, 2))
    mean, logvar = np.split(heads_at(likelihood("normal"), x)[0], 2)
    np.testing.assert_allclose(mean, x.mean(0))
    np.testing.assert_allclose(np.exp(0.5 * logvar), 2e-3, rtol=0.2)


@pytest.mark.parametrize("name", ["laplace", "continuous-bernoulli", "discretized-logistic"])
def test_other_first_biases_have_about_the_mean_and_the_variance(name):
    """By moments of samples; λ is on the right side of ½, and levels are inside their range."""
    p = made(name)
    x = np.round(8 * np.random.default_rng(7).beta(2, [1, 2, 9], (4000, 3))) / 8
    a = heads_at(p, x)
    got = mean(p, a, 3)[0]
    if name == "continuous-bernoulli":
        assert got[0] > 0.52 and abs(got[1] - 0.5) < 0.02 and got[2] < 0.48
        return
    np.testing.assert_allclose(got, x.mean(0), atol=0.05)
    key = 0, 1, np.zeros(1, "i8")
    samples = p.sample(context(), np.repeat(a, 4000, 0), np.zeros(6), key)
    assert samples.var(0).mean() == pytest.approx(x.var(0).mean(), rel=0.2)


def test_means_out_of_the_sigmoids_range_are_drawn_into_it():
    for p in likelihood("normal", sigmoid_mean=True), likelihood("bernoulli"):
        first = p.initial_bias(np.array([-3.0, 0.0, 1.0, 7.0]), np.ones(1), 10)
        bias = next(iter(first.values()))
        assert np.isfinite(bias).all() and bias[0] == bias[1] == -bias[2] == -bias[3] < -2


def test_what_does_not_vary_begins_with_a_variance_of_one():
    vae = npvae.VAE(hidden=(4,), likelihood="normal", learning_rate=1e-12, optimizer="sgd",
                    epochs=1, verbose=False).fit(np.full((200, 3), 0.1))  # fmt: skip
    np.testing.assert_allclose(vae.parameters["decoder.logvar.bias"], 0, atol=1e-9)
    np.testing.assert_allclose(vae.parameters["decoder.mean.bias"], 0, atol=1e-9)
    np.testing.assert_allclose(vae.standardization_.shift, 0.1, rtol=1e-15)
    assert vae.standardization_.scale.tolist() == [1, 1, 1]


def test_moments_say_nothing_of_each_level():
    vae = npvae.VAE(hidden=(4,), likelihood="categorical", n_levels=17, learning_rate=1e-12,
                    optimizer="sgd", epochs=1, verbose=False).fit(DIGITS)  # fmt: skip
    np.testing.assert_allclose(vae.parameters["decoder.logits.bias"], 0, atol=1e-9)


def test_a_fixed_deviation_is_that_of_a_learned_one_of_its_size():
    """With log σ² held at 2 log 0.3, the normal likelihood of two heads says the same."""
    eps = np.random.default_rng(0).standard_normal((1, 20, 2))
    for how in ("linear", "sigmoid"):
        fixed, X = model("normal", dtype="float64", likelihood_mean=how)
        learned = npvae.VAE(hidden=(5,), likelihood="normal", likelihood_mean=how, dtype="float64",
                            random_state=1, verbose=False).initialize(64)
        fixed.initialize(64)
        parameters = {k: v.copy() for k, v in learned.parameters.items()}
        parameters["decoder.logvar.weight"][...] = 0
        parameters["decoder.logvar.bias"][...] = 2 * np.log(0.3)
        learned.set_parameters(parameters)
        fixed.set_parameters({k: parameters[k] for k in fixed.parameters})
        (a, d_a), (b, d_b) = (m.loss_and_grad(X[:20], eps) for m in (fixed, learned))
        assert a == pytest.approx(b, rel=1e-13)
        for name, gradient in d_a.items():
            np.testing.assert_allclose(gradient, d_b[name], 1e-11, 1e-13)


def test_two_levels_are_black_and_white():
    """A categorical of two logits 0, l is the Bernoulli of l."""
    l, x = np.linspace(-9, 9, 12)[:, None], (np.arange(12) % 2.0)[:, None]
    two, _ = nll(likelihood("categorical", n_levels=2), np.hstack([0 * l, l]), x)
    np.testing.assert_allclose(two, -special.log_expit((2 * x - 1) * l)[:, 0], 1e-12)


# --- what is refused ----------------------------------------------------------------------------

GREY = DIGITS.images[:120]
REFUSED = {
    "Poisson of grey values": ("poisson", {}, GREY, ["0.3125", "no count", "likelihood='normal'"]),
    "Poisson of negative ones": ("poisson", {}, GREY * 0 - 1, ["X[0, 0] = -1", "no count"]),
    "continuous Bernoulli of bytes": (
        "continuous-bernoulli", {}, GREY * 255, ["outside [0, 1]", "continuous Bernoulli", "255"]),
    "17 levels of 256": (
        "discretized-logistic", {}, GREY, ["0.3125", "256 levels", "n_levels", "1/255"]),
    "17 levels of 3": ("categorical", {"n_levels": 3}, GREY, ["3 levels 0, 1/2, …, 1"]),
    "levels not divided": (
        "categorical", {"n_levels": 17}, GREY * 16, ["= 5 is none", "divide levels 0 … 16 by 16"]),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_data_that_lie_elsewhere_are_refused_in_words(case):
    name, settings, X, words = REFUSED[case]
    vae = npvae.VAE(hidden=(4,), epochs=1, likelihood=name, verbose=False, **settings)
    with pytest.raises(npvae.DataError) as error:
        vae.fit(X)
    assert all(word in str(error.value) for word in words), error.value
    assert "\n" not in str(error.value)


def test_what_rounding_does_to_levels_is_no_matter():
    levels = np.arange(256, dtype=np.uint8)[None].repeat(100, 0)
    vae = npvae.VAE(hidden=(4,), epochs=1, likelihood="discretized-logistic", verbose=False)
    for X in (levels / 255, (levels / 255).astype("f4"), levels * np.float32(1 / 255),
              npvae.data.Dataset(levels, scale=1 / 255)):  # fmt: skip
        vae.fit(X)


WRONG = {
    "likelihood_std=0": ({"likelihood": "normal", "likelihood_std": 0}, "above 0"),
    "of another": ({"likelihood": "laplace", "likelihood_std": 0.1}, "likelihood='normal'"),
    "a sigmoid": ({"likelihood": "laplace", "likelihood_mean": "sigmoid"}, "leave it 'linear'"),
    "no levels": ({"likelihood": "categorical"}, "set n_levels"),
    "one level": ({"likelihood": "categorical", "n_levels": 1}, "2 or more"),
    "levels of another": ({"likelihood": "poisson", "n_levels": 4}, "not 'poisson'"),
    "half a level": ({"likelihood": "categorical", "n_levels": 2.5}, "n_levels=2.5"),
    "unknown": ({"likelihood": "cauchy"}, ", ".join(LIKELIHOODS)),
}


@pytest.mark.parametrize("case", WRONG)
def test_options_that_mean_nothing_are_refused(case):
    settings, words = WRONG[case]
    with pytest.raises(npvae.NpvaeError) as error:
        npvae.VAE(verbose=False, **settings).initialize(4)
    assert words in str(error.value)


def test_large_counts_keep_their_digits_in_float32():
    """Rates and log x! of 10⁴ counts are 10⁵ each and all but cancel, in float64."""
    rng = np.random.default_rng(0)
    x = rng.poisson(1e4, (4, 784)).astype("f4")
    a = np.log(rng.uniform(0.9e4, 1.1e4, (1, 4, 784))).astype("f4")
    truth = -stats.poisson.logpmf(x.astype("f8"), np.exp(a[0].astype("f8"))).sum(axis=-1)
    slope, scratch, nll = np.empty_like(a), np.empty_like(x), np.empty((1, 4), "f4")
    OPS.poisson_nll(a, np.zeros(784, "f4"), x, slope, scratch, nll)
    np.testing.assert_allclose(nll[0], truth, rtol=4 * 2.0**-23)


# --- what float32 holds of a sum of 784 ---------------------------------------------------------

ULP = 2.0**-23


def bernoulli_nll(l, x):
    """−log p of rows of float32 logits, and of what is there.   (M, D) → (M,)"""
    l, x = (np.asarray(v, np.float32) for v in np.broadcast_arrays(l, x))
    a, out = l[None].copy(), np.empty((1, len(l)), "f4")
    OPS.bernoulli_nll(a, np.zeros(l.shape[1], "f4"), x, np.empty_like(a), np.empty_like(a), out)
    return out[0]


def exact_bernoulli_nll(l, x):
    """The same by an exactly rounded sum of float64 terms, x·l of two float32 being exact there."""
    l, x = np.asarray(l, np.float32).astype(float), np.asarray(x, np.float32).astype(float)
    return np.array([
        math.fsum([*np.maximum(row, 0), *(-row * grey), *np.log1p(np.exp(-abs(row)))])
        for row, grey in zip(l, x, strict=True)
    ])  # fmt: skip


@pytest.mark.parametrize("size", [1e-3, 1, 5, 10, 17, 30, 80, 1e3, 1e4, 1e8])
@pytest.mark.parametrize("kind", ["right", "right, spread", "wrong", "random", "grey"])
def test_a_bernoulli_in_float32_is_right_to_its_last_places(size, kind):
    """Six units of the last place: of the logarithm, the sigmoid and sums in 16 columns or more."""
    rng = np.random.default_rng(0)
    x = (rng.random((20, 784)) < 0.5) * 1.0
    l = size * (np.ones(x.shape) if kind == "right" else abs(rng.normal(size=x.shape)))
    l *= {"wrong": 1 - 2 * x, "random": np.sign(rng.normal(size=x.shape))}.get(kind, 2 * x - 1)
    x = np.abs(x - 0.1) if kind == "grey" else x
    got, exact = bernoulli_nll(l, x), exact_bernoulli_nll(l, x)
    assert (got >= 0).all()
    np.testing.assert_allclose(got, exact, rtol=6 * ULP, atol=1e-37)


def exact_log_factorial(n):
    """Of a Decimal: of the product, or by Stirling's series, whose rest is 1/1680n⁷."""
    if n < 1000:
        return Decimal(math.factorial(int(n))).ln()
    two_pi = 2 * Decimal("3.141592653589793238462643383279502884197169")
    series = 1 / (12 * n) - 1 / (360 * n**3) + 1 / (1260 * n**5)
    return (n + Decimal("0.5")) * n.ln() - n + two_pi.ln() / 2 + series


@pytest.mark.parametrize("count", [0, 1, 255, 256, 1e4, 1e6, 1e9, 1e12])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_poisson_of_any_count_is_right_to_its_last_places(count, dtype):
    """In decimals; in float64 what the logarithm of a count loses is left, ε log x · √x."""
    rng = np.random.default_rng(1)
    x = np.full((1, 784), count, dtype)
    rate = (count + 0.5) * np.exp(rng.normal(size=784) / (count + 1) ** 0.5)
    l = np.log(rate).astype(dtype)
    with localcontext(prec=40):
        n = Decimal(float(x[0, 0]))
        slopes = [Decimal(float(v)).exp() - n for v in l]
        terms = [slope + n - n * Decimal(float(v)) for slope, v in zip(slopes, l, strict=True)]
        exact = float(sum(terms) + 784 * exact_log_factorial(n))
    got, slope = nll(made("poisson"), l[None], x)
    assert got[0] == pytest.approx(exact, rel=6 * ULP if dtype == np.float32 else 1e-11)
    rtol, atol = 2 * np.finfo(dtype).eps, 1e-12 + 1e-14 * count  # of x times a log x of ε log x
    np.testing.assert_allclose(slope[0], np.array(slopes, float), rtol, atol)


@pytest.mark.parametrize("name", ["poisson", "categorical", "discretized-logistic"])
@each_dtype
def test_no_discrete_value_is_more_likely_than_certain(name, dtype):
    """log p ≤ 0 at every head, where it is nearly sure and far from it, of 784 features."""
    p, rng = made(name), np.random.default_rng(2)
    H = sum(p.heads(1).values())
    x = rng.choice(VALUES[name], (30, 784))
    if name == "poisson":
        x[::3] = rng.choice([0, 1, 1e3, 1e9, 2.0**53], (10, 784))
    for size in (1e-6, 1, 30, 100, 1e4, 1e6):
        a = (size * rng.normal(size=(30, H * 784))).astype(dtype)
        with np.errstate(over="ignore"):
            assert (nll(p, a, x)[0] >= 0).all()
            if name != "categorical":
                assert (nll(p, np.hstack([x] + [a[:, 784:]] * (H - 1)), x)[0] >= 0).all()


def test_a_continuous_bernoulli_keeps_what_large_logits_leave():
    """l less x·l of 1, as the Bernoulli; the rest is log (w/t)."""
    for size in (30, 1e4, 1e8):
        l = np.full((1, 784), size, "f4")
        got, _ = nll(likelihood("continuous-bernoulli"), l, np.ones((1, 784)))
        assert got[0] == pytest.approx(-784 * np.log(size), rel=6 * ULP)
        got, _ = nll(likelihood("continuous-bernoulli"), -l, np.zeros((1, 784)))
        assert got[0] == pytest.approx(-784 * np.log(size), rel=6 * ULP)


def test_a_laplace_keeps_what_a_distance_and_a_log_scale_leave():
    """|r| of 40 and log b of −40: neither is in the sum by itself."""
    logscale = np.full(784, -40, "f4")
    scale = np.exp(-logscale.astype(float)[0])
    x = np.linspace(39.9, 40.2, 784).astype("f4") / np.float32(scale)
    p = likelihood("laplace", variance="unbounded")
    got, _ = nll(p, np.hstack([0 * x, logscale])[None], x[None])
    r = x.astype(float) * scale
    exact = math.fsum([*r, -40.0 * 784, 784 * math.log(2)])
    assert got[0] == pytest.approx(exact, abs=784 * 40 * 2 * ULP / 2)


@pytest.mark.parametrize(
    "name", ["bernoulli", *NEW, "normal, learned", "normal, sigmoid", "normal, learned sigmoid"]
)
def test_a_mean_is_that_of_products_and_biases_together(name):
    """mean(a, b) = mean(a + b, 0), each head's bias in its place."""
    kind = name.partition(",")[0]
    p = likelihood(kind, "sigmoid" in name, 0.3 if name in ("normal", "normal, sigmoid") else None,
                   K if kind in ("categorical", "discretized-logistic") else None)
    rng, D = np.random.default_rng(8), 3
    width = p.heads(D).get(p.mean_head, sum(p.heads(D).values()))
    a, bias = rng.normal(size=(4, width)), rng.normal(size=width)
    apart, together = np.empty((2, 4, D))
    p.mean(context(), a.copy(), bias.copy(), apart)
    p.mean(context(), a + bias, np.zeros(width), together)
    np.testing.assert_allclose(apart, together, 1e-14)
    for i in range(width):  # none is left out
        moved = bias.copy()
        moved[i] += 0.5
        p.mean(context(), a.copy(), moved, together)
        assert not np.allclose(together[:, i % D], apart[:, i % D], 1e-6, 1e-9), i
