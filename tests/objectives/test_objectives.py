"""The bound that a whole model computes, and its two estimators against one another."""
import numpy as np
import pytest
from scipy import special, stats
from small_models import LIKELIHOODS, batch, engine, loss, vae

from npvae.memory import Workspace
from npvae.models import Noise, Penalty, parameter_prior
from npvae.objectives import OBJECTIVES, mean_grad

ESTIMATORS = ("A", "B")  # of the lower bound, which the paper has
each_estimator = pytest.mark.parametrize("estimator", ESTIMATORS)


def textbook_elbo(P, x, eps, estimator, likelihood):
    """Eqs. 6 and 7 for one datapoint x (D,) and one noise (J,), by SciPy's densities."""

    def layer(name, h):
        return P[name + ".weight"] @ h + P[name + ".bias"]

    h = np.tanh(layer("encoder.hidden.0", x))
    mu, logvar = layer("encoder.mean", h), layer("encoder.logvar", h)
    q, p = stats.norm(mu, np.sqrt(np.exp(logvar))), stats.norm(0, 1)
    z = q.mean() + q.std() * eps
    h = np.tanh(layer("decoder.hidden.0", z))
    if likelihood == "bernoulli":
        y = special.expit(layer("decoder.logits", h))
        log_p_x = (special.xlogy(x, y) + special.xlogy(1 - x, 1 - y)).sum()
    else:
        mean = layer("decoder.mean", h)
        mean = special.expit(mean) if "sigmoid" in likelihood else mean
        log_p_x = stats.norm.logpdf(x, mean, np.exp(layer("decoder.logvar", h) / 2)).sum()
    if estimator == "A":
        return log_p_x + p.logpdf(z).sum() - q.logpdf(z).sum()
    return log_p_x - (0.5 * (mu**2 + np.exp(logvar) - 1 - logvar)).sum()


@each_estimator
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("L", [1, 3])
def test_the_loss_is_minus_the_mean_elbo(estimator, likelihood, L):
    """Summed over pixels and over latents, averaged over samples and over datapoints."""
    model = vae(likelihood)
    e, (x, eps) = engine(model, estimator), batch(model, L=L)
    elbos = [
        textbook_elbo(e.P, x[m], eps[l, m], estimator, likelihood)
        for l in range(L)
        for m in range(len(x))
    ]
    assert loss(e, x, eps) == pytest.approx(-np.mean(elbos), rel=1e-12)


@pytest.mark.parametrize("estimator", OBJECTIVES)
def test_the_loss_does_not_depend_on_how_often_a_datapoint_is_given(estimator):
    """Per datapoint: twice the batch is the same loss and the same gradient."""
    model = vae()
    once, twice, (x, eps) = engine(model, estimator), engine(model, estimator), batch(model)
    losses = [
        e.loss_and_grad(np.tile(x, (k, 1)), Noise(np.tile(eps, (1, k, 1))))
        for e, k in ((once, 1), (twice, 2))
    ]
    assert losses[1] == pytest.approx(losses[0], rel=1e-12)
    np.testing.assert_allclose(twice.grad, once.grad, rtol=1e-12, atol=1e-14)


# --- A against B --------------------------------------------------------------------------


def test_estimators_agree_in_expectation_and_b_has_the_lower_variance():
    """20,000 samples of ε for one datapoint, the same ones for both.

    The difference of their means is within 4 of its standard errors: over seeds, one in
    16,000 would fail. A carries the noise of log q − log p on top of that of log p(x|z).
    """
    n, elbos = 20_000, {}
    for estimator in ESTIMATORS:
        model = vae()
        x, eps = batch(model, M=1, L=1)
        x, eps = np.tile(x, (n, 1)), np.random.default_rng(2).standard_normal((1, n, 2))
        terms = engine(model, estimator).forward(x, Noise(eps)).terms
        elbos[estimator] = -(terms.nll + terms.kl)[0]
    difference = elbos["A"] - elbos["B"]
    assert np.abs(difference.mean()) <= 4 * difference.std() / np.sqrt(n)
    assert difference.std() > 0.1  # they do differ, sample by sample
    # The standard error of a ratio of variances is 2/√n = 1.4 %.
    assert elbos["A"].var() > 1.1 * elbos["B"].var()


def test_gradients_of_both_estimators_agree_in_expectation():
    """Every component within 4 standard errors; over seeds, one in 350 would fail."""
    noise, gradients = np.random.default_rng(3).standard_normal((1000, 1, 1, 2)), {}
    for estimator in ESTIMATORS:
        model = vae()
        e, (x, _) = engine(model, estimator), batch(model, M=1)
        gradients[estimator] = np.empty((len(noise), e.grad.size))
        for eps, gradient in zip(noise, gradients[estimator], strict=True):
            e.loss_and_grad(x, Noise(eps))
            gradient[...] = e.grad
    difference = gradients["A"] - gradients["B"]
    error = difference.std(axis=0) / np.sqrt(len(noise))
    assert (np.abs(difference.mean(axis=0)) <= 4 * error + 1e-15).all()


# --- the rest of the loss -----------------------------------------------------------------


def test_parameter_prior_is_the_normal_density_of_the_weights():
    """−log N(weights; 0, I) / N, and its gradient w / N on weights alone."""
    model, N = vae(), 7
    plain = engine(model)
    with_prior = engine(model, penalty=parameter_prior(plain.layout.n_weights, N))
    x, eps = batch(model)
    losses = [e.loss_and_grad(x, Noise(eps)) for e in (plain, with_prior)]
    weights = np.concatenate(
        [value.ravel() for name, value in plain.P.items()
         if name.endswith(".weight") and "heads" not in name]
    )  # fmt: skip
    assert losses[1] - losses[0] == pytest.approx(-stats.norm.logpdf(weights).sum() / N, rel=1e-12)
    pull = np.zeros_like(plain.grad)
    pull[: weights.size] = weights / N
    np.testing.assert_allclose(with_prior.grad - plain.grad, pull, rtol=1e-10, atol=1e-14)


def test_an_l2_penalty_is_half_its_strength_times_the_squared_norm():
    model = vae()
    plain, penalised = engine(model), engine(model, penalty=Penalty(0.3))
    x, eps = batch(model)
    squares = sum((plain.P[n] ** 2).sum() for n in plain.layout.shapes if n.endswith(".weight"))
    extra = loss(penalised, x, eps) - loss(plain, x, eps)
    assert extra == pytest.approx(0.15 * squares, rel=1e-12)


def test_mean_weights_are_the_gradient_of_a_mean():
    weights = mean_grad(Workspace(np, np.float64), 3, 4)
    np.testing.assert_array_equal(weights, np.full((3, 4), 1 / 12))
