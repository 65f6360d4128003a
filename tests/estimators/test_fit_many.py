"""Models that are trained together come to what each comes to alone, bit for bit.

Everything here is small, 250 digits in batches of 100, so that each epoch has a ragged last batch;
and whether one thread trains all or two share them makes no difference.
"""
import os
import signal
import threading
from contextlib import nullcontext
from itertools import product
from unittest.mock import patch

import numpy as np
import pytest

import npvae
from npvae.backend import Backend
from npvae.errors import DataError, NumericalError, ParameterError
from npvae.estimators import many as many_models
from npvae.estimators.batchable import OWN, shared_settings
from npvae.objectives import OBJECTIVES
from npvae.ops import ACTIVATIONS
from npvae.optim import OPTIMIZERS, Adam
from npvae.training import StackedStep

DIGITS = npvae.data.load_digits()
IMAGES, HELD_OUT = DIGITS.images[:250], DIGITS.images[250:300]
SEEDS = [{"random_state": s, "learning_rate": 1e-3 * (s + 1)} for s in range(3)]


def model(kind=npvae.VAE, **settings):
    return kind(**({"hidden": (16,), "epochs": 3, "verbose": False} | settings))


def on_threads(n):
    """The number of threads among which models are shared out."""
    return patch.object(Backend, "threads", lambda self: nullcontext(n))


def columns(history):
    return {key: values for key, values in history.items() if key != "seconds"}


def assert_same(one, other, sums=("sums", "objective")):
    """Equal bits in all that a training leaves behind."""
    a, b = one._state, other._state
    assert a.engine.theta.tobytes() == b.engine.theta.tobytes()
    arrays = a.state_arrays()
    for name, array in b.state_arrays().items():
        assert array.tobytes() == arrays[name].tobytes(), name
    for name in ("epoch", "batch", "step", "best_epoch", "best_elbo", *sums):
        assert getattr(a, name) == getattr(b, name), name
    assert (a.best is None) == (b.best is None)
    assert columns(one.history_) == columns(other.history_)
    assert one.history_ is a.history


def assert_as_alone(own=SEEDS, X=IMAGES, validation=None, **settings):
    """Train together, on one thread and on two, and each by itself."""
    alone = [model(**settings | one).fit(X, validation=validation) for one in own]
    for n in (1, 2):
        together = [model(**settings | one) for one in own]
        with on_threads(n):
            assert npvae.fit_many(together, X, validation=validation) is not together
        for one, other in zip(together, alone, strict=True):
            assert_same(one, other)
    return together


# --- what may be trained together ---------------------------------------------------------------


@pytest.mark.parametrize("estimator", OBJECTIVES)
def test_every_estimator(estimator):
    assert_as_alone(estimator=estimator, n_samples=3)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation(activation):
    assert_as_alone(activation=activation)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer(optimizer):
    assert_as_alone(optimizer=optimizer)


@pytest.mark.parametrize("settings", [
    {"likelihood": "continuous-bernoulli"}, {"likelihood": "normal"}, {"likelihood": "laplace"},
    {"likelihood": "poisson"}, {"likelihood": "categorical", "n_levels": 17},
    {"likelihood": "discretized-logistic", "n_levels": 17},
    {"likelihood": "normal", "likelihood_std": 0.3}, {"likelihood": "normal", "standardize": False},
    {"likelihood": "normal", "likelihood_variance": "feature"},
    {"likelihood": "laplace", "likelihood_variance": "unbounded"},
    {"likelihood": "normal", "likelihood_mean": "sigmoid"},
], ids=str)  # fmt: skip
def test_every_likelihood(settings):
    X = np.round(16 * IMAGES) if settings["likelihood"] == "poisson" else IMAGES
    assert_as_alone(X=X, **settings)


@pytest.mark.parametrize("settings", [
    {"binarize": "threshold"}, {"binarize": "fixed"}, {"binarize": "dynamic"},
    {"dtype": "float64", "clip_norm": 1.0, "parameter_prior": True}, {"batch_size": 20},
    {"batch_size": 1, "epochs": 1}, {"hidden": (16, 8), "decoder_hidden": (5,)}, {"hidden": ()},
    {"noise": "antithetic", "n_samples": 4}, {"free_bits": 0.1}, {"kl_weight": 4.0},
    {"kl_warmup": 2}, {"epochs": 50}, {"kind": npvae.Autoencoder},
    {"kind": npvae.Autoencoder, "likelihood": "normal"},
], ids=str)  # fmt: skip
def test_every_other_setting(settings):
    """150 steps of 50 epochs: with them a flush of what has become subnormal."""
    validation = HELD_OUT if "binarize" in settings else None
    assert_as_alone(validation=validation, **settings)


@pytest.mark.parametrize("own", [
    [{"kl_weight": b} for b in (0.5, 1, 4)],
    [{"kl_weight": b, "kl_warmup": w} for b, w in ((0.5, 2), (1, 0), (4, 1), (0.1, 0))],
    [{"schedule": name} for name in ("constant", "cosine", "step", "warmup")],
    [{"initial_std": std} for std in (None, 0.1, 0.01)],
    [{"epochs": n, "random_state": n} for n in (1, 4, 2, 4)],
    [{"random_state": s} for s in (0, 2**64 - 1, 2**40)],
], ids=str)  # fmt: skip
@pytest.mark.parametrize("settings", [
    {}, {"estimator": "stl"}, {"estimator": "score-ema"}, {"free_bits": 0.1},
], ids=str)  # fmt: skip
def test_what_may_differ_from_model_to_model(own, settings):
    """A β of 1 has no objective but the bound in its history, whatever stands beside it."""
    assert_as_alone([{"random_state": 1} | one for one in own], **settings)


def test_each_stops_early_by_itself():
    own = [{"epochs": 12, "early_stopping": 1 + s, "random_state": s} for s in range(4)]
    models = assert_as_alone(own, validation=HELD_OUT, learning_rate=0.03)
    assert len({m._state.epoch for m in models}) > 2


def test_data_come_as_fit_takes_them():
    assert_as_alone(X=DIGITS.first(250))
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(IMAGES, columns=[f"p{i}" for i in range(64)])
    models = assert_as_alone(X=table, validation=table[:50])
    assert list(models[0].feature_names_in_) == list(table.columns)


def test_large_models_are_trained_one_a_thread():
    """Their steps are arithmetic and little else, which a batch would take out of the cache."""
    with patch.object(many_models, "LARGE", 0):
        assert_as_alone()
        with patch.object(StackedStep, "advance", side_effect=AssertionError):
            npvae.fit_many([model(**one) for one in SEEDS], IMAGES)


def test_one_model_is_a_batch_too():
    assert_as_alone(SEEDS[:1])


# --- and then ------------------------------------------------------------------------------------


def test_they_go_on_as_after_fit(tmp_path):
    models, alone = ([model(**one) for one in SEEDS] for _ in range(2))
    npvae.fit_many(models, IMAGES)
    for one, other in zip(models, alone, strict=True):
        other.fit(IMAGES)
        np.testing.assert_array_equal(one.transform(IMAGES), other.transform(IMAGES))
        assert_same(one.partial_fit(IMAGES), other.partial_fit(IMAGES))
        one.save(tmp_path / "model.npz")
        assert npvae.load(tmp_path / "model.npz").score(IMAGES) == one.score(IMAGES)
    once = models[0].engine_.theta.copy()
    npvae.fit_many(models, IMAGES)  # anew, as fit does
    assert not np.array_equal(once, models[0].engine_.theta)
    assert_same(models[1], model(**SEEDS[1]).fit(IMAGES))


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_a_grid_search_by_joblib_is_as_possible_as_ever(backend):
    """scikit-learn's own way, in threads and in processes, comes to the same models."""
    joblib = pytest.importorskip("joblib")
    search = pytest.importorskip("sklearn.model_selection").GridSearchCV(
        model(random_state=0), {"learning_rate": [1e-3, 1e-2], "kl_weight": [1, 4]}, cv=2
    )
    with joblib.parallel_config(backend, n_jobs=2):
        search.fit(IMAGES)
    grid = [dict(zip(("kl_weight", "learning_rate"), point, strict=True))
            for point in product([1, 4], [1e-3, 1e-2])]  # fmt: skip
    assert search.cv_results_["params"] == grid
    models = npvae.fit_many([model(random_state=0, **one) for one in grid], IMAGES[125:])
    scores = [m.score(IMAGES[:125]) for m in models]
    np.testing.assert_allclose(search.cv_results_["split0_test_score"], scores, rtol=1e-6)
    assert_same(search.best_estimator_, model(random_state=0, **search.best_params_).fit(IMAGES))


# --- what goes wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("bad", [[1], [0, 2], [3], [0, 1, 2, 3]], ids=str)
def test_a_loss_that_is_not_finite_is_that_of_one_model(bad, n_threads):
    """The others come to what they come to alone, and what has failed is as if it had alone."""
    own = [{"learning_rate": 1e30 if s in bad else 0.01, "random_state": s} for s in range(4)]
    models, alone = ([model(likelihood="normal", **one) for one in own] for _ in range(2))
    named = " and ".join(rf"models\[{s}\]" for s in bad)
    with on_threads(n_threads), pytest.raises(NumericalError, match=f"^{named} failed") as error:
        npvae.fit_many(models, IMAGES)
    assert f"failed, {4 - len(bad)} of 4 are fitted: " in str(error.value)
    assert "\n" not in str(error.value)
    for s, (one, other) in enumerate(zip(models, alone, strict=True)):
        if s in bad:
            with pytest.raises(NumericalError, match="the loss is") as of_one:
                other.fit(IMAGES)
            assert s != bad[0] or str(of_one.value) in str(error.value)
        else:
            other.fit(IMAGES)
        # of an epoch that is not to be ended the sums are of no account
        assert_same(one, other, ("sums", "objective") if s not in bad else ())


def test_a_validation_bound_that_is_not_finite_is_that_of_one_model():
    """Of held-out data so far from the others that some seeds overflow and some do not."""
    X, far = IMAGES, np.full((5, 64), 1e18, np.float32)
    own = [{"random_state": s} for s in range(6)]
    settings = {"likelihood": "normal", "likelihood_std": 1.0, "activation": "relu", "epochs": 2}
    failures = []
    for one in own:
        try:
            model(**settings | one).fit(X, validation=far)
        except NumericalError as error:
            failures.append(str(error))
        else:
            failures.append(None)
    models = [model(**settings | one) for one in own]
    errors = many_models.fit_together(models, X, far)
    assert [error and str(error) for error in errors] == failures
    assert 0 < failures.count(None) < 6


class Own(Adam):
    """An optimizer of a user's own."""


REFUSED = [
    ([], "models is empty"),
    ([{}, {"hidden": (8,)}], r"models\[1\] has hidden=\[8\] and models\[0\] \[16\]"),
    ([{}, {}, {"latent_dim": 3}], r"models\[2\] has latent_dim=3"),
    ([{}, {"dtype": "float64"}], "dtype='float64'"),
    ([{}, {"batch_size": 50}], "batch_size=50"),
    ([{}, {"likelihood": "normal"}], "likelihood='normal'"),
    ([{}, {"estimator": "A"}], "estimator='A'"),
    ([{}, {"optimizer": "sgd"}], "optimizer='sgd'"),
    ([{}, {"optimizer": Adam(beta1=0.8)}], "optimizer="),
    ([{}, {"clip_norm": 1.0}], "clip_norm=1.0"),
    ([{}, {"n_samples": 2}], "n_samples=2"),
    ([{}, {"binarize": "dynamic"}], "binarize='dynamic'"),
    ([{}, {"kind": npvae.Autoencoder}], "class='Autoencoder' and models"),
    ([{}, {"learning_rate": -1.0}], r"models\[1\]: learning_rate=-1.0"),
    ([{}, {"random_state": -1}], r"models\[1\]: random_state=-1"),
    ([{}, {"random_state": "x"}], r"models\[1\]: random_state='x'"),
    ([{"posterior": "laplace"}], r"models\[0\]: posterior='laplace'.* fit it by itself"),
    ([{"prior": "vamp"}], "prior='vamp'"),
    ([{"noise": "sobol", "n_samples": 4}], "noise='sobol'"),
    ([{"optimizer": Own()}], "a class of your own"),
    ([{"kind": npvae.FullVB}], "FullVB"), ([{"kind": npvae.WakeSleep}], "WakeSleep"),
    ([{"kind": npvae.MCEM}], "MCEM"),
    ([{"early_stopping": 2}], "early_stopping=2 needs validation data"),
]  # fmt: skip


@pytest.mark.parametrize(("own", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_what_cannot_be_trained_together_is_refused_in_words(own, words):
    """In one line, and no model is touched."""
    models = [model(**one) for one in own]
    with pytest.raises(ParameterError, match=words) as error:
        npvae.fit_many(models, IMAGES)
    assert "\n" not in str(error.value)
    assert not any("engine_" in vars(m) for m in models)


def test_data_that_cannot_be_used_change_no_model():
    models = [model(**one) for one in SEEDS]
    sparse = pytest.importorskip("scipy.sparse").csr_matrix(IMAGES)
    for X in (IMAGES * np.nan, IMAGES + 1, sparse):
        with pytest.raises(DataError):
            npvae.fit_many(models, X)
    with pytest.raises(DataError):
        npvae.fit_many(models, IMAGES, validation=IMAGES[:, :5])
    assert not any("engine_" in vars(m) for m in models)


def test_what_is_no_model_or_the_same_one_is_refused():
    one = model()
    with pytest.raises(ParameterError, match=r"models\[1\] is models\[0\]"):
        npvae.fit_many([one, one], IMAGES)
    with pytest.raises(ParameterError, match=r"models\[0\] is a str"):
        npvae.fit_many(["vae"], IMAGES)
    with pytest.raises(ParameterError, match="a list of models"):
        npvae.fit_many(one, IMAGES)
    assert "engine_" not in vars(one)


def test_every_setting_is_of_the_model_or_of_the_batch():
    """A new setting has to be put where it belongs: what a file does not keep is no such thing."""
    names = {*shared_settings(model())} | {*OWN}
    assert set(model().get_params()) - names == {"verbose"}


# --- Ctrl-C --------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("step", [1, 3, 5, 7])
def test_an_interrupt_loses_nothing(step, n_threads, tmp_path):
    """Cut at any step, in the middle of an epoch or at its end, they go on to the same bits."""
    paths = [tmp_path / f"{s}.npz" for s in range(3)]
    models, advance = [model(**one) for one in SEEDS], StackedStep.advance

    def interrupted(self):
        advance(self)
        main = threading.current_thread() is threading.main_thread()
        if main and self.state.step == step:
            os.kill(os.getpid(), signal.SIGINT)

    with on_threads(n_threads):
        with patch.object(StackedStep, "advance", interrupted), pytest.raises(KeyboardInterrupt):
            many_models.fit_together(models, IMAGES, HELD_OUT, checkpoints=paths)
        assert all(m._state.step == step for m in models[::n_threads])  # the main thread's
        resumed = [model(**one) for one in SEEDS]
        many_models.fit_together(resumed, IMAGES, HELD_OUT, checkpoints=paths)
    for one, own in zip(resumed, SEEDS, strict=True):
        assert_same(one, model(**own).fit(IMAGES, validation=HELD_OUT))


def test_models_at_different_epochs_go_on_together_or_one_after_another(tmp_path):
    """As a kill leaves them that comes while checkpoints are written."""
    paths = [tmp_path / f"{s}.npz" for s in range(4)]
    for s, epochs in enumerate((1, 2, 1)):  # and the fourth has none
        early = model(random_state=s, epochs=epochs)
        early.fit(IMAGES, checkpoint=paths[s])
    models = [model(random_state=s) for s in range(4)]
    many_models.fit_together(models, IMAGES, checkpoints=paths)
    for s, one in enumerate(models):
        assert_same(one, model(random_state=s).fit(IMAGES))


def test_a_disk_that_is_full_ends_all_and_harms_none(tmp_path):
    models = [model(**one) for one in SEEDS]
    paths = [tmp_path / "a.npz", tmp_path / "missing" / "b.npz", tmp_path / "c.npz"]
    with pytest.raises(npvae.ModelFileError, match="missing"):
        many_models.fit_together(models, IMAGES, checkpoints=paths)
    assert all(np.isfinite(m.engine_.theta).all() and m._state.epoch >= 0 for m in models)
