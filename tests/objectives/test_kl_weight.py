"""β, warm-up and free bits change what is minimised, and nothing that is reported."""
import json
import pickle
import signal
from dataclasses import fields
from fractions import Fraction
from unittest.mock import patch

import numpy as np
import pytest
from small_models import replace_ops

import npvae
from npvae.backend import Backend
from npvae.cli import main
from npvae.errors import ParameterError
from npvae.models import Engine, Noise, VAEModel
from npvae.objectives import ELBO
from npvae.ops import Ops
from npvae.testing import check_gradients
from npvae.training import TrainStep

IMAGES = npvae.data.load_digits().images
X = IMAGES[:6]
EPS = np.random.default_rng(0).standard_normal((2, 6, 3))


def make(**settings):
    """A model at parameters that are not small, so that no KL is."""
    defaults = {"latent_dim": 3, "hidden": (5,), "dtype": "float64", "random_state": 2}
    model = npvae.VAE(**(defaults | settings), verbose=False).initialize(64)
    rng = np.random.default_rng(3)
    for view in model.parameters.values():
        view[...] = 0.5 * rng.standard_normal(view.shape)
    return model


def latent_kl(model, data=X):
    """KL_mj by appendix B, the encoder being written out.   (M, J)"""
    P = model.parameters
    h = np.tanh(data @ P["encoder.hidden.0.weight"].T + P["encoder.hidden.0.bias"])
    mu = h @ P["encoder.mean.weight"].T + P["encoder.mean.bias"]
    logvar = h @ P["encoder.logvar.weight"].T + P["encoder.logvar.bias"]
    return (mu**2 + np.exp(logvar) - 1 - logvar) / 2


def between(model):
    """A λ below the KL of one latent and above those of the two others, and which one."""
    means = latent_kl(model).mean(axis=0)
    return float(np.sort(means)[1:].mean()), int(means.argmax())


# --- what is minimised ----------------------------------------------------------------------

CHECKED = [
    {"kl_weight": 4.0}, {"kl_weight": 0.0}, {"kl_weight": 0.3, "estimator": "A", "n_samples": 3},
    {"kl_weight": 0.3, "estimator": "stl", "n_samples": 3},
    {"free_bits": 0.9}, {"free_bits": 0.9, "kl_weight": 2.0, "n_samples": 3},
    {"kl_weight": 4.0, "likelihood": "normal", "parameter_prior": True, "kl_warmup": 2},
    {"kl_weight": 4.0, "posterior": "gumbel", "prior": "gumbel", "estimator": "A"},
    {"kl_weight": 4.0, "prior": "mixture", "estimator": "A", "prior_components": 2},
]  # fmt: skip


@pytest.mark.parametrize("settings", CHECKED, ids=str)
@pytest.mark.parametrize("method", ["central", "complex"])
def test_the_gradient_is_that_of_the_loss(settings, method):
    report = check_gradients(make(**settings), X, method=method)
    assert report.ok, str(report)


@pytest.mark.parametrize("estimator", ["A", "B", "stl"])
@pytest.mark.parametrize("beta", [0.3, 4.0])
def test_beta_weighs_the_gradient_of_the_kl_alone(estimator, beta):
    """∇(nll + β KL) = ∇nll + β ∇KL: of three models, one has the first of these two, one both."""
    weights = 0.0, 1.0, beta
    nll, bound, weighed = (
        make(estimator=estimator, kl_weight=w).loss_and_grad(X, EPS)[1] for w in weights
    )
    for name, value in weighed.items():
        expected = nll[name] + beta * (bound[name] - nll[name])
        np.testing.assert_allclose(value, expected, 1e-12, 1e-13, err_msg=name)


@pytest.mark.parametrize("estimator", ["A", "B", "stl"])
def test_the_loss_is_nll_plus_beta_kl(estimator):
    model = make(estimator=estimator, kl_weight=4.0)
    bound = model.elbo(X, EPS)
    expected = -bound.reconstruction.mean() + 4 * bound.kl.mean()
    assert model.loss_and_grad(X, EPS)[0] == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("beta", [1.0, 0.5])
def test_free_bits_are_a_floor_under_the_mean_kl_of_each_latent(beta):
    least, _ = between(make())
    model = make(free_bits=least, kl_weight=beta)
    floored = np.maximum(least, latent_kl(model).mean(axis=0)).sum()
    expected = -model.elbo(X, EPS).reconstruction.mean() + beta * floored
    assert model.loss_and_grad(X, EPS)[0] == pytest.approx(expected, rel=1e-14)


def test_below_the_floor_no_gradient_of_the_kl_is_left_and_above_it_is_all_there():
    least, above = between(make())
    free = make(free_bits=least).loss_and_grad(X, EPS)[1]
    bound, nll = (make(kl_weight=w).loss_and_grad(X, EPS)[1] for w in (1.0, 0.0))
    for name in ("encoder.mean.weight", "encoder.mean.bias", "encoder.logvar.weight"):
        for j in range(3):
            expected, other = (bound, nll) if j == above else (nll, bound)
            assert np.array_equal(free[name][j], expected[name][j]), (name, j)
            assert not np.array_equal(free[name][j], other[name][j]), (name, j)


def test_under_a_floor_above_all_only_the_reconstruction_teaches():
    (loss, free), (_, nll) = (
        make(**term).loss_and_grad(X, EPS) for term in ({"free_bits": 1e3}, {"kl_weight": 0.0})
    )
    assert loss == pytest.approx(3e3 - make().elbo(X, EPS).reconstruction.mean(), rel=1e-14)
    for name, value in nll.items():
        assert np.array_equal(free[name], value), name


# --- warm-up --------------------------------------------------------------------------------

RUN = {
    "latent_dim": 3, "hidden": (8,), "batch_size": 60, "epochs": 4, "dtype": "float64",
    "random_state": 1, "verbose": False, "kl_weight": 2.0, "kl_warmup": 3,
}  # fmt: skip
DATA = IMAGES[:170]  # three batches an epoch, the last of 50
SHOULD = [min(2.0, float(Fraction(2 * t, 3 * 3))) for t in range(12)]


def fit(data=DATA, validation=None, **settings):
    return npvae.VAE(**(RUN | settings)).fit(data, validation=validation)


def test_every_step_has_its_weight_and_its_gradient():
    """The gradient of each step, against that of an engine with this weight for good."""
    weights, backward, vae = [], VAEModel.backward, npvae.VAE(**RUN)

    def check(model, ctx, cache, seeds):
        backward(model, ctx, cache, seeds)
        x, engine = cache.encoder.x, vae.engine_
        weights.append(float(seeds.kl[0, -1] * len(x)))
        objective = ELBO(kl_weight=SHOULD[len(weights) - 1])
        fixed = Engine(model, engine.backend, engine.theta, objective=objective)
        again = fixed.forward(x, Noise(cache.noise.eps))
        backward(model, fixed.ctx, again, objective(fixed.ctx, again.terms).seeds)
        assert fixed.grad.tobytes() == engine.grad.tobytes()

    with patch.object(VAEModel, "backward", check):
        vae.fit(DATA)
    np.testing.assert_allclose(weights, SHOULD, rtol=3e-16)  # M · (w / M)
    # and what loss_and_grad has, and any call that is of no step
    assert vae.engine_.objective.kl_weight == 2.0
    ctx, cache = vae.engine_.ctx, vae.engine_.forward(DATA, Noise(np.zeros((1, 170, 3))))
    loss = vae.engine_.objective(ctx, cache.terms)
    assert loss.kl.tobytes() == (2 * cache.terms.kl).tobytes()


@pytest.mark.parametrize("settings", [{}, {"free_bits": 0.2}, {"estimator": "A"}], ids=str)
@pytest.mark.parametrize("step", [2, 5, 9])
def test_an_interrupted_warm_up_resumes_to_equal_bits(step, settings, tmp_path):
    path, one_step = tmp_path / "checkpoint.npz", TrainStep.one_step
    whole = fit(**settings)

    def interrupted(self, *arguments, **options):
        one_step(self, *arguments, **options)
        if self.state.step + 1 == step:
            signal.raise_signal(signal.SIGINT)

    uncaptured = patch.object(Backend, "capture", lambda *_: None)  # or it would not be called
    with uncaptured, patch.object(TrainStep, "one_step", interrupted):  # noqa: SIM117
        with pytest.raises(KeyboardInterrupt):
            npvae.VAE(**(RUN | settings)).fit(DATA, checkpoint=path)
    resumed = npvae.VAE(**(RUN | settings)).fit(DATA, checkpoint=path, resume=True)
    assert resumed.engine_.theta.tobytes() == whole.engine_.theta.tobytes()
    for column in ("elbo", "reconstruction", "kl", "objective"):
        assert resumed.history_[column] == whole.history_[column]


def test_a_warm_up_ends_where_it_says():
    """Nothing is left of it in the epochs after: they go on as those of a model without."""
    warmed = fit(epochs=3)
    late = npvae.VAE(**RUN).set_params(kl_warmup=0, epochs=3).fit(DATA)
    late.set_parameters(warmed.parameters)
    for name, moment in warmed._state.moments.items():
        late._state.moments[name][...] = moment
    warmed.partial_fit(DATA), late.partial_fit(DATA)
    assert warmed.engine_.theta.tobytes() == late.engine_.theta.tobytes()


def test_a_model_from_a_file_does_not_warm_up_again(tmp_path):
    """What it maximises in its next epoch is the bound itself, as in the last one before."""
    fit(epochs=3, kl_weight=1.0).save(tmp_path / "model.npz")
    again = npvae.load(tmp_path / "model.npz").partial_fit(DATA)
    assert again.history_["epoch"] == [4]
    assert again.history_["objective"] == pytest.approx(again.history_["elbo"])


def test_a_weight_that_is_taken_back_leaves_no_trace():
    plain, other = (fit(kl_weight=1.0, kl_warmup=0, epochs=1) for _ in range(2))
    other.set_params(kl_weight=3.0, free_bits=0.5)
    other.engine_.objective = other._objective()
    other.loss_and_grad(DATA)
    other.set_params(kl_weight=1.0, free_bits=0.0)
    plain.partial_fit(DATA), other.partial_fit(DATA)
    # the floor at zero adds up the same KL in another order
    np.testing.assert_allclose(other.engine_.theta, plain.engine_.theta, 1e-10, 1e-12)
    assert other.history_["elbo"] == pytest.approx(plain.history_["elbo"], rel=1e-12)


# --- what is reported -----------------------------------------------------------------------

TERMS = [{"kl_weight": 4.0}, {"kl_warmup": 3}, {"free_bits": 0.2}, {"estimator": "A"}]


@pytest.mark.parametrize("term", TERMS, ids=str)
def test_the_bound_is_the_bound(term):
    """Of the same parameters: the same bits; and in the history, by training and held-out data."""
    weighed, plain = make(**term), make(estimator=term.get("estimator", "B"))
    assert weighed.score(X) == plain.score(X)
    for part, value in vars(plain.elbo(X, EPS)).items():
        assert getattr(weighed.elbo(X, EPS), part).tobytes() == value.tobytes()
    held_out = IMAGES[200:260]
    model = fit(validation=held_out, early_stopping=3, **term)
    for part in ("", "validation_"):
        h = model.history_
        difference = np.subtract(h[part + "reconstruction"], h[part + "kl"])
        np.testing.assert_allclose(h[part + "elbo"], difference, rtol=1e-12)
    assert model._state.best_elbo == max(model.history_["validation_elbo"])
    assert model.score(held_out) == pytest.approx(model._state.best_elbo, rel=1e-12)


def test_what_was_maximised_has_a_column_where_it_is_another():
    assert "objective" not in fit(kl_weight=1.0, kl_warmup=0).history_
    h = fit(kl_warmup=0).history_
    expected = np.subtract(h["reconstruction"], np.multiply(2, h["kl"]))
    np.testing.assert_allclose(h["objective"], expected, rtol=1e-12)
    # β_t rises through the three epochs from 0 to 2, so it is at most 2/3 in the first
    h = fit().history_
    taken = np.subtract(h["reconstruction"], h["objective"]) / h["kl"]
    assert 0 < taken[0] < 2 / 3 < taken[1] < 4 / 3 < taken[2] < 2 == pytest.approx(taken[3])


def test_the_objective_of_free_bits_is_the_mean_over_the_epoch():
    """With a rate too small to move anything, and one batch: that of the first parameters."""
    settings = {"kl_warmup": 0, "batch_size": 170, "optimizer": "sgd", "learning_rate": 1e-20}
    means = latent_kl(fit(epochs=1, **settings), DATA).mean(axis=0)
    least = float(np.median(means))
    h = fit(free_bits=least, epochs=1, **settings).history_
    term = 2 * np.maximum(least, means).sum()
    assert h["objective"][0] == pytest.approx(h["reconstruction"][0] - term, rel=1e-12)


def test_nothing_is_weighed_that_need_not_be():
    """The bound itself runs no op of this kind, and has no buffer for one."""
    model = npvae.VAE(**(RUN | {"kl_weight": 1.0, "kl_warmup": 0})).initialize(64)

    def never(*arguments):
        raise AssertionError("an op of another objective")

    engine = model.engine_
    replace_ops(engine, scale_kl=never, free_bits=never, free_bits_backward=never)
    model.partial_fit(DATA)
    terms = engine.forward(DATA, Noise(np.zeros((1, 170, 3)))).terms
    loss = engine.objective(engine.ctx, terms)
    assert loss.nll is terms.nll and loss.kl is terms.kl
    assert not {"d_kl", "kl.term", "kl.clamped", "kl.open"} & engine.work.buffers().keys()


@pytest.mark.parametrize(("term", "calls"), [
    ({}, 0), ({"kl_weight": 2.0}, 2), ({"kl_warmup": 3}, 2), ({"free_bits": 0.1}, 2),
    ({"free_bits": 0.1, "kl_weight": 2.0}, 3),
], ids=str)  # fmt: skip
def test_so_many_ops_more(term, calls):
    """A second ``accumulate_metrics``; ``scale_kl`` for a weight but 1; and ``free_bits``, whose
    backward is in place of B's.
    """
    plain = {"kl_weight": 1.0, "kl_warmup": 0}
    assert count_ops(**(plain | term)) - count_ops(**plain) == calls


def count_ops(**term):
    model, called = npvae.VAE(**(RUN | term | {"batch_size": 170})).initialize(64), []

    def noted(name):
        op = getattr(model.engine_.ops, name)
        return lambda *a, **k: (called.append(name), op(*a, **k))[1]

    replace_ops(model.engine_, **{f.name: noted(f.name) for f in fields(Ops)})
    model.partial_fit(DATA)
    return len(called)


def test_a_file_and_a_pickle_keep_the_objective(tmp_path):
    model = make(kl_weight=4.0, free_bits=0.5, kl_warmup=2)
    model.save(tmp_path / "model.npz")
    expected, _ = model.loss_and_grad(X, EPS)
    for again in (npvae.load(tmp_path / "model.npz"), pickle.loads(pickle.dumps(model))):
        assert again.loss_and_grad(X, EPS)[0] == expected
        assert again.engine_.objective == ELBO(kl_weight=4.0, kl_warmup=2, free_bits=0.5)


# --- the command line -----------------------------------------------------------------------


def test_train_says_both_where_they_differ(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("npvae.plotting.write_plots", lambda *arguments: [])  # seconds
    quick = ["train", "--hidden", "8", "--epochs", "2"]
    assert main([*quick, "--kl-weight", "4", "--kl-warmup", "1", "--free-bits", "0.1",
                 "--out", str(tmp_path / "a")]) == 0  # fmt: skip
    output = capsys.readouterr().out
    last = json.loads((tmp_path / "a" / "history.jsonl").read_text().splitlines()[-1])
    assert f"\ntraining   ELBO {last['elbo']:.2f} = " in output
    assert f"\nmaximised  {last['objective']:.2f} nats" in output
    assert main([*quick, "--out", str(tmp_path / "b")]) == 0
    assert "maximised" not in capsys.readouterr().out


# --- what it cannot do ----------------------------------------------------------------------


@pytest.mark.parametrize(("settings", "words"), [
    ({"kl_weight": -1.0}, r"kl_weight=-1.0 must be a number of at least 0"),
    ({"kl_weight": float("nan")}, r"kl_weight=nan must be a number of at least 0"),
    ({"kl_weight": "4"}, r"kl_weight='4' must be a number"),
    ({"kl_weight": True}, r"kl_weight=True must be a number"),
    ({"kl_warmup": 1.5}, r"kl_warmup=1.5 must be a whole number"),
    ({"kl_warmup": -1}, r"kl_warmup=-1 must be a whole number"),
    ({"kl_warmup": False}, r"kl_warmup=False must be a whole number"),
    ({"free_bits": -0.1}, r"free_bits=-0.1 must be a number of at least 0"),
    ({"free_bits": 0.1, "estimator": "A"}, r"estimator='A' does not give; choose estimator='B'"),
    ({"free_bits": 0.1, "posterior": "laplace", "prior": "laplace"},
     r"posterior='laplace' does not give; choose posterior='normal'"),
    ({"free_bits": 0.1, "prior": "mixture", "estimator": "A"}, r"choose prior='normal'"),
], ids=str)  # fmt: skip
def test_what_cannot_be_is_refused_in_words(settings, words):
    with pytest.raises(ParameterError, match=words):
        npvae.VAE(**settings).initialize(64)


@pytest.mark.parametrize("kind", [npvae.WakeSleep, npvae.Autoencoder])
def test_others_have_no_such_arguments(kind):
    assert not {"kl_weight", "kl_warmup", "free_bits"} & kind().get_params().keys()
