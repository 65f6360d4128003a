"""Monte Carlo EM: its chains against posteriors in closed form, its parameters against the
maximum of a likelihood known by quadrature, and what it leaves behind against what it found.
"""
import os
import signal

import numpy as np
import pytest
import small_models
from scipy import optimize, special, stats

import npvae
from npvae.cli import main
from npvae.evaluation import LogJointTarget, posterior_means
from npvae.models import MCEMModel
from npvae.optim import Adam
from npvae.testing import check_gradients
from npvae.training import monte_carlo

DIGITS = npvae.data.load_digits()
IMAGES = DIGITS.images[:250]
LIKELIHOODS = [("bernoulli", "linear"), ("normal", "linear"), ("normal", "sigmoid")]
each_likelihood = pytest.mark.parametrize(("likelihood", "mean"), LIKELIHOODS)


def make(**settings):
    defaults = {"latent_dim": 3, "hidden": (5,), "dtype": "float64", "random_state": 2}
    return npvae.MCEM(**(defaults | settings), verbose=False)


# --- the gradient -------------------------------------------------------------------------


@each_likelihood
@pytest.mark.parametrize("method", ["central", "complex"])
def test_the_gradient_is_that_of_log_p_of_x_and_z(likelihood, mean, method):
    settings = {"likelihood": likelihood, "likelihood_mean": mean, "parameter_prior": True}
    report = check_gradients(make(**settings).initialize(64), IMAGES[:6], method=method)
    assert report.ok, str(report)


def test_the_loss_is_log_p_of_x_and_z_as_scipy_has_it():
    model, X = make().initialize(64), IMAGES[:6]
    z = np.random.default_rng(0).standard_normal((2, 6, 3))
    p = model.parameters
    h = np.tanh(z @ p["decoder.hidden.0.weight"].T)  # all biases are zero
    logits = h @ p["decoder.logits.weight"].T
    log_p = X * special.log_expit(logits) + (1 - X) * special.log_expit(-logits)
    expected = log_p.sum(-1) + stats.norm.logpdf(z).sum(-1)
    assert model.loss_and_grad(X, z)[0] == pytest.approx(-expected.mean(), rel=1e-13)


@pytest.mark.parametrize("likelihood", small_models.LIKELIHOODS)
@pytest.mark.parametrize("hidden", [(), (4,), (4, 3)])
def test_the_gradient_alone_is_that_which_comes_with_the_energy(likelihood, hidden):
    vae = small_models.vae(likelihood, hidden=hidden)
    model = MCEMModel(vae.decoder, vae.likelihood, 6)
    x, z = small_models.batch(model)
    posterior = LogJointTarget(small_models.engine(model), x)
    np.testing.assert_allclose(posterior.grad(z), posterior.energy(z)[1], rtol=1e-12, atol=1e-14)


# --- the chains ---------------------------------------------------------------------------

W = np.array([[1.0, 0.5], [-0.7, 0.3], [0.2, -1.2], [0.6, 0.6]])
OFFSET, LOGVAR = np.array([0.3, -1.0, 0.0, 2.0]), np.log([0.3, 0.2, 0.5, 0.4])
COVARIANCE = W @ W.T + np.diag(np.exp(LOGVAR))  # of x
PRECISION = np.eye(2) + (W.T / np.exp(LOGVAR)) @ W  # of z given x


def linear(n, seed=0, **settings):
    """A linear-normal model whose parameters do not move, and n datapoints of it."""
    rate = {"optimizer": "sgd", "learning_rate": 1e-300, "random_state": seed}
    model = make(latent_dim=2, hidden=(), likelihood="normal", **(rate | settings)).initialize(4)
    model.set_parameters({
        "decoder.mean.weight": W, "decoder.mean.bias": OFFSET,
        "decoder.logvar.weight": 0 * W, "decoder.logvar.bias": LOGVAR,
    })  # fmt: skip
    X = np.random.default_rng(seed).multivariate_normal(OFFSET, COVARIANCE, n)
    means = (X - OFFSET) / np.exp(LOGVAR) @ W @ np.linalg.inv(PRECISION)
    return model, X, means


@pytest.fixture(scope="module")
def settled():
    """Its chains after 40 passes, and the posterior means of the datapoints."""
    model, X, means = linear(500)
    for _ in range(40):
        model.partial_fit(X)
    np.testing.assert_array_equal(model.parameters["decoder.mean.weight"], W)
    return model, means


def test_chains_have_the_posterior_s_moments(settled):
    """Whitened, 500 independent samples of N(0, I): a true sampler fails once in 250 seeds."""
    model, means = settled
    z = model._state.chains["z"]
    u = (z - means) @ np.linalg.cholesky(PRECISION)
    for values in u.T:
        assert stats.kstest(values, stats.norm.cdf).pvalue > 1e-3
    assert stats.kstest((u**2).sum(1), stats.chi2(2).cdf).pvalue > 1e-3
    assert stats.pearsonr(*u.T).pvalue > 1e-3


@pytest.mark.parametrize("n_leapfrog", [1, 10])
def test_tuning_does_not_bend_what_chains_sample(n_leapfrog):
    """A posterior whose curvature changes by the place, so that the best ε does too.

    4,000 chains begin at exact samples of it, as if after 1,000 moves, and make 100 more, tuned;
    its first two moments, by quadrature, are theirs still: each fails once in 1,000 seeds. By
    an ε_i whose gain does not fade the variance comes out a fifth too small with one leapfrog
    step, and 3 % with ten. (Of the gain that all share, so many chains tell nothing.)
    """
    settings = {"latent_dim": 1, "hidden": (3,), "likelihood": "normal", "optimizer": "sgd",
                "learning_rate": 1e-300, "batch_size": 4000, "n_leapfrog": n_leapfrog}  # fmt: skip
    model = make(**settings, n_updates=1).initialize(1)
    model.set_parameters({
        "decoder.hidden.0.weight": [[1.0], [2.0], [-1.0]], "decoder.hidden.0.bias": [0, 1, 0.5],
        "decoder.mean.weight": [[1.0, 0.5, -0.3]], "decoder.mean.bias": [0.0],
        "decoder.logvar.weight": [[-2.0, -1.0, 0.0]], "decoder.logvar.bias": [-1.0],
    })  # fmt: skip
    grid = np.linspace(-8, 8, 20_001)
    h = np.tanh(grid[:, None] * [1, 2, -1] + [0, 1, 0.5])
    scale = np.exp(0.5 * (h @ [-2, -1, 0] - 1))
    p = stats.norm.pdf(0.8, h @ [1, 0.5, -0.3], scale) * stats.norm.pdf(grid)
    p /= p.sum()
    X = np.full((4000, 1), 0.8)
    model._set_n_data(4000)
    chains = model._state.chains
    chains["z"][:, 0] = np.interp(np.random.default_rng(0).random(4000), np.cumsum(p), grid)
    chains["step_size"][:], chains["age"][:] = 0.215, 1000
    visited = []
    for _ in range(100):
        model.partial_fit(X)
        visited.append(chains["z"][:, 0].copy())
    for power in (1, 2):
        means = (np.array(visited[30:]) ** power).mean(axis=0)  # of each chain, independent
        assert stats.ttest_1samp(means, p @ grid**power).pvalue > 1e-3


def test_nine_in_ten_proposals_are_accepted(settled):
    """The mean of 20 epochs of 500 proposals: 0.9 within a hundredth."""
    model, _ = settled
    assert np.mean(model.history_["acceptance"][-20:]) == pytest.approx(0.9, abs=0.01)
    assert not any(model.history_["divergences"][10:])


def test_each_step_size_finds_its_own_scale():
    """One datapoint's posterior is ten times narrower: its ε is, and its chain moves like others.

    Its logvar's gradient is 0 for the others, whose x is the same; so only the chain tells.
    """
    model, X, _ = linear(200)

    class Narrow(LogJointTarget):  # the first datapoint of the data, where it is in the minibatch
        def energy(self, z):
            U, grad = super().energy(z)
            first = (self.x == X[0]).all(axis=-1)
            return np.where(first, 100 * U, U), np.where(first[:, None], 100 * grad, grad)

        __call__ = energy

        def grad(self, z):
            return self.energy(z)[1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(monte_carlo, "LogJointTarget", Narrow)
        for _ in range(80):
            model.partial_fit(X)
    steps = model._state.chains["step_size"]
    assert 0.02 < steps[0] / np.median(steps) < 0.4
    assert model._state.chains["refused"][0] < monte_carlo.MAX_REJECTIONS


def test_the_parameters_reach_the_greatest_likelihood():
    """p(x) of one latent by quadrature: no more than 0.01 nats are to be gained near its end.

    And at the end the latents have the prior's second moment: Σ‖z‖² = N J is what stretching the
    latents does not change, at a maximum of any decoder with weights on z. Sampled: ± 0.15.
    One update a sample: of several, the later ones shrink σ² to the residuals of this very sample,
    which then can move less.
    """
    rng = np.random.default_rng(3)
    z = rng.standard_normal((300, 1))
    X = z @ np.array([[1.0, -2.0, 0.5]]) + [1, 0, -1] + rng.standard_normal((300, 3)) * [0.5, 1, 2]
    model = make(latent_dim=1, hidden=(), likelihood="normal", learning_rate=0.03, batch_size=300,
                 schedule="cosine", epochs=500, n_updates=1).fit(X)  # fmt: skip
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    layout, standardized = model.engine_.layout, (X - X.mean(axis=0)) / X.std(axis=0)

    def minus_log_p(theta):
        p = layout.named(theta)  # of standardized data
        mean = nodes[:, None] * p["decoder.mean.weight"][:, 0] + p["decoder.mean.bias"]
        logvar = nodes[:, None] * p["decoder.logvar.weight"][:, 0] + p["decoder.logvar.bias"]
        r = (standardized[:, None] - mean) * np.exp(-0.5 * logvar)  # (N, nodes, 3)
        log_p = -0.5 * (r * r + logvar + np.log(2 * np.pi)).sum(-1)
        return -special.logsumexp(log_p, b=weights / weights.sum(), axis=1).mean()

    found = minus_log_p(model.engine_.theta)
    best = optimize.minimize(minus_log_p, model.engine_.theta.copy()).fun
    assert best <= found <= best + 0.01
    assert (model._state.chains["z"] ** 2).mean() == pytest.approx(1, abs=0.15)


def test_a_step_is_so_many_updates_with_one_sample():
    """By the gradients of loss_and_grad where the chains ended, Adam counting every update."""
    X, M = IMAGES[:30], 30
    settings = {"batch_size": M, "epochs": 1, "n_updates": 3, "parameter_prior": True}
    with pytest.warns(UserWarning):  # ε is not found in one step
        model = make(**settings).fit(X)
    byhand = make(**settings).initialize(64)
    npvae.estimators.training.start_at_moments(byhand, X, 1.0)
    byhand._set_n_data(M)
    engine = byhand.engine_
    scratch = np.empty_like(engine.theta)
    moments = Adam().init(np, engine.theta)
    for t in (1, 2, 3):
        byhand.loss_and_grad(X, model._state.chains["z"][None])
        Adam().update(engine.ops, engine.theta, engine.grad, moments, scratch, 1e-3, t)
    np.testing.assert_allclose(engine.theta, model.engine_.theta, rtol=0, atol=1e-12)


# --- what it tells ------------------------------------------------------------------------


def test_posterior_means_and_likelihoods_are_those_in_closed_form():
    """Means within 5 standard errors of 20 moves of an only chain; log p(x) within 5 of its own."""
    model, X, means = linear(12)
    deviation = np.sqrt(np.diag(np.linalg.inv(PRECISION)))
    assert (np.abs(model.transform(X) - means) <= 5 * deviation / np.sqrt(20)).all()
    expected = stats.multivariate_normal(OFFSET, COVARIANCE).logpdf(X)
    found = model.log_likelihood(X, rng=0, n_temperatures=100)
    assert (np.abs(found.estimate - expected) <= 5 * found.standard_error + 1e-6).all()
    assert model.score(X[:5]) == pytest.approx(expected[:5].mean(), abs=0.1)
    np.testing.assert_array_equal(model.score_samples(X[:5]), model.score_samples(X[:5]))


def test_posterior_means_weigh_the_modes():
    """A decoder of z² has two of them, uneven by a line: E[z|x] by quadrature.

    Plain chains stay in the mode in which they began and would answer by the starts' share.
    """
    model = make(latent_dim=1, hidden=(2,), activation="elu", likelihood="normal").initialize(1)
    # elu(4z) + elu(−4z) = 4|z| about; and a slope
    model.set_parameters({
        "decoder.hidden.0.weight": np.array([[4.0], [-4.0]]), "decoder.hidden.0.bias": np.zeros(2),
        "decoder.mean.weight": np.array([[1.0, 0.8]]), "decoder.mean.bias": np.zeros(1),
        "decoder.logvar.weight": np.zeros((1, 2)), "decoder.logvar.bias": np.array([-1.0]),
    })  # fmt: skip
    X, grid = np.array([[3.0], [4.0], [5.0]]), np.linspace(-6, 6, 4001)[:, None]
    mu = model.inverse_transform(grid)[:, 0]
    log_p = stats.norm.logpdf(X, mu, np.exp(-0.5)) + stats.norm.logpdf(grid[:, 0])
    p = special.softmax(log_p, axis=1)
    means, second = p @ grid[:, 0], p @ grid[:, 0] ** 2
    found = posterior_means(model.engine_, X, n_chains=400, seed=1)[:, 0]
    assert (np.sqrt(second - means**2) > 0.5).all()  # two modes, far apart
    np.testing.assert_allclose(found, means, rtol=0, atol=5 * 1.5 / np.sqrt(400))


def test_posterior_means_do_not_depend_on_the_chunk():
    model, X, _ = linear(6)
    whole = model.transform(X)
    engine = model.engine_
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("npvae.evaluation.means.chunk_size", lambda *_: 4)
        np.testing.assert_allclose(posterior_means(engine, X, seed=model.seed_), whole, rtol=1e-9)


def test_it_learns_and_is_saved_and_codes(tmp_path):
    model = npvae.MCEM(latent_dim=2, hidden=(32,), epochs=40, random_state=0, verbose=False,
                       learning_rate=3e-3).fit(IMAGES)  # fmt: skip
    p = np.clip(IMAGES.mean(0), 1e-9, 1 - 1e-9)  # the best that can be said without a code
    blind = (IMAGES * np.log(p) + (1 - IMAGES) * np.log(1 - p)).sum(1).mean()
    history = model.history_
    assert history["log_joint"][-1] > blind > history["log_joint"][0]
    parts = np.add(history["reconstruction"], history["log_prior"])
    np.testing.assert_allclose(history["log_joint"], parts, rtol=1e-12)
    for name in ("elbo", "kl", "validation_elbo"):
        assert name not in history
    assert not hasattr(model, "elbo")
    titles = [ax.get_title(loc="left") for ax in npvae.plotting.learning_curve(history).axes]
    assert titles == ["log p(x, z)", "Reconstruction, E[log p(x|z)]", "log p(z)"]
    model.save(tmp_path / "model.npz")
    again = npvae.load(tmp_path / "model.npz")
    assert type(again) is npvae.MCEM
    codes = model.transform(IMAGES[:8])
    np.testing.assert_array_equal(again.transform(IMAGES[:8]), codes)
    error = np.abs(model.inverse_transform(codes) - IMAGES[:8]).mean()
    assert error < 0.9 * np.abs(IMAGES.mean(0) - IMAGES[:8]).mean()
    assert model.sample(3, rng=0).shape == (3, 64)
    with pytest.warns(UserWarning, match="proposals were accepted, not 90 %"):
        again.partial_fit(IMAGES[:70])  # new chains, of other data
    assert again._state.chains["z"].shape == (70, 2)


# --- the same run twice, cut anywhere -----------------------------------------------------

RUN = {"hidden": (16,), "epochs": 3, "dtype": "float32"}  # 250 digits: a ragged last batch


def assert_same_run(a, b):
    assert a.engine_.theta.tobytes() == b.engine_.theta.tobytes()
    assert a._state.chains.keys() == b._state.chains.keys()
    for name, array in a._state.chains.items():
        assert array.tobytes() == b._state.chains[name].tobytes(), name
    columns = a.history_.keys() - {"seconds"}
    assert {k: a.history_[k] for k in columns} == {k: b.history_[k] for k in columns}


def test_a_resumed_run_is_the_same_to_the_bit(tmp_path, monkeypatch):
    whole, path = make(**RUN).fit(IMAGES), tmp_path / "checkpoint.npz"
    assert_same_run(make(**RUN).fit(IMAGES), whole)
    make(**(RUN | {"epochs": 2})).fit(IMAGES, checkpoint=path)
    assert_same_run(make(**RUN).fit(IMAGES, checkpoint=path, resume=True), whole)
    parts = make(**RUN)
    for _ in range(3):
        parts.partial_fit(IMAGES)
    assert_same_run(parts, whole)

    move = monte_carlo.MonteCarloEM.move

    def interrupted(self, x, rows):
        if self.state.step == 4:  # in the middle of the second epoch
            os.kill(os.getpid(), signal.SIGINT)
        return move(self, x, rows)

    with monkeypatch.context() as patch:
        patch.setattr(monte_carlo.MonteCarloEM, "move", interrupted)
        with pytest.raises(KeyboardInterrupt):
            make(**RUN).fit(IMAGES, checkpoint=path)
    assert_same_run(make(**RUN).fit(IMAGES, checkpoint=path, resume=True), whole)


def test_a_checkpoint_of_other_data_is_refused(tmp_path):
    path = tmp_path / "checkpoint.npz"
    make(**RUN).fit(IMAGES, checkpoint=path)
    with pytest.raises(npvae.ModelFileError, match="n_data=250, not 200"):
        make(**RUN).fit(IMAGES[:200], checkpoint=path, resume=True)


# --- what it cannot do, and what fails, is said -------------------------------------------


@pytest.mark.parametrize(("settings", "words"), [
    ({"n_leapfrog": 0}, "n_leapfrog=0 must be a whole number"),
    ({"n_updates": 1.5}, r"n_updates=1\.5 must be a whole number"),
    ({"binarize": "dynamic"}, "its chain cannot follow; choose 'fixed'"),
])  # fmt: skip
def test_settings_that_cannot_be_are_refused(settings, words):
    with pytest.raises(npvae.ParameterError, match=words):
        make(**settings).fit(IMAGES)


def test_it_has_no_bound_and_says_so():
    with pytest.raises(npvae.ParameterError, match="no encoder, and so no bound"):
        make().fit(IMAGES, validation=IMAGES)
    with pytest.raises(npvae.NotFittedError):
        make().score_samples(IMAGES)
    model = make().initialize(64)
    with pytest.raises(npvae.DataError, match=r"z has shape \(6, 3\); it must be \(L, 6, 3\)"):
        model.loss_and_grad(IMAGES[:6], np.zeros((6, 3)))
    with pytest.raises(npvae.ParameterError, match="take start='prior'"):
        npvae.evaluation.annealed_log_likelihood(model.engine_, IMAGES[:2], start="posterior")


def test_chains_that_do_not_move_end_the_training(monkeypatch):
    """Made to aim at an acceptance below zero, ε grows until every proposal diverges."""
    monkeypatch.setattr(monte_carlo, "ACCEPTANCE", -20)
    with pytest.raises(npvae.NumericalError, match=r"chains do not move: 0 % .* 250 diverged"):
        make(epochs=40).fit(IMAGES)


def test_chains_that_mixed_badly_are_warned_of():
    good = {"z": np.zeros((1000, 2)), "acceptance": np.full(1000, 0.9), "diverged": np.zeros(1000),
            "refused": np.zeros(1000), "step_size": np.ones(1000)}  # fmt: skip
    assert monte_carlo.chain_warning(good) == ""
    few = good["refused"].copy()
    few[3] = monte_carlo.MAX_REJECTIONS
    for fault, words in [
        ({"acceptance": np.full(1000, 0.3)}, "30 % of proposals were accepted, not 90 %"),
        ({"diverged": np.arange(1000) < 20}, "20 of 1000 diverged"),
        ({"refused": few}, "the chains of 1 datapoints have not moved for"),
    ]:
        assert words in monte_carlo.chain_warning(good | fault)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(monte_carlo, "ACCEPTANCE", 1.5)
        with pytest.warns(UserWarning, match="lower the learning rate") as caught:
            make(epochs=1).fit(IMAGES)
    assert caught[0].filename == __file__


def test_a_loss_that_is_not_finite_stops_the_run():
    with pytest.raises(npvae.NumericalError, match=r"at step \d"):
        make(learning_rate=1e30, likelihood="normal", likelihood_variance="unbounded").fit(IMAGES)


# --- on the command line ------------------------------------------------------------------


def test_a_run_of_its_own(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("npvae.plotting.write_plots", lambda *_: [])
    train = ["train", "--model", "mcem", "--hidden", "8", "--n-train", "100", "--epochs", "2",
             "--validation", "3"]  # fmt: skip
    assert main([*train, "--out", "run"]) == 0
    told = capsys.readouterr().out
    assert "log p(x, z)" in told and "of proposals accepted" in told
    assert "ELBO" not in told and "held out" not in told
    assert main(["evaluate", "run", "--limit", "1", "--samples", "2"]) == 0
    told = capsys.readouterr().out
    assert "by 2 samples each" in told and "bound   " not in told
    assert main(["gradcheck", "--model", "mcem", "--hidden", "3"]) == 0
