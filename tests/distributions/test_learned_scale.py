"""Learned scales: where they begin, how far they go, and what they may depend on."""
import numpy as np
import pytest
from reference.stored import FILES
from scipy import stats
from sklearn.decomposition import FactorAnalysis

import npvae
from npvae import io
from npvae.backend import get_backend
from npvae.distributions import NormalLikelihood
from npvae.distributions.learned_scale import LIMIT
from npvae.distributions.likelihoods import LaplaceLikelihood
from npvae.errors import ModelFileError, ParameterError
from npvae.memory import Context, Workspace
from npvae.ops.elementary import soft_clip, soft_clip_backward
from npvae.testing import check_gradients

CLASSES = (npvae.VAE, npvae.Autoencoder, npvae.WakeSleep, npvae.FullVB, npvae.MCEM)
HEADS = {"normal": "logvar", "laplace": "logscale", "discretized-logistic": "logscale"}
TRUTH = {  # of x, μ and log σ² or log b
    "normal": lambda x, mu, u: stats.norm.logpdf(x, mu, np.exp(u / 2)),
    "laplace": lambda x, mu, u: stats.laplace.logpdf(x, mu, np.exp(u)),
}
MADE = {"normal": NormalLikelihood, "laplace": LaplaceLikelihood}
each_class = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
each_scale = pytest.mark.parametrize("name", TRUTH)
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])
X = np.random.default_rng(0).normal(size=(60, 3))


def model(cls=npvae.VAE, **settings):
    defaults = {"latent_dim": 2, "hidden": (4,), "likelihood": "normal", "epochs": 2,
                "dtype": "float64", "random_state": 0, "verbose": False}  # fmt: skip
    return cls(**defaults | settings)


def standardised_digits():
    """The digits' pixels that vary, by their mean and deviation.   (1797, 52)"""
    pixels = npvae.data.load_digits().images
    pixels = pixels[:, pixels.std(0) > 0.05].astype(float)
    return (pixels - pixels.mean(0)) / pixels.std(0)


def nll_and_gradient(p, a, x):
    """−log p(x|z) and ∂/∂a of one feature.   a (M, 2), x (M,) → (M,), (M, 2)"""
    ctx = Context(get_backend("numpy").ops, {}, {}, Workspace(np, a.dtype))
    bias, d_bias = np.zeros(2, a.real.dtype), np.zeros(2, a.dtype)
    nll, cache = p.nll(ctx, a[None].copy(), bias, x[:, None].astype(a.real.dtype))
    nll = nll[0].copy()
    ones = np.ones((1, len(a)), a.real.dtype)
    return nll, p.nll_backward(ctx, ones, cache, d_bias)[0]


# --- where it begins ----------------------------------------------------------------------


@pytest.mark.parametrize("name", HEADS)
@each_class
def test_at_first_it_does_not_depend_on_z(cls, name, monkeypatch):
    """And every other first parameter is what it is where the weights of the head are not 0."""
    made = model(cls, likelihood=name).initialize(3)
    kind = type(made._likelihood())
    monkeypatch.setattr(kind, "zero_heads", ())
    before = model(cls, likelihood=name).initialize(3).parameters
    zero = f"decoder.{HEADS[name]}.weight"
    assert before[zero].all() and not made.parameters[zero].any()
    for key, value in made.parameters.items():
        assert key == zero or value.tobytes() == before[key].tobytes()
    if name in TRUTH:
        std = made.likelihood_of(np.random.default_rng(1).normal(size=(5, 2))).std
        np.testing.assert_array_equal(std, np.broadcast_to(std[0], std.shape))


def test_its_weights_learn_from_there():
    trained = model(epochs=3).fit(X)
    assert (trained.parameters["decoder.logvar.weight"] != 0).all()


# --- how far it goes ----------------------------------------------------------------------


@each_dtype
def test_the_soft_clip_is_the_identity_up_to_its_limit_and_smooth_there(dtype):
    u = np.linspace(-30, 30, 2001).astype(dtype)
    out = u.copy()
    soft_clip(np, out, 30.0)
    assert out.tobytes() == u.tobytes()
    far = np.array([-1e30, -1e3, -31, 31, 1e3, 1e30], dtype)
    out = far.copy()
    soft_clip(np, out, 30.0)
    np.testing.assert_allclose(out, [-31, -31 + 1 / 971, -30.5, 30.5, 31 - 1 / 971, 31], 1e-6)
    rising = np.linspace(-90, 90, 3001).astype(dtype)
    soft_clip(np, rising, 30.0)
    assert (np.diff(rising) > 0).all()


def test_its_derivative_is_continuous_and_the_complex_steps():
    """At the limit 1 from both sides; far out it is a difference of numbers about 30, to 1e-13."""
    u = np.concatenate([np.linspace(-60, 60, 241), [30 + 1e-9, -30 - 1e-9, 1e4]])
    value, step, d = u.copy(), u + 1e-30j, np.ones_like(u)
    soft_clip(np, value, 30.0)
    soft_clip(np, step, 30.0)
    soft_clip_backward(np, value, 30.0, d)
    np.testing.assert_allclose(d, step.imag / 1e-30, 1e-12, 1e-17)
    np.testing.assert_allclose(d[[-3, -2]], 1, 1e-8)
    assert d[-1] > 0


@each_scale
def test_within_the_interval_it_is_the_textbooks_density_and_unbounded_everywhere(name):
    """To the ends of the documented interval, log σ² = ±14; beyond, only what has no bound is."""
    factor = 1 if name == "normal" else 0.5  # log b = ½ log b²
    for variance, ends in (("latent", 14), ("unbounded", 80)):
        u = factor * np.linspace(-ends, ends, 41)
        mu, x = np.full_like(u, 0.3), 0.3 + np.exp(u / 2 / factor) * np.linspace(-2, 2, 41)
        nll, _ = nll_and_gradient(MADE[name](variance=variance), np.stack([mu, u], -1), x)
        np.testing.assert_allclose(nll, -TRUTH[name](x, mu, u), 1e-7)  # of x − μ, as it is rounded


@each_scale
@pytest.mark.parametrize("variance", ["latent", "feature", "unbounded"])
def test_the_gradient_is_that_of_the_complex_step_beyond_too(name, variance):
    """At losses as large as e¹⁵ relative; what the clip keeps of a derivative, 1e-13 of 14."""
    p = MADE[name](variance=variance)
    u = np.array([-45, -17, -14, -12, 0, 12, 14, 17, 45.0]) * (1 if name == "normal" else 0.5)
    a, x = np.stack([np.full_like(u, 0.2), u], -1), np.linspace(-1, 1.1, len(u))
    _, d_a = nll_and_gradient(p, a, x)
    for i in range(2):
        step = a.astype(complex)
        step[:, i] += 1e-30j
        nll, _ = nll_and_gradient(p, step, x)
        np.testing.assert_allclose(d_a[:, i], nll.imag / 1e-30, 1e-10, 1e-13)


@each_scale
@each_dtype
def test_extremes_are_finite(name, dtype):
    """Whatever comes of a head, the loss and every gradient are numbers, and so are their squares,
    which Adam keeps."""
    u = np.array([-1e30, -1e10, -1e3, -31, 31, 1e3, 1e10, 1e30], dtype)
    for mu in (-1e3, 0.0, 1e3):
        a = np.stack([np.full_like(u, mu), u], -1)
        nll, d_a = nll_and_gradient(MADE[name](), a, np.full(len(u), 0.1))
        assert np.isfinite(nll).all() and np.isfinite(d_a * d_a).all()


@each_scale
def test_deviations_parameters_and_draws_are_those_of_the_density(name):
    """20,000 draws of each: p below 1e-6 once in a million seeds."""
    made = model(likelihood=name, hidden=()).initialize(3)
    head, factor = HEADS[name], 1 if name == "normal" else 0.5
    made.parameters[f"decoder.{head}.bias"][...] = factor * np.array([-200, 3, 200])
    p = made.likelihood_of(np.zeros((1, 2)))
    expected = factor * np.array([-14 - 186 / 187, 3, 14 + 186 / 187])
    if name == "laplace":
        expected = np.array([-7 - 93 / 94, 1.5, 7 + 93 / 94])
    np.testing.assert_allclose(p.parameters[head][0], expected, 1e-14)
    size = np.exp(expected / (2 * factor))
    np.testing.assert_allclose(p.std[0], size * (1 if name == "normal" else 2**0.5), 1e-13)
    x = p.sample(0, 20_000)[:, 0] / size
    truth = stats.norm if name == "normal" else stats.laplace
    centre = made.inverse_transform(np.zeros((1, 2)))[0] / size
    for d in range(3):
        assert stats.kstest(x[:, d], truth(centre[d]).cdf).pvalue > 1e-6
    assert made.sample(4, rng=0, draw=True).shape == (4, 3)


# --- files of before ----------------------------------------------------------------------


@pytest.mark.parametrize("file", ["full-vb", "vae-vamp", "vae-mixture"])
def test_a_file_of_before_has_no_bound(file, tmp_path):
    old = npvae.load(FILES / f"{file}.npz")
    assert old.likelihood_variance == "unbounded"
    for _ in range(2):
        old.parameters["decoder.logvar.weight"][...] = 0
        old.parameters["decoder.logvar.bias"][...] = -80
        p = old.likelihood_of(np.zeros((1, 2)))
        np.testing.assert_allclose(p.std, np.exp(-40), 1e-13)
        np.testing.assert_array_equal(p.parameters["logvar"], -80)
        old.save(tmp_path / "again.npz")
        old = npvae.load(tmp_path / "again.npz")


OLD = {  # what a model of before was told, as its file has it, and what stands for it now
    "by name": ({"likelihood": "normal"}, {"likelihood_variance": "unbounded"}),
    "laplace": ({"likelihood": "laplace"},
                {"likelihood": "laplace", "likelihood_variance": "unbounded"}),
    "an object": ({"likelihood": NormalLikelihood(True)},
                  {"likelihood": NormalLikelihood(True, "unbounded")}),
    "a fixed one": ({"likelihood_std": 0.5}, {"likelihood_std": 0.5}),
    "another": ({"likelihood": "poisson"}, {"likelihood": "poisson"}),
}  # fmt: skip


def without_variance(file, kind):
    """The file, as it was before there was the option."""
    config, arrays = io.read_archive(file, kind)
    del config["params"]["likelihood_variance"]
    if isinstance(config["params"]["likelihood"], dict):
        del config["params"]["likelihood"]["variance"]
    io.write_archive(file, kind, config, arrays)


@pytest.mark.parametrize("name", OLD)
def test_files_and_checkpoints_of_before_go_on_as_they_were(name, tmp_path):
    told, now = OLD[name]
    data = np.abs(X).round() if name == "another" else X
    path, checkpoint = tmp_path / "model.npz", tmp_path / "checkpoint.npz"
    trained = model(**now).fit(data, checkpoint=checkpoint)
    trained.save(path)
    without_variance(path, "model")
    without_variance(checkpoint, "checkpoint")
    loaded = npvae.load(path)
    assert loaded.engine_.model == trained.engine_.model
    resumed = model(**told, epochs=3).fit(data, checkpoint=checkpoint, resume=True)
    straight = model(**now, epochs=3).fit(data)
    assert resumed.engine_.model == straight.engine_.model
    assert resumed.engine_.theta.tobytes() == straight.engine_.theta.tobytes()
    resumed.save(path)  # and is described by its arguments
    if "likelihood_variance" in now:
        with pytest.raises(ModelFileError, match="likelihood_variance='unbounded', not 'feature'"):
            model(**told, likelihood_variance="feature", epochs=4).fit(
                data, checkpoint=checkpoint, resume=True
            )


# --- what it depends on -------------------------------------------------------------------


@each_scale
@each_class
@pytest.mark.filterwarnings("ignore:in the last epoch:UserWarning")
def test_a_variance_a_feature_does_all_that_one_of_z_does(cls, name, tmp_path):
    options = {"likelihood": name, "likelihood_variance": "feature"}
    made = model(cls, **options, epochs=30, learning_rate=0.02, batch_size=20).fit(X)
    head = HEADS[name]
    assert f"decoder.{head}.weight" not in made.parameters
    assert made.parameters[f"decoder.{head}.bias"].shape == (3,)
    log_p = made.history_["reconstruction"]
    assert log_p[-1] > log_p[0]
    for report in (check_gradients(made, X[:4], directions=3),
                   check_gradients(made, X[:4], directions=3, method="complex")):  # fmt: skip
        assert report.ok, report
    z = np.random.default_rng(1).normal(size=(4, 2))
    p = made.likelihood_of(z)
    assert p.std.shape == (4, 3) and len(set(p.std[0])) == 3
    np.testing.assert_array_equal(p.std, np.broadcast_to(p.std[0], p.std.shape))
    made.save(tmp_path / "model.npz")
    loaded = npvae.load(tmp_path / "model.npz")
    assert loaded.get_params()["likelihood_variance"] == "feature"
    assert loaded.likelihood_of(z).sample(0).tobytes() == p.sample(0).tobytes()
    again = loaded.set_parameters(made.parameters).likelihood_of(z)
    np.testing.assert_array_equal(again.std, p.std)


def test_it_is_a_variance_of_z_whose_weights_are_zero():
    """The same loss and, but for those weights, the same gradient, of the same parameters."""
    feature = model(likelihood_variance="feature", parameter_prior=True).initialize(3)
    latent = model(parameter_prior=True).initialize(3)
    shared = feature.parameters | {"decoder.logvar.weight": np.zeros((3, 4))}
    for value in shared.values():
        value += 0.1 * (value.ndim == 1)  # biases that are not 0
    loss, grad = feature.loss_and_grad(X)
    again, wider = latent.set_parameters(shared).loss_and_grad(X)
    own = 0.5 * 12 * np.log(2 * np.pi)  # the prior of the 12 weights, at 0
    np.testing.assert_allclose(loss, again - own, 1e-13)
    for name, value in grad.items():
        np.testing.assert_allclose(value, wider[name], 1e-12, 1e-14)


@pytest.mark.parametrize(("settings", "fragments"), [
    ({"likelihood": "bernoulli"}, ["'bernoulli' has none to learn", "leave it 'latent'"]),
    ({"likelihood": "poisson"}, ["'poisson'"]),
    ({"likelihood_std": 0.1}, ["likelihood_std=0.1", "leave it 'latent'"]),
    ({"likelihood": NormalLikelihood()}, ["NormalLikelihood", "leave it 'latent'"]),
    ({"likelihood_variance": "all"}, ["likelihood_variance='all' is not known", "latent"]),
], ids=str)  # fmt: skip
def test_where_there_is_none_it_is_refused_in_one_line(settings, fragments):
    with pytest.raises(ParameterError) as caught:
        model(**{"likelihood_variance": "feature"} | settings).fit(np.abs(X) > 1)
    text = str(caught.value)
    assert "\n" not in text and all(fragment in text for fragment in fragments)


def test_names_are_known_in_any_case_and_in_objects():
    assert NormalLikelihood(variance="Feature") == NormalLikelihood(variance="feature")
    with pytest.raises(ParameterError, match="is not known"):
        LaplaceLikelihood("wide")
    once, again = (
        model(**options).fit(X).engine_.theta.tobytes()
        for options in ({"likelihood_variance": "FEATURE"},
                        {"likelihood": NormalLikelihood(variance="feature")})
    )  # fmt: skip
    assert once == again


# --- on digits ----------------------------------------------------------------------------


def linear(variance):
    settings = {"latent_dim": 4, "hidden": (), "activation": "identity", "dtype": "float32"}
    return model(**settings, likelihood_variance=variance, learning_rate=3e-3, epochs=100)


def test_a_linear_model_is_factor_analysis_and_with_a_variance_of_z_better():
    """scikit-learn's maximum likelihood is the most that a linear bound with noise a feature can
    reach; within a nat of it after some seconds, and never out of hand on the way."""
    digits = standardised_digits()
    best = FactorAnalysis(4).fit(digits).score(digits)  # −64.7
    feature, latent = (linear(variance).fit(digits) for variance in ("feature", "latent"))
    assert best - 1 < feature.score(digits) < best + 0.1
    assert latent.score(digits) > best
    for trained in (feature, latent):
        bound = trained.history_["elbo"]
        assert min(bound) == bound[0] > -200


@pytest.mark.parametrize("activation", ["relu", "elu", "softplus", "gelu"])
def test_unbounded_activations_train_on_them(activation):
    """The independent normals are at −73.8 nats."""
    digits = standardised_digits()
    trained = model(activation=activation, hidden=(32,), latent_dim=4, epochs=10).fit(digits)
    bound = trained.history_["elbo"]
    assert min(bound) == bound[0] > -200 and trained.score(digits) > -70


def test_the_limit_is_the_documented_one():
    assert LIMIT == 14
    assert NormalLikelihood().limit == 14 and LaplaceLikelihood().limit == 7
    assert NormalLikelihood(variance="unbounded").limit == np.inf
