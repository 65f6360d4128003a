"""FullVB: the VAE's page at sampled parameters, and what their distribution costs (appendix F)."""
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy import optimize, special, stats

import npvae
from npvae import random
from npvae.backend import get_backend
from npvae.cli import main
from npvae.distributions.likelihoods import likelihood
from npvae.errors import DataError
from npvae.models import Engine, FullVBModel, Noise, ParameterKL
from npvae.networks import MLP
from npvae.testing import check_gradients

DIGITS = npvae.data.load_digits()
X = DIGITS.images[:6, 26:33]  # seven pixels of the middle, grey on most
LIKELIHOODS = [("bernoulli", "linear"), ("normal", "linear"), ("normal", "sigmoid")]
N = 50  # datapoints that the 1/N of the parameters' KL is told of


def make(kind=npvae.FullVB, n_features=7, **settings):
    """With parameters that are not small, and log variances of their own."""
    defaults = {"latent_dim": 3, "hidden": (5,), "dtype": "float64", "random_state": 2}
    model = kind(**(defaults | settings), verbose=False).initialize(n_features)
    rng = np.random.default_rng(1)
    for name, value in model.parameters.items():
        value[...] = 0.4 * rng.standard_normal(value.shape) - 2 * is_logvar(name)
    model._set_n_data(N)
    return model


def n_theta(model):
    return sum(v.size for name, v in model.parameters.items() if is_logvar(name))


def is_logvar(name):
    return name.endswith((".weight.logvar", ".bias.logvar"))


# --- the page ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("likelihood", "mean"), LIKELIHOODS)
@pytest.mark.parametrize(("method", "estimator", "L"), [
    *product(["central", "complex"], "B", [1, 3]), ("central", "A", 2), ("complex", "A", 2),
])  # fmt: skip
def test_every_gradient_is_that_of_the_loss(likelihood, mean, method, estimator, L):
    """Means, log variances and encoder, with both noises held where they are."""
    settings = {"likelihood": likelihood, "likelihood_mean": mean, "estimator": estimator}
    report = check_gradients(make(n_samples=L, **settings), X, method=method)
    assert report.ok, str(report)
    assert sum(is_logvar(row.name) for row in report.rows) == 4 + 2 * (likelihood == "normal")


@pytest.mark.parametrize("settings", [
    {"posterior": "laplace", "estimator": "A"}, {"kl_weight": 0.3}, {"free_bits": 0.4},
], ids=str)  # fmt: skip
def test_every_gradient_is_that_of_the_loss_in_other_company(settings):
    report = check_gradients(make(**settings), X)
    assert report.ok, str(report)


@pytest.mark.parametrize("op", ["parameter_sample_backward", "parameter_kl_backward"])
def test_the_gradient_check_can_fail(op):
    """Half a log variance's gradient, lost: the classic mistake between log σ and log σ²."""
    model = make()
    backend = model.engine_.backend

    def wrong(*arguments):
        getattr(backend.ops, op)(*arguments)
        arguments[-1][...] *= 2

    ops = replace(backend.ops, **{op: wrong})
    engine = Engine(model.engine_.model, replace(backend, ops=ops), model.engine_.theta,
                    model.engine_.penalty)  # fmt: skip
    report = check_gradients(engine, X)
    assert {row.name for row in report.rows if row.error > report.tolerance} == {
        name for name in model.parameters if is_logvar(name)
    }


def loss_by_scipy(p, x, eps, zeta):
    """Minus appendix F's bound over N, of a Bernoulli decoder with at most one hidden layer.

    p: parameters by name, x (M, D), eps (L, M, J), zeta (Q,)
    """
    names = [name.removesuffix(".logvar") for name in p if is_logvar(name)]
    deviations = {name: np.exp(p[name + ".logvar"] / 2) for name in names}
    cuts = np.cumsum([p[name].size for name in names])[:-1]
    parts = zip(names, np.split(zeta, cuts), strict=True)
    theta = {name: p[name] + deviations[name] * z.reshape(p[name].shape) for name, z in parts}

    def network(p, name, h, *heads):
        if f"{name}.hidden.0.weight" in p:
            h = np.tanh(h @ p[f"{name}.hidden.0.weight"].T + p[f"{name}.hidden.0.bias"])
        return [h @ p[f"{name}.{head}.weight"].T + p[f"{name}.{head}.bias"] for head in heads]

    mu, logvar = network(p, "encoder", x, "mean", "logvar")
    sigma = np.exp(logvar / 2)
    (l,) = network(theta, "decoder", mu + sigma * eps, "logits")
    log_p = (x * special.log_expit(l) + (1 - x) * special.log_expit(-l)).sum(-1)
    kl = normal_kl(mu, sigma).sum(-1)
    parameters = sum(normal_kl(p[name], deviations[name]).sum() for name in names)
    return -(log_p - kl).mean() + parameters / N


def normal_kl(mu, sigma):
    """KL(N(μ, σ²)‖N(0, 1)) = −entropy − E[log N(0, 1)]."""
    return -stats.norm.entropy(mu, sigma) + 0.5 * np.log(2 * np.pi) + 0.5 * (mu**2 + sigma**2)


@pytest.mark.parametrize("hidden", [(), (5,)])
def test_the_loss_is_that_of_appendix_f(hidden):
    model, rng = make(hidden=hidden), np.random.default_rng(0)
    eps, zeta = rng.standard_normal((2, 6, 3)), rng.standard_normal(n_theta(model))
    loss, _ = model.loss_and_grad(X, eps, zeta)
    assert loss == pytest.approx(loss_by_scipy(model.parameters, X, eps, zeta), rel=1e-12)


def test_the_mean_over_zeta_is_the_bound_by_quadrature():
    """Two parameters, so the expectation over ζ is a sum over a grid; loss and gradient alike.

    1,000 steps' ζ. Nine means within 4 standard errors: 1 seed in 1,700 fails; it is fixed.
    """
    model, rng = make(hidden=(), latent_dim=1, n_features=1), np.random.default_rng(3)
    p, x, eps = model.parameters, rng.random((4, 1)), rng.standard_normal((2, 4, 1))
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    weights /= np.sqrt(2 * np.pi)

    def deviation(name):
        return np.exp(p[name + ".logvar"].item() / 2)

    def bound():
        mu, logvar = (x * p[f"encoder.{h}.weight"] + p[f"encoder.{h}.bias"]
                      for h in ("mean", "logvar"))  # fmt: skip
        z = mu + np.exp(logvar / 2) * eps  # (L, M, 1)
        w, b = ((p[name].item() + deviation(name) * nodes) for name in names)
        l = z[..., None] * w[:, None] + b  # (L, M, 40, 40)
        log_p = x[..., None] * special.log_expit(l) + (1 - x[..., None]) * special.log_expit(-l)
        theta = sum(normal_kl(p[name], deviation(name)).item() for name in names)
        kl = normal_kl(mu, np.exp(logvar / 2)).mean()
        return kl + theta / N - (log_p.mean((0, 1)) * np.outer(weights, weights)).sum()

    def derivative(value):
        value += 1e-5
        right = bound()
        value -= 2e-5
        left = bound()
        value += 1e-5
        return (right - left) / 2e-5

    names = "decoder.logits.weight", "decoder.logits.bias"
    samples = []
    for step in range(1000):
        loss, grads = model.loss_and_grad(x, eps, random.normal(7, random.PARAMETERS, step, 2))
        samples.append([loss, *(float(g.sum()) for g in grads.values())])
    expected = np.array([bound(), *(derivative(value) for value in p.values())])
    error = np.std(samples, axis=0) / np.sqrt(len(samples))
    # that of differences: a gradient that no ζ moves is known to 1e-10
    assert (abs(np.mean(samples, axis=0) - expected) <= 4 * error + 1e-8).all()


# --- noise --------------------------------------------------------------------------------------


def test_a_step_draws_one_zeta_from_a_stream_of_its_own():
    model = make()
    engine, Q = model.engine_, n_theta(model)
    eps = np.empty((2, 6, 3))
    for step in (0, 5):
        engine.forward(X, Noise(eps, (11, random.POSTERIOR, np.array([step]))))
        zeta = random.normal(11, random.PARAMETERS, step, Q)
        np.testing.assert_allclose(engine.work("theta.zeta", Q), zeta, 1e-14, 1e-15)
        mu, logvar = engine.P["theta.mu"], engine.P["theta.logvar"]
        theta = mu + np.exp(logvar / 2) * zeta
        np.testing.assert_allclose(engine.work("theta", Q), theta, 1e-14, 1e-15)
        expected = random.fill_noise(11, random.POSTERIOR, step, 2, 3, 6)
        np.testing.assert_allclose(eps, expected, 1e-14)  # as a VAE's
    assert not np.intersect1d(eps, zeta).size


def test_without_a_draw_the_parameters_are_at_their_means():
    """Coding, decoding, sampling and scoring: as a VAE's with these parameters, to the bit."""
    ours, theirs = make(), make(npvae.VAE)
    theirs.set_parameters({name: ours.parameters[name] for name in theirs.parameters})
    Z = ours.transform(X)
    np.testing.assert_array_equal(Z, theirs.transform(X))
    np.testing.assert_array_equal(ours.inverse_transform(Z), theirs.inverse_transform(Z))
    np.testing.assert_array_equal(ours.sample(4, rng=0), theirs.sample(4, rng=0))
    for name, value in vars(ours.elbo(X)).items():
        np.testing.assert_array_equal(value, getattr(theirs.elbo(X), name))
    a, b = (m.log_likelihood(X, 100, rng=0).estimate for m in (ours, theirs))
    np.testing.assert_array_equal(a, b)
    eps, zeta = np.random.default_rng(0).standard_normal((1, 6, 3)), np.zeros(n_theta(ours))
    loss, _ = ours.loss_and_grad(X, eps, zeta)
    assert loss == pytest.approx(ours.parameter_kl - ours.elbo(X, eps).total.mean(), rel=1e-14)


def test_zeta_is_that_of_the_first_step_if_not_given():
    model = make()
    zeta = random.normal(2, random.PARAMETERS, 0, n_theta(model))
    assert model.loss_and_grad(X)[0] == model.loss_and_grad(X, zeta=zeta)[0]
    assert model.loss_and_grad(X)[0] != model.loss_and_grad(X, zeta=-zeta)[0]


@pytest.mark.parametrize("zeta", [np.zeros(3), 0.0, np.full(62, np.nan)], ids=str)
def test_a_zeta_that_cannot_be_one_is_refused(zeta):
    model = make()
    assert n_theta(model) == 62
    with pytest.raises(DataError, match=r"zeta of shape .* must be \(62,\), all finite"):
        model.loss_and_grad(X, zeta=zeta)


# --- the posterior, where it is known -----------------------------------------------------------


def test_optimisation_reaches_the_posterior_of_bayesian_linear_regression():
    """x = W z + b + N(0, 1): each column of x is a regression on Φ = [z, 1].

    With orthogonal columns of Φ the posterior of (W, b) under N(0, I) is a product of normals of
    precision 1 + ‖Φ_j‖² and mean Φ_jᵀ x / (1 + ‖Φ_j‖²), so q(θ) can be it, and the bound can be
    the log evidence. Along ζ = ±1 the mean of a function of second degree is its expectation.
    z₂ is 0 for all, so nothing is learned of its weights: their posterior is the prior.
    """
    rng, n, J, D = np.random.default_rng(0), 8, 3, 5
    z = np.zeros((n, J))
    z[:, 0], z[:, 1] = np.tile([1, -1], 4), np.repeat([0.5, -0.5, -0.5, 0.5], 2)
    x = np.hstack([z, rng.standard_normal((n, D - J)) + z @ [[2, -1], [1, 3], [0, 0]] + 1])
    networks = (MLP("encoder", D, (), {"mean": J, "logvar": J}, "identity"),
                MLP("decoder", J, (), {"mean": D}, "identity"))  # fmt: skip
    model = FullVBModel(*networks, likelihood("normal", std=1.0))
    engine = Engine(model, get_backend("numpy"), np.zeros(model.layout().size), ParameterKL(1 / n))
    engine.P["encoder.mean.weight"][...] = np.eye(J, D)  # z is the first columns of x
    eps, mu, logvar = np.zeros((1, n, J)), engine.P["theta.mu"], engine.P["theta.logvar"]
    Q = mu.size
    held = [Noise(eps, zeta=np.full(Q, sign)) for sign in (1.0, -1.0)]
    kl = normal_kl(z, 1).sum(-1).mean()  # z is fixed: what it costs is not for θ to bear

    ctx = engine.ctx

    def bound_and_gradient(point):
        mu[...], logvar[...] = point[:Q], point[Q:]
        losses, gradients = [], []
        for noise in held:
            losses.append(float(engine.loss_and_grad(x, noise) - kl))
            gradients.append(np.concatenate([ctx.G["theta.mu"], ctx.G["theta.logvar"]]))
        return n * np.mean(losses), n * np.mean(gradients, axis=0)

    start = np.concatenate([rng.standard_normal(Q), np.full(Q, -6.0)])
    found = optimize.minimize(bound_and_gradient, start, jac=True, options={"gtol": 1e-9})
    bound_and_gradient(found.x)
    phi = np.hstack([z, np.ones((n, 1))])
    precision = 1 + (phi**2).sum(0)  # (J + 1,)
    mean = x.T @ phi / precision  # (D, J + 1)
    exact = {"weight": mean[:, :J], "bias": mean[:, J],
             "weight.logvar": np.tile(-np.log(precision[:J]), (D, 1)),
             "bias.logvar": np.full(D, -np.log(precision[J]))}  # fmt: skip
    for name, value in exact.items():  # flat at the optimum: √ε of the loss
        np.testing.assert_allclose(engine.P[f"decoder.mean.{name}"], value, atol=1e-6)
    evidence = stats.multivariate_normal(np.zeros(n), np.eye(n) + phi @ phi.T).logpdf(x.T).sum()
    assert -found.fun == pytest.approx(evidence, rel=1e-12)


# --- the class ----------------------------------------------------------------------------------

SMALL = {"latent_dim": 2, "hidden": (32,), "random_state": 0, "verbose": False}


def test_its_parameters_lie_weights_first_and_each_kind_of_the_decoder_s_in_a_row():
    layout = make().engine_.layout
    names = list(layout.shapes)
    assert all(name.endswith(".weight") == (k < 5) for k, name in enumerate(names))
    flat = np.arange(layout.size)
    views = layout.views(flat)
    decoder = [name for name in names if name.startswith("decoder.") and not is_logvar(name)]
    for suffix, vector in (("", "theta.mu"), (".logvar", "theta.logvar")):
        parts = [views[name + suffix].ravel() for name in decoder]
        np.testing.assert_array_equal(np.concatenate(parts), views[vector])
        assert np.shares_memory(views[vector], flat)


def test_it_begins_where_a_vae_does():
    ours, theirs = npvae.FullVB(**SMALL).initialize(64), npvae.VAE(**SMALL).initialize(64)
    for name, value in theirs.parameters.items():
        np.testing.assert_array_equal(ours.parameters[name], value)


def test_it_learns_and_tells_the_parameters_cost_apart():
    model = npvae.FullVB(epochs=30, learning_rate=3e-3, **SMALL).fit(DIGITS)
    history, images = model.history_, DIGITS.images
    p = np.clip(images.mean(0), 1e-9, 1 - 1e-9)  # the best that can be said without a code
    blind = (images * np.log(p) + (1 - images) * np.log(1 - p)).sum(1).mean()
    assert history["elbo"][0] < blind < history["elbo"][-1] < model.score(images)
    whole = np.subtract(history["elbo"], history["parameter_kl"])
    assert whole[0] < whole[15] < whole[-1]
    assert history["parameter_kl"][-1] == model.parameter_kl
    exact = sum(
        normal_kl(value.astype(float), np.exp(model.parameters[name + ".logvar"] / 2)).sum()
        for name, value in model.parameters.items()
        if name + ".logvar" in model.parameters
    )
    assert model.parameter_kl == pytest.approx(exact / len(images), rel=1e-5)  # float32


def test_it_is_saved_and_resumed(tmp_path):
    path, images = tmp_path / "checkpoint.npz", DIGITS.images[:6]
    npvae.FullVB(epochs=2, **SMALL).fit(DIGITS, checkpoint=path)
    resumed = npvae.FullVB(epochs=4, **SMALL).fit(DIGITS, checkpoint=path, resume=True)
    whole = npvae.FullVB(epochs=4, **SMALL).fit(DIGITS)
    assert resumed.engine_.theta.tobytes() == whole.engine_.theta.tobytes()
    assert resumed.history_["parameter_kl"] == whole.history_["parameter_kl"]
    whole.save(tmp_path / "model.npz")
    again = npvae.load(tmp_path / "model.npz")
    assert type(again) is npvae.FullVB
    assert again.parameter_kl == whole.parameter_kl
    np.testing.assert_array_equal(again.transform(images), whole.transform(images))
    for a, b in zip(*(m.loss_and_grad(images)[1].values() for m in (again, whole)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_command_line_trains_and_checks_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("npvae.plotting.write_plots", lambda *what: [])  # told of elsewhere
    train = ["train", "--model", "full-vb", "--hidden", "8", "--epochs", "1"]
    assert main([*train, "--out", str(tmp_path / "run")]) == 0
    model = npvae.load(tmp_path / "run" / "model.npz")
    output = capsys.readouterr().out
    assert f"parameters' KL {model.parameter_kl:.3f}   held out" in output
    assert f"parameters KL {model.parameter_kl:.2f} nats" in output
    check = ["gradcheck", "--model", "full-vb", "--hidden", "2", "--latent-dim", "1"]
    assert main(check) == 0
    assert "decoder.logits.bias.logvar" in capsys.readouterr().out


def test_whoever_goes_back_from_a_pass_at_the_means_gets_its_gradient():
    """Without noise nothing reaches a log variance but its own KL."""
    engine = make().engine_
    eps = np.zeros((1, 6, 3))
    engine.penalty = ParameterKL()
    engine.loss_and_grad(X, Noise(eps))
    assert not engine.ctx.G["theta.logvar"].any()
    assert engine.ctx.G["theta.mu"].any()
