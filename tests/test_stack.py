"""A Stack passes for one model's array, and what is done with it is done to each."""
import numpy as np
import pytest
from op_cases import CASES, SIZES

from npvae import random
from npvae.backend import get_backend
from npvae.memory import Layout, Workspace
from npvae.ops import DECLARED
from npvae.ops.cpu import twins
from npvae.stack import Stack, Stacks, each, of_model, run_each, stacked

S = 3
NUMPY = get_backend()
BACKEND = stacked(NUMPY, S)


def random_stack(*shape, dtype=np.float64):
    return Stack(np.random.default_rng(1).standard_normal((S, *shape)).astype(dtype))


@pytest.mark.parametrize("view", [
    lambda h: h.T, lambda h: h[1:], lambda h: h[..., None], lambda h: h[0], lambda h: h[:, :2],
    lambda h: h.reshape(-1), lambda h: h.reshape(2, 3, 4)[1, :, 0], lambda h: h.reshape((4, -1)).T,
    lambda h: 2 * h + h, lambda h: -h, lambda h: np.exp(h), lambda h: h - h[0],
])  # fmt: skip
def test_a_view_or_a_formula_is_that_of_each(view):
    h = random_stack(6, 4)
    got = view(h)
    for s in range(S):
        expected = view(h.whole[s])
        np.testing.assert_array_equal(of_model(got, s), expected)
        assert (got.shape, got.ndim, got.size) == (expected.shape, expected.ndim, expected.size)
        assert len(got) == len(expected) and got.dtype == expected.dtype


def test_what_is_written_is_written_to_each():
    h, row = random_stack(6, 4), random_stack(4)
    before = h.whole.copy()
    h[1:3] = row  # (4,) into (2, 4), not (S, 4) into (S, 2, 4)
    h += row
    h *= 0.5
    before[:, 1:3] = row.whole[:, None]
    np.testing.assert_array_equal(h.whole, (before + row.whole[:, None]) * 0.5)


def test_a_number_of_each_is_a_view_that_follows():
    numbers = Stack(np.zeros((S, 2)))[1]
    first = of_model(numbers, 0)
    numbers[...] = 5.0
    assert first.shape == () and first == 5.0


def test_a_stack_is_no_array():
    with pytest.raises(TypeError, match="several models"):
        np.asarray(random_stack(2))


def test_what_has_no_stack_is_refused():
    """What it writes would be one array, and the last model's numbers in it."""
    with pytest.raises(TypeError, match="no Stack"):
        BACKEND.ops.scale(np.ones(3), np.ones(1))
    with pytest.raises(TypeError, match="no Stack"):
        BACKEND.xp.eye(3)


@pytest.mark.parametrize("name", ["empty", "zeros", "ones"])
@pytest.mark.parametrize("shape", [(), 5, (3, 7), (0,), (2, 0)])
def test_what_makes_an_array_makes_one_for_each(name, shape):
    made = getattr(Stacks(np, S), name)(shape, np.float32)
    assert made.shape == getattr(np, name)(shape).shape and made.dtype == np.float32
    if name != "empty":
        np.testing.assert_array_equal(made.whole, getattr(np, name)((S, *made.shape)))
    assert made.size == 0 or all(row.ctypes.data % 64 == 0 for row in made.rows)


def test_views_of_parameters_and_buffers_are_those_of_each():
    layout = Layout({"mean.weight": (2, 3), "logvar.weight": (2, 3), "mean.bias": (2,)},
                    {"heads.weight": ("mean.weight", "logvar.weight")})  # fmt: skip
    flat = Stacks(np, S).zeros(layout.size, np.float32)
    flat.whole[...] = np.arange(S * layout.size).reshape(S, -1)
    for name, view in layout.views(flat).items():
        for s in range(S):
            np.testing.assert_array_equal(of_model(view, s), layout.views(flat.whole[s])[name])
    work = Workspace(Stacks(np, S), np.float32)
    h = work("h", 10, 4)
    assert work("h", 10, 4) is h and np.shares_memory(work("h", 6, 4).whole, h.whole)
    assert work.constant(2.0, 3).whole.tolist() == [[2.0] * 3] * S


@pytest.mark.parametrize("rows", [1, 2, 20, 32, 33, 100])  # few rows go by their transpose
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_batched_product_has_the_bits_of_each(rows, dtype):
    """Of weights that lie among all parameters, and both ways of the backward pass."""
    x, theta = random_stack(rows, 17, dtype=dtype), random_stack(17 * 9 + 5, dtype=dtype)
    W, d_a = theta[3 : 3 + 17 * 9].reshape(9, 17), random_stack(rows, 9, dtype=dtype)
    for a, b in ((x, W.T), (d_a, W), (d_a.T, x)):
        out = Stack(np.full((S, a.shape[0], b.shape[1]), np.nan, dtype))
        assert BACKEND.ops.gemm(a, b, out) is out
        for s in range(S):
            one = np.empty(out.shape, dtype)
            NUMPY.ops.gemm(of_model(a, s), of_model(b, s), one)
            assert one.tobytes() == of_model(out, s).tobytes()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
def test_an_op_of_stacks_has_the_bits_of_each(name, size, dtype):
    case = CASES[name]
    alone = [case.arrays(size, dtype, seed) for seed in range(S)]
    together = {
        word: Stack(np.stack([arrays[word] for arrays in alone]))
        if isinstance(value, np.ndarray) else value
        for word, value in alone[0].items()
    }  # fmt: skip
    with np.errstate(all="ignore"):
        for call in case.calls:
            returned = call(BACKEND.ops, together)
            for s, arrays in enumerate(alone):
                expected = call(NUMPY.ops, arrays)
                if DECLARED[call.op].returns:
                    assert of_model(returned, s) == expected
                for word in call.results:
                    assert of_model(together[word], s).tobytes() == arrays[word].tobytes(), word


@pytest.mark.skipif(twins.library()[0] is None, reason=f"no compiled twins: {twins.why_none()}")
def test_a_kernel_takes_stacks_in_one_call():
    """Seeds, rates and arrays that lie apart among them; and leaves to the body what does not."""
    module, _ = twins.library()
    run = run_each(module)
    theta, seeds = random_stack(2, 6)[0], Stack(np.arange(S, dtype=np.uint64))  # 12 numbers apart
    grad, rate = random_stack(6), Stack(np.array([0.1, 0.2, 0.3]))
    before = theta.whole.copy()
    assert run(module.find("sgd float64"), 1, theta, grad, rate, 6)
    np.testing.assert_allclose(theta.whole, before - rate.whole[:, None] * grad.whole, rtol=1e-15)
    eps, step = Stack(np.empty((S, 1, 4, 2))), np.array([7])  # the same step for all
    assert run(module.find("fill_noise float64"), 1, seeds, 2, step, 0, eps, 1, 4, 2)
    for seed in range(S):
        expected = random.fill_noise(seed, 2, 7, 1, 2, 4)
        np.testing.assert_allclose(eps.whole[seed], expected, rtol=1e-14)
    before = theta.whole.copy()
    assert not run(module.find("sgd float64"), 1, theta, random_stack(6, 2)[:, 0], rate, 6)
    floats = random_stack(6, dtype=np.float32)
    assert not run(module.find("sgd float64"), 1, theta, floats, rate, 6)
    np.testing.assert_array_equal(theta.whole, before)


def test_each_goes_model_by_model():
    add = each(lambda a, b, out=None: np.add(a, b, out=out))
    a, out = random_stack(3), random_stack(3)
    assert add(a, 1, out=out) is out
    np.testing.assert_array_equal(out.whole, a.whole + 1)
