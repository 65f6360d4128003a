"""Every op of the table: its backward against its forward, and how it treats its arguments."""
from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest
from op_cases import (
    CASES,
    DOUBLE,
    SIZES,
    Case,
    calls,
    complex_step,
    copied,
    gradients,
    relative_error,
    three_point,
)
from scipy import special

from npvae.backend import get_backend
from npvae.ops import ACTIVATIONS, Ops, reference
from npvae.ops.activations import _normal_tail
from npvae.ops.cpu import on_host

OPS = get_backend("numpy").ops
BACKWARD = {name: case for name, case in CASES.items() if case.backward}

each_case = pytest.mark.parametrize("name", CASES)
each_backward = pytest.mark.parametrize("name", BACKWARD)
each_size = pytest.mark.parametrize("size", SIZES)


def test_every_op_has_a_case():
    called = {call.op for case in CASES.values() for call in case.calls}
    assert called == {field.name for field in fields(Ops)}


def test_every_backward_op_is_checked_against_its_forward():
    checked = {call.op for case in BACKWARD.values() for call in calls(case.backward)}
    assert checked >= {field.name for field in fields(Ops) if field.name.endswith("_backward")}


# --- gradients ----------------------------------------------------------------------------


@each_backward
@each_size
def test_backward_agrees_with_the_complex_step(name, size):
    # The complex step is exact to rounding; a sum of some hundred terms loses 1e-14.
    for v, backward, numerical in gradients(OPS, CASES[name], SIZES[size], complex_step):
        assert relative_error(backward, numerical) <= 1e-12, v


@each_backward
@each_size
def test_backward_agrees_with_three_point_differences(name, size):
    # h² = 1e-10 of truncation and 1e-16/h = 1e-11 of rounding, with room for large S.
    for v, backward, numerical in gradients(OPS, CASES[name], SIZES[size], three_point):
        assert relative_error(backward, numerical) <= 1e-6, v


def test_the_check_can_fail():
    """A gradient wrong by one part in a thousand million is told from the truth."""

    def wrong(d_h, h, d_a, d_bias):
        OPS.tanh_backward(d_h * (1 + 1e-9), h, d_a, d_bias)

    mutant = replace(OPS, tanh_backward=wrong)
    for _, backward, numerical in gradients(mutant, CASES["tanh"], SIZES["odd"], complex_step):
        assert relative_error(backward, numerical) > 1e-12


@each_case
@each_size
def test_float32_agrees_with_float64(name, size):
    case = CASES[name]
    single, double = case.arrays(SIZES[size], np.float32), case.arrays(SIZES[size])
    for call in case.calls:
        call(OPS, single)
        call(OPS, double)
        for word in call.results:
            kept = double[word].dtype.kind != "f" or word in DOUBLE  # whatever the model's dtype
            assert single[word].dtype == (double[word].dtype if kept else np.float32), word
            assert relative_error(single[word].astype(float), double[word]) <= 1e-4, word


# --- arguments ----------------------------------------------------------------------------


def same_bits(a, b):
    return a.tobytes() == b.tobytes()


def snapshots(case: Case, size: str):
    """Before the first call, after it, after the second, ... each in its own memory."""
    arrays = case.arrays(SIZES[size])
    yield copied(arrays)
    for call in case.calls:
        call(OPS, arrays)
        yield copied(arrays)


@each_case
@each_size
def test_outputs_are_written_whole_and_inputs_left_alone(name, size):
    case = CASES[name]
    for call, (before, after) in zip(case.calls, pairwise(snapshots(case, size)), strict=True):
        for word, value in before.items():
            if word in call.results:
                assert np.isfinite(after[word]).all(), word  # it was full of NaN
            elif isinstance(value, np.ndarray) and word not in call.words("!"):
                assert same_bits(after[word], value), word


@each_case
@each_size
def test_a_second_call_writes_the_same_bits(name, size):
    """NaN in the outputs before the first, the result before the second: nothing accumulates."""
    case = CASES[name]
    for call, (before, after) in zip(case.calls, pairwise(snapshots(case, size)), strict=True):
        again = copied(after)
        for word in call.words("~"):
            again[word] = before[word]
        call(OPS, again)
        for word in call.results:
            assert same_bits(again[word], after[word]), word


def test_l2_backward_adds_to_the_gradient():
    """The one exception, for a weight's gradient has two sources."""
    weights, gradient = np.array([1.0, -2.0]), np.array([10.0, 20.0])
    OPS.l2_backward(weights, 0.5, np.empty(2), gradient)
    np.testing.assert_array_equal(gradient, [10.5, 19.0])


@pytest.mark.parametrize("name", ["identity", "sigmoid"])
def test_the_activations_of_an_output_may_write_over_their_products(name):
    a, bias = CASES[name].arrays(SIZES["odd"])["a"], np.zeros(7)
    h = np.empty_like(a)
    getattr(OPS, name)(a.copy(), bias, h)
    getattr(OPS, name)(a, bias, a)
    assert same_bits(a, h)


# --- values -------------------------------------------------------------------------------

# u where exp overflows or underflows: in float32 near ±88, in float64 near ±710.
EXTREMES = np.array([-1e4, -709.8, -88.8, -30, -1e-30, 0, 1e-30, 30, 88.8, 709.8, 1e4])

TEXTBOOK = {
    "identity": lambda u: u,
    "tanh": np.tanh,
    "relu": lambda u: np.where(u > 0, u, 0),
    "sigmoid": special.expit,
    "softplus": lambda u: np.logaddexp(0, u),
    "elu": lambda u: np.where(u > 0, u, special.expm1(np.minimum(u, 0))),
    "leaky_relu": lambda u: np.where(u > 0, u, 0.01 * u),
    "gelu": lambda u: u * special.ndtr(u),
    "silu": lambda u: u * special.expit(u),
}
SLOPES = {
    "identity": np.ones_like,
    "tanh": lambda u: 1 / np.cosh(np.clip(u, -300, 300)) ** 2,
    "relu": lambda u: np.where(u > 0, 1.0, 0.0),
    "sigmoid": lambda u: special.expit(u) * special.expit(-u),
    "softplus": special.expit,
    "elu": lambda u: np.where(u > 0, 1.0, np.exp(np.minimum(u, 0))),
    "leaky_relu": lambda u: np.where(u > 0, 1.0, 0.01),
    "gelu": lambda u: special.ndtr(u) + u * np.exp(-u * u / 2) / np.sqrt(2 * np.pi),
    "silu": lambda u: special.expit(u) * (1 + u * special.expit(-u)),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activations_are_the_textbook_s(name, dtype):
    """Value and slope from −10⁴ to 10⁴, with no overflow (pytest makes warnings errors)."""
    u = np.concatenate([EXTREMES, np.linspace(-20, 20, 401)]).astype(dtype)
    h, d_a, d_bias = np.empty((3, 1, len(u)), dtype)
    a = u[None] / 2
    getattr(OPS, name)(a, u / 2, h)  # halves add up exactly
    saved = h if ACTIVATIONS[name].reads == "output" else a
    getattr(OPS, name + "_backward")(np.ones_like(h), saved, d_a, d_bias[0])
    # Absolute, since a tanh near one has no digits left for 1 − tanh²; some roundings each.
    accuracy = {"rtol": 8 * np.finfo(dtype).eps, "atol": 4 * np.finfo(dtype).eps}
    exact = u.astype(float)
    np.testing.assert_allclose(h[0], TEXTBOOK[name](exact), **accuracy)
    np.testing.assert_allclose(d_a[0], SLOPES[name](exact), **accuracy)


def test_the_normal_tail_of_gelu_is_exact():
    """To one rounding of float64; it ends in 0, and for the largest numbers nothing overflows."""
    v = np.concatenate([np.linspace(0, 9, 20_001), np.geomspace(1e-300, 1, 400), [40.0]])
    q = np.empty_like(v)
    _normal_tail(np, v, np.empty_like(v), q, np.empty_like(v))
    np.testing.assert_allclose(q, special.ndtr(-v), rtol=0, atol=2**-52)
    u, h = np.array([[-1e300, 1e300]]), np.empty((1, 2))
    OPS.gelu(u, np.zeros(2), h)
    np.testing.assert_array_equal(h, [[0, 1e300]])


def test_a_log_ratio_may_be_felt_otherwise_through_the_sample_than_beside_it():
    """Against the definition: z follows φ with the weight p, log q(z̄|φ) at fixed z̄ with s."""
    case, size = CASES["normal_log_ratio_backward, two weights"], SIZES["odd"]
    arrays = case.arrays(size)
    given = copied(arrays)
    for call in case.calls:
        call(OPS, arrays)
    (fixed_mu, fixed_logvar), z_bar = np.split(arrays["a"], 2, axis=1), arrays["z"]

    def log_q(z, mu, logvar):
        return -0.5 * ((z - mu) ** 2 * np.exp(-logvar) + logvar).sum(axis=-1)

    def objective(name, index, step):
        point = copied(given, complex)
        point[name][index] += step
        mu, logvar = np.split(point["a"] + point["bias"], 2, axis=1)
        z = mu + np.exp(0.5 * logvar) * given["eps"]
        through_z = log_q(z, fixed_mu, fixed_logvar) + 0.5 * (z * z).sum(axis=-1)
        return ((given["d_z"] * z).sum() + (given["p"] * through_z).sum()
                + (given["s"] * log_q(z_bar, mu, logvar)).sum())  # fmt: skip

    for name in ("a", "bias"):
        numerical = np.empty(given[name].shape)
        for index in np.ndindex(numerical.shape):
            numerical[index] = complex_step(lambda h, i=index, n=name: objective(n, i, h))
        assert relative_error(arrays["d_" + name], numerical) <= 1e-12


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equal_weights_are_finite_at_a_vanishing_deviation(dtype):
    a, p = np.array([[0.0, -1e4]], dtype), np.ones((1, 1), dtype)
    eps, sigma, z, log_ratio = (np.ones((1, 1, 1), dtype) for _ in range(4))
    OPS.normal_log_ratio(a, np.zeros(2, dtype), eps, sigma[0], z, log_ratio[0])
    assert sigma == 0
    d_a, d_bias = np.full((1, 2), np.nan, dtype), np.empty(2, dtype)
    OPS.normal_log_ratio_backward(z, p, p, a, eps, sigma[0], z, d_a, d_bias)
    np.testing.assert_array_equal(d_a, [[0, -0.5]])
    OPS.normal_log_ratio_backward(z, p, 0 * p, a, eps, sigma[0], z, d_a, d_bias)
    assert np.isfinite(d_a).all()


def test_gather_scales_the_rows_that_it_is_told():
    arrays = CASES["gather"].arrays(SIZES["odd"])
    calls(CASES["gather"].forward)[0](OPS, arrays)
    np.testing.assert_array_equal(arrays["x"], arrays["data"][arrays["rows"]] * (1 / 255))


def test_binarise_draws_a_one_with_the_pixel_s_probability():
    n, grey = 100_000, np.array([0.0, 0.1, 0.5, 1.0])
    x = np.tile(grey, (n, 1))
    OPS.binarize(x, np.random.default_rng(0).random((n, 4)))
    assert set(np.unique(x)) == {0.0, 1.0}
    error = np.sqrt(grey * (1 - grey) / n)
    assert (np.abs(x.mean(axis=0) - grey) <= 4 * error).all()  # 6e-5 of seeds would fail
    assert x[:, 0].max() == 0 and x[:, 3].min() == 1


def test_l2_is_half_the_squared_norm():
    assert OPS.l2(np.array([3.0, 4.0]), 0.1) == pytest.approx(0.5 * 0.1 * 25)


@pytest.mark.parametrize("rows", [1, 2, 32, 33])
@pytest.mark.parametrize("transposed", [False, True])
def test_products_of_few_rows_are_the_same_products(rows, transposed):
    """Turned round or not, to the rounding of sums of 30 terms; and written where asked."""
    rng = np.random.default_rng(rows)
    a, b = rng.standard_normal((rows, 30)), rng.standard_normal((30, 7))
    if transposed:
        b = np.asfortranarray(b)
    out = np.full((rows, 7), np.nan)
    assert on_host(reference(np)).gemm(a, b, out) is out
    np.testing.assert_allclose(out, np.einsum("ik,kj->ij", a, b), rtol=0, atol=30 * 2**-50)
