"""One backward pass is marked in one line: what is missing, what is wrong, or that it is right."""
import numpy as np
import pytest

from npvae.errors import ParameterError
from npvae.testing import check_backward, check_gradients

RNG = np.random.default_rng(0)
x, W, b = RNG.normal(size=(5, 3)), RNG.normal(size=(4, 3)), RNG.normal(size=4)


def affine(x, W, b):
    return x @ W.T + b


def marked(backward, forward=affine, inputs=(x, W, b), **held):
    """The line, which names the function and is one."""
    found = check_backward(backward, forward, *inputs, **held)
    assert "\n" not in str(found) and str(found) == found.verdict
    return found


def test_a_right_one_is_right():
    found = marked(lambda d, x, W, b: (d @ W, d.T @ x, d.sum(0)))
    assert found.ok and found.verdict.startswith("<lambda>: right, d_x, d_W, d_b within ")


# what was returned, beside a right d_x and d_b, for d_W; and what is said of it
ANSWERS = {
    "not there": (lambda d, x: ..., "still to be written: d_W (4, 3), by differences "),
    "nothing": (lambda d, x: None, "still to be written: d_W (4, 3), by differences "),
    "transposed": (lambda d, x: x.T @ d, "d_W has shape (3, 4), and W has (4, 3): transpose it"),
    "of another shape": (lambda d, x: d, "d_W has shape (5, 4), and W has (4, 3)"),
    "a number": (lambda d, x: 0.0, "d_W has shape (), and W has (4, 3)"),
    "a word": (lambda d, x: "d.T @ x", "d_W is no array of real numbers"),
    "complex": (lambda d, x: d.T @ x + 0j, "d_W is no array of real numbers"),
    "ragged": (lambda d, x: [[1], [1, 2]], "d_W is no array of real numbers"),
    "NaN": (lambda d, x: d.T @ x * np.nan, "d_W is not finite"),
    "of the other sign": (lambda d, x: -d.T @ x, "everywhere -1 times that"),
    "a mean": (lambda d, x: d.T @ x / 5, "everywhere 0.2 times that"),
    "wrong by its elements": (lambda d, x: d.T @ abs(x), "d_W is wrong: "),
    "zero": (lambda d, x: np.zeros((4, 3)), "d_W is wrong: 0 at "),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_what_is_missing_or_wrong_is_named(case):
    d_W, said = ANSWERS[case]
    found = marked(lambda d, x, W, b: (d @ W, d_W(d, x), d.sum(0)))
    assert not found.ok and said in found.verdict
    assert "d_x" not in found.verdict and "d_b" not in found.verdict


def test_the_differences_told_are_the_largest_element():
    d = np.random.default_rng(7).standard_normal((5, 4))  # what the same seed draws for d_a
    d_W = d.T @ x
    where = np.unravel_index(abs(d_W).argmax(), d_W.shape)
    found = marked(lambda d, x, W, b: (d @ W, ..., d.sum(0)), rng=7)
    assert f"differences {d_W[where]:.5g} at {[*map(int, where)]}" in found.verdict


@pytest.mark.parametrize(("backward", "said"), [
    (lambda d, x, W, b: None, "returned nothing, not d_x, d_W, d_b"),
    (lambda d, x, W, b: d @ W, "returned 1 values, not d_x, d_W, d_b"),
    (lambda d, x, W, b: d @ W.T, "raised ValueError: matmul"),
    (lambda d, x, W, b: (... * d, d.T @ x, d.sum(0)), "there is still an ... in it"),
    (lambda d: d, "raised TypeError"),
])  # fmt: skip
def test_what_it_does_instead_of_returning_is_told(backward, said):
    found = marked(backward)
    assert not found.ok and said in found.verdict


def test_several_outputs_have_a_d_each_and_what_is_held_is_not_differentiated():
    def latent(mu, sigma, eps):
        return mu + sigma * eps, (mu**2).sum(-1)

    def right(d_z, d_kl, mu, sigma, eps):
        return d_z + 2 * mu * d_kl[:, None], d_z * eps

    def kl_forgotten(d_z, d_kl, mu, sigma, eps):
        return d_z, d_z * eps

    eps = RNG.normal(size=x.shape)
    assert marked(right, latent, (x, x + 3), eps=eps).ok
    assert "d_mu is wrong" in marked(kl_forgotten, latent, (x, x + 3), eps=eps).verdict


def test_arrays_are_the_callers_own():
    def spoils(d, mu, eps):
        d_mu = d * eps
        d[...], mu[...], eps[...] = 0, 0, 0
        return d_mu

    mu, eps = x.copy(), x + 1
    assert marked(spoils, lambda mu, eps: mu * eps, (mu,), eps=eps).ok
    assert (mu == x).all() and (eps == x + 1).all()


@pytest.mark.parametrize(("forward", "names"), [
    (lambda *Ws: Ws[0] + Ws[1] * Ws[2], ("d_Ws[0]", "d_Ws[1]", "d_Ws[2]")),
    (lambda a, *more: a + more[0] * more[1], ("d_a", "d_more[0]", "d_more[1]")),
])
def test_inputs_without_names_are_numbered(forward, names):
    found = marked(lambda *arrays: (..., ..., ...), forward, (x, x, x))
    assert all(name in found.verdict for name in names)


def test_ufuncs_numbers_and_kinks():
    assert marked(lambda d, h: d * (1 - np.tanh(h) ** 2), np.tanh, (x,)).ok
    assert marked(lambda d, v: 2 * d, lambda v: 2 * v, (3.0,)).ok
    at_zero = marked(lambda d, v: d * (v > 0), lambda v: np.maximum(v, 0), ([0.0, 1.0, -1.0],))
    assert at_zero.ok and "1 at kinks left out" in at_zero.verdict
    only_there = marked(lambda d, v: d * (v > 0), lambda v: np.maximum(v, 0), ([0.0, 0.0],))
    assert not only_there.ok and "all its derivatives are at kinks" in only_there.verdict


def test_one_gradient_may_come_as_a_list_of_numbers_and_several_as_a_list():
    assert marked(lambda d, v: [*(2 * d)], lambda v: 2 * v, ([1.0, 2.0, 3.0],)).ok
    assert marked(lambda d, x, W, b: [d @ W, d.T @ x, d.sum(0)]).ok


@pytest.mark.parametrize(
    "inputs", [(), ("x",), (1j,), (None,), (np.zeros((0, 3)),), ([[1], [1, 2]],)]
)
def test_inputs_that_are_no_numbers_are_refused(inputs):
    with pytest.raises(ParameterError, match="one or more, arrays of real numbers"):
        check_backward(lambda d, *v: d, lambda *v: np.ones(3), *inputs)


@pytest.mark.parametrize("forward", [
    lambda v: np.log(v - 10), lambda v: v[:0], lambda v: "v", lambda v: v + 1j,
    lambda v: v + np.random.default_rng().normal(),
])  # fmt: skip
@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_forward_pass_that_cannot_be_differentiated_is_refused(forward):
    with pytest.raises(ParameterError):
        check_backward(lambda d, v: d, forward, x)


def test_a_gradient_that_is_not_finite_is_excused_by_no_kink():
    """Rounding makes the one-sided derivatives of a linear loss differ, as a kink does."""

    class Linear:
        parameters = {"w": np.linspace(0.1, 1, 7), "v": np.ones(2)}  # noqa: RUF012

        def loss_and_grad(self, X, eps):
            w = self.parameters["w"]
            return float(w.sum()), {"w": np.full(7, np.nan), "v": np.zeros(2)}

    report = check_gradients(Linear(), np.zeros((1, 1)))
    assert not report.ok and np.isnan(report.rows[0].error) and report.kinks == 0
