"""Training is a function of (data, settings, seed): run twice, cut anywhere, it ends in equal bits.

The model is small and the data are 250 digits in batches of 100, so every epoch has a ragged
last batch, and a run of three epochs has nine steps to be cut at.
"""
import json
import os
import signal
import subprocess
import sys
import warnings
from dataclasses import dataclass, field
from math import cos, pi, sqrt
from pathlib import Path

import numpy as np
import pytest

import npvae
from npvae.backend import Backend
from npvae.errors import ModelFileError, NumericalError, ParameterError
from npvae.models import Engine
from npvae.objectives import ELBO
from npvae.ops.likelihoods import bernoulli
from npvae.optim import OPTIMIZERS, SGD, Adam, Cosine, Step, WarmUp
from npvae.training import (
    HistoryFile,
    Minibatches,
    TrainConfig,
    TrainingState,
    TrainStep,
    batches,
    loop,
)

DIGITS = npvae.data.load_digits()
PIXELS = DIGITS.pixels[:250]  # uint8, 0 to 16
IMAGES = DIGITS.images[:250]  # float32, in [0, 1]
HELD_OUT = DIGITS.images[250:300]


def model(**settings):
    defaults = {"hidden": (16,), "epochs": 3, "random_state": 1, "verbose": False}
    return npvae.VAE(**(defaults | settings))


def assert_same_run(a, b):
    """Equal bits in parameters, moments, the best parameters and the history but its seconds."""
    a, b = getattr(a, "_state", a), getattr(b, "_state", b)
    assert a.engine.theta.tobytes() == b.engine.theta.tobytes()
    assert a.moments.keys() == b.moments.keys()
    for name in a.moments:
        assert a.moments[name].tobytes() == b.moments[name].tobytes()
    assert (a.best is None) == (b.best is None)
    assert a.best is None or a.best.tobytes() == b.best.tobytes()
    assert (a.epoch, a.batch, a.step, a.sums) == (b.epoch, b.batch, b.step, b.sums)
    assert without_seconds(a.history) == without_seconds(b.history)


def without_seconds(history):
    return {key: values for key, values in history.items() if key != "seconds"}


def interrupt(*_):
    """What Ctrl-C does."""
    os.kill(os.getpid(), signal.SIGINT)


# --- the same run twice -------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [{}, {"estimator": "A", "n_samples": 3}, {"binarize": "dynamic"}, {"binarize": "fixed"},
     {"dtype": "float64"}, {"likelihood": "normal", "clip_norm": 1.0}],
    ids=str,
)  # fmt: skip
def test_a_seed_gives_equal_bits_twice(settings):
    once, again = (model(**settings).fit(IMAGES, validation=HELD_OUT) for _ in range(2))
    assert_same_run(once, again)
    assert not np.array_equal(once.parameters["encoder.mean.weight"],
                              model(random_state=2, **settings).fit(IMAGES)
                              .parameters["encoder.mean.weight"])  # fmt: skip


def test_validation_and_callbacks_only_watch():
    watched = model().fit(IMAGES, validation=HELD_OUT, callbacks=[lambda state: None])
    alone = model().fit(IMAGES)
    assert watched.engine_.theta.tobytes() == alone.engine_.theta.tobytes()


def test_partial_fit_continues_and_fit_begins_anew():
    whole = model(epochs=3).fit(IMAGES)
    parts = model(epochs=3)
    for _ in range(3):
        parts.partial_fit(IMAGES)
    assert_same_run(parts, whole)
    assert_same_run(parts.fit(IMAGES), whole)


def test_partial_fit_goes_on_from_the_best_parameters_of_early_stopping():
    """It has no validation data: it neither needs them nor goes back afterwards."""
    vae = model(epochs=2, early_stopping=1).fit(IMAGES, validation=HELD_OUT)
    before = vae.score(IMAGES)
    vae.partial_fit(IMAGES).partial_fit(IMAGES)
    assert vae.score(IMAGES) > before


# --- interrupted and resumed --------------------------------------------------------------

RUN = {"validation": HELD_OUT}


@pytest.fixture(scope="module")
def uninterrupted():
    return model().fit(IMAGES, **RUN)


def resume(path, **settings):
    return model(**settings).fit(IMAGES, **RUN, checkpoint=path, resume=True)


@pytest.mark.parametrize("step", range(9))
def test_ctrl_c_in_any_step_resumes_to_equal_bits(step, uninterrupted, tmp_path, monkeypatch):
    path, forward = tmp_path / "checkpoint.npz", Engine.forward

    def interrupted(engine, x, noise):
        if noise.rng_key and noise.rng_key[-1][0] == step:
            interrupt()
        return forward(engine, x, noise)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Engine, "forward", interrupted)
        vae = model()
        vae.fit(IMAGES, **RUN, checkpoint=path)
    assert vae._state.step == step + 1  # no step is torn, and none begun after the signal
    assert_same_run(resume(path), uninterrupted)


@pytest.mark.parametrize("epoch", [1, 2, 3])
@pytest.mark.parametrize("moment", ["validation", "callback", "checkpoint"])
def test_ctrl_c_between_epochs_resumes_to_equal_bits(
    moment, epoch, uninterrupted, tmp_path, monkeypatch
):
    path, vae = tmp_path / "checkpoint.npz", model()
    callbacks = []

    def interrupted(function):
        def call(*arguments):
            if vae._state.epoch == epoch:
                interrupt()
            return function(*arguments)

        return call

    module = npvae.estimators.training
    if moment == "validation":
        validator = module.validator
        monkeypatch.setattr(module, "validator", lambda *of: interrupted(validator(*of)))
    elif moment == "callback":
        callbacks = [interrupted(lambda state: None)]
    else:
        saved = interrupted(npvae.training.save_checkpoint)
        monkeypatch.setattr(npvae.training, "save_checkpoint", saved)
    with pytest.raises(KeyboardInterrupt):
        vae.fit(IMAGES, **RUN, callbacks=callbacks, checkpoint=path)
    monkeypatch.undo()
    assert_same_run(resume(path), uninterrupted)


@pytest.mark.parametrize("kill", [KeyboardInterrupt, MemoryError])
def test_a_torn_step_goes_back_to_the_last_checkpoint(kill, uninterrupted, tmp_path, monkeypatch):
    """A second Ctrl-C, or any other accident, in the middle of an update."""
    path, step = tmp_path / "checkpoint.npz", TrainStep.one_step

    def one_step(self, *arguments, **options):
        if self.state.step == 7:
            self.engine.theta[::2] = 0  # half an update
            raise kill
        step(self, *arguments, **options)

    with monkeypatch.context() as patch, pytest.raises(kill):
        patch.setattr(TrainStep, "one_step", one_step)
        patch.setattr(Backend, "capture", lambda *_: None)  # or it would not be called
        model().fit(IMAGES, **RUN, checkpoint=path)
    assert_same_run(resume(path), uninterrupted)


def test_a_second_ctrl_c_is_not_held_back(uninterrupted, tmp_path):
    path = tmp_path / "checkpoint.npz"

    def twice(state):
        if state.epoch == 2:
            interrupt()
            interrupt()
            pytest.fail("the second Ctrl-C was held back")

    with pytest.raises(KeyboardInterrupt):
        model().fit(IMAGES, **RUN, callbacks=[twice], checkpoint=path)
    assert_same_run(resume(path), uninterrupted)


def test_a_killed_process_resumes_in_another(uninterrupted, tmp_path):
    """Nothing but the file is left of the first process, and no Python code ran at its end."""
    path = tmp_path / "checkpoint.npz"
    program = f"""if True:
        import os, signal, npvae
        X = npvae.data.load_digits().images
        def die(state):
            if state.epoch == 3:
                os.kill(os.getpid(), signal.SIGKILL)
        npvae.VAE(hidden=(16,), epochs=3, random_state=1).fit(
            X[:250], validation=X[250:300], callbacks=[die], checkpoint={str(path)!r})
    """
    package = {"PYTHONPATH": str(Path(npvae.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", program], env=os.environ | package, check=False)
    assert done.returncode == -signal.SIGKILL
    assert_same_run(resume(path), uninterrupted)


def test_resuming_a_finished_run_changes_nothing(uninterrupted, tmp_path):
    path = tmp_path / "checkpoint.npz"
    model().fit(IMAGES, **RUN, checkpoint=path)
    assert_same_run(resume(path), uninterrupted)


def test_a_finished_run_can_be_made_longer(uninterrupted, tmp_path):
    """At a constant rate it ends as if it had been meant to be that long."""
    path = tmp_path / "checkpoint.npz"
    model(epochs=1).fit(IMAGES, **RUN, checkpoint=path)
    assert_same_run(resume(path), uninterrupted)


def test_resuming_a_run_that_stopped_early_changes_nothing(tmp_path):
    """The rate is so large that the bound falls: the run stops, and stays stopped."""
    settings = {"learning_rate": 0.5, "early_stopping": 1, "epochs": 20}
    path = tmp_path / "checkpoint.npz"
    stopped = model(**settings).fit(IMAGES, **RUN, checkpoint=path)
    assert stopped._state.epoch < 20
    assert_same_run(resume(path, **settings), stopped)


def test_signal_handler_is_given_back(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    model(epochs=1).fit(IMAGES)
    with pytest.raises(KeyboardInterrupt):
        model(epochs=1).fit(IMAGES, callbacks=[interrupt])
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    ("name", "value"),
    [("latent_dim", 3), ("hidden", (17,)), ("random_state", 2),
     ("optimizer", "sgd"), ("schedule", Step(at=(0.5,))), ("estimator", "A"),
     ("binarize", "fixed")],
)  # fmt: skip
def test_checkpoint_of_other_settings_is_refused(name, value, tmp_path):
    path = tmp_path / "checkpoint.npz"
    model(epochs=1).fit(IMAGES, checkpoint=path)
    with pytest.raises(ModelFileError, match=f"was made with {name}=") as caught:
        resume(path, **{name: value})
    assert "\n" not in str(caught.value)


def test_checkpoint_of_other_data_or_another_class_is_refused(tmp_path):
    path = tmp_path / "checkpoint.npz"
    model().fit(IMAGES, checkpoint=path)
    with pytest.raises(ModelFileError, match="n_data=250, not 249"):
        model().fit(IMAGES[1:], checkpoint=path, resume=True)
    with pytest.raises(ModelFileError, match="class='VAE', not 'Autoencoder'"):
        npvae.Autoencoder(hidden=(16,), random_state=1).fit(IMAGES, checkpoint=path, resume=True)


@pytest.mark.parametrize(
    "settings",
    [{"optimizer": Adam(beta1=0.8)}, {"schedule": WarmUp(then=Cosine(floor=0.1))},
     {"schedule": Step(at=(0.3, 0.6))}, {"optimizer": {"name": "momentum", "mu": 0.5}}],
    ids=str,
)  # fmt: skip
def test_objects_among_the_settings_resume(settings, tmp_path):
    path = tmp_path / "checkpoint.npz"
    whole = model(**settings).fit(IMAGES, **RUN)

    def stop(state):
        return state.epoch == 2

    model(**settings).fit(IMAGES, **RUN, callbacks=[stop], checkpoint=path)
    assert_same_run(resume(path, **settings), whole)


# --- what a run does ----------------------------------------------------------------------

RATES = {"sgd": 0.05, "momentum": 0.01, "nesterov": 0.01, "adagrad": 0.02}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimiser_raises_the_bound(name):
    """From the mean image, less what its z tells for nothing, to beyond it."""
    vae = model(optimizer=name, learning_rate=RATES.get(name, 0.005), epochs=20).fit(IMAGES)
    bounds = vae.history_["elbo"]
    p = IMAGES.mean(axis=0).clip(1e-6, 1 - 1e-6)
    mean_image = (IMAGES * np.log(p) + (1 - IMAGES) * np.log1p(-p)).sum(axis=1).mean()  # −26.3
    assert mean_image - 4 < bounds[0] < mean_image
    assert bounds[0] < bounds[4] < bounds[9] < bounds[19]
    assert bounds[19] > mean_image


def test_history_says_what_happened(tmp_path):
    path = tmp_path / "history.jsonl"
    vae = model().fit(IMAGES, **RUN, callbacks=[HistoryFile(path)])
    h = vae.history_
    assert h["epoch"] == [1, 2, 3]
    assert h["samples"] == [250, 500, 750]
    assert all(seconds > 0 for seconds in h["seconds"])
    # equal to rounding of a sum: one subtraction of numbers below 100, in float64
    for part in ("", "validation_"):
        difference = np.subtract(h[part + "reconstruction"], h[part + "kl"])
        np.testing.assert_allclose(h[part + "elbo"], difference, rtol=1e-6)  # means of float32
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert rows == [{key: h[key][i] for key in h} for i in range(3)]


def test_a_history_file_is_of_the_training_at_hand(tmp_path):
    path = tmp_path / "history.jsonl"
    file, vae = HistoryFile(path), model()
    for epochs in (3, 2):
        vae.set_params(epochs=epochs).fit(IMAGES, callbacks=[file])
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        assert [row["elbo"] for row in rows] == vae.history_["elbo"] and len(rows) == epochs


def test_history_is_the_mean_over_the_epoch_of_each_datapoint_once():
    """With a rate too small to move anything it is the bound of the first parameters.

    250 datapoints, one sample each: two such means differ by noise, within 4 standard errors.
    """
    vae = model(optimizer="sgd", learning_rate=1e-20, epochs=1).fit(IMAGES)
    eps = np.random.default_rng(0).standard_normal((1, 250, 2))
    bounds = vae.elbo(IMAGES, eps).total
    alike = vae.elbo(IMAGES, np.random.default_rng(1).standard_normal((1, 250, 2))).total
    error = np.std(bounds - alike) / sqrt(250)  # of the difference of two such means
    assert abs(vae.history_["elbo"][0] - bounds.mean()) <= 4 * error


@dataclass(frozen=True)
class Recorder(SGD):
    """SGD that notes each step's number, rate and gradient."""

    steps: list = field(default_factory=list)
    rates: list = field(default_factory=list)
    grads: list = field(default_factory=list)

    def numbers(self, rate, t):
        return rate, t

    def step(self, ops, theta, grad, state, scratch, rate, t):
        self.steps.append(int(t))
        self.rates.append(float(rate))
        self.grads.append(grad.copy())
        super().step(ops, theta, grad, state, scratch, rate)


def run_recorded(schedule="constant", clip_norm=None, rate=0.01, epochs=4):
    """The rates and gradients of a run of 4 epochs of 3 steps, counted from 1 (Adam needs that)."""
    vae, recorder = model(clip_norm=clip_norm, dtype="float64").initialize(64), Recorder()
    data = Minibatches(vae.engine_, IMAGES, 1.0, 100, 1, "none")
    schedule = npvae.estimators.arguments.resolve_option("schedule", schedule)
    config = TrainConfig(recorder, rate, schedule, clip_norm, epochs, n_samples=1, seed=1)
    loop.train(vae._state, data, config)
    assert recorder.steps == list(range(1, 13))
    return recorder.rates, recorder.grads


P = [step / 12 for step in range(12)]  # progress


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        ("constant", [1.0] * 12),
        ("step", [1.0] * 6 + [0.1] * 3 + [0.01] * 3),
        ("cosine", [(1 + cos(pi * p)) / 2 for p in P]),
        (WarmUp(fraction=0.25), [0.01, 1 / 3, 2 / 3] + [1.0] * 9),
        (WarmUp(fraction=0.25, then=Cosine(floor=0.2)),
         [0.01, 1 / 3, 2 / 3] + [0.2 + 0.4 * (1 + cos(pi * i / 9)) for i in range(9)]),
    ],
    ids=str,
)  # fmt: skip
def test_schedule_gives_the_rate_of_every_step(schedule, factors):
    rates, _ = run_recorded(schedule)
    np.testing.assert_allclose(rates, [0.01 * factor for factor in factors], rtol=1e-12)


def test_clip_norm_shortens_the_gradient_and_keeps_its_direction():
    (_, free), (_, clipped) = run_recorded(), run_recorded(clip_norm=0.5)
    assert np.linalg.norm(free[0]) > 0.5
    np.testing.assert_allclose(clipped[0], free[0] * (0.5 / np.linalg.norm(free[0])), rtol=1e-5)
    assert all(np.linalg.norm(g) <= 0.5 * (1 + 1e-6) for g in clipped)  # float32
    _, loose = run_recorded(clip_norm=1e9)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(free, loose, strict=True))


def scripted(bounds, patience, epochs=20, **settings):
    """A run whose validation bounds are these, and its parameters after each epoch."""
    vae, values, seen = model(**settings).initialize(64), iter(bounds), []
    data = Minibatches(vae.engine_, IMAGES, 1.0, 100, 1, "none")
    config = TrainConfig(Adam(), 1e-3, npvae.optim.Constant(), None, epochs, 1, 1, patience)
    loop.train(
        vae._state, data, config, (lambda: {"validation_elbo": next(values)},),
        (lambda state: seen.append(state.engine.theta.copy()),),
    )  # fmt: skip
    return vae._state, seen


@pytest.mark.parametrize(
    ("bounds", "patience", "best", "last"),
    [
        ([-9, -8, -8.5, -8.2], 2, 2, 4),
        ([-9, -8, -8, -8], 2, 2, 4),  # an equal bound is not a better one
        ([-9, -8, -8.5, -7, -8, -9], 2, 4, 6),
        ([-9, -10], 1, 1, 2),
    ],
)
def test_early_stopping_goes_back_to_the_best(bounds, patience, best, last):
    state, seen = scripted(bounds, patience)
    assert len(seen) == state.epoch == last
    assert (state.best_epoch, state.best_elbo) == (best, bounds[best - 1])
    assert state.engine.theta.tobytes() == seen[best - 1].tobytes()


@pytest.mark.parametrize(
    ("bounds", "warmup", "best", "last"),
    [
        ([-5, -6, -7, -9, -8, -8.5, -8.6], 3, 5, 7),  # the best of all is inside the warm-up
        ([-9, -9, -9, -9, -8, -9, -9], 4, 5, 7),  # patience is not used up inside it
        ([-9, -8, -7], 3, 0, 3),  # no epoch comes after: the last one stays
        ([-9, -8], 5, 0, 2),
    ],
)
def test_early_stopping_leaves_the_warm_up_out(bounds, warmup, best, last):
    state, seen = scripted(bounds, 2, epochs=len(bounds), kl_warmup=warmup)
    assert (state.epoch, state.best_epoch) == (last, best)
    assert state.best_elbo == (bounds[best - 1] if best else None)
    assert state.engine.theta.tobytes() == seen[best - 1].tobytes()
    untold, _ = scripted(bounds, None, epochs=len(bounds), kl_warmup=warmup)
    assert (untold.best_epoch, untold.best) == (best, None)


def test_an_objective_of_ones_own_says_how_long_it_is_warmed_up():
    class Own(ELBO):
        warmup_epochs = 2

    state, _ = scripted([-1, -2, -9, -8, -9, -9], 2, estimator=Own())
    assert (state.epoch, state.best_epoch) == (6, 4)
    assert ELBO(kl_warmup=4).warmup_epochs == 4
    assert ELBO(kl_weight=0.0, kl_warmup=4).warmup_epochs == 0  # which is at rest from the first


@pytest.mark.parametrize("cut", [1, 2, 3, 4])
def test_a_run_with_a_warm_up_and_early_stopping_resumes_to_equal_bits(cut, tmp_path):
    path = tmp_path / "checkpoint.npz"
    settings = {"kl_warmup": 2, "early_stopping": 1, "learning_rate": 0.05, "epochs": 9}
    whole = model(**settings).fit(IMAGES, **RUN)
    assert 2 < whole._state.best_epoch < whole._state.epoch
    model(**settings).fit(
        IMAGES, **RUN, checkpoint=path, callbacks=[lambda state: state.epoch == cut]
    )
    assert_same_run(resume(path, **settings), whole)


@pytest.mark.parametrize("epoch", [2, 4])
def test_a_best_that_an_older_version_took_from_a_warm_up_is_dropped(epoch):
    """Of 2 or 4 epochs, 3 of them a warm-up; after 4 the last one is there to keep."""
    vae = model(kl_warmup=3).initialize(64)
    state, here = vae._state, vae.engine_.theta.copy()
    state.epoch, state.best_epoch, state.best_elbo = epoch, 1, -20.0
    state.best = np.zeros_like(here)
    held_out = [-20.0, -90.0] * (epoch // 2)
    state.history = {"epoch": [*range(1, epoch + 1)], "validation_elbo": held_out}
    data = Minibatches(vae.engine_, IMAGES, 1.0, 100, 1, "none")
    config = TrainConfig(Adam(), 1e-3, npvae.optim.Constant(), None, 9, 1, 1, patience=1)
    bounds = iter([-95.0, -94.0, -96.0])
    loop.train(state, data, config, (lambda: {"validation_elbo": next(bounds)},))
    expected = (4, -94.0) if epoch == 2 else (4, -90.0)
    assert (state.best_epoch, state.best_elbo) == expected
    assert state.epoch == 5
    assert (state.engine.theta.tobytes() == here.tobytes()) == (epoch == 4)


@pytest.mark.parametrize(("settings", "words"), [
    ({"kl_warmup": 4}, "4 epochs leaves none of epochs=3 at the whole weight of the KL; lower"),
    ({"schedule": WarmUp(fraction=1.0)}, "never reaches learning_rate=0.001: .* below 1"),
    ({"kl_warmup": 3, "early_stopping": 2}, "early stopping keeps the last of them; lower kl_"),
])  # fmt: skip
def test_a_warm_up_longer_than_the_run_is_said(settings, words):
    with pytest.warns(UserWarning, match=words) as caught:
        model(**settings).fit(IMAGES, **RUN)
    assert len(caught) == 1 and "\n" not in str(caught[0].message)
    assert caught[0].filename == __file__


def test_a_warm_up_that_ends_is_not_warned_of(capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model(kl_warmup=2, early_stopping=2, verbose=True).fit(IMAGES, **RUN)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("stopping")]
    assert lines == ["stopping   counts from epoch 3 on, after the KL warm-up"]


def test_early_stopping_that_is_asked_for_at_a_resume_watches_from_there():
    """The parameters of a better epoch before are gone; those of a worse one after are not kept."""
    vae = model().initialize(64)
    state, here = vae._state, vae.engine_.theta.copy()
    state.epoch, state.best_epoch, state.best_elbo = 2, 1, -20.0
    state.history = {"epoch": [1, 2], "validation_elbo": [-20.0, -90.0]}
    data = Minibatches(vae.engine_, IMAGES, 1.0, 100, 1, "none")
    config = TrainConfig(Adam(), 1e-3, npvae.optim.Constant(), None, 9, 1, 1, patience=1)
    loop.train(state, data, config, (lambda: {"validation_elbo": -95.0},))
    assert (state.epoch, state.best_epoch, state.best_elbo) == (3, 2, -90.0)
    assert state.engine.theta.tobytes() == here.tobytes()


def test_early_stopping_that_is_asked_for_in_the_middle_of_an_epoch_waits_for_its_end():
    """Nobody knows the bound of the parameters that there are."""
    vae = model().initialize(64)
    state, seen = vae._state, []
    state.epoch, state.batch, state.step, state.best_epoch, state.best_elbo = 2, 1, 7, 1, -20.0
    state.history = {"epoch": [1, 2], "validation_elbo": [-20.0, -90.0]}
    data = Minibatches(vae.engine_, IMAGES, 1.0, 100, 1, "none")
    config = TrainConfig(Adam(), 1e-3, npvae.optim.Constant(), None, 9, 1, 1, patience=1)
    bounds = iter([-95.0, -96.0])
    loop.train(
        state, data, config, (lambda: {"validation_elbo": next(bounds)},),
        (lambda state: seen.append(state.engine.theta.copy()),),
    )  # fmt: skip
    assert (state.epoch, state.best_epoch, state.best_elbo) == (4, 3, -95.0)
    assert state.engine.theta.tobytes() == seen[0].tobytes()


def test_early_stopping_goes_back_also_when_the_epochs_run_out():
    state, seen = scripted([-9, -7, -8], patience=5, epochs=3)
    assert state.engine.theta.tobytes() == seen[1].tobytes()


def test_without_patience_the_last_parameters_stay():
    state, seen = scripted([-9, -7, -8], patience=None, epochs=3)
    assert state.engine.theta.tobytes() == seen[2].tobytes()


def test_a_callback_that_returns_true_ends_the_run():
    calls = []

    def first(state):
        return state.epoch == 2

    def second(state):
        calls.append(state.epoch)
        return "true, but not True"

    vae = model(epochs=9).fit(IMAGES, callbacks=[first, second])
    assert vae.history_["epoch"] == [1, 2]
    assert calls == [1, 2]  # every callback is called, also beside one that ends the run


@pytest.mark.parametrize("true", [True, 1, np.True_, np.array(True), np.array([[1.0]])], ids=repr)
def test_any_truth_value_ends_the_run(true):
    vae = model(epochs=4).fit(IMAGES, callbacks=lambda s: true if s.epoch == 2 else not true)
    assert vae.history_["epoch"] == [1, 2]  # by one function, not in a list


def test_a_tensor_is_a_truth_value():
    torch = pytest.importorskip("torch")
    vae = model(epochs=4).fit(IMAGES, callbacks=[lambda state: torch.tensor(state.epoch > 1)])
    assert vae.history_["epoch"] == [1, 2]


@pytest.mark.parametrize("result", [None, False, 0, np.False_, np.zeros(1), "", "x", [1], {"a": 1}],
                         ids=repr)  # fmt: skip
def test_what_is_not_true_or_no_truth_value_ends_nothing(result):
    assert model().fit(IMAGES, callbacks=(lambda state: result,)).history_["epoch"] == [1, 2, 3]


@pytest.mark.parametrize("result", [np.array([True, True]), np.zeros((2, 1))], ids=repr)
def test_a_result_that_is_neither_true_nor_false_is_one_line(result):
    with pytest.raises(ParameterError, match="a ndarray that is neither true nor false") as caught:
        model().fit(IMAGES, callbacks=lambda state: result)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("callbacks", [3, None, "abc", [print, 3], [[print]], {"stop": print},
                                       TrainingState, [TrainingState]], ids=repr)  # fmt: skip
def test_callbacks_that_cannot_be_called_are_refused_before_training(callbacks):
    vae = model()
    with pytest.raises(ParameterError, match=r"callbacks: .*; pass a function of the") as caught:
        vae.fit(np.full((2, 3), np.nan), callbacks=callbacks)  # before the data are looked at
    assert "\n" not in str(caught.value) and "engine_" not in vars(vae)


def test_callbacks_come_from_any_iterable_once():
    calls = []
    model(epochs=2).fit(IMAGES, callbacks=(calls.append for _ in range(2)))
    assert len(calls) == 4


# --- minibatches --------------------------------------------------------------------------


def minibatches(data, scale=1.0, size=100, seed=1, binarize="none", dtype="float32"):
    vae = model(dtype=dtype).initialize(data.shape[1])
    return Minibatches(vae.engine_, data, scale, size, seed, binarize)


def fetch(batches, order, i, step):
    """Batch ``i`` of an epoch, as that step sees it."""
    first = i * batches.batch_size
    return batches.fetch(order[first : first + batches.size(i)], np.array([step]))


def epoch_of(batches, epoch):
    """All rows of an epoch as they come, and back in the order of the data."""
    order, first = batches.order(epoch), epoch * batches.n_batches
    rows = [fetch(batches, order, i, first + i).copy() for i in range(batches.n_batches)]
    came = np.concatenate(rows)
    sorted_back = np.empty_like(came)
    sorted_back[order] = came
    return came, sorted_back


@pytest.mark.parametrize("size", [1, 99, 100, 250])
def test_every_row_comes_once_an_epoch_in_a_new_order(size):
    rows = np.arange(250.0)[:, None]
    batches = minibatches(rows, size=size)
    assert batches.n_batches == np.ceil(250 / size)
    first, second = (epoch_of(batches, epoch)[0][:, 0] for epoch in (0, 1))
    assert sorted(first) == sorted(second) == list(range(250))
    assert not np.array_equal(first, second)
    sizes = [len(fetch(batches, batches.order(0), i, i)) for i in range(batches.n_batches)]
    assert sizes == [size] * (250 // size) + ([250 % size] if 250 % size else [])


def test_all_batches_share_one_buffer():
    batches = minibatches(IMAGES)
    order = batches.order(0)
    first, last = fetch(batches, order, 0, 0), fetch(batches, order, 2, 2)
    assert len(last) == 50
    assert np.shares_memory(first, last)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1 / 16, 1 / 255])
def test_bytes_with_a_scale_train_as_the_floats_they_stand_for(scale, dtype):
    """To the bit: both multiply the byte by the scale once, in the model's precision."""
    data = npvae.data.Dataset(PIXELS, scale=scale)
    floats = np.multiply(PIXELS, scale, dtype=dtype)
    of_bytes, of_floats = (model(dtype=dtype).fit(X, validation=X) for X in (data, floats))
    assert_same_run(of_bytes, of_floats)
    assert of_bytes.transform(data).tobytes() == of_floats.transform(floats).tobytes()


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["float16", "float64", "int64", "bool", ">f4"])
def test_any_numbers_train_as_their_float32(dtype, order):
    """Black and white, so that no dtype rounds; in any order, grey ones too."""
    X = np.asarray(IMAGES.round(), dtype=dtype, order=order)
    assert_same_run(model().fit(X), model().fit(IMAGES.round()))
    grey = np.random.default_rng(0).random((200, 7))
    assert_same_run(model().fit(np.asarray(grey, order=order)), model().fit(grey))


def test_a_memory_mapped_file_trains_as_the_array(tmp_path):
    np.save(tmp_path / "pixels.npy", PIXELS)
    mapped = np.load(tmp_path / "pixels.npy", mmap_mode="r")
    data = npvae.data.Dataset(mapped, scale=1 / 16)
    vae = model().initialize(64)
    assert np.shares_memory(Minibatches(vae.engine_, mapped, 1 / 16, 100, 1, "none").data, mapped)
    assert_same_run(model().fit(data), model().fit(IMAGES))


@pytest.mark.parametrize("binarize", batches.BINARIZE)
def test_inputs_are_left_as_they_were(binarize):
    for X in (IMAGES.copy(), PIXELS.copy()):
        before = X.copy()
        X.flags.writeable = False
        data = X if X.dtype == np.float32 else npvae.data.Dataset(X, scale=1 / 16)
        vae = model(binarize=binarize, epochs=1).fit(data, validation=data)
        vae.transform(data), vae.score(data), vae.loss_and_grad(data)
        vae.log_likelihood(data, n_samples=2, rng=0)
        assert X.tobytes() == before.tobytes()


# --- grey pixels --------------------------------------------------------------------------

GREY = np.tile(np.linspace(0, 1, 16, dtype=np.float32), (200, 1))  # 0 and 1 among them


def test_none_keeps_grey():
    assert epoch_of(minibatches(GREY), 0)[1].tobytes() == GREY.tobytes()


def test_threshold_is_one_above_a_half():
    X = np.array([[0, 0.25, 0.5, np.nextafter(np.float32(0.5), 1), 1]], np.float32)
    came, _ = epoch_of(minibatches(X, size=1, binarize="threshold"), 0)
    assert came.tolist() == [[0, 0, 0, 1, 1]]


@pytest.mark.parametrize("data", [GREY, (GREY * 255).round().astype(np.uint8)], ids=["f4", "u1"])
def test_fixed_is_one_sample_for_all_epochs(data):
    scale = 1 / 255 if data.dtype == np.uint8 else 1.0
    batches = minibatches(data, scale, binarize="fixed")
    (_, first), (_, second) = epoch_of(batches, 0), epoch_of(batches, 1)
    assert first.tobytes() == second.tobytes()
    assert_bernoulli(first, data * scale)
    other = epoch_of(minibatches(data, scale, seed=2, binarize="fixed"), 0)[1]
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("data", [GREY, (GREY * 255).round().astype(np.uint8)], ids=["f4", "u1"])
def test_dynamic_is_a_new_sample_every_step(data):
    scale = 1 / 255 if data.dtype == np.uint8 else 1.0
    batches = minibatches(data, scale, binarize="dynamic")
    (_, first), (_, second) = epoch_of(batches, 0), epoch_of(batches, 1)
    assert not np.array_equal(first, second)
    assert not np.array_equal(first[:100], first[100:])
    assert_bernoulli(first, data * scale)
    assert_bernoulli(second, data * scale)


def assert_bernoulli(ones, grey):
    """Zeros and ones whose mean in each column is grey within 4 standard errors.

    Over seeds 14 columns would stray once in a thousand; black and white never do.
    """
    assert set(np.unique(ones)) == {0, 1}
    p = grey[0].astype(float)
    assert (np.abs(ones.mean(axis=0) - p) <= 4 * np.sqrt(p * (1 - p) / len(ones)) + 1e-7).all()
    assert (ones[:, 0] == 0).all() and (ones[:, -1] == 1).all()


def test_dynamic_goes_by_the_step_alone():
    batches = minibatches(GREY, binarize="dynamic")
    order = batches.order(0)
    first, second, again = (fetch(batches, order, 0, step).copy() for step in (5, 6, 5))
    assert first.tobytes() == again.tobytes() != second.tobytes()


@pytest.mark.parametrize("binarize", ["fixed", "dynamic"])
def test_samples_do_not_depend_on_how_the_data_are_cut(binarize, monkeypatch):
    whole, _ = epoch_of(minibatches(GREY, binarize=binarize), 3)
    monkeypatch.setattr(bernoulli, "BLOCK", 7)  # pixels of a batch
    monkeypatch.setattr(batches, "chunk_size", lambda engine: 11)  # rows of the data
    cut, _ = epoch_of(minibatches(GREY, binarize=binarize), 3)
    assert whole.tobytes() == cut.tobytes()


@pytest.mark.parametrize("binarize", batches.BINARIZE[1:])
def test_held_out_data_are_binarised_as_the_model_saw_its_own(binarize):
    """All pixels are grey, so a bound of grey pixels would be another number."""
    X = 0.25 + 0.5 * IMAGES
    vae = model(binarize=binarize).fit(X, validation=X[:40])
    if binarize == "threshold":
        seen = (X[:40] > 0.5).astype(np.float32)
    else:
        seen = batches.binarized_by_row(vae.engine_, X[:40], 1.0, vae.seed_)
    grey = vae.set_params(binarize="none")
    assert vae.history_["validation_elbo"][-1] == grey.score(seen)


# --- numbers that are not finite ----------------------------------------------------------


def poison(state, name, value, epoch=2):
    if state.epoch == epoch:
        state.engine.P[name].flat[-1] = value


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(
    "name", ["encoder.hidden.0.weight", "encoder.logvar.bias", "decoder.logits.weight"]
)
@pytest.mark.parametrize("validation", [None, HELD_OUT], ids=["", "validated"])
def test_a_bad_parameter_stops_at_once_and_the_checkpoint_stands(
    name, value, validation, tmp_path
):
    """Planted by a callback, before the checkpoint of its epoch: that of the last one stays."""
    path = tmp_path / "checkpoint.npz"
    vae = model(epochs=5)
    with pytest.raises(NumericalError, match=f"the parameter {name}; lower the") as caught:
        vae.fit(IMAGES, validation=validation, checkpoint=path,
                callbacks=[lambda state: poison(state, name, value)])  # fmt: skip
    assert "\n" not in str(caught.value)
    assert vae._state.epoch == 2  # not one step more
    again = model(epochs=5).fit(IMAGES, validation=validation, checkpoint=path, resume=True)
    assert_same_run(again, model(epochs=5).fit(IMAGES, validation=validation))


def test_a_bad_parameter_before_a_step_stops_in_that_step():
    vae = model().fit(IMAGES)
    vae.parameters["decoder.hidden.0.bias"][3] = np.nan
    with pytest.raises(NumericalError, match=r"loss is nan at step 10.*decoder\.hidden\.0\.bias"):
        vae.partial_fit(IMAGES)
    assert vae._state.step == 9


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("epochs", [1, 3])
@pytest.mark.parametrize("n_batches", [1, 3])
def test_a_rate_that_is_far_too_large_stops_before_it_is_saved(dtype, epochs, n_batches, tmp_path):
    """Also where the very last step of the run is the first to overflow."""
    path, X = tmp_path / "checkpoint.npz", IMAGES[: 100 * n_batches]
    settings = {"optimizer": "sgd", "learning_rate": float(np.finfo(dtype).max), "dtype": dtype}
    with pytest.raises(NumericalError, match="the first value that is not finite is in the"):
        model(epochs=epochs, **settings).fit(X, checkpoint=path)
    assert not path.exists()


def test_an_overflow_in_the_forward_pass_names_its_layer():
    """All parameters are finite; exp(½ · 2000) is not, and σ is where it shows first."""
    vae = model(dtype="float64").initialize(64)
    vae.parameters["encoder.logvar.bias"][:] = 2000
    with pytest.raises(NumericalError, match=r"the loss is .* in the layer's buffer sigma;"):
        vae.partial_fit(IMAGES)


def test_moments_that_overflow_are_not_saved(tmp_path):
    """g² leaves float32 where g does not: θ stays finite, but the run is beyond rescue."""
    path, narrow = tmp_path / "checkpoint.npz", {"likelihood": "normal", "likelihood_std": 1e-11}
    settings = {"learning_rate": 1e-30, "optimizer": "adagrad"}
    with pytest.raises(NumericalError, match="the optimiser's square of"):
        model(**narrow, **settings).fit(IMAGES, checkpoint=path)
    assert not path.exists()


def test_a_validation_bound_that_is_not_finite_stops(tmp_path):
    path, outlier = tmp_path / "checkpoint.npz", np.full((1, 64), 1e30)
    with pytest.raises(NumericalError, match="the validation ELBO is -inf after epoch 1"):
        model(likelihood="normal").fit(IMAGES, validation=outlier, checkpoint=path)
    assert not path.exists()


def test_training_outside_the_main_thread_leaves_signals_alone():
    """Only the main thread may set a handler; elsewhere training goes on without one."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        elsewhere = pool.submit(model().fit, IMAGES, **RUN).result()
    assert_same_run(elsewhere, model().fit(IMAGES, **RUN))


def test_resume_without_a_file_is_refused(tmp_path):
    with pytest.raises(ParameterError, match="resume=True needs checkpoint=PATH"):
        model().fit(IMAGES, resume=True)
    with pytest.raises(ModelFileError, match="no such file"):
        model().fit(IMAGES, checkpoint=tmp_path / "none.npz", resume=True)


def test_state_is_plain():
    """A fresh state has nothing behind it."""
    vae = model().initialize(64)
    state = TrainingState(vae.engine_, {})
    assert (state.epoch, state.batch, state.step, state.sums) == (0, 0, 0, [0.0, 0.0])
