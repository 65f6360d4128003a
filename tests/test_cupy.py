"""The whole surface on CuPy does what it does on NumPy: the same noise, the same numbers.

On a machine with a GPU these tests run on it. Elsewhere they run on a stand-in that is as strict
as CuPy and runs the kernels of the .cu files on the CPU, and that also says what a GPU was asked to
do: how many launches, and whether host and device talked.
"""
import pickle
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from itertools import product
from unittest.mock import patch

import numpy as np
import pytest
import shim
import strict_cupy
from strict_cupy import counting, forbid_transfers
from strict_cupy.arrays import into
from strict_cupy.cublas import Cublas

import npvae
from npvae import backend as backend_module
from npvae.backend import Backend, get_backend, why_no_gpu
from npvae.errors import BackendError, ParameterError
from npvae.estimators.arguments import resolve_option
from npvae.models import Engine
from npvae.objectives import OBJECTIVES
from npvae.ops import ACTIVATIONS, DECLARED
from npvae.ops.gpu import cublas
from npvae.optim import OPTIMIZERS
from npvae.training import BINARIZE, TrainStep

REAL = not why_no_gpu()
pytestmark = pytest.mark.skipif(not (REAL or shim.COMPILER), reason="neither a GPU nor g++")
stand_in = pytest.mark.skipif(REAL, reason="a GPU does not say what it was asked")

DIGITS = npvae.data.load_digits()
PIXELS, IMAGES = DIGITS.pixels[:170], DIGITS.images[:170]  # ragged in batches of 20
# float32: what rounding grows to over the epochs of these tests. A GPU sums in another order than
# a processor, so there it may be more; a failure says by how much. float64 shows that nothing but
# rounding differs.
CLOSE = {"float32": 1e-3 if REAL else 1e-4, "float64": 1e-10}


@pytest.fixture(scope="module", autouse=True)
def cupy():
    """The module ``cupy``: the real one, or the stand-in with a cuBLAS of its own."""
    with ExitStack() as stack:
        if REAL:
            import cupy as real

            yield real
            return
        stack.enter_context(patch("npvae.ops.gpu.cublas.library", lambda xp: Cublas()))
        stack.enter_context(patch("npvae.training.step.PARTS", 3))  # a CPU has not so many
        yield stack.enter_context(strict_cupy.installed())


def model(backend, kind=npvae.VAE, **settings):
    defaults = {
        "latent_dim": 3, "hidden": (16,), "batch_size": 20, "epochs": 2, "random_state": 1,
        "verbose": False,
    }  # fmt: skip
    return kind(backend=backend, **(defaults | settings))


def host(array):
    return backend_module.to_numpy(array)


def assert_same_model(a, b, tolerance):
    for name, value in a.parameters.items():
        scale = max(1, abs(host(value)).max())
        off = abs(host(value) - host(b.parameters[name])).max() / scale
        assert off <= tolerance, f"{name} is off by {off:.1e}, more than {tolerance:.0e}"
    for column in ("elbo", "reconstruction", "kl"):
        np.testing.assert_allclose(a.history_[column], b.history_[column], 10 * tolerance)


def both(X=IMAGES, dtype="float32", close=None, **settings):
    fitted = [model(name, dtype=dtype, **settings).fit(X) for name in ("numpy", "cupy")]
    assert_same_model(*fitted, close or CLOSE[dtype])
    return fitted


LIKELIHOODS = {
    "continuous-bernoulli": {}, "normal": {"likelihood_std": 0.3}, "poisson": {},
    "laplace": {"batch_size": 15},  # of an even one as many signs may be + as −: rounding is left
    "categorical": {"n_levels": 17}, "discretized-logistic": {"n_levels": 17},
}  # fmt: skip


# --- training -----------------------------------------------------------------------------------

each_dtype = pytest.mark.parametrize("dtype", CLOSE)


@each_dtype
@pytest.mark.parametrize("estimator", "AB")
@pytest.mark.parametrize("likelihood", ["bernoulli", "normal"])
@pytest.mark.parametrize("L", [1, 3])
def test_a_vae_trains_alike(estimator, likelihood, L, dtype):
    both(dtype=dtype, estimator=estimator, likelihood=likelihood, n_samples=L)


@pytest.mark.parametrize("estimator", OBJECTIVES)
def test_every_estimator_trains_alike(estimator):
    both(dtype="float64", estimator=estimator, n_samples=3)


@pytest.mark.parametrize("kind", [npvae.VAE, npvae.FullVB, npvae.WakeSleep])
@pytest.mark.parametrize("noise", ["antithetic", "sobol"])
def test_coupled_noise_trains_alike_without_a_word(noise, kind, recwarn):
    """Antithetic noise is captured with its step; Sobol points are the host's, so no step is."""
    numpy, cupy = both(dtype="float64", kind=kind, noise=noise, n_samples=4)
    assert cupy.loss_and_grad(IMAGES)[0] == pytest.approx(numpy.loss_and_grad(IMAGES)[0], 1e-10)
    graphs = graphs_of(cupy.fit)
    assert not graphs if noise == "sobol" else graphs and None not in graphs
    assert not recwarn.list


def test_the_laboratory_draws_alike(cupy):
    """The same noise, of every kind; of five latents, whose truth is no quadrature."""
    rows = [
        npvae.lab.compare(["A", "score-ema"], vae.initialize(64), IMAGES[:5], 64, rng=0, samples=2,
                          noise=["independent", "antithetic", "sobol"]).rows
        for vae in (model(name, dtype="float64", latent_dim=5) for name in ("numpy", "cupy"))
    ]  # fmt: skip
    for one, other in zip(*rows, strict=True):
        assert (one.noise, other.variance) == (other.noise, pytest.approx(one.variance, 1e-9))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_trains_alike(activation):
    both(activation=activation, hidden=(16, 8), likelihood="normal", likelihood_mean="sigmoid")


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_trains_alike(optimizer):
    both(optimizer=optimizer, schedule="cosine", dtype="float64", clip_norm=5.0)


@each_dtype
@pytest.mark.parametrize("binarize", BINARIZE)
@pytest.mark.parametrize("X", [DIGITS, PIXELS / 16.0, IMAGES > 0.5], ids=["u1", "f8", "bool"])
def test_data_train_alike_as_they_are_stored(X, binarize, dtype):
    both(X=X if X is not DIGITS else npvae.data.Dataset(PIXELS, scale=1 / 16),
         binarize=binarize, dtype=dtype)  # fmt: skip


@pytest.mark.parametrize("binarize", BINARIZE)
def test_sparse_data_train_alike_without_a_word(binarize, recwarn):
    """Their rows come from the host, so no step is captured."""
    sparse = pytest.importorskip("scipy.sparse").csr_array(IMAGES)
    dense = model("cupy", binarize=binarize).fit(IMAGES)
    on_host, on_device = both(sparse, binarize=binarize)
    assert_same_model(on_device, dense, CLOSE["float32"])
    np.testing.assert_allclose(on_device.score_samples(sparse), on_host.score_samples(sparse), 1e-4)
    assert not recwarn.list


@pytest.mark.parametrize("settings", [
    {"kl_weight": 4.0}, {"kl_weight": 0.5, "kl_warmup": 3, "estimator": "A", "n_samples": 2},
    {"free_bits": 0.05, "kl_warmup": 3},
], ids=str)  # fmt: skip
def test_another_objective_trains_alike(settings):
    numpy, cupy = both(dtype="float64", epochs=4, **settings)
    np.testing.assert_allclose(numpy.history_["objective"], cupy.history_["objective"], 1e-9)


def test_a_penalised_vae_trains_alike():
    both(parameter_prior=True, dtype="float64")


@each_dtype
@pytest.mark.parametrize("likelihood", ["bernoulli", "normal"])
def test_an_autoencoder_trains_alike(likelihood, dtype):
    both(kind=npvae.Autoencoder, likelihood=likelihood, dtype=dtype)


@each_dtype
@pytest.mark.parametrize("mean", ["linear", "sigmoid"])
@pytest.mark.parametrize("likelihood", ["bernoulli", "normal"])
def test_wake_sleep_trains_alike(likelihood, mean, dtype):
    both(kind=npvae.WakeSleep, likelihood=likelihood, likelihood_mean=mean, dtype=dtype)


@each_dtype
@pytest.mark.parametrize("settings", [
    {}, {"likelihood": "normal", "estimator": "A", "n_samples": 2, "clip_norm": 5.0},
], ids=str)  # fmt: skip
def test_full_vb_trains_alike(settings, dtype):
    numpy, cupy = both(kind=npvae.FullVB, dtype=dtype, **settings)
    ours, theirs = (m.history_["parameter_kl"] for m in (numpy, cupy))
    np.testing.assert_allclose(ours, theirs, 10 * CLOSE[dtype])


def test_full_vb_is_alike_at_a_zeta(cupy):
    numpy = model("numpy", npvae.FullVB, dtype="float64").fit(IMAGES)
    other = model("cupy", npvae.FullVB, dtype="float64").initialize(64)
    other.set_parameters(numpy.parameters)._set_n_data(len(IMAGES))
    zeta = np.random.default_rng(0).standard_normal(numpy.engine_.P["theta.mu"].size)
    for noise in (None, zeta):
        loss, grads = numpy.loss_and_grad(IMAGES[:9], zeta=noise)
        given = noise if noise is None else cupy.asarray(noise)
        other_loss, other_grads = other.loss_and_grad(cupy.asarray(IMAGES[:9]), zeta=given)
        assert other_loss == pytest.approx(loss, rel=1e-12)
        for name, grad in grads.items():
            close(other_grads[name], grad)
    close(other.score_samples(IMAGES[:9]), numpy.score_samples(IMAGES[:9]))
    assert other.parameter_kl == pytest.approx(numpy.parameter_kl, rel=1e-12)
    small = model("cupy", npvae.FullVB, dtype="float64", hidden=(4,), latent_dim=2).initialize(64)
    assert npvae.testing.check_gradients(small, IMAGES[:3]).ok


@pytest.mark.parametrize(("likelihood", "binarize"), [("bernoulli", "fixed"), ("normal", "none")])
def test_monte_carlo_em_trains_alike(likelihood, binarize, tmp_path):
    """Its chains too, which accept and refuse alike; across a checkpoint from one to the other."""
    settings = {"kind": npvae.MCEM, "dtype": "float64", "likelihood": likelihood,
                "binarize": binarize, "latent_dim": 2, "hidden": (8,)}  # fmt: skip
    whole = model("numpy", epochs=4, **settings).fit(IMAGES)
    path = tmp_path / "checkpoint.npz"
    model("cupy", epochs=2, **settings).fit(IMAGES, checkpoint=path)
    for backend in ("numpy", "cupy"):
        resumed = model(backend, epochs=4, **settings).fit(IMAGES, checkpoint=path, resume=True)
        for name, value in whole.parameters.items():
            np.testing.assert_allclose(host(resumed.parameters[name]), value, 1e-7, 1e-9)
        for name, value in whole._state.chains.items():
            np.testing.assert_allclose(host(resumed._state.chains[name]), value, 1e-6, 1e-8)
    a, b = (npvae.evaluation.posterior_means(m.engine_, IMAGES[:2], n_temperatures=5, n_moves=2)
            for m in (resumed, whole))  # fmt: skip
    np.testing.assert_allclose(host(a), b, 1e-6, 1e-8)
    a, b = (m.log_likelihood(IMAGES[:2], 2, rng=0, n_temperatures=3) for m in (resumed, whole))
    assert type(a.estimate) is np.ndarray
    np.testing.assert_allclose(a.estimate, b.estimate, 1e-6)
    np.testing.assert_allclose(host(resumed.sample(3, rng=0)), whole.sample(3, rng=0), 1e-6)


PAIRS = [
    ("normal", "laplace", "A"), ("normal", "mixture", "A"), ("normal", "vamp", "A"),
    ("elliptical", "normal", "B"), ("laplace", "normal", "B"), ("student-t", "cauchy", "A"),
    ("gumbel", "gumbel", "B"), ("triangular", "logistic", "A"), ("log-normal", "gamma", "A"),
    ("gamma", "vamp", "A"), ("erlang", "rayleigh", "A"), ("gompertz", "weibull", "A"),
    ("chi-squared", "exponential", "A"), ("reciprocal", "f", "A"), ("pareto", "log-normal", "A"),
    ("beta", "beta", "B"), ("dirichlet", "vamp", "A"),
]  # fmt: skip


@pytest.fixture
def special_functions(monkeypatch):
    """``cupyx.scipy.special``, which the stand-in lacks: SciPy's own, on its arrays."""
    special = pytest.importorskip("scipy.special")  # which NumPy's side needs anywhere
    if not REAL:
        names = ("gammaln", "digamma", "zeta", "gammaincinv", "exp1", "ndtr")
        functions = {n: partial(lambda f, *args: into(f, args), getattr(special, n)) for n in names}
        stand_in = strict_cupy.module("cupyx.scipy.special", **functions)
        monkeypatch.setitem(sys.modules, "cupyx", strict_cupy.module("cupyx"))
        monkeypatch.setitem(sys.modules, "cupyx.scipy.special", stand_in)


@pytest.mark.parametrize(("posterior", "prior", "estimator"), PAIRS)
def test_every_posterior_and_prior_trains_alike(posterior, prior, estimator, special_functions):
    """And codes, samples and is scored alike; a step that makes arrays is not recorded."""
    numpy, cupy = both(dtype="float64", posterior=posterior, prior=prior, estimator=estimator,
                       n_samples=2, prior_components=4, kl_weight=0.5)  # fmt: skip
    np.testing.assert_allclose(host(cupy.transform(IMAGES[:9])), numpy.transform(IMAGES[:9]), 1e-7)
    np.testing.assert_allclose(host(cupy.sample(4, rng=0)), numpy.sample(4, rng=0), 1e-7)
    methods = ["prior"] + ["importance"] * (posterior not in ("triangular", "reciprocal", "pareto"))
    methods += ["annealed"] * (prior in ("laplace", "mixture", "vamp") and posterior == "normal")
    for method in methods:
        options = {"n_temperatures": 3} if method == "annealed" else {}
        ours, theirs = (m.log_likelihood(IMAGES[:4], 20, rng=0, method=method, **options).estimate
                        for m in (numpy, cupy))  # fmt: skip
        np.testing.assert_allclose(theirs, ours, 1e-6)


@each_dtype
@pytest.mark.parametrize("kind", [npvae.VAE, npvae.WakeSleep])
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_every_likelihood_trains_and_decodes_alike(likelihood, kind, dtype):
    """Counts are small: large ones saturate a tanh, and Adam makes steps of what is left of it."""
    settings = LIKELIHOODS[likelihood]
    X = PIXELS // 8 if likelihood == "poisson" else IMAGES
    fitted = both(X=X, kind=kind, likelihood=likelihood, dtype=dtype, **settings)
    a, b = (host(vae.inverse_transform(np.eye(3))) for vae in fitted)
    np.testing.assert_allclose(a, b, 10 * CLOSE[dtype], 10 * CLOSE[dtype])


def test_a_hundred_steps_stay_within_a_ten_thousandth():
    """The issue's bar for float32; 170 datapoints are nine steps an epoch."""
    both(epochs=12, hidden=(32,), close=1e-4)


def graphs_of(fit):
    """What the captures of a training gave: graphs, or None for those that were given up."""
    capture, graphs = Backend.capture, []

    def noted(*args):
        graphs.append(capture(*args))
        return graphs[-1]

    with patch.object(Backend, "capture", noted):
        fit(IMAGES)
    return graphs


@pytest.mark.parametrize("settings", [
    {}, {"binarize": "dynamic", "n_samples": 2}, {"optimizer": "adamw", "schedule": "step"},
    {"clip_norm": 1.0, "estimator": "A"}, {"kind": npvae.Autoencoder}, {"kind": npvae.WakeSleep},
    {"kl_weight": 4.0, "kl_warmup": 20}, {"kl_warmup": 20, "free_bits": 0.05},
    {"kind": npvae.FullVB}, {"activation": "gelu"},
], ids=str)  # fmt: skip
def test_replayed_is_eager_to_the_bit(settings):
    replayed = model("cupy", epochs=30, **settings)  # 270 steps: two flushes
    graphs = graphs_of(replayed.fit)
    assert graphs and None not in graphs
    with patch.object(Backend, "capture", lambda self, work: None):
        eager = model("cupy", epochs=30, **settings).fit(IMAGES)
    assert host(replayed.engine_.theta).tobytes() == host(eager.engine_.theta).tobytes()
    for name, moment in replayed._state.moments.items():
        assert host(moment).tobytes() == host(eager._state.moments[name]).tobytes()
    assert replayed.history_["elbo"] == eager.history_["elbo"]
    assert replayed.history_.get("objective") == eager.history_.get("objective")


def test_buffers_that_moved_are_recorded_anew():
    """Validation with more rows than a batch makes them grow between the epochs."""
    both(dtype="float64", epochs=4)
    numpy, cupy = (model(name, dtype="float64", epochs=4) for name in ("numpy", "cupy"))
    X = DIGITS.images[:1500]
    assert_same_model(*(m.fit(IMAGES, validation=X) for m in (numpy, cupy)), CLOSE["float64"])


@contextmanager
def without_a_twin(name):
    """The op runs its body on the device."""
    with patch.dict(DECLARED, {name: replace(DECLARED[name], layout=None)}):
        get_backend.cache_clear()
        yield
    get_backend.cache_clear()


@pytest.mark.parametrize("settings", [
    {"posterior": "elliptical"}, {"prior": "laplace", "estimator": "A"}, {"kind": npvae.MCEM},
], ids=str)  # fmt: skip
def test_a_step_that_makes_arrays_is_launched_anew_without_a_word(settings, recwarn):
    assert graphs_of(model("cupy", **settings).fit) == [None]
    assert not [w for w in recwarn if issubclass(w.category, UserWarning)]


@pytest.mark.parametrize(("op", "n_graphs"), [
    ("bernoulli_nll", 0), ("normal_kl_backward", 0), ("tanh", 2), ("adam", 2),
])  # fmt: skip
def test_an_op_without_a_twin_runs_its_body(op, n_graphs, recwarn):
    """And the step is captured all the same, if that body makes no array on the way."""
    vae = model("cupy", dtype="float64")
    with without_a_twin(op):
        graphs = graphs_of(vae.fit)
    assert graphs == [None] if not n_graphs else len(graphs) == n_graphs and None not in graphs
    assert not [w for w in recwarn if issubclass(w.category, UserWarning)]
    assert_same_model(model("numpy", dtype="float64").fit(IMAGES), vae, CLOSE["float64"])


def test_what_cannot_be_recorded_is_launched_anew():
    def refuse(self, work):
        raise RuntimeError("no graphs today")

    with patch.object(Backend, "capture", refuse), pytest.warns(UserWarning, match="no graphs"):
        launched = model("cupy").fit(IMAGES)
    assert_same_model(model("cupy").fit(IMAGES), launched, 0)


def test_a_second_pass_is_replayed_too():
    with patch.object(Backend, "capture", autospec=True, side_effect=Backend.capture) as capture:
        vae = model("cupy").partial_fit(IMAGES).partial_fit(IMAGES)
    assert capture.call_count == 4  # two lengths, twice
    assert_same_model(model("numpy").partial_fit(IMAGES).partial_fit(IMAGES), vae, 1e-4)


@pytest.mark.parametrize("settings", [
    {}, {"estimator": "A", "n_samples": 2, "likelihood": "normal"}, {"binarize": "dynamic"},
    {"optimizer": "adamw", "clip_norm": 1.0}, {"kl_warmup": 2, "free_bits": 0.1},
    {"kind": npvae.Autoencoder}, {"estimator": "dreg", "n_samples": 3}, {"binarize": "fixed"},
], ids=str)  # fmt: skip
def test_many_models_train_as_each_alone(settings):
    """In captured steps, one graph for all of them."""
    settings = {"dtype": "float64", "epochs": 4} | settings
    own = [{"random_state": s, "learning_rate": 1e-3 * (s + 1)} for s in range(3)]
    many = [model("cupy", **settings | one) for one in own]
    graphs = graphs_of(partial(npvae.fit_many, many))
    makes_arrays = settings.get("estimator") == "dreg"  # and is not captured alone either
    assert graphs and (None in graphs) == makes_arrays
    for one, together in zip(own, many, strict=True):
        assert_same_model(model("cupy", **settings | one).fit(IMAGES), together, CLOSE["float64"])


def test_a_loss_that_is_not_finite_stops_that_model_alone():
    rates = [1e-3, 1e30, 2e-3]
    many = [model("cupy", learning_rate=rate, likelihood="normal") for rate in rates]
    with pytest.raises(npvae.NumericalError, match=r"models\[1\] failed, 2 of 3 are fitted"):
        npvae.fit_many(many, IMAGES)
    for rate, together in zip(rates[::2], many[::2], strict=True):
        alone = model("cupy", learning_rate=rate, likelihood="normal").fit(IMAGES)
        assert_same_model(alone, together, CLOSE["float32"])


def test_a_loss_that_is_not_finite_stops_the_run():
    X = IMAGES.copy()
    vae = model("cupy", learning_rate=1e30, likelihood="normal")
    with pytest.raises(npvae.NumericalError, match=r"at step \d|by step \d"):
        vae.fit(X)


# --- what the device is asked -------------------------------------------------------------------


def step_in_mid_epoch(**settings):
    """A TrainStep in the middle of an epoch of 64 whole minibatches."""
    vae = model("cupy", **settings | {"batch_size": 2}).initialize(64)
    data = npvae.training.Minibatches(vae.engine_, PIXELS[:128], 1 / 16, 2, 1, vae.binarize)
    config = npvae.training.TrainConfig(
        resolve_option("optimizer", vae.optimizer), 1e-3, resolve_option("schedule", vae.schedule),
        vae.clip_norm, 1, vae.n_samples, 1,
    )
    steps = TrainStep(vae._state, data, config)
    steps.begin_epoch()
    steps.advance()  # makes the buffers
    return steps


SETTINGS = [
    {}, {"estimator": "A", "n_samples": 2, "likelihood": "normal"}, {"binarize": "dynamic"},
    {"optimizer": "adamw", "clip_norm": 1.0}, {"hidden": (16, 8), "parameter_prior": True},
    {"kl_weight": 4.0, "estimator": "A"}, {"kl_warmup": 3, "free_bits": 0.1},
    {"kind": npvae.Autoencoder}, {"kind": npvae.WakeSleep},
    *({"kind": npvae.WakeSleep, "likelihood": name, **own} for name, own in LIKELIHOODS.items()),
    {"kind": npvae.WakeSleep, "likelihood": "normal", "n_samples": 2}, {"kind": npvae.FullVB},
]  # fmt: skip


@stand_in
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_a_step_neither_talks_to_the_host_nor_allocates(settings):
    """Or it could not be captured, and a replay would write where something else has moved in."""
    steps = step_in_mid_epoch(**settings)
    with counting() as asked, forbid_transfers():
        steps.one_step(2)
    assert asked.allocations == 0


@stand_in
def test_sixteen_steps_are_one_launch():
    steps = step_in_mid_epoch()
    with counting() as asked:
        steps.advance()
    assert steps.state.step == 64
    # 63 steps left: 3 · 16 + 15 · 1. What else the host asks for is to read the sums, and that
    # the order of the next epoch is put beside that of this one.
    assert asked.launches == 3 + 15
    assert asked.to_host == 1 and asked.to_device == asked.allocations == 1
    nodes, more = divmod(asked.recorded, 1 + 16)
    assert more == 0 and nodes <= 24, asked


@stand_in
def test_a_likelihood_draws_its_noise_on_the_device():
    vae = model("cupy").initialize(64)
    asked = {}
    for n_samples in (10, 5000):
        with counting() as asked[n_samples]:
            vae.log_likelihood(IMAGES[:3], n_samples, rng=0)
    for counter in asked.values():  # of a chunk the rows, whose values key it, and four results
        assert counter.to_device <= 3 and counter.to_host == 5


@stand_in
@pytest.mark.parametrize(("settings", "nodes"), [
    ({}, 23), ({"binarize": "dynamic"}, 24), ({"hidden": (16, 8)}, 33),
    ({"optimizer": "sgd", "clip_norm": 1.0}, 26), ({"kind": npvae.Autoencoder}, 24),
], ids=str)  # fmt: skip
def test_a_step_is_so_many_launches(settings, nodes):
    """Written down so that one more is noticed: at M = 100 launches are what a step costs."""
    steps = step_in_mid_epoch(**settings)
    with counting() as asked:
        steps.one_step(2)
    assert asked.launches == nodes


# --- everything else ----------------------------------------------------------------------------


@pytest.fixture(params=["bernoulli", "normal"])
def pair(request, cupy):
    """The same model on both."""
    numpy = model("numpy", dtype="float64", likelihood=request.param).fit(IMAGES)
    other = model("cupy", dtype="float64", likelihood=request.param).initialize(64)
    return numpy, other.set_parameters(numpy.parameters, numpy.standardization_)


def close(result, expected):
    np.testing.assert_allclose(host(result), expected, 1e-10, 1e-12)


@pytest.mark.parametrize("n", [1, 7, 170])
def test_coding_and_bounds_are_alike_and_arrays_come_back_as_they_went_in(pair, n, cupy):
    numpy, other = pair
    X = IMAGES[:n]
    for given, kind in ((X, np.ndarray), (cupy.asarray(X), cupy.ndarray)):
        Z = other.transform(given)
        results = [Z, other.inverse_transform(Z), other.score_samples(given)]
        results += vars(other.elbo(given)).values()
        assert all(type(result) is kind for result in results)
        expected = [numpy.transform(X), numpy.inverse_transform(numpy.transform(X)),
                    numpy.score_samples(X), *vars(numpy.elbo(X)).values()]  # fmt: skip
        for result, value in zip(results, expected, strict=True):
            close(result, value)
    assert other.score(X) == pytest.approx(numpy.score(X), rel=1e-12)
    close(other.sample(3, rng=0), numpy.sample(3, rng=0))


def test_distributions_are_alike_and_arrays_come_back_as_they_went_in(pair, cupy):
    """Draws too: their noise is the same on both."""
    numpy, other = pair
    X, Z = IMAGES[:9], numpy.transform(IMAGES[:9])
    expected = numpy.posterior_of(X), numpy.likelihood_of(Z)
    for array_of, kind in ((np.asarray, np.ndarray), (cupy.asarray, cupy.ndarray)):
        found = other.posterior_of(array_of(X)), other.likelihood_of(array_of(Z))
        for result, truth in zip(found, expected, strict=True):
            assert repr(result) == repr(truth)
            arrays = [*result.parameters.values(), result.mean, result.std, result.sample(3),
                      result.sample(3, 2)]  # fmt: skip
            values = [*truth.parameters.values(), truth.mean, truth.std, truth.sample(3),
                      truth.sample(3, 2)]  # fmt: skip
            for array, value in zip(arrays, values, strict=True):
                assert type(array) is kind and array.dtype == np.float64
                close(array, value)
    on_a_device = numpy.likelihood_of(cupy.asarray(Z))  # of a model on the host
    assert type(on_a_device.sample(0)) is type(on_a_device.std) is cupy.ndarray
    close(on_a_device.sample(3), expected[1].sample(3))
    close(other.sample(5, 0, draw=True), numpy.sample(5, 0, draw=True))
    close(other.reconstruct(X), numpy.reconstruct(X))


def test_likelihoods_are_alike(pair, cupy):
    numpy, other = pair
    expected = numpy.log_likelihood(IMAGES[:9], 50, rng=3)
    for given, kind in ((IMAGES[:9], np.ndarray), (cupy.asarray(IMAGES[:9]), cupy.ndarray)):
        result = other.log_likelihood(given, 50, rng=3)
        for name in ("estimate", "standard_error", "effective_sample_size", "pareto_k"):
            assert type(getattr(result, name)) is kind
            close(getattr(result, name), getattr(expected, name))
        assert str(expected)[:12] in str(result)


def test_gradients_are_alike(pair, cupy):
    numpy, other = pair
    eps = np.random.default_rng(0).standard_normal((2, 9, 3))
    loss, grads = numpy.loss_and_grad(IMAGES[:9], eps)
    for X, noise in ((IMAGES[:9], eps), (cupy.asarray(IMAGES[:9]), cupy.asarray(eps))):
        other_loss, other_grads = other.loss_and_grad(X, noise)
        assert other_loss == pytest.approx(loss, rel=1e-12)
        for name, grad in grads.items():
            close(other_grads[name], grad)


@pytest.mark.parametrize("where", ["host", "device"])
def test_data_may_lie_in_any_order(where, cupy):
    X = np.asfortranarray(np.random.default_rng(0).random((170, 9)))
    expected = model("numpy", dtype="float64").fit(X[::2])
    given = (cupy.asarray(X) if where == "device" else X)[::2]
    vae = model("cupy", dtype="float64").fit(given)
    assert_same_model(expected, vae, CLOSE["float64"])
    eps = np.zeros((1, 85, 3))
    assert vae.loss_and_grad(given, eps)[0] == pytest.approx(expected.loss_and_grad(X[::2], eps)[0])


def test_a_noise_array_need_not_be_contiguous(pair, cupy):
    numpy, other = pair
    eps = np.asfortranarray(np.random.default_rng(0).standard_normal((2, 9, 3)))
    close(other.elbo(IMAGES[:9], eps).total, numpy.elbo(IMAGES[:9], eps).total)


WAYS = [("numpy", "cupy"), ("cupy", "numpy"), ("cupy", "cupy")]


@pytest.mark.parametrize(("written", "read"), WAYS)
def test_model_files_load_on_the_other_backend(written, read, tmp_path):
    first = model(written, dtype="float64").fit(IMAGES)
    first.save(tmp_path / "model.npz")
    second = npvae.load(tmp_path / "model.npz", backend=read)
    close(host(second.transform(IMAGES[:5])), host(first.transform(IMAGES[:5])))
    first.partial_fit(IMAGES)


@pytest.mark.parametrize(("first", "second"), WAYS)
def test_a_checkpoint_goes_on_on_the_other_backend(first, second, tmp_path):
    settings = {"dtype": "float64", "early_stopping": 5}
    path, held_out = tmp_path / "checkpoint.npz", DIGITS.images[200:230]
    model(first, epochs=2, **settings).fit(IMAGES, validation=held_out, checkpoint=path)
    resumed = model(second, epochs=4, **settings)
    resumed.fit(IMAGES, validation=held_out, checkpoint=path, resume=True)
    whole = model("numpy", epochs=4, **settings).fit(IMAGES, validation=held_out)
    assert_same_model(whole, resumed, CLOSE["float64"])


def test_a_pickle_comes_back_on_its_device(cupy):
    vae = model("cupy").fit(IMAGES)
    again = pickle.loads(pickle.dumps(vae))
    assert isinstance(again.engine_.theta, cupy.ndarray)
    np.testing.assert_array_equal(again.transform(IMAGES[:5]), vae.transform(IMAGES[:5]))


def test_the_gradient_checker_works_there_too():
    vae = model("cupy", dtype="float64", hidden=(4,), latent_dim=2).initialize(64)
    assert npvae.testing.check_gradients(vae, IMAGES[:3]).ok


# --- which backend, and what can go wrong -------------------------------------------------------


def test_auto_takes_the_gpu_and_says_so(capsys):
    vae = model("auto", verbose=True, epochs=1).fit(IMAGES)
    assert vae.engine_.backend.name == "cupy"
    assert f"backend    {vae.engine_.backend.device}" in capsys.readouterr().out


def test_tf32_is_only_ever_asked_for(cupy):
    with pytest.raises(ParameterError, match="tf32=True is for products on a GPU"):
        model("numpy", tf32=True).fit(IMAGES)
    modes = {}
    for tf32 in (False, True):
        engine = model("cupy", tf32=tf32).initialize(64).engine_
        assert engine.backend.tf32 is tf32
        modes[tf32] = engine.ops.gemm.__self__.cublas
    if not REAL:
        assert modes[False].math_mode == cublas.DEFAULT_MATH
        assert modes[True].math_mode == cublas.TF32_MATH


@stand_in
@pytest.mark.parametrize("when", ["first use", "initialize", "fit", "transform"])
def test_a_full_device_is_one_line(when, monkeypatch):
    vae = model("cupy", hidden=(64,))
    if when == "transform":
        vae.initialize(64)
    elif when == "first use":
        get_backend.cache_clear()
    pool = strict_cupy.cuda.STATE.pool
    pool.free_all_blocks()
    monkeypatch.setattr(strict_cupy.cuda, "CAPACITY", pool.used + 4000)
    asks = r"out of memory: .*allocating [\d,]+ bytes.* Free: \d+ of \d+ MiB; choose a smaller"
    with pytest.raises(BackendError, match=asks):
        if when in ("first use", "initialize"):
            vae.initialize(64)
        else:
            getattr(vae, when)(IMAGES)


@stand_in
def test_a_device_that_cannot_be_used_is_one_line(cupy):
    def old_driver():
        raise cupy.cuda.runtime.CUDARuntimeError("cudaErrorInsufficientDriver: too old")

    cases = ((lambda: 0, "finds no CUDA device"), (old_driver, "no usable driver .*: too old"))
    for answer, words in cases:
        get_backend.cache_clear()
        with patch.object(cupy.cuda.runtime, "getDeviceCount", answer):
            with pytest.raises(BackendError, match=words):
                get_backend("cupy")
            assert get_backend("auto").name == "numpy"
    get_backend.cache_clear()


# --- products -----------------------------------------------------------------------------------


@each_dtype
@pytest.mark.parametrize(
    ("m", "k", "n"), [(1, 1, 1), (3, 5, 7), (1, 5, 7), (3, 1, 7), (3, 5, 1), (20, 64, 16)]
)
@pytest.mark.parametrize("turned", [*product([False, True], repeat=2)])
def test_products_are_asked_of_cublas_rightly(m, k, n, turned, dtype, cupy):
    rng = np.random.default_rng(0)
    A, B = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
    a, b = (cupy.asarray(X.T.copy()).T if t else cupy.asarray(X)
            for X, t in zip((A, B), turned, strict=True))  # fmt: skip
    out = cupy.full((m, n), np.nan, dtype)
    assert get_backend("cupy").ops.gemm(a, b, out) is out
    bound = k * np.finfo(dtype).eps * (abs(A) @ abs(B))  # of a sum of k terms in any order
    assert (abs(host(out) - A @ B) <= bound).all()


@each_dtype
@pytest.mark.parametrize("turned", [*product([False, True], repeat=2)])
def test_batched_products_are_asked_of_cublas_rightly(turned, dtype, cupy):
    """Of matrices that lie apart, as the weights of S models do among all their parameters."""
    rng, S, m, k, n = np.random.default_rng(0), 4, 3, 5, 7
    A = rng.standard_normal((S, k + 1, m) if turned[0] else (S, m + 1, k)).astype(dtype)
    B = rng.standard_normal((S, n + 1, k) if turned[1] else (S, k + 1, n)).astype(dtype)
    A, B = A[:, :-1], B[:, :-1]
    a, b = (cupy.asarray(np.pad(X, ((0, 0), (0, 1), (0, 0))))[:, :-1] for X in (A, B))
    if turned[0]:
        a, A = a.transpose(0, 2, 1), A.transpose(0, 2, 1)
    if turned[1]:
        b, B = b.transpose(0, 2, 1), B.transpose(0, 2, 1)
    out = cupy.full((S, m + 2, n), np.nan, dtype)
    assert get_backend("cupy").ops.gemm(a, b, out[:, :m]).shape == (S, m, n)
    bound = k * np.finfo(dtype).eps * (abs(A) @ abs(B))
    assert (abs(host(out)[:, :m] - A @ B) <= bound).all()
    assert np.isnan(host(out)[:, m:]).all()


def test_products_that_cannot_be_asked_for_are_refused(cupy):
    gemm = get_backend("cupy").ops.gemm
    a, b = cupy.ones((3, 4), np.float32), cupy.ones((4, 6), np.float32)
    for wrong, error in [
        ((a, a, cupy.ones((3, 4), np.float32)), ValueError),
        ((a, b, cupy.ones((6, 3), np.float32).T), ValueError),
        ((a, b[:, ::2], cupy.ones((3, 3), np.float32)), ValueError),
        ((a, b, cupy.ones((3, 6), np.float64)), TypeError),
    ]:
        with pytest.raises(error):
            gemm(*wrong)


def test_an_error_of_cublas_is_said(cupy):
    class Failing(Cublas):
        def cublasSgemm_v2(self, *arguments):
            return 13

    handle = cublas.Cublas(Failing(), cupy)
    x = cupy.ones((2, 2), np.float32)
    with pytest.raises(BackendError, match="cublasSgemm_v2 failed with status 13"):
        handle.gemm(x, x, x.copy())


def test_an_engine_is_made_of_the_device_s_arrays(cupy):
    engine = model("cupy").fit(IMAGES).engine_
    assert isinstance(engine, Engine)
    assert all(isinstance(b, cupy.ndarray) for b in engine.work.buffers().values())
