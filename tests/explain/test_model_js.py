"""The formulas of the pages against NumPy's: bound, gradient, codes and means of every model."""
import numpy as np
import pytest

import npvae
from npvae.errors import NotFittedError, ParameterError
from npvae.explain import describe
from npvae.explain.page import STATIC
from npvae.ops import ACTIVATIONS

pytestmark = pytest.mark.filterwarnings("ignore:no latent is active")  # after one epoch
ASK = """([description, x, z, eps]) => {
    const model = npvae.read_model(description);
    const cache = forward(model, x, eps[0]), gradient = backward(model, cache).total;
    return {...npvae.encode(model, x), mean: npvae.decode(model, z),
            elbo: npvae.elbo(model, x, eps), loss: cache.loss, gradient};
}"""
D = 6
LIKELIHOODS = {
    "bernoulli": {"likelihood": "bernoulli"},
    "continuous": {"likelihood": "continuous-bernoulli"},
    "normal": {"likelihood": "normal"},
    "sigmoid": {"likelihood": "normal", "likelihood_mean": "sigmoid"},
    "feature": {"likelihood": "normal", "likelihood_variance": "feature"},
    "unbounded": {"likelihood": "normal", "likelihood_variance": "unbounded"},
    "fixed": {"likelihood": "normal", "likelihood_std": 0.3},
    "fixed-sigmoid": {"likelihood": "normal", "likelihood_std": 0.3, "likelihood_mean": "sigmoid"},
    "raw": {"likelihood": "normal", "standardize": False},
    "laplace": {"likelihood": "laplace"},
    "laplace-feature": {"likelihood": "laplace", "likelihood_variance": "feature"},
    "poisson": {"likelihood": "poisson"},
}


def data_for(likelihood, rng):
    """Rows that it may be given, in units far from 0 and 1 where it standardizes.   (20, D)"""
    if likelihood.startswith(("bernoulli", "continuous")) or likelihood.endswith("sigmoid"):
        return rng.uniform(0, 1, (20, D))
    if likelihood == "poisson":
        return rng.poisson(np.array([0.1, 2, 30, 300, 1e4, 0.5]), (20, D)).astype(float)
    spread = 1.0 if likelihood == "raw" else np.array([1e-3, 1, 50, 2, 7, 1e4])
    return 3 + spread * rng.standard_normal((20, D))


def trained(X, rng, scale=0.4, **settings):
    """A model fitted to X for its standardization, with parameters that are all somewhere."""
    settings = {"latent_dim": 2, "hidden": (5,), "dtype": "float64", **settings}
    model = npvae.VAE(epochs=1, random_state=0, verbose=False, **settings).fit(X)
    moved = {k: v + scale * rng.standard_normal(v.shape) for k, v in model.parameters.items()}
    return model.set_parameters(moved)


def compare(blank, model, X, rng, rtol, atol):
    J, x = model.latent_dim, X[:1]
    z, eps = rng.standard_normal((1, J)), rng.standard_normal((3, J))
    description = describe(model)
    found = blank.evaluate(ASK, [description, x[0].tolist(), z[0].tolist(), eps.tolist()])
    q, elbo = model.posterior_of(x), model.elbo(x, eps=eps[:, None])
    loss, gradient = model.loss_and_grad(x, eps=eps[:1, None])
    expected = {
        "mu": q.mean[0], "logvar": 2 * np.log(q.std[0]), "mean": model.inverse_transform(z)[0],
        "loss": loss,
    }  # fmt: skip
    close = {"rtol": rtol, "atol": atol}
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, **close, err_msg=name)
    for name in ("total", "reconstruction", "kl"):
        np.testing.assert_allclose(found["elbo"][name], getattr(elbo, name)[0], **close)
    assert found["gradient"].keys() >= gradient.keys()  # and of units
    for name, value in gradient.items():
        scale = np.abs(value).max()
        np.testing.assert_allclose(
            found["gradient"][name], value.ravel(), rtol=rtol, atol=rtol * scale, err_msg=name
        )


@pytest.fixture(scope="module")
def blank(blank):
    """With the forward and the backward page."""
    blank.add_script_tag(path=STATIC / "explain-gradient.js")
    return blank


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_every_likelihood(name, blank):
    rng = np.random.default_rng(1)
    X = data_for(name, rng)
    model = trained(X, rng, **LIKELIHOODS[name])
    compare(blank, model, X, rng, 1e-10, 1e-10)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation(activation, blank):
    rng = np.random.default_rng(2)
    X = rng.uniform(0, 1, (20, D))
    model = trained(X, rng, 1.0, activation=activation, hidden=(7, 5))
    compare(blank, model, X, rng, 1e-10, 1e-10)


@pytest.mark.parametrize("settings", [
    {"hidden": ()}, {"hidden": (4, 3, 5), "latent_dim": 1}, {"latent_dim": 50},
    {"hidden": (4,), "decoder_hidden": (3, 6, 2)}, {"hidden": (3,), "decoder_hidden": ()},
], ids=str)  # fmt: skip
def test_networks_of_any_depth(settings, blank):
    rng = np.random.default_rng(3)
    X = rng.uniform(0, 1, (20, D))
    compare(blank, trained(X, rng, **settings), X, rng, 1e-10, 1e-10)


@pytest.mark.parametrize("name", ["bernoulli", "normal", "laplace"])
def test_far_out_it_is_what_numpy_says(name, blank):
    """Saturated units, logits of hundreds, and log variances where the soft clip begins.

    1 − h² of a unit at u = 9 has eight digits left of sixteen, whoever computes it.
    """
    rng = np.random.default_rng(4)
    X = data_for(name, rng)
    model = trained(X, rng, 20.0, **LIKELIHOODS[name])
    model.parameters["encoder.logvar.weight"][...] /= 20
    compare(blank, model, X, rng, 1e-7, 1e-7)


@pytest.mark.parametrize("name", ["bernoulli", "normal"])
def test_float32_weights_are_not_rounded(name, blank):
    """All that differs is NumPy's own rounding: a float64 model of these weights is the same."""
    rng = np.random.default_rng(5)
    X = data_for(name, rng).astype(np.float32)
    model = trained(X, rng, dtype="float32", **LIKELIHOODS[name])
    compare(blank, model, X, rng, 1e-4, 1e-4)
    wide = trained(X.astype(float), rng, **LIKELIHOODS[name])
    wide.set_parameters(model.parameters, model.standardization_)
    assert describe(model)["parameters"]["dtype"] == "float32"
    z = rng.standard_normal((1, 2))
    ask = "([description, z]) => npvae.decode(npvae.read_model(description), z)"
    found = blank.evaluate(ask, [describe(model), z[0].tolist()])
    np.testing.assert_allclose(found, wide.inverse_transform(z)[0], rtol=1e-10)


@pytest.mark.parametrize(("model", "words"), [
    (npvae.Autoencoder(hidden=(3,)), "this is Autoencoder; train a VAE"),
    (npvae.FullVB(hidden=(3,)), "this is FullVB; train a VAE"),
    (npvae.MCEM(hidden=(3,)), "this is MCEM; train a VAE"),
    (npvae.VAE(hidden=(3,), posterior="gamma", prior="gamma"), "posterior='gamma'"),
    (npvae.VAE(hidden=(3,), prior="mixture"), "prior='mixture'"),
    (npvae.VAE(hidden=(3,), likelihood="categorical", n_levels=4), "likelihood='categorical'"),
    (npvae.VAE(hidden=(3,), likelihood="discretized-logistic"), "one of bernoulli, "),
])  # fmt: skip
def test_a_model_that_no_page_can_hold_is_refused_in_one_line(model, words):
    with pytest.raises(ParameterError, match=words) as caught:
        describe(model.initialize(4))
    assert "\n" not in str(caught.value)


def test_what_is_no_model_is_told_so():
    with pytest.raises(ParameterError, match=r"'model.npz' is no model; npvae.load reads one"):
        describe("model.npz")


def test_a_model_without_parameters_has_nothing_to_show():
    with pytest.raises(NotFittedError):
        describe(npvae.VAE())


def test_wake_sleep_has_the_same_bound(blank):
    rng = np.random.default_rng(6)
    X = rng.uniform(0, 1, (9, D))
    model = npvae.WakeSleep(hidden=(3,), dtype="float64", epochs=1, verbose=False).fit(X)
    eps = rng.standard_normal((2, 2))
    ask = "([d, x, eps]) => npvae.elbo(npvae.read_model(d), x, eps)"
    found = blank.evaluate(ask, [describe(model), X[0].tolist(), eps.tolist()])
    np.testing.assert_allclose(found["total"], model.elbo(X[:1], eps=eps[:, None]).total[0],
                               rtol=1e-12)  # fmt: skip


def test_noise_is_standard_normal_and_follows_from_a_seed(blank):
    """Moments of 100,000 numbers within five deviations: it fails once in 10⁶ seeds."""
    ask = "seed => npvae.normals(seed, 100_000)"
    eps = np.array(blank.evaluate(ask, 7))
    assert eps.tobytes() == np.array(blank.evaluate(ask, 7)).tobytes()
    assert abs(np.corrcoef(eps, blank.evaluate(ask, 8))[0, 1]) < 5 / len(eps) ** 0.5
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((eps**power).mean() - moment) < 5 * (variance / len(eps)) ** 0.5
