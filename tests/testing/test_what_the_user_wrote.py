"""The checker checks what the user wrote: subclasses, objects of any kind, and parts of a model."""
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import numpy as np
import pytest
from tiny import NUMPY, Config

import npvae
from npvae.cli import main
from npvae.distributions import BernoulliLikelihood, Laplace, Likelihood
from npvae.distributions.support import REALS
from npvae.errors import DataError, ParameterError
from npvae.models import Engine
from npvae.models.engine import Penalty
from npvae.objectives import ELBO, Loss, Objective, Seeds, mean_grad
from npvae.testing import check_gradients

D = 5
X = np.random.default_rng(0).random((4, D))


def spoilt(report):
    return {row.name for row in report.rows if not row.error <= report.tolerance}


def made(cls, **settings):
    """A model of float32 at a generic θ; the checker sees a float64 copy."""
    model = cls(**{"latent_dim": 2, "hidden": (3,), "random_state": 0} | settings).initialize(D)
    rng = np.random.default_rng(1)
    for view in model.parameters.values():
        view += 0.3 * rng.standard_normal(view.shape)
    return model


def snapshot(model):
    """All that a model is: its attributes, by identity, and the bits of its parameters."""
    bits = {name: view.tobytes() for name, view in model.parameters.items()}
    return {name: id(value) for name, value in vars(model).items()}, bits


# --- subclasses whose loss_and_grad is wrong ------------------------------------------------

NAMES = list(made(npvae.VAE).parameters)
ENCODER = {name for name in NAMES if name.startswith("encoder")}
WEIGHTS = {name for name in NAMES if name.endswith("weight")}


class Public:
    """What each mistake does to (loss, gradient) of the class that it is put on."""

    mistake: ClassVar = None

    def loss_and_grad(self, X, eps=None, **more):
        loss, gradient = super().loss_and_grad(X, eps, **more)
        return self.mistake(X, eps, loss, gradient)


def doubled_encoder(model, X, eps, loss, gradient):
    return loss, {k: (1 + k.startswith("encoder")) * g for k, g in gradient.items()}


def kl_left_out(model, X, eps, loss, gradient):
    """The gradient of another objective: β = 0."""
    other = npvae.VAE(**model.get_params() | {"kl_weight": 0.5, "dtype": "float64"})
    other.initialize(X.shape[1]).set_parameters(model.parameters)
    return loss, other.loss_and_grad(X, eps)[1]


def loss_with_a_term_that_the_gradient_lacks(model, X, eps, loss, gradient):
    return loss + sum(0.1 * (model.parameters[k] ** 2).sum() for k in WEIGHTS), gradient


def gradient_with_a_term_that_the_loss_lacks(model, X, eps, loss, gradient):
    P = model.parameters
    return loss, {k: g + (0.2 * P[k] if k in WEIGHTS else 0) for k, g in gradient.items()}


def one_bias_forgotten(model, X, eps, loss, gradient):
    return loss, gradient | {"decoder.hidden.0.bias": 0 * gradient["decoder.hidden.0.bias"]}


def sign(model, X, eps, loss, gradient):
    return loss, {k: -g for k, g in gradient.items()}


def one_element(model, X, eps, loss, gradient):
    gradient["encoder.mean.weight"][1, 2] *= 1.001
    return loss, gradient


def sum_over_datapoints(model, X, eps, loss, gradient):
    return loss, {k: len(X) * g for k, g in gradient.items()}


def not_a_number(model, X, eps, loss, gradient):
    gradient["decoder.logits.bias"][0] = np.nan
    return loss, gradient


MISTAKES = {
    doubled_encoder: ENCODER,
    kl_left_out: ENCODER,
    loss_with_a_term_that_the_gradient_lacks: WEIGHTS,
    gradient_with_a_term_that_the_loss_lacks: WEIGHTS,
    one_bias_forgotten: {"decoder.hidden.0.bias"},
    sign: set(NAMES),
    one_element: {"encoder.mean.weight"},
    sum_over_datapoints: set(NAMES),
    not_a_number: {"decoder.logits.bias"},
}


@pytest.mark.parametrize("directions", [None, 3])
@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda f: f.__name__)
def test_a_wrong_loss_and_grad_of_a_subclass_is_found_and_named(mistake, directions):
    cls = type("Mistaken", (Public, npvae.VAE), {"mistake": mistake})
    report = check_gradients(made(cls), X, directions=directions)
    found = spoilt(report)
    assert found <= MISTAKES[mistake] and not report.ok
    assert directions or mistake is kl_left_out or found == MISTAKES[mistake]


@pytest.mark.parametrize("mistake", [doubled_encoder, one_bias_forgotten, sign, one_element])
def test_complex_steps_find_it_too_where_the_loss_is_npvaes(mistake):
    cls = type("Mistaken", (Public, npvae.VAE), {"mistake": mistake})
    assert spoilt(check_gradients(made(cls), X, method="complex")) == MISTAKES[mistake]


@pytest.mark.parametrize("cls", [npvae.Autoencoder, npvae.WakeSleep, npvae.FullVB, npvae.MCEM],
                         ids=lambda cls: cls.__name__)  # fmt: skip
def test_of_every_public_class(cls):
    """Those with surrogates too, with what a subclass adds to loss and gradient alike."""
    name = "decoder.hidden.0.weight"

    def penalised(model, X, eps, loss, gradient):
        w = model.parameters[name]
        return loss + (w**2).sum(), gradient | {name: gradient[name] + 2 * w}

    def half_penalised(model, X, eps, loss, gradient):
        w = model.parameters[name]
        return loss + (w**2).sum(), gradient | {name: gradient[name] + w}

    assert check_gradients(made(cls), X).ok
    right, wrong = (
        check_gradients(made(type(cls.__name__, (Public, cls), {"mistake": mistake})), X)
        for mistake in (penalised, half_penalised)
    )
    assert right.ok, right
    assert spoilt(wrong) == {name}, wrong


@pytest.mark.parametrize("estimator", ["A", "stl", "dreg"])
def test_of_every_estimator(estimator):
    right, wrong = (
        made(cls, estimator=estimator, n_samples=2)
        for cls in (npvae.VAE, type("Mistaken", (Public, npvae.VAE), {"mistake": doubled_encoder}))
    )
    assert check_gradients(right, X).ok
    assert spoilt(check_gradients(wrong, X)) == ENCODER


def test_a_method_that_was_put_on_the_object_is_what_is_checked():
    model = made(npvae.VAE)
    model.loss_and_grad = (lambda self, X, eps=None: doubled_encoder(
        self, X, eps, *npvae.VAE.loss_and_grad(self, X, eps))).__get__(model)  # fmt: skip
    assert spoilt(check_gradients(model, X)) == ENCODER


def test_a_function_that_was_put_on_the_object_is_refused():
    """It knows the object and no copy of it."""
    model, engine = made(npvae.VAE, dtype="float64"), Config().engine()
    model.loss_and_grad = lambda X, eps=None: npvae.VAE.loss_and_grad(model, X, eps)
    engine.loss_and_grad = partial(Engine.loss_and_grad, engine)
    for wrapped, data in ((model, X), (engine, X[:3])):
        with pytest.raises(ParameterError, match="put it on a subclass"):
            check_gradients(wrapped, data)


@pytest.mark.parametrize("factor", [1, 2])
def test_full_vb_may_keep_its_own_noise(factor):
    class Plain(npvae.FullVB):
        def loss_and_grad(self, X, eps=None):
            loss, gradient = super().loss_and_grad(X, eps)
            return loss, {k: factor * g for k, g in gradient.items()}

    assert check_gradients(made(Plain), X).ok == (factor == 1)


def test_an_engine_of_a_subclass_is_what_is_checked():
    class Halved(Engine):
        def loss_and_grad(self, x, noise):
            loss = super().loss_and_grad(x, noise)
            self.grad[...] *= 0.5
            return loss

    config = Config()
    e, (x, eps) = config.engine(), config.batch()
    halved = Halved(e.model, e.backend, e.theta, e.penalty, e.objective)
    report = check_gradients(halved, x, eps=eps)
    assert spoilt(report) == {row.name for row in report.rows}
    assert check_gradients(e, x, eps=eps).ok


def test_a_right_subclass_is_right_and_left_as_it_is():
    class Smooth(npvae.VAE):
        """With a penalty of its own kind on all parameters."""

        def loss_and_grad(self, X, eps=None):
            loss, gradient = super().loss_and_grad(X, eps)
            for name, p in self.parameters.items():
                loss += np.log(np.cosh(p)).sum()
                gradient[name] = gradient[name] + np.tanh(p)
            return loss, gradient

    model = made(Smooth)
    before = snapshot(model)
    report = check_gradients(model, X)
    assert report.ok and report.exact
    assert snapshot(model) == before
    with pytest.raises(ParameterError, match=r"not in 'encoder.hidden.0.weight'.*method='central'"):
        check_gradients(model, X, method="complex")  # npvae cannot see the new term


@pytest.mark.parametrize(("mistake", "words"), [
    (lambda *a: (a[3], {}), "lacks parameter 'encoder.hidden.0.weight'"),
    (lambda *a: (a[3], a[4] | {"b": np.zeros(1)}), "'b', which is no parameter"),
    (lambda *a: (a[3], a[4] | {"encoder.mean.bias": np.zeros((1, 2))}), r"has shape \(1, 2\)"),
    (lambda *a: (a[3], {k: g.astype("f") for k, g in a[4].items()}), "is float32 where"),
    (lambda *a: a[3], r"returned float, not \(loss, gradient\)"),
    (lambda *a: (a[3], list(a[4].values())), "must be a dict"),
    (lambda *a: (np.zeros(3), a[4]), "must be one real number"),
    (lambda *a: (a[3] + np.random.default_rng().random(), a[4]), "for the same parameters"),
])  # fmt: skip
def test_what_no_gradient_can_be_read_from_is_refused_in_one_line(mistake, words):
    model = made(type("Mistaken", (Public, npvae.VAE), {"mistake": mistake}))
    with pytest.raises(ParameterError, match=words) as raised:
        check_gradients(model, X)
    assert "\n" not in str(raised.value)


# --- objects that npvae knows nothing of ------------------------------------------------------


class LinearRegression:
    """½ mean ‖X W + b − y‖², its gradient by hand."""

    def __init__(self, factor=1.0, fails_after=None):
        rng = np.random.default_rng(3)
        self.W, self.b = rng.standard_normal((D, 2)), rng.standard_normal(2)
        self.y, self.factor, self.calls = rng.standard_normal((4, 2)), factor, 0
        self.fails_after = fails_after

    @property
    def parameters(self):
        return {"W": self.W, "b": self.b}

    def loss_and_grad(self, X, eps=None):
        self.calls += 1
        if self.calls == self.fails_after:
            raise KeyboardInterrupt
        r = X @ self.W + self.b - self.y
        gradient = {"W": self.factor * X.T @ r / len(X), "b": r.mean(axis=0)}
        return 0.5 * (r * r).sum() / len(X), gradient


class LogisticRegression:
    """Minus the mean log-likelihood; ``parameters`` are copies, for which there is a setter."""

    def __init__(self, right=True):
        self._w, self._b, self.right = np.linspace(-1, 1, D), np.array(0.3), right
        self.t = np.array([0, 1, 1, 0])

    @property
    def parameters(self):
        return {"w": self._w.copy(), "b": self._b.copy()}

    def set_parameters(self, parameters):
        self._w, self._b = parameters["w"], parameters["b"]

    def loss_and_grad(self, X, eps):
        u = X @ self._w + self._b
        p = 1 / (1 + np.exp(-u))
        d_u = (p - self.t if self.right else p * (1 - p)) / len(X)
        return (np.logaddexp(0, u) - self.t * u).mean(), {"w": X.T @ d_u, "b": d_u.sum()}


@pytest.mark.parametrize("directions", [None, 2])
def test_any_object_with_parameters_and_loss_and_grad_is_checked(directions):
    for model in (LinearRegression(), LogisticRegression()):
        before = {name: p.tobytes() for name, p in model.parameters.items()}
        report = check_gradients(model, X, directions=directions)
        assert report.ok and report.exact, report
        assert {name: p.tobytes() for name, p in model.parameters.items()} == before
    assert spoilt(check_gradients(LinearRegression(1.01), X, directions=directions)) == {"W"}
    assert spoilt(check_gradients(LogisticRegression(False), X)) == {"w", "b"}
    model = LinearRegression()
    held = model.W, model.b
    check_gradients(model, X)
    assert (model.W, model.b) == held or (model.W is held[0] and model.b is held[1])


def test_its_noise_is_handed_on():
    class Noisy(LinearRegression):
        def loss_and_grad(self, X, eps):
            return super().loss_and_grad(X + eps[0])

    assert check_gradients(Noisy(), X, eps=np.ones((1, 4, D))).ok


def test_one_that_moves_its_own_parameters_is_refused_and_put_back():
    class Descends(LinearRegression):
        def loss_and_grad(self, X, eps):
            loss, gradient = super().loss_and_grad(X)
            self.W -= 0.1 * gradient["W"]
            return loss, gradient

    model = Descends()
    before = model.W.tobytes()
    with pytest.raises(ParameterError, match="for the same parameters"):
        check_gradients(model, X)
    assert model.W.tobytes() == before


@pytest.mark.parametrize("call", [1, 2, 3, 4, 7, 20])
def test_an_object_is_put_back_after_an_error(call):
    model = LinearRegression(fails_after=call)
    before = model.W.tobytes(), model.b.tobytes()
    with pytest.raises(KeyboardInterrupt):
        check_gradients(model, X)
    assert (model.W.tobytes(), model.b.tobytes()) == before


def test_a_public_model_is_put_back_after_an_error():
    class Fails(npvae.VAE):
        left = 5

        def loss_and_grad(self, X, eps=None):
            type(self).left -= 1
            if not self.left:
                raise ZeroDivisionError
            return super().loss_and_grad(X, eps)

    model = made(Fails)
    before = snapshot(model)
    with pytest.raises(ZeroDivisionError):
        check_gradients(model, X)
    assert snapshot(model) == before


def altered(**attributes):
    return type("Altered", (LinearRegression,), attributes)()


@pytest.mark.parametrize(("model", "words"), [
    (object(), "object is no such object with parameters and loss_and_grad"),
    (LinearRegression, "LinearRegression is a class, not an object"),
    (npvae.VAE, "VAE is a class, not an object"),
    (altered(parameters=property(lambda self: {})), "must be a dict of arrays"),
    (altered(parameters=lambda self: {"W": self.W}), "must be a dict of arrays"),
    (altered(parameters=property(lambda self: {"W": self.W.astype("f")})), "'W' of Altered is f"),
    (altered(parameters=property(lambda self: {"W": 1.0})), "'W' of Altered is float, "),
    (altered(parameters=property(lambda self: {"W": self.W.copy()})), "cannot be written to"),
    (altered(loss_and_grad=lambda self: 0), r"does not take \(X, eps\)"),
    (altered(loss_and_grad=lambda self, X, eps: None), "returned NoneType"),
    (altered(loss_and_grad=lambda self, X, eps: (1j, {})), "must be one real number"),
])  # fmt: skip
def test_an_object_that_cannot_be_checked_is_refused_in_one_line(model, words):
    with pytest.raises(ParameterError, match=words) as raised:
        check_gradients(model, X)
    assert "\n" not in str(raised.value)


def test_complex_steps_are_for_models_of_npvae():
    with pytest.raises(ParameterError, match="for LinearRegression take method='central'"):
        check_gradients(LinearRegression(), X, method="complex")


# --- the data -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("bad", "words"), [
    (X[:, :4], "X has 4 features"),
    (np.where(X[1, 2] == X, np.inf, X), r"X\[1, 2\] is inf"),
    (3 * X + 1, r"X\[0, 0\] = .* lies outside \[0, 1\], as the Bernoulli likelihood needs"),
    (X[0], "not \\(N, D\\)"),
])  # fmt: skip
def test_data_are_checked_as_a_fit_checks_them(bad, words):
    config = Config()
    for model in (made(npvae.VAE), made(npvae.WakeSleep), made(npvae.MCEM), config.engine()):
        with pytest.raises(DataError, match=words):
            check_gradients(model, bad)
    if np.shape(bad) == (4, D) and not np.isfinite(bad).all():
        with pytest.raises(DataError, match=words):
            check_gradients(LinearRegression(), bad)


def test_counts_and_levels_and_data_sets():
    with pytest.raises(DataError, match="is no count"):
        check_gradients(made(npvae.VAE, likelihood="poisson"), X)
    with pytest.raises(DataError, match="is none of the 4 levels"):
        check_gradients(made(npvae.VAE, likelihood="categorical", n_levels=4), X)
    digits = npvae.data.load_digits()
    few = replace(digits, pixels=digits.pixels[:3], labels=None)
    vae = npvae.VAE(2, (3,), random_state=0).initialize(64)
    assert few.scale != 1
    assert check_gradients(vae, few, directions=2) == check_gradients(vae, few.images, directions=2)


def test_noise_is_checked_too():
    nan = np.full((1, 4, 2), np.nan)
    for model in (made(npvae.VAE), Config().engine()):
        with pytest.raises(DataError, match="eps holds NaN or infinity"):
            check_gradients(model, X, eps=nan)
    with pytest.raises(DataError, match="z has shape"):
        check_gradients(made(npvae.MCEM), X, eps=nan[0])


# --- complex steps where the loss is not analytic -----------------------------------------------


@pytest.mark.parametrize("settings", [
    {"posterior": "gamma", "prior": "gamma", "estimator": "A"},
    {"posterior": "beta", "prior": "beta", "estimator": "A"},
    {"posterior": "student-t", "prior": "cauchy", "estimator": "A"},
    {"posterior": "dirichlet", "prior": "dirichlet", "estimator": "A"},
    {"posterior": "gumbel", "prior": "gumbel", "estimator": "B"},
    {"posterior": "laplace", "estimator": "stl"},
    {"posterior": "laplace", "estimator": "dreg", "n_samples": 3},
    {"posterior": "logistic", "estimator": "stl"},
    {"prior": "laplace", "estimator": "A"},
    {"posterior": "laplace", "prior": "laplace", "estimator": "B"},
], ids=str)  # fmt: skip
def test_a_family_that_has_no_complex_step_is_refused_in_one_line(settings):
    model = made(npvae.VAE, **settings)
    with pytest.raises(ParameterError, match=r"'complex' needs .*'central'$") as raised:
        check_gradients(model, X, method="complex")
    assert "\n" not in str(raised.value)
    assert check_gradients(model, X).ok


class OwnLaplace(Likelihood):
    """x_d ~ Laplace(μ_d, ½), by plain NumPy; ``wrong`` is what its backward does."""

    mean_head, support = "mean", REALS

    def __init__(self, size=np.abs, slope=np.sign):
        self.size, self.slope = size, slope

    def heads(self, D):
        return {"mean": D}

    def nll(self, ctx, a, bias, x):
        r = a + bias - x
        return 2 * self.size(r).sum(axis=-1), r

    def nll_backward(self, ctx, d_nll, cache, d_bias):
        d_a = 2 * d_nll[..., None] * self.slope(cache)
        d_bias[...] = d_a.sum(axis=(0, 1))
        return d_a

    def mean(self, ctx, a, bias, out):
        out[...] = a + bias

    def sample(self, ctx, a, bias, rng_key):
        raise NotImplementedError


def real_part(r):
    out = np.empty(r.shape)
    out[...] = r
    return out * out


def refuses(r):
    if r.dtype.kind == "c":
        raise RuntimeError("not\nhere")
    return r * r


@pytest.mark.parametrize("size", [
    np.abs, lambda r: (r * np.conj(r)).real, lambda r: np.where(r > 0, r.real, -r.real),
    lambda r: np.hypot(r.real, r.imag), np.cbrt, real_part, refuses,
])  # fmt: skip
def test_a_likelihood_of_ones_own_that_is_not_analytic_is_refused(size):
    """Whatever its backward is: one as blind as the complex step is not ok."""
    for slope in (np.sign, np.zeros_like):
        model = made(npvae.VAE, likelihood=OwnLaplace(size, slope))
        with pytest.raises(ParameterError, match="take method='central'") as raised:
            check_gradients(model, X, method="complex")
        assert "\n" not in str(raised.value)


def test_one_that_is_analytic_is_walked():
    right = OwnLaplace(lambda r: r * r * r * r, lambda r: 4 * r * r * r)
    wrong = OwnLaplace(lambda r: r * r * r * r, lambda r: 3 * r * r * r)
    for method in ("central", "complex"):
        assert check_gradients(made(npvae.VAE, likelihood=right), X, method=method).ok
        report = check_gradients(made(npvae.VAE, likelihood=wrong), X, method=method)
        assert "decoder.mean.bias" in spoilt(report)


def test_a_forward_op_that_the_readable_body_is_not_is_refused():
    """Complex steps run the bodies of ops, and these are not what this engine runs."""

    def sine(a, bias, h):
        np.sin(a + bias, out=h)

    def sine_backward(d_h, h, d_a, d_bias):
        d_a[...] = d_h * (1 - h * h) ** 0.5  # the cosine, where it is positive
        d_a.sum(axis=0, out=d_bias)

    config = Config()
    ops = replace(NUMPY.ops, tanh=sine, tanh_backward=sine_backward)
    engine, (x, eps) = config.engine(ops), config.batch()
    engine.theta *= 0.3
    assert check_gradients(engine, x, eps=eps).ok
    with pytest.raises(ParameterError, match="take method='central'"):
        check_gradients(engine, x, eps=eps, method="complex")


# --- parts of a model ---------------------------------------------------------------------------


def test_a_likelihood_with_a_wrong_backward_is_found():
    for cls in (npvae.VAE, npvae.Autoencoder, npvae.MCEM):
        assert check_gradients(made(cls, likelihood=OwnLaplace()), X).ok
        wrong = made(cls, likelihood=OwnLaplace(slope=lambda r: 0.5 * np.sign(r)))
        assert "decoder.mean.bias" in spoilt(check_gradients(wrong, X))


def test_an_objective_whose_seeds_are_not_its_derivative_is_found():
    class Squared(Objective):
        factor = 2

        def __call__(self, ctx, terms, scalars=(), state=None):
            theta = mean_grad(ctx.work, *terms.nll.shape)
            seeds = Seeds(self.factor * terms.nll * theta, theta, theta)
            return Loss(terms.nll**2, terms.kl, seeds)

    class Wrong(Squared):
        factor = 1

    assert check_gradients(made(npvae.VAE, estimator=Squared()), X).ok
    assert not check_gradients(made(npvae.VAE, estimator=Wrong()), X).ok


def test_a_closed_kl_beside_seeds_that_are_no_derivative_has_a_surrogate():
    """What is held is the seeds; the sampled KL is no part of what backward does then."""

    @dataclass(frozen=True)
    class Robust(ELBO):
        """Each datapoint's seeds are weighed by its likelihood, and the loss is not."""

        exact: ClassVar[bool] = False

        def __call__(self, ctx, terms, scalars=(), state=None):
            loss = super().__call__(ctx, terms)
            weight = 1 / (1 + terms.nll)
            return loss._replace(seeds=loss.seeds._replace(theta=loss.seeds.theta * weight))

    for method in ("central", "complex"):
        report = check_gradients(made(npvae.VAE, estimator=Robust(), n_samples=2), X, method=method)
        assert report.ok and not report.exact, report


def test_a_penalty_and_a_prior_with_a_wrong_backward_are_found():
    class Wrong(Penalty):
        def backward(self, engine):
            engine.grad[engine.weights] += 2 * self.strength * engine.theta[engine.weights]

    class Penalised(npvae.VAE):
        def _penalty(self, layout, n_data):
            return Wrong(0.1)

    class Blunt(Laplace):
        def log_prob_backward(self, d_logp, z, loc, log_scale):
            d_z, rest = super().log_prob_backward(d_logp, z, loc, log_scale)
            return 0.9 * d_z, rest

    assert spoilt(check_gradients(made(Penalised), X)) == WEIGHTS
    assert check_gradients(made(npvae.VAE, prior=Laplace(), estimator="A"), X).ok
    assert spoilt(check_gradients(made(npvae.VAE, prior=Blunt(), estimator="A"), X)) == ENCODER


def test_the_command_line_prints_the_report(capsys, monkeypatch):
    reports = []
    monkeypatch.setattr(npvae.testing, "check_gradients", lambda *a, **k: (
        reports.append(check_gradients(*a, **k)) or reports[-1]))  # fmt: skip
    assert main(["gradcheck", "--hidden", "3", "--latent-dim", "2"]) == 0
    assert capsys.readouterr().out.endswith(f"{reports[0]}\n")


def test_it_holds_for_a_bernoulli_of_ones_own():
    """A subclass of a likelihood of npvae's, its backward left half done."""

    class Half(BernoulliLikelihood):
        def nll_backward(self, ctx, d_nll, cache, d_bias):
            d_a = super().nll_backward(ctx, d_nll, cache, d_bias)
            d_bias *= 0.5
            return d_a

    wrong = check_gradients(made(npvae.VAE, likelihood=Half()), X)
    assert spoilt(wrong) == {"decoder.logits.bias"}
