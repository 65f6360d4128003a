"""Views alias the flat vector; a step writes every element it reads, and allocates nothing."""
import tracemalloc
from functools import partial

import numpy as np
import pytest
from small_models import LIKELIHOODS, autoencoder, batch, engine, vae

import npvae
from npvae import evaluation
from npvae.memory import Layout, Workspace
from npvae.models import Noise
from npvae.networks import initialize
from npvae.objectives import OBJECTIVES
from npvae.ops import ACTIVATIONS
from npvae.optim import OPTIMIZERS

MODELS = {f"vae, {p}": vae(p) for p in LIKELIHOODS}
MODELS |= {f"autoencoder, {p}": autoencoder(p) for p in LIKELIHOODS}
TRAINED = {f"vae, {e}, {p}": (vae(p), e) for e in OBJECTIVES for p in LIKELIHOODS}
TRAINED |= {f"autoencoder, {p}": (autoencoder(p),) for p in LIKELIHOODS}


@pytest.fixture(params=MODELS)
def model(request):
    return MODELS[request.param]


@pytest.fixture(params=TRAINED)
def make(request):
    """What makes an engine, each time with the same parameters and with buffers of its own."""
    return partial(engine, *TRAINED[request.param])


# --- layout -------------------------------------------------------------------------------


def test_named_views_cover_the_flat_vector_once_and_in_order(model):
    layout = model.layout()
    views = layout.named(np.arange(layout.size))
    np.testing.assert_array_equal(
        np.concatenate([view.ravel() for view in views.values()]), np.arange(layout.size)
    )
    assert {name: view.shape for name, view in views.items()} == dict(layout.shapes)


def test_views_alias_the_flat_vector(model):
    flat = np.zeros(model.layout().size)
    for view in model.layout().views(flat).values():
        assert np.shares_memory(view, flat)
        view += 1
    stacked_views = model.layout().views(flat)
    assert flat.min() == 1 and flat.max() == 2  # twice where a joint view sees it too
    assert (stacked_views["encoder.heads.weight"] == 2).all()


def test_a_joint_view_is_its_parts_stacked(model):
    layout = model.layout()
    views = layout.views(np.arange(layout.size))
    for joint, parts in layout.stacked_views.items():
        np.testing.assert_array_equal(views[joint], np.concatenate([views[part] for part in parts]))


def test_weights_come_first(model):
    layout = model.layout()
    names = list(layout.shapes)
    kinds = [name.rpartition(".")[2] for name in names]
    assert kinds == sorted(kinds, reverse=True)  # weight … weight, bias … bias
    weights = [view.size for name, view in layout.named(np.empty(layout.size)).items()
               if name.endswith("weight")]  # fmt: skip
    assert layout.n_weights == sum(weights)


def test_names_and_shapes_are_pytorch_s():
    assert vae(likelihood="normal", D=6, J=2, hidden=(5, 4)).layout().shapes == {
        "encoder.hidden.0.weight": (5, 6),
        "encoder.hidden.1.weight": (4, 5),
        "encoder.mean.weight": (2, 4),
        "encoder.logvar.weight": (2, 4),
        "decoder.hidden.0.weight": (4, 2),
        "decoder.hidden.1.weight": (5, 4),
        "decoder.mean.weight": (6, 5),
        "decoder.logvar.weight": (6, 5),
        "encoder.hidden.0.bias": (5,),
        "encoder.hidden.1.bias": (4,),
        "encoder.mean.bias": (2,),
        "encoder.logvar.bias": (2,),
        "decoder.hidden.0.bias": (4,),
        "decoder.hidden.1.bias": (5,),
        "decoder.mean.bias": (6,),
        "decoder.logvar.bias": (6,),
    }


def test_first_weights_have_variance_one_over_their_inputs_and_biases_are_zero():
    layout = Layout({"a.weight": (200, 300), "b.weight": (500, 100), "a.bias": (200,)}, {})
    theta = initialize(layout, np.random.default_rng(0).standard_normal(layout.size))
    views = layout.named(theta)
    for name, variance in ("a.weight", 1 / 300), ("b.weight", 1 / 100):
        n = views[name].size  # the standard error of a variance is √(2/n) of it
        assert abs(views[name].var() / variance - 1) <= 4 * np.sqrt(2 / n)
    assert not views["a.bias"].any()


def test_first_weights_have_the_deviation_asked_for():
    layout = Layout({"a.weight": (200, 300), "b.weight": (500, 100), "a.bias": (200,)}, {})
    theta = initialize(layout, np.random.default_rng(0).standard_normal(layout.size), std=0.01)
    views = layout.named(theta)
    for name in "a.weight", "b.weight":
        n = views[name].size
        assert abs(views[name].var() / 0.01**2 - 1) <= 4 * np.sqrt(2 / n)
    assert not views["a.bias"].any()


# --- workspace ----------------------------------------------------------------------------


def test_what_a_step_passes_over_begins_on_a_cache_line():
    model = npvae.VAE(3, (7,), batch_size=9, random_state=0, verbose=False)
    engine = model.fit(np.full((20, 5), 0.5)).engine_
    arrays = [engine.theta, engine.grad, *model._state.moments.values()]
    arrays += engine.work.buffers().values()
    assert [array.ctypes.data % 64 for array in arrays] == [0] * len(arrays)


def test_a_buffer_is_kept_and_a_smaller_batch_uses_its_front():
    work = Workspace(np, np.float32)
    whole = work("h", 10, 4)
    assert work("h", 10, 4) is whole and whole.dtype == np.float32
    whole[...] = np.arange(40).reshape(10, 4)
    np.testing.assert_array_equal(work("h", 3, 4), whole[:3])
    assert work("h", 10, 4) is whole
    assert not np.shares_memory(work("other", 10, 4), whole)


def test_a_buffer_grows_and_its_smaller_views_follow():
    work = Workspace(np, np.float64)
    small, large = work("h", 3, 4), work("h", 10, 4)
    assert not np.shares_memory(small, large)
    assert np.shares_memory(work("h", 3, 4), large)
    assert [buffer.size for buffer in work.buffers().values()] == [40]


def test_a_buffer_may_have_a_dtype_of_its_own():
    work = Workspace(np, np.float32)
    assert work("taken", 2, 3, dtype=np.uint8).dtype == np.uint8
    assert work("taken", 2, 3, dtype=np.uint8) is work("taken", 2, 3, dtype=np.uint8)


# --- the workspace of a whole model -------------------------------------------------------


def step(e, x, eps) -> bytes:
    """The bits of the loss and of the gradient."""
    loss = np.float64(e.loss_and_grad(x, Noise(eps)))
    return loss.tobytes() + e.grad.tobytes()


def test_a_step_writes_whatever_it_reads(make):
    """The whole workspace and the gradient poisoned with NaN: the same bits again."""
    e = make()
    x, eps = batch(e.model)
    first = step(e, x, eps)
    assert np.isfinite(e.grad).all() and e.grad.any()
    for buffer in (*e.work.buffers().values(), e.grad):
        buffer[...] = np.nan
    assert step(e, x, eps) == first


def test_a_ragged_batch_sees_nothing_of_the_batch_before_it(make):
    """Five datapoints, then three, then five: the three as if they were alone."""
    used, fresh = make(), make()
    x, eps = batch(used.model)
    whole = step(used, x, eps)
    assert step(used, x[:3], eps[:, :3].copy()) == step(fresh, x[:3], eps[:, :3].copy())
    assert step(used, x, eps) == whole


def test_a_step_leaves_its_inputs_alone(make):
    e = make()
    x, eps = batch(e.model)
    given = [a.copy() for a in (x, eps, e.theta)]
    x.flags.writeable = eps.flags.writeable = False  # writing would raise
    step(e, x, eps)
    for before, after in zip(given, (x, eps, e.theta), strict=True):
        assert before.tobytes() == after.tobytes()


def test_two_steps_give_equal_bits(make):
    e = make()
    x, eps = batch(e.model)
    assert step(e, x, eps) == step(e, x, eps) == step(make(), x, eps)


def test_encoding_and_decoding_write_whatever_they_read(model):
    e, (x, _) = engine(model), batch(model)
    z = evaluation.encode(e, x)
    mean = evaluation.decode(e, z)
    for buffer in e.work.buffers().values():
        buffer[...] = np.nan
    assert evaluation.encode(e, x).tobytes() == z.tobytes()
    assert evaluation.decode(e, z).tobytes() == mean.tobytes()


# --- allocation ---------------------------------------------------------------------------

# A hidden layer (M, H) is 160 kB; NumPy's own iterators use up to 100 kB, whatever the sizes.
LARGE = {"D": 450, "J": 3, "hidden": (400,)}
SIZEABLE = [(vae(p, **LARGE), e) for e in OBJECTIVES for p in LIKELIHOODS]
SIZEABLE += [(vae(activation=activation, **LARGE), "B") for activation in ACTIVATIONS]


@pytest.mark.parametrize(("model", "estimator"), SIZEABLE, ids=range(len(SIZEABLE)))
def test_no_step_after_the_first_allocates_an_array_the_size_of_a_product(model, estimator):
    """The peak of a step's memory stays below the smallest hidden layer, (M, H)."""
    e = engine(model, estimator, dtype=np.float32)
    x, eps = batch(model, 100, 2, 450, np.float32)
    e.theta *= 0.02  # hundreds of units add up
    rules = [(rule(), rule().init(np, e.theta)) for rule in OPTIMIZERS.values()]
    scratch = e.work("update.scratch", e.theta.size)

    def whole_step():
        e.loss_and_grad(x, Noise(eps))
        for rule, state in rules:
            rule.update(e.ops, e.theta, e.grad, state, scratch, 1e-6, 1)

    whole_step()
    tracemalloc.start()
    try:
        whole_step()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100 * 400 * 4
