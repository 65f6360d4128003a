"""Update rules against their textbook formulas and PyTorch; schedules; clipping."""
from collections.abc import Callable, Iterator
from math import cos, pi, sqrt

import numpy as np
import pytest

from npvae.backend import get_backend
from npvae.ops import reference
from npvae.ops.cpu import on_host
from npvae.optim import (
    OPTIMIZERS,
    PARTS,
    SCHEDULES,
    Adagrad,
    Constant,
    Cosine,
    Optimizer,
    Step,
    WarmUp,
    clip_by_norm,
)

OPS = get_backend("numpy").ops
RATE, STEPS, P = 0.05, 10, 5


def data() -> tuple[np.ndarray, np.ndarray]:
    """A start (P,) and a gradient for each step (STEPS, P), of sizes from 1e-3 to 1e3."""
    rng = np.random.default_rng(0)
    return rng.standard_normal(P), rng.standard_normal((STEPS, P)) * 10.0 ** np.arange(-3, 4, 1.5)


def run(optimizer: Optimizer, theta: np.ndarray, gradients: np.ndarray, rate: float = RATE):
    """θ after each step.   (steps, P)"""
    theta, path = theta.copy(), []
    state, scratch = optimizer.init(np, theta), np.full_like(theta, np.nan)
    for t, grad in enumerate(gradients, start=1):
        given = grad.copy()
        optimizer.update(OPS, theta, given, state, scratch, rate, t)
        assert given.tobytes() == grad.tobytes()  # the gradient is not the optimiser's
        path.append(theta.copy())
    return np.array(path)


# --- the formulas of the papers, one parameter at a time ------------------------------------


def sgd(w: float, gradients: list[float]) -> Iterator[float]:
    for g in gradients:
        w -= RATE * g
        yield w


def momentum(w: float, gradients: list[float]) -> Iterator[float]:
    v = 0.0
    for g in gradients:
        v = 0.9 * v + g
        w -= RATE * v
        yield w


def nesterov(w: float, gradients: list[float]) -> Iterator[float]:
    """Sutskever's form: a point, and the one ahead of it where the gradient is taken."""
    point, v = w, 0.0
    for g in gradients:
        v = 0.9 * v - RATE * g
        point += v
        yield point + 0.9 * v


def adagrad(w: float, gradients: list[float]) -> Iterator[float]:
    for t, g in enumerate(gradients, start=1):
        w -= RATE * g / (sqrt(sum(past**2 for past in gradients[:t])) + 1e-8)
        yield w


def rmsprop(w: float, gradients: list[float]) -> Iterator[float]:
    for t, g in enumerate(gradients, start=1):
        mean_square = sum(0.01 * 0.99 ** (t - i) * gradients[i - 1] ** 2 for i in range(1, t + 1))
        w -= RATE * g / (sqrt(mean_square) + 1e-8)
        yield w


def adam(w: float, gradients: list[float], decay: float = 0.0) -> Iterator[float]:
    """Algorithm 1 of the paper, with its bias corrections spelled out."""
    m = s = 0.0
    for t, g in enumerate(gradients, start=1):
        m = 0.9 * m + 0.1 * g
        s = 0.999 * s + 0.001 * g * g
        m_hat, s_hat = m / (1 - 0.9**t), s / (1 - 0.999**t)
        w = w - RATE * decay * w - RATE * m_hat / (sqrt(s_hat) + 1e-8)
        yield w


def adamw(w: float, gradients: list[float]) -> Iterator[float]:
    return adam(w, gradients, decay=0.01)


TEXTBOOK: dict[str, Callable] = {
    "sgd": sgd, "momentum": momentum, "nesterov": nesterov, "adagrad": adagrad,
    "rmsprop": rmsprop, "adam": adam, "adamw": adamw,
}  # fmt: skip


def test_every_optimizer_has_a_textbook():
    assert OPTIMIZERS.keys() == TEXTBOOK.keys()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_is_the_textbook_s(name):
    theta, gradients = data()
    textbook = [list(TEXTBOOK[name](w, list(g))) for w, g in zip(theta, gradients.T, strict=True)]
    # The same numbers in another order of operations: some roundings in each of ten steps.
    np.testing.assert_allclose(run(OPTIMIZERS[name](), theta, gradients).T, textbook, 1e-12, 1e-13)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_is_pytorch_s(name):
    optim = pytest.importorskip("torch.optim")
    from torch import tensor

    theirs = {
        "sgd": lambda p: optim.SGD(p, RATE),
        "momentum": lambda p: optim.SGD(p, RATE, momentum=0.9),
        "nesterov": lambda p: optim.SGD(p, RATE, momentum=0.9, nesterov=True),
        "adagrad": lambda p: optim.Adagrad(p, RATE, eps=1e-8),
        "rmsprop": lambda p: optim.RMSprop(p, RATE, alpha=0.99, eps=1e-8),
        "adam": lambda p: optim.Adam(p, RATE),
        "adamw": lambda p: optim.AdamW(p, RATE, weight_decay=0.01),
    }
    theta, gradients = data()
    parameter, path = tensor(theta, requires_grad=True), []
    if name not in theirs:
        pytest.skip(f"PyTorch has no {name}")
    optimizer = theirs[name]([parameter])
    for grad in gradients:
        parameter.grad = tensor(grad)
        optimizer.step()
        path.append(parameter.detach().numpy().copy())
    np.testing.assert_allclose(run(OPTIMIZERS[name](), theta, gradients), path, 1e-12, 1e-13)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_descends_a_quadratic_to_its_minimum(name):
    """½ Σ c (θ − 1)² with curvatures from 1 to 10, rate falling to nothing; decay off."""
    optimizer = OPTIMIZERS[name](**({"weight_decay": 0.0} if name == "adamw" else {}))
    curvature, theta = np.linspace(1, 10, P), np.zeros(P)
    state, scratch = optimizer.init(np, theta), np.empty(P)
    rate = 1.0 if name == "adagrad" else 0.02
    for t in range(1, 1001):
        grad = curvature * (theta - 1)
        optimizer.update(OPS, theta, grad, state, scratch, rate * Cosine()(t / 1001), t)
    np.testing.assert_allclose(theta, 1, atol=1e-3)


def test_adagrad_may_only_accumulate_at_first():
    """Two updates that add to the squares alone, and the third is the textbook's third step."""
    theta, gradients = data()
    waiting = run(Adagrad(accumulate=2), theta, gradients[:2])
    np.testing.assert_array_equal(waiting, [theta, theta])
    third = run(Adagrad(accumulate=2), theta, gradients[:3])[-1]
    root = np.sqrt((gradients[:3] ** 2).sum(axis=0))
    np.testing.assert_allclose(third, theta - RATE * gradients[2] / (root + 1e-8), rtol=1e-12)


def test_weight_decay_is_apart_from_the_gradient():
    """With no gradient, AdamW shrinks θ by rate · decay and Adam leaves it."""
    theta = np.array([2.0, -3.0])
    none = np.zeros((1, 2))
    np.testing.assert_array_equal(run(OPTIMIZERS["adam"](), theta, none)[0], theta)
    (shrunk,) = run(OPTIMIZERS["adamw"](), theta, none)
    np.testing.assert_allclose(shrunk, theta * (1 - RATE * 0.01), rtol=1e-15)


def test_state_is_what_resuming_needs():
    """Five steps, a copy of θ and state, five more: the same bits as ten."""
    theta, gradients = data()
    optimizer = OPTIMIZERS["adam"]()
    at_once = run(optimizer, theta, gradients)[-1]
    state, scratch = optimizer.init(np, theta), np.empty(P)
    for t, grad in enumerate(gradients, start=1):
        optimizer.update(OPS, theta, grad, state, scratch, RATE, t)
        if t == 5:
            theta, state = theta.copy(), {slot: value.copy() for slot, value in state.items()}
    assert theta.tobytes() == at_once.tobytes()


# --- schedules and clipping -----------------------------------------------------------------


def test_schedules_are_their_formulas():
    p = np.linspace(0, 0.999, 50)
    assert [Constant()(q) for q in p] == [1.0] * 50
    assert [Cosine(0.1)(q) for q in p] == pytest.approx([0.1 + 0.45 * (1 + cos(pi * q)) for q in p])
    assert [Cosine()(q) for q in (0, 0.5, 1)] == pytest.approx([1, 0.5, 0], abs=1e-15)
    assert [Step((0.5, 0.75), 0.1)(q) for q in (0, 0.49, 0.5, 0.74, 0.75, 0.99)] == pytest.approx(
        [1, 1, 0.1, 0.1, 0.01, 0.01]
    )


def test_warm_up_rises_in_a_line_and_hands_over_without_a_jump():
    schedule = WarmUp(0.2, then=Cosine())
    assert [schedule(q) for q in (0.05, 0.1, 0.15)] == pytest.approx([0.25, 0.5, 0.75])
    assert 0 < schedule(0) < 0.05  # a rate of zero would waste a step
    assert schedule(0.2 - 1e-9) == pytest.approx(schedule(0.2)) == pytest.approx(1)
    assert schedule(0.6) == pytest.approx(0.5)  # halfway through what is left
    assert schedule(1.0) == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_stay_between_nothing_and_the_whole_rate(name):
    factors = [SCHEDULES[name]()(p) for p in np.linspace(0, 1, 1000, endpoint=False)]
    assert min(factors) > 0 and max(factors) <= 1


def test_clipping_shortens_and_keeps_the_direction():
    grad = np.array([3.0, -4.0])
    parts, factor = np.empty(PARTS), np.empty(1)
    clip_by_norm(OPS, grad, 10.0, parts, factor)
    np.testing.assert_array_equal(grad, [3, -4])  # short enough already
    clip_by_norm(OPS, grad, 1.0, parts, factor)
    np.testing.assert_allclose(grad, [0.6, -0.8], rtol=1e-15)
    nothing = np.zeros(3, np.float32)
    clip_by_norm(OPS, nothing, 1.0, parts, np.empty(1, np.float32))
    assert not nothing.any()


def test_blocks_change_no_bit():
    """Each parameter is updated by itself, so where the vectors are cut cannot matter."""
    P, rng = 1003, np.random.default_rng(3)
    one, equal = reference(np), {}
    for name in ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"):
        start = rng.standard_normal(P).astype(np.float32)
        results = []
        for ops in (one, on_host(one, size=100)):
            optimizer, theta = OPTIMIZERS[name](), start.copy()
            state, scratch = optimizer.init(np, theta), np.empty(P, np.float32)
            for t in range(1, 4):
                optimizer.update(ops, theta, np.sin(theta), state, scratch, 0.01, t)
            results.append(theta)
        equal[name] = np.array_equal(*results)
    assert all(equal.values()), equal


def test_moments_never_become_subnormal():
    """A gradient that stops leaves no subnormal numbers behind, which are slow, only zeros."""
    ops, theta = reference(np), np.zeros(4, np.float32)
    optimizer, scratch = OPTIMIZERS["adam"](), np.empty(4, np.float32)
    state = optimizer.init(np, theta)
    tiny = np.finfo(np.float32).tiny
    grad = np.array([1, 1e-3, 1e-6, 0], np.float32)
    for t in range(1, 1200):
        optimizer.update(ops, theta, grad, state, scratch, 1e-3, t)
        grad[:] = 0
        mean = np.abs(state["mean"])
        assert ((mean == 0) | (mean >= tiny)).all(), (t, mean)
    assert (state["mean"] == 0).all()
