"""Estimators of the gradient: against their definitions, and of the mean that they should have.

Each is first written down again, for one small VAE in plain NumPy on complex numbers, with nothing
of npvae in it; there, what the definition holds is held. The complex step then gives its gradient.
"""
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import ClassVar

import numpy as np
import pytest

import npvae
from npvae.backend import get_backend
from npvae.distributions import BernoulliLikelihood
from npvae.models import Engine, Noise, VAEModel
from npvae.networks import MLP
from npvae.objectives import ELBO, OBJECTIVES, Loss, Objective, Seeds, mean_grad
from npvae.objectives.renyi import Renyi
from npvae.testing import check_gradients

D, J, H = 5, 2, 3
HUGE = 1e-30  # a complex step: nothing is subtracted, so it can be as small as this


def engine(objective, J=J, seed=0, scale=0.7):
    """D-3-(J, J)/J-3-D, tanh, Bernoulli, at a generic θ."""
    model = VAEModel(
        MLP("encoder", D, (H,), {"mean": J, "logvar": J}, "tanh"),
        MLP("decoder", J, (H,), {"logits": D}, "tanh"),
        BernoulliLikelihood(),
    )
    theta = scale * np.random.default_rng(seed).standard_normal(model.layout().size)
    return Engine(model, get_backend("numpy"), theta, objective=objective)


def batch(L, M=4, J=J, seed=1):
    rng = np.random.default_rng(seed)
    return rng.random((M, D)), rng.standard_normal((L, M, J))


# --- the definitions, in plain NumPy -----------------------------------------------------------


def affine(P, layer, h):
    return h @ P[layer + ".weight"].T + P[layer + ".bias"]


def posterior(P, x):
    """μ and log σ² of q(z|x).   (M, J) each"""
    h = np.tanh(affine(P, "encoder.hidden.0", x))
    return affine(P, "encoder.mean", h), affine(P, "encoder.logvar", h)


def log_q(q, z):
    """log N(z; μ, σ²).   (L, M)"""
    mu, logvar = q
    return -0.5 * (np.log(2 * np.pi) + logvar + (z - mu) ** 2 * np.exp(-logvar)).sum(-1)


def log_joint(P, x, z):
    """log p(x|z) + log p(z).   (L, M)"""
    l = affine(P, "decoder.logits", np.tanh(affine(P, "decoder.hidden.0", z)))
    log_px = (x * l - np.log(1 + np.exp(l))).sum(-1)
    return log_px - 0.5 * (np.log(2 * np.pi) + z**2).sum(-1)


def sample(q, eps):
    mu, logvar = q
    return mu + np.exp(logvar / 2) * eps


def log_weights(P, x, eps):
    q = posterior(P, x)
    z = sample(q, eps)
    return log_joint(P, x, z) - log_q(q, z)


def iwae_loss(P, held, x, eps):
    """−log of the mean weight, averaged over datapoints."""
    w = np.exp(log_weights(P, x, eps))
    return -np.log(w.mean(axis=0)).mean()


def stl_surrogate(P, held, x, eps):
    """Minus the bound, where q's density is held and its sample is not (Roeder et al. 2017)."""
    z = sample(posterior(P, x), eps)
    return -(log_joint(P, x, z) - log_q(posterior(held, x), z)).mean()


def dreg_surrogate(P, held, x, eps):
    """Tucker et al. 2018, eq. 8 for φ, and w̃ for θ; by θ at samples that are held."""
    log_w = log_weights(held, x, eps)
    w = np.exp(log_w - log_w.max(axis=0))
    w = w / w.sum(axis=0)  # (k, M)
    q_held = posterior(held, x)
    z_held, z = sample(q_held, eps), sample(posterior(P, x), eps)
    by_phi = w**2 * (log_joint(held, x, z) - log_q(q_held, z))
    by_theta = w * log_joint(P, x, z_held)
    return -(by_phi + by_theta).sum(axis=0).mean()


def bound(log_w):
    """log of the mean weight.   (k, M) → (M,)"""
    return np.log(np.exp(log_w).mean(axis=0))


def shares(log_w):
    """w / Σ w.   (k, M)"""
    w = np.exp(log_w - log_w.max(axis=0))
    return w / w.sum(axis=0)


def score_surrogate(signal):
    """Of φ: Σ_l signal_l log q(z_l|x), averaged over datapoints, signal and z held; w̃ for θ."""

    def surrogate(P, held, x, eps):
        log_w = log_weights(held, x, eps)
        z, (by_phi, by_theta) = sample(posterior(held, x), eps), signal(log_w)
        terms = by_phi * log_q(posterior(P, x), z) + by_theta * log_joint(P, x, z)
        return -terms.sum(axis=0).mean()

    return surrogate


def plain(log_w):
    return log_w / len(log_w), 1 / len(log_w)


def others(log_w):
    """Each less the mean of the others (Kool, van Hoof, Welling 2019)."""
    k = len(log_w)
    means = np.array([np.delete(log_w, l, axis=0).mean(axis=0) for l in range(k)])
    return (log_w - means) / k, 1 / k


def vimco(log_w):
    """Mnih, Rezende 2016, eq. 9 and 10: the geometric mean in the place of a weight."""
    signal = np.empty_like(log_w)
    for l in range(len(log_w)):
        swapped = log_w.copy()
        swapped[l] = np.delete(log_w, l, axis=0).mean(axis=0)
        signal[l] = bound(log_w) - bound(swapped)
    return signal - shares(log_w), shares(log_w)


def wake(log_w):
    """Bornschein, Bengio 2015: the wake phase of both."""
    return shares(log_w), shares(log_w)


def path_iwae_surrogate(P, held, x, eps):
    """IWAE's loss, where q's density is held and its sample is not; θ at samples that are held."""
    w = shares(log_weights(held, x, eps))
    q_held = posterior(held, x)
    z_held, z = sample(q_held, eps), sample(posterior(P, x), eps)
    by_phi = w * (log_joint(held, x, z) - log_q(q_held, z))
    return -(by_phi + w * log_joint(P, x, z_held)).sum(axis=0).mean()


def renyi_loss(P, held, x, eps):
    """Li, Turner 2016, eq. 8 at α = ½."""
    return -2 * np.log(np.exp(log_weights(P, x, eps) / 2).mean(axis=0)).mean()


DEFINITIONS = {
    "iwae": iwae_loss, "stl": stl_surrogate, "dreg": dreg_surrogate, "renyi": renyi_loss,
    "iwae-stl": path_iwae_surrogate, "score": score_surrogate(plain),
    "score-ema": score_surrogate(plain), "score-loo": score_surrogate(others),
    "vimco": score_surrogate(vimco), "rws": score_surrogate(wake),
}  # fmt: skip


def test_every_estimator_has_a_definition():
    """But the paper's two, whose losses are taken apart in test_objectives.py."""
    assert {"A", "B", *DEFINITIONS} == set(OBJECTIVES)


def samples_of(name, *wanted):
    """Those numbers of samples that an estimator can do with."""
    return [k for k in wanted if k >= OBJECTIVES[name].min_samples]


def complex_step(f, theta, layout, x, eps):
    """∂f/∂θ at θ, f being a function of the parameters and of those that are held."""
    held = {k: v.copy() for k, v in layout.named(theta).items()}
    gradient, moved = np.empty_like(theta), theta.astype(complex)
    P = layout.named(moved)
    for i in range(len(theta)):
        moved[i] += 1j * HUGE
        gradient[i] = f(P, held, x, eps).imag / HUGE
        moved[i] = theta[i]
    return gradient


@pytest.mark.parametrize(("name", "k"), [
    (name, k) for name in DEFINITIONS for k in samples_of(name, 1, 2, 5)
])  # fmt: skip
def test_the_gradient_is_that_of_its_definition(name, k):
    """To 1e-13 of the largest entry: a dozen roundings of float64."""
    e, (x, eps) = engine(OBJECTIVES[name]()), batch(k)
    expected = complex_step(DEFINITIONS[name], e.theta, e.layout, x, eps)
    e.loss_and_grad(x, Noise(eps))
    np.testing.assert_allclose(e.grad, expected, rtol=0, atol=1e-13 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["iwae", "iwae-stl", "dreg", "vimco", "rws"])
def test_the_loss_is_minus_the_bound_of_k_samples(name):
    e, (x, eps) = engine(OBJECTIVES[name]()), batch(5)
    loss = e.loss_and_grad(x, Noise(eps))
    assert loss == pytest.approx(iwae_loss(e.P, e.P, x, eps), rel=1e-14)


def test_iwae_of_one_sample_is_sgvb_a():
    """To rounding, loss and gradient: one weight of one sample is 1."""
    (x, eps), values = batch(1), []
    for name in ("A", "iwae"):
        e = engine(OBJECTIVES[name]())
        values.append((e.loss_and_grad(x, Noise(eps)), e.grad))
    assert values[0][0] == pytest.approx(values[1][0], rel=1e-15)
    np.testing.assert_allclose(values[0][1], values[1][1], rtol=0, atol=1e-15)


def test_dreg_of_one_sample_is_the_path_derivative():
    (x, eps), gradients = batch(1), []
    for name in ("stl", "dreg"):
        e = engine(OBJECTIVES[name]())
        e.loss_and_grad(x, Noise(eps))
        gradients.append(e.grad)
    np.testing.assert_allclose(*gradients, rtol=0, atol=1e-15)


def test_weights_do_not_overflow():
    """log w of ±10⁵: the largest is taken out of the sum; one sample has all the weight."""
    ops = get_backend("numpy").ops
    nll = np.array([[1e5, -1e5], [1e5 + 1, 0.0]])  # (k, M)
    w, theta, loss = np.empty((2, 2)), np.empty((2, 2)), np.empty((1, 2))
    ops.importance_weights(nll, np.zeros((2, 2)), w, theta, loss)
    share = 1 / (1 + np.exp(-1.0))
    np.testing.assert_allclose(w, [[share, 1], [1 - share, 0]], rtol=1e-12)
    expected = [1e5 + np.log(2) + np.log(share), -1e5 + np.log(2)]
    np.testing.assert_allclose(loss[0], expected, rtol=1e-12)


# --- families, priors and models ----------------------------------------------------------------

PAIRS = [
    ("normal", "normal"), ("elliptical", "normal"), ("laplace", "laplace"), ("student-t", "cauchy"),
    ("gumbel", "gumbel"), ("logistic", "normal"), ("gamma", "gamma"), ("weibull", "exponential"),
    ("beta", "beta"), ("dirichlet", "dirichlet"), ("log-normal", "log-normal"),
    ("normal", "mixture"), ("normal", "vamp"), ("gamma", "vamp"),
]  # fmt: skip


@pytest.mark.parametrize(("estimator", "posterior", "prior"), [
    (name, *pair) for name in DEFINITIONS
    for pair in (PAIRS if name in ("stl", "iwae", "dreg") else PAIRS[:2] + PAIRS[-2:])
])  # fmt: skip
def test_every_family_is_checked_by_differences(posterior, prior, estimator):
    """Along every element of every parameter, what the checker calls the surrogate held still."""
    vae = npvae.VAE(
        3, (4,), posterior=posterior, prior=prior, prior_components=3, estimator=estimator,
        n_samples=3, dtype="float64", random_state=0, likelihood="normal",
    ).initialize(D)  # fmt: skip
    rng = np.random.default_rng(2)
    for view in vae.parameters.values():
        view += 0.2 * rng.standard_normal(view.shape)
    report = check_gradients(vae, rng.random((4, D)))
    assert report.ok, report
    assert report.exact == (estimator in ("iwae", "renyi"))
    assert ("surrogate" in str(report)) != report.exact


@pytest.mark.parametrize("estimator", DEFINITIONS)
def test_full_vb_is_checked_too(estimator):
    model = npvae.FullVB(2, (4,), estimator=estimator, n_samples=3, dtype="float64", random_state=0)
    report = check_gradients(model.initialize(D), np.random.default_rng(0).random((4, D)))
    assert report.ok, report


def test_the_check_of_a_surrogate_can_fail(monkeypatch):
    """A gradient that keeps the score which it should leave out is found."""

    def with_score(self, ctx, w, theta):
        return Seeds(theta, theta, theta, path=w)

    monkeypatch.setattr(type(OBJECTIVES["dreg"]()), "seeds", with_score)
    vae = npvae.VAE(2, (4,), estimator="dreg", n_samples=3, dtype="float64", random_state=0)
    vae.initialize(D)
    X = np.random.default_rng(0).random((4, D))
    definition = complex_step(
        dreg_surrogate, vae.engine_.theta, vae.engine_.layout, X,
        np.random.default_rng(1).standard_normal((3, 4, 2)),
    )  # fmt: skip
    _, gradient = vae.loss_and_grad(X, np.random.default_rng(1).standard_normal((3, 4, 2)))
    found = np.concatenate([g.ravel() for g in gradient.values()])
    assert np.abs(found - definition).max() > 1e-3 * np.abs(definition).max()


# --- expectations -------------------------------------------------------------------------------


def gradients_of(e, x, k, n, seed):
    """n gradients of one datapoint, by noise of its own each.   (n, P)"""
    noise = np.random.default_rng(seed).standard_normal((n, k, len(x), e.model.n_noise))
    gradients = np.empty((n, e.theta.size))
    for eps, gradient in zip(noise, gradients, strict=True):
        e.loss_and_grad(x, Noise(eps))
        gradient[...] = e.grad
    return gradients


def z_scores(samples, expected):
    """Of the means, where there is any spread; elsewhere they must agree to rounding."""
    error = samples.std(axis=0, ddof=1) / len(samples) ** 0.5
    off = samples.mean(axis=0) - expected
    flat = error < 1e-13 * np.abs(samples).max()
    assert np.abs(off[flat]).max(initial=0) < 1e-12
    return off[~flat] / error[~flat]


def limit(components):
    """Below which all |z| lie with the probability that one |z| ≤ 4 has: 1 in 16,000 fails."""
    from scipy.stats import norm

    return -norm.ppf(norm.cdf(-4) / components)


def linear_elbo_loss(P, held, x, eps):
    """Minus the ELBO in closed form of x = W z + b + s ν, z|x ~ N(A x + a, diag σ²(x))."""
    s2 = 0.5**2
    mu, logvar = affine(P, "encoder.mean", x), affine(P, "encoder.logvar", x)
    W = P["decoder.mean.weight"]
    r = x - affine(P, "decoder.mean", mu)
    log_px = -0.5 * ((r**2).sum(-1) + (np.exp(logvar) @ (W**2).T).sum(-1)) / s2
    log_px = log_px - 0.5 * x.shape[1] * np.log(2 * np.pi * s2)
    kl = 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(-1)
    return (kl - log_px).mean()


@pytest.mark.parametrize("name", ["A", "B", "stl", "score", "score-ema", "score-loo"])
def test_estimators_of_the_bound_have_its_closed_form_for_a_mean(name):
    """A linear model with a normal likelihood, 4,000 samples; at 4 standard errors, corrected for
    the number of components."""
    vae = npvae.VAE(
        J, (), likelihood="normal", likelihood_std=0.5, estimator=name, dtype="float64",
        random_state=0, n_samples=OBJECTIVES[name].min_samples,
    ).initialize(D)  # fmt: skip
    e, (x, _) = vae.engine_, batch(1, M=2)
    e.theta[...] = 0.4 * np.random.default_rng(3).standard_normal(e.theta.size)
    expected = complex_step(linear_elbo_loss, e.theta, e.layout, x, None)
    z = z_scores(gradients_of(e, x, OBJECTIVES[name].min_samples, 4000, seed=4), expected)
    assert np.abs(z).max() < limit(len(z))


def test_dreg_and_iwae_have_the_same_mean():
    """Paired differences on the same noise, 6,000 samples of k = 4; and dreg varies less for φ."""
    x, _ = batch(1, M=1)
    engines = [engine(OBJECTIVES[name]()) for name in ("iwae", "dreg")]
    iwae, dreg = (gradients_of(e, x, 4, 6000, seed=5) for e in engines)
    z = z_scores(dreg - iwae, 0.0)
    assert np.abs(z).max() < limit(len(z))
    encoder = np.zeros(iwae.shape[1], bool)
    for name, view in engine(ELBO()).layout.named(encoder).items():
        view[...] = name.startswith("encoder")
    np.testing.assert_allclose(iwae[:, ~encoder], dreg[:, ~encoder], rtol=0, atol=1e-12)  # same θ
    assert dreg[:, encoder].var(axis=0).sum() < iwae[:, encoder].var(axis=0).sum()


@cache
def exact_mean(name, k, J, nodes):
    """E[gradient] of one datapoint, by tensor Gauss-Hermite over all k·J noises.   (P,)"""
    points, weights = np.polynomial.hermite_e.hermegauss(nodes)
    weights = weights / weights.sum()
    (x, _), e = batch(1, M=1, J=J), engine(OBJECTIVES[name](), J=J, scale=0.3)
    mean = np.zeros_like(e.theta)
    for index in product(range(nodes), repeat=k * J):
        e.loss_and_grad(x, Noise(points[list(index)].reshape(k, 1, J)))
        mean += weights[list(index)].prod() * e.grad
    return mean


@pytest.mark.parametrize(("name", "same", "k", "J", "nodes"), [
    ("iwae", "dreg", 2, 1, 20), ("iwae", "dreg", 3, 1, 14), ("iwae", "dreg", 2, 2, 10),
    ("iwae", "vimco", 2, 1, 20), ("iwae", "vimco", 3, 1, 14), ("A", "B", 2, 1, 20),
    ("A", "stl", 2, 1, 20), ("A", "score", 2, 1, 20), ("A", "score-loo", 2, 1, 20),
    ("A", "score-loo", 3, 1, 14),
])  # fmt: skip
def test_estimators_of_a_gradient_have_the_same_mean_by_quadrature(name, same, k, J, nodes):
    """The integrands differ and so do the errors of the rule, which fall with its nodes: for dreg
    4e-5 of the largest entry at 8 for k·J = 4, 3e-6 at 10."""
    means = [exact_mean(one, k, J, nodes) for one in (name, same)]
    np.testing.assert_allclose(*means, rtol=0, atol=1e-5 * np.abs(means[0]).max())


@pytest.mark.parametrize("name", ["iwae-stl", "rws"])
def test_what_is_known_to_be_biased_is(name):
    """For φ by far more than the rule's error, and for θ not at all."""
    means = [exact_mean(one, 2, 1, 20) for one in ("iwae", name)]
    encoder = np.zeros(len(means[0]), bool)
    for parameter, view in engine(ELBO(), J=1).layout.named(encoder).items():
        view[...] = parameter.startswith("encoder")
    off = np.abs(means[1] - means[0]) / np.abs(means[0]).max()
    assert off[encoder].max() > 1e-3
    assert off[~encoder].max() < 1e-12


def test_renyi_is_iwae_at_0_and_lies_between_it_and_the_elbo():
    (x, eps), losses = batch(5), []
    for objective in (OBJECTIVES["iwae"](), Renyi(0.0), Renyi(0.5), Renyi(1 - 1e-9)):
        e = engine(objective)
        losses.append((e.loss_and_grad(x, Noise(eps)), e.grad))
    elbo = engine(OBJECTIVES["A"]())
    assert losses[0][0] == losses[1][0]
    np.testing.assert_array_equal(losses[0][1], losses[1][1])
    assert losses[0][0] < losses[2][0] < elbo.loss_and_grad(x, Noise(eps))
    assert losses[3][0] == pytest.approx(elbo.loss_and_grad(x, Noise(eps)), rel=1e-6)
    with pytest.raises(npvae.errors.ParameterError, match="choose estimator='A'"):
        Renyi(1.0)


# --- objectives of a user's own -------------------------------------------------------------------


@dataclass(frozen=True)
class MovingBaseline(Objective):
    """The score function of the bound, its signal less a moving mean of itself."""

    exact: ClassVar[bool] = False

    def init_state(self, ctx):
        return {"baseline": ctx.work.xp.zeros(1, ctx.work.dtype)}

    def __call__(self, ctx, terms, scalars=(), state=None):
        theta = mean_grad(ctx.work, *terms.nll.shape)
        f = -terms.nll - terms.kl  # (L, M)
        baseline = state["baseline"] if state else 0 * f[:1, 0]
        score = -(f - baseline) * theta
        if state:
            baseline += 0.1 * (f.mean() - baseline)
        return Loss(terms.nll, terms.kl, Seeds(theta, theta, score, path=0 * theta))


def test_the_state_of_an_objective_goes_on_from_a_checkpoint(tmp_path):
    """A run of four epochs, and one that was cut after two: equal to the bit."""
    X, path = np.random.default_rng(0).random((20, D)), tmp_path / "checkpoint.npz"
    settings = {
        "latent_dim": 2, "hidden": (3,), "estimator": "score-ema", "batch_size": 5,
        "dtype": "float64", "random_state": 0, "verbose": False,
    }  # fmt: skip
    whole = npvae.VAE(epochs=4, **settings).fit(X)
    npvae.VAE(epochs=2, **settings).fit(X, checkpoint=path)
    resumed = npvae.VAE(epochs=4, **settings).fit(X, checkpoint=path, resume=True)
    assert "objective.baseline" in np.load(path).files
    assert float(np.load(path)["objective.baseline"][0]) != 0
    for name, value in whole.parameters.items():
        np.testing.assert_array_equal(value, resumed.parameters[name])


def test_a_score_function_objective_is_unbiased_for_the_bound():
    """Path 0 and a score: the seam carries what is no reparameterization. Paired with A."""
    x, _ = batch(1, M=1)
    score = gradients_of(engine(MovingBaseline()), x, 1, 6000, seed=6)
    pathwise = gradients_of(engine(OBJECTIVES["A"]()), x, 1, 6000, seed=6)
    z = z_scores(score - pathwise, 0.0)
    assert np.abs(z).max() < limit(len(z))


# --- as a user meets them ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["iwae", "dreg"])
def test_history_and_score_keep_the_lower_bound(name):
    """``objective`` is the bound of k samples, above ``elbo``; a loss is minus the former."""
    X = np.random.default_rng(0).random((40, D))
    vae = npvae.VAE(2, (4,), estimator=name.upper(), n_samples=5, epochs=3, batch_size=20,
                    dtype="float64", random_state=0, verbose=False).fit(X)  # fmt: skip
    history = vae.history_
    assert all(o > e for o, e in zip(history["objective"], history["elbo"], strict=True))
    eps = np.random.default_rng(1).standard_normal((5, 40, 2))
    bound = vae.elbo(X, eps)
    log_w = log_weights(vae.parameters, X, eps)  # its likelihood is the Bernoulli, as above
    np.testing.assert_allclose(bound.total, log_w.mean(axis=0), rtol=1e-12)
    shared = np.log(np.exp(log_w).mean(axis=0)).mean()
    assert vae.loss_and_grad(X, eps)[0] == pytest.approx(-shared, rel=1e-12)


@pytest.mark.parametrize(("settings", "what"), [
    ({"estimator": "iwae", "kl_weight": 2.0}, "kl_weight=2.0 is not for estimator='iwae'"),
    ({"estimator": "dreg", "kl_warmup": 2}, "kl_warmup=2 is not for estimator='dreg'"),
    ({"estimator": "dreg", "free_bits": 0.1}, "choose estimator='B'"),
    ({"estimator": "stl", "free_bits": 0.1}, "choose estimator='B'"),
    ({"estimator": "stl", "posterior": "uniform"}, "an interval with ends that move"),
    ({"estimator": "dreg", "posterior": "pareto", "prior": "log-normal"}, "leaves out the score"),
    ({"estimator": MovingBaseline(), "kl_weight": 2.0}, "kl_weight=2.0 is not for estimator="),
], ids=str)  # fmt: skip
def test_what_makes_no_sense_is_refused_in_words(settings, what):
    with pytest.raises(npvae.errors.ParameterError, match=what) as caught:
        npvae.VAE(**settings).initialize(D)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "same"), [("iwae", "A"), ("dreg", "stl")])
def test_one_sample_is_said_to_be_a_simpler_estimator(name, same):
    X = np.random.default_rng(0).random((20, D))
    vae = npvae.VAE(2, (3,), estimator=name, epochs=1, batch_size=10, verbose=False)
    with pytest.warns(UserWarning, match=f"n_samples=1 is estimator='{same}'"):
        vae.fit(X)


def test_the_path_derivative_takes_a_weight_and_a_warm_up():
    """Its surrogate has β in it: checked at β = 3; and β_t is in the history's objective."""
    X = np.random.default_rng(0).random((20, D))
    settings = {"estimator": "stl", "kl_weight": 3.0, "dtype": "float64", "random_state": 0}
    assert check_gradients(npvae.VAE(2, (3,), **settings).initialize(D), X[:4]).ok
    vae = npvae.VAE(2, (3,), epochs=3, batch_size=5, kl_warmup=2, verbose=False, **settings).fit(X)
    h = {key: np.array(values) for key, values in vae.history_.items()}
    assert h["objective"][0] > h["elbo"][0] - 2 * h["kl"][0]  # the weight is still below β
    assert h["objective"][2] == pytest.approx(h["reconstruction"][2] - 3 * h["kl"][2], rel=1e-12)
