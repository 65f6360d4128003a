"""A captured step is the step: the calls of its ops, written down once, do the same as it.

What NumPy would do between two ops is missing from them. So a step in which it does anything is
never captured, and one that is ends in equal bits.
"""
import os

import numpy as np
import pytest

import npvae
from npvae.backend import Backend
from npvae.errors import NumericalError
from npvae.objectives import ELBO
from npvae.ops.cpu import twins
from npvae.optim import SGD
from npvae.recording import Touched, Watched
from npvae.training import TrainStep

compiled = pytest.mark.skipif(not twins.library()[1], reason="no compiled twins")
COUNTS = npvae.data.load_digits().pixels[:330]  # 0 to 16; the last minibatch is ragged
IMAGES = COUNTS / np.float32(16)
ESTIMATORS = ("A", "B", "stl", "iwae", "dreg", "score-loo", "vimco", "rws")
# All of what a step can be made of, one at a time, and whether ops alone do it
SETTINGS = [
    ({}, True), ({"n_samples": 3}, True), ({"dtype": "float64"}, True),
    ({"estimator": "A", "n_samples": 2}, True), ({"free_bits": 0.1}, True),
    ({"kl_weight": 0.5, "kl_warmup": 2}, True), ({"parameter_prior": True}, True),
    ({"binarize": "dynamic"}, True), ({"binarize": "threshold"}, True),
    ({"schedule": "cosine"}, True), ({"hidden": (8, 6)}, True), ({"clip_norm": 0.1}, False),
    ({"noise": "antithetic", "n_samples": 2}, None), ({"noise": "sobol", "n_samples": 2}, False),
    ({"posterior": "laplace"}, False), ({"posterior": "gamma", "prior": "gamma"}, False),
    ({"prior": "mixture", "estimator": "A"}, False), ({"likelihood": "poisson"}, True),
    ({"likelihood": "categorical", "n_levels": 17}, None),
    ({"likelihood": "discretized-logistic", "n_levels": 17}, True),
    ({"likelihood": "normal", "likelihood_variance": "feature"}, False),
    *[({"likelihood": "normal", **more}, True)
      for more in ({}, {"likelihood_mean": "sigmoid"}, {"likelihood_std": 0.5},
                   {"standardize": False})],
    *[({"likelihood": name}, True) for name in ("continuous-bernoulli", "laplace")],
    *[({"optimizer": name}, True)
      for name in ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adamw")],
    *[({"activation": name}, True)
      for name in ("relu", "sigmoid", "softplus", "elu", "leaky_relu", "gelu", "silu", "identity")],
    *[({"estimator": name, "n_samples": 3}, None) for name in ESTIMATORS],
]  # fmt: skip


def trained(settings, kind=npvae.VAE, capture=True, epochs=3):
    """The model, and whether its steps were captured."""
    data = COUNTS if settings.get("likelihood") == "poisson" else IMAGES
    captured = []
    with pytest.MonkeyPatch.context() as patch:
        original = Backend.capture if capture else lambda *_: None

        def spy(*args):
            captured.append(original(*args))
            return captured[-1]

        patch.setattr(Backend, "capture", spy)
        vae = kind(**({"hidden": (8,), "epochs": epochs, "batch_size": 50, "random_state": 3,
                       "verbose": False} | settings)).fit(data)  # fmt: skip
    return vae, any(captured)


def bits(vae):
    state = vae._state
    arrays = (vae.engine_.theta, *state.moments.values(), *state.objective_state.values())
    history = {name: column for name, column in vae.history_.items() if name != "seconds"}
    return [array.tobytes() for array in arrays], history, state.step


@pytest.mark.parametrize(("settings", "expected"), SETTINGS, ids=str)
def test_a_captured_step_is_the_step(settings, expected):
    """And it is captured where only ops have a part in it; where either may be, either is right."""
    vae, captured = trained(settings)
    assert bits(vae) == bits(trained(settings, capture=False)[0])
    assert captured == (bool(twins.library()[1]) if expected else expected) or expected is None


@pytest.mark.parametrize("kind", [npvae.Autoencoder, npvae.WakeSleep, npvae.FullVB, npvae.MCEM])
def test_so_it_is_of_other_models(kind):
    assert bits(trained({}, kind)[0]) == bits(trained({}, kind, capture=False)[0])


class Counting(ELBO):
    """An objective of one's own, which does more with every call."""

    calls = 0

    def __call__(self, ctx, terms, scalars=(), state=None):
        Counting.calls += 1
        return super().__call__(ctx, terms, scalars, state)


class Doubling(SGD):
    """An update rule of one's own."""

    def step(self, ops, theta, grad, state, scratch, rate):
        ops.sgd(theta, grad, scratch, 2 * rate)


@pytest.mark.parametrize(
    "settings", [{"estimator": Counting()}, {"optimizer": Doubling()}], ids=["objective", "rule"]
)
def test_objects_of_ones_own_are_asked_at_every_step(settings):
    assert not trained(settings)[1]


@compiled
def test_a_step_with_a_loss_that_is_not_finite_leaves_the_parameters_as_they_were():
    """Captured or not: the error, the step and the parameters are the same."""
    outcomes = []
    for capture in (True, False):
        steps = []

        def remembered(*args, steps=steps, **options):
            steps.append(TrainStep(*args, **options))
            return steps[-1]

        model = npvae.VAE(hidden=(8,), batch_size=5, epochs=4, random_state=1, verbose=False,
                          optimizer="sgd", learning_rate=3e38)  # fmt: skip
        with pytest.MonkeyPatch.context() as patch:
            if not capture:
                patch.setattr(Backend, "capture", lambda *_: None)
            patch.setattr(model, "_make_step", lambda make=remembered: make)
            with pytest.raises(NumericalError) as caught:
                model.fit(IMAGES)
        state = steps[-1].state
        outcomes.append((str(caught.value), state.step, state.engine.theta.tobytes()))
    assert outcomes[0] == outcomes[1]


@compiled
def test_a_childs_steps_are_its_own():
    """A fork has no helpers, and makes some."""
    before = bits(trained({})[0])
    child = os.fork()
    if child == 0:
        os._exit(bits(trained({})[0]) != before)
    assert os.waitpid(child, 0)[1] == 0


# --- watched arrays -------------------------------------------------------------------------------

a = np.arange(12.0).reshape(3, 4).view(Watched)


@pytest.mark.parametrize(
    "view",
    [lambda: a[1:], lambda: a[0], lambda: a.T, lambda: a.reshape(2, 6), lambda: a[..., None],
     lambda: a[:, :2], lambda: a[:2].reshape(-1)],
)  # fmt: skip
def test_views_of_a_watched_array_are_watched(view):
    assert type(view()) is Watched and np.shares_memory(np.asarray(view()), np.asarray(a))


@pytest.mark.parametrize(
    "use",
    [lambda: a + 1, lambda: 1 - a, lambda: -a, lambda: a @ a.T, lambda: a == a, lambda: a**2,
     lambda: abs(a), lambda: a.sum(), lambda: np.sum(a), lambda: np.exp(a), lambda: a.mean(),
     lambda: np.exp(np.ones((3, 4)), out=a), lambda: np.copyto(a, 1), lambda: a.copy(),
     lambda: a.astype("f4"), lambda: a.fill(0), lambda: a.dot(a.T), lambda: a.tolist(),
     lambda: a.item(0), lambda: float(a[:1, :1]), lambda: bool(a[:1, :1]), lambda: list(a),
     lambda: a[0, 0], lambda: a[[0, 1]], lambda: a[np.array([True, False, True])],
     lambda: a.T.reshape(-1), lambda: a.__setitem__(0, 1.0), lambda: a.argmax(), lambda: a.sort(),
     lambda: np.zeros((3, 4)).__iadd__(a), lambda: np.concatenate([a, a]), lambda: a.view("i8")],
)  # fmt: skip
def test_a_watched_array_refuses_numpy(use):
    with pytest.raises(Touched):
        use()
