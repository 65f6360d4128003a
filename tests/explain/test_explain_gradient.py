"""The gradients of the page: four estimators against NumPy's, mistakes against differences."""
import numpy as np
import pytest

import npvae
from npvae.explain import describe
from npvae.explain.code import LIKELIHOODS as CODE
from npvae.explain.page import STATIC
from npvae.explain.weights import LIKELIHOODS
from npvae.ops import ACTIVATIONS

D = 6
ESTIMATORS = ("B", "A", "stl", "score")
SETTINGS = {
    "bernoulli": {"likelihood": "bernoulli"},
    "normal": {"likelihood": "normal", "hidden": (5, 4)},
    "laplace": {"likelihood": "laplace", "latent_dim": 3, "activation": "gelu"},
    "poisson": {"likelihood": "poisson", "hidden": ()},
    "weighted": {"likelihood": "bernoulli", "kl_weight": 2.5, "activation": "softplus"},
}


def fitted(name, estimator="B"):
    """A float64 model with parameters that are all somewhere, a datapoint, and noise (J,)."""
    rng = np.random.default_rng(7)
    settings = {"latent_dim": 2, "hidden": (5,), "dtype": "float64"} | SETTINGS[name]
    unit = settings["likelihood"] == "bernoulli"
    X = rng.uniform(0, 1, (20, D)) if unit else rng.poisson(3, (20, D)).astype(float)
    model = npvae.VAE(epochs=1, random_state=0, verbose=False, estimator=estimator, **settings)
    model.fit(X)
    model.set_parameters({
        k: v + 0.4 * rng.standard_normal(v.shape) for k, v in model.parameters.items()
    })  # fmt: skip
    return model, X[:1], rng.standard_normal(model.latent_dim)


@pytest.fixture(scope="module")
def blank(blank):
    """With the functions of the page, of which nothing is shown."""
    for file in sorted(STATIC.glob("explain-*.js")):
        blank.add_script_tag(path=file)
    return blank


@pytest.mark.filterwarnings("ignore:no latent is active")
@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("name", SETTINGS)
def test_every_estimator_is_numpys(name, estimator, blank):
    model, x, eps = fitted(name, estimator)
    found = blank.evaluate("""([description, x, eps, estimator]) => {
        const model = read_model(description), cache = forward(model, x, eps, { estimator });
        return { loss: cache.loss, ...backward(model, cache, { estimator }) };
    }""", [describe(model), x[0].tolist(), eps.tolist(), estimator])  # fmt: skip
    loss, gradient = model.loss_and_grad(x, eps=eps[None, None])
    assert found["loss"] == pytest.approx(loss, rel=1e-12)
    for parameter, value in gradient.items():
        close = {"rtol": 1e-10, "atol": 1e-10 * np.abs(value).max()}
        np.testing.assert_allclose(found["total"][parameter], value.ravel(), **close)
    assert set(found["sample"]) > set(found["prior"])
    assert not any(parameter.startswith("decoder") for parameter in found["prior"])


CHECK = """([description, x, eps, estimator, mistake, where]) => {
    const model = read_model(description), ops = planted(mistake, where);
    const cache = forward(model, x, eps, { estimator, ops: ops.forward });
    const gradient = backward(model, cache, { estimator, ops: ops.backward }).total;
    const rows = check_gradients(model, x, eps, gradient, { estimator, own: ops.forward });
    const units = Object.keys(gradient).filter((unit) => !(unit in model.P)).map((unit) => {
        const f = moved_loss(model, x, eps, unit, 0, { estimator, ops: ops.forward });
        return relative_error(central(f, STEP), gradient[unit][0]);
    });
    const worst = (bound) => Math.max(...rows.map((row) => row[bound].error));
    return { own: worst("own"), right: worst("right"), unit: Math.max(...units) };
}"""


@pytest.mark.filterwarnings("ignore:no latent is active")
@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("name", SETTINGS)
def test_the_checker_passes_what_is_right(name, estimator, blank):
    """Units too: by z of the score function there is no way, and none by differences."""
    model, x, eps = fitted(name)
    arguments = [describe(model), x[0].tolist(), eps.tolist(), estimator, "", "both"]
    found = blank.evaluate(CHECK, arguments)
    assert found["own"] < 1e-6 and found["right"] < 1e-6
    assert found["unit"] < 1e-5


MISTAKES = ("deviation", "half", "half_sample", "epsilon", "kl_half", "kl_mean", "kl_sign",
            "kl_dropped")  # fmt: skip


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("where", ["both", "backward"])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_sees_a_mistake(mistake, where, estimator, blank):
    """A mistake in both passes agrees with itself; the right bound always tells.

    Where an estimator has no term that the mistake is in, there is none: the path derivative and
    the score function take no derivative of the sampler, or of the KL's score.
    """
    model, x, eps = fitted("bernoulli")
    arguments = [describe(model), x[0].tolist(), eps.tolist(), estimator, mistake, where]
    found = blank.evaluate(CHECK, arguments)
    in_sampler = not mistake.startswith("kl")
    consistent = where == "both" and mistake != "half"
    unseen = estimator == "score" and in_sampler and not consistent  # no derivative by z
    assert (found["own"] < 1e-6) == (consistent or unseen)
    assert (found["right"] < 1e-6) == unseen


def test_every_formula_is_told(blank):
    """Of whatever the page computes, as npvae and weights.py have it."""
    assert blank.evaluate("Object.keys(ACTIVATION_FORMULAS).sort()") == sorted(ACTIVATIONS)
    told = blank.evaluate("Object.keys(LIKELIHOOD_FORMULAS)")
    assert set(told) == set(LIKELIHOODS.values()) == set(CODE)
    assert blank.evaluate("Object.keys(ESTIMATOR_TEXT)") == list(ESTIMATORS)


def test_every_mistake_is_tried(blank):
    assert blank.evaluate("Object.keys(MISTAKES)") == list(MISTAKES)


@pytest.mark.filterwarnings("ignore:no latent is active")
@pytest.mark.parametrize(("name", "index"), [
    ("encoder.hidden.0.weight", 8), ("encoder.mean.bias", 1), ("encoder.logvar.weight", 3),
    ("decoder.hidden.0.weight", 4), ("decoder.logits.weight", 7), ("encoder.hidden.0", 2),
    ("logvar", 1), ("z", 0), ("a_x", 3),
])  # fmt: skip
def test_a_thousand_draws_are_as_many_gradients(name, index, blank):
    model, x, _ = fitted("weighted")
    found = blank.evaluate("""([description, x, name, index]) => {
        const model = read_model(description), n = 30, J = model.latent_dim;
        const steps = draw_gradients(model, x, name, index, n, 5);
        let step;
        do step = steps.next(); while (!step.done);
        const noise = normals(5, n * J);
        return Object.entries(step.value).map(([estimator, values]) => {
            const each = Array.from(values, (_, l) => {
                const cache = forward(model, x, noise.slice(l * J, (l + 1) * J), { estimator });
                return backward(model, cache, { estimator }).total[name][index];
            });
            return [Array.from(values), each, moments(values), histogram(values, -1, 1, 7)];
        });
    }""", [describe(model), x[0].tolist(), name, index])  # fmt: skip
    for values, each, moments, counts in found:
        np.testing.assert_allclose(values, each, rtol=1e-9, atol=1e-12)
        assert moments["mean"] == pytest.approx(np.mean(each), abs=1e-12)
        assert moments["deviation"] == pytest.approx(np.std(each, ddof=1), abs=1e-12)
        assert moments["half"] == pytest.approx(1.96 * np.std(each, ddof=1) / 30**0.5, abs=1e-12)
        inside = np.clip(values, -1, 1)
        assert counts == np.histogram(inside, 7, (-1, 1))[0].tolist()
