"""After its first step, training allocates nothing as large as a matrix product's operand.

NumPy reports its memory to tracemalloc, so the peak within a step is counted, not guessed. The
bound that every step is held to is made of

    28 B for each noise variable    ε comes from Box-Muller in float64: u and z, 8 B each, and
                                    radius, angle and cosine, which a pair shares, 4 B each
     8 KB                           views, dicts, a few arrays of M or L·M numbers, buffers
    12 B a pixel in one block       the uniforms of dynamic binarisation, if that is on
    32 B a count looked up at a time    its number, its place in a table, log x!: of a Poisson
    28 B a normal in one block      the noise of parameters that have a distribution

NumPy's own iterators buffer what they cast or broadcast, at most 8,192 numbers an operand. That
is a constant, up to 96 KB, which would hide what grows; so it is turned down for the test.
"""
import tracemalloc
from functools import partial

import numpy as np
import pytest
from small_models import replace_ops

import npvae
from npvae.estimators.arguments import resolve_option
from npvae.models import Noise
from npvae.objectives import OBJECTIVES
from npvae.ops import ACTIVATIONS, noise
from npvae.ops.likelihoods import poisson
from npvae.optim import OPTIMIZERS
from npvae.training import BINARIZE, Minibatches, TrainConfig, TrainingState, TrainStep

M = 100
SHAPES = {"bernoulli": (784, 500, 20), "normal": (560, 200, 2)}  # D, H, J; others as the first


@pytest.fixture(autouse=True)
def no_buffers():
    before = np.setbufsize(256)  # 3 KB for three operands
    yield
    np.setbufsize(before)


def start(binarize="none", dtype=np.uint8, model=npvae.VAE, **settings):
    """A step function, and the bound on what each of its steps may allocate, in bytes."""
    D, H, J = SHAPES.get(settings.get("likelihood", "bernoulli"), SHAPES["bernoulli"])
    X = np.random.default_rng(0).integers(0, 2, (12 * M, D)).astype(dtype)
    vae = model(latent_dim=J, hidden=(H,), random_state=0, **settings).initialize(D)
    data = Minibatches(vae.engine_, X, 0.5, M, 0, binarize)
    L, state = vae.n_samples, vae._state
    optimizer = resolve_option("optimizer", vae.optimizer)
    schedule = resolve_option("schedule", vae.schedule)
    config = TrainConfig(optimizer, 1e-3, schedule, vae.clip_norm, 1, L, 0)
    n_noise = L * M * vae.engine_.model.n_noise
    bound = 28 * n_noise + 8192 + (12 * noise.BLOCK if binarize == "dynamic" else 0)
    bound += 32 * poisson.BLOCK if settings.get("likelihood") == "poisson" else 0
    bound += 28 * noise.NORMAL_BLOCK if model is npvae.FullVB else 0
    assert bound < M * H * vae.engine_.theta.itemsize  # the smaller hidden layer, (M, H)
    step = TrainStep(state, data, config)
    step.begin_epoch()
    return state, partial(step.advance, 1), bound


def peaks(step, n_steps=3):
    """Bytes by which each step rose, at its peak, above where it began: the first makes buffers,
    the second may capture what is then done, and neither counts.
    """
    step()
    step()
    rises = []
    tracemalloc.start()
    try:
        for _ in range(n_steps):
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            step()
            rises.append(tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()
    return rises


def assert_small(**settings):
    _, step, bound = start(**settings)
    assert max(peaks(step)) <= bound


@pytest.mark.parametrize(("estimator", "L"), [
    (name, L) for name in OBJECTIVES for L in (1, 3) if OBJECTIVES[name].min_samples <= L
])  # fmt: skip
@pytest.mark.parametrize("likelihood", ["bernoulli", "normal"])
def test_a_step_allocates_nothing_large(likelihood, estimator, L):
    assert_small(likelihood=likelihood, estimator=estimator, n_samples=L)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_nor_does_any_optimiser(optimizer):
    assert_small(optimizer=optimizer)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_nor_does_any_activation(activation):
    assert_small(activation=activation)


@pytest.mark.parametrize(
    "settings",
    [
        {"clip_norm": 1.0, "parameter_prior": True},
        {"likelihood": "normal", "likelihood_mean": "sigmoid"},
        {"dtype": np.float32},  # of the data
        {"dtype": np.float64},
        {"model": npvae.Autoencoder},
        {"model": npvae.FullVB},
    ],
    ids=str,
)
def test_nor_does_any_option(settings):
    assert_small(**settings)


@pytest.mark.parametrize("settings", [
    {"likelihood": "continuous-bernoulli"}, {"likelihood": "normal", "likelihood_std": 0.3},
    {"likelihood": "laplace"}, {"likelihood": "poisson"},
    {"likelihood": "categorical", "n_levels": 3},
    {"likelihood": "discretized-logistic", "n_levels": 3},
], ids=str)  # fmt: skip
def test_nor_does_any_likelihood(settings):
    assert_small(**settings)


@pytest.mark.parametrize("binarize", BINARIZE)
def test_nor_does_binarisation(binarize):
    assert_small(binarize=binarize)


def test_nor_does_a_step_after_a_smaller_batch_and_a_validation():
    """Buffers that grew, or were used in part, are used again."""
    state, step, bound = start()
    step()
    for n in (2 * M, 7):
        eps = np.zeros((1, n, 20), np.float32)
        state.engine.forward(np.zeros((n, 784), np.float32), Noise(eps))
    step()
    state.batch = 0
    assert max(peaks(step)) <= bound


@pytest.mark.parametrize("op", ["tanh", "tanh_backward", "bernoulli_nll", "gemm", "adam"])
def test_one_large_allocation_is_noticed(op):
    """The same step with an op that makes a copy of one hidden layer fails the bound."""
    state, step, bound = start()
    step.func.__self__.batches.capturable = False  # so that Python calls the op at every step
    original = getattr(state.engine.ops, op)

    def wasteful(*arguments):
        np.empty((M, 500), np.float32)
        return original(*arguments)

    replace_ops(state.engine, **{op: wasteful})
    assert min(peaks(step)) > bound


def test_buffers_stay_the_same():
    """No step after the first makes a buffer, and none moves."""
    state, step, _ = start(n_samples=3)
    assert isinstance(state, TrainingState)
    step()
    before = {name: buffer.ctypes.data for name, buffer in state.engine.work.buffers().items()}
    step()
    after = {name: buffer.ctypes.data for name, buffer in state.engine.work.buffers().items()}
    assert after == before
