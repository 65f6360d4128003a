"""The gradient checker finds what is wrong, names it, excuses kinks, and touches nothing."""
from dataclasses import replace

import numpy as np
import pytest
from tiny import DECODER, NUMPY, Config, D, J, M

import npvae
from npvae.distributions import BernoulliLikelihood
from npvae.errors import DataError, NotFittedError, ParameterError
from npvae.models import Engine, Noise, VAEModel
from npvae.networks import MLP, initialize
from npvae.testing import GradientReport, ParameterCheck, check_gradients

OPS = NUMPY.ops


# --- planted mistakes ---------------------------------------------------------------------
# Each is a backward op with one thing wrong, and the model that shows it.


def no_bias_gradient(d_h, h, d_a, d_bias):
    OPS.tanh_backward(d_h, h, d_a, d_bias)
    d_bias[...] = 0


def slope_of_the_wrong_variable(d_h, h, d_a, d_bias):
    d_a[...] = d_h * (1 - np.tanh(h) ** 2)  # h is the output already
    d_a.sum(axis=0, out=d_bias)


def no_mask(d_h, h, d_a, d_bias):
    OPS.identity_backward(d_h, h, d_a, d_bias)


def half_lost(d_z, d_kl, a, eps, sigma, d_a, d_bias):
    """dσ/d log σ² = σ, where it is ½ σ."""
    OPS.normal_kl_backward(d_z, d_kl, a, eps, sigma, d_a, d_bias)
    d_a[:, J:] += (d_z * eps).sum(axis=0) * sigma / 2
    d_a.sum(axis=0, out=d_bias)


def no_kl(d_z, d_kl, a, eps, sigma, d_a, d_bias):
    OPS.normal_kl_backward(d_z, 0 * d_kl, a, eps, sigma, d_a, d_bias)


def no_path_through_z(d_z, d_log_ratio, d_log_q, a, eps, sigma, z, d_a, d_bias):
    OPS.normal_log_ratio_backward(d_z, d_log_ratio, d_log_q, a, eps, sigma, 0 * z, d_a, d_bias)


def no_path_beside_z(d_z, d_log_ratio, d_log_q, a, eps, sigma, z, d_a, d_bias):
    d_z = d_z + d_log_ratio[..., None] * z
    OPS.normal_log_ratio_backward(d_z, 0 * d_log_ratio, 0 * d_log_q, a, eps, sigma, z, d_a, d_bias)


def no_score(d_z, d_log_ratio, d_log_q, a, eps, sigma, z, d_a, d_bias):
    OPS.normal_log_ratio_backward(d_z, d_log_ratio, 0 * d_log_q, a, eps, sigma, z, d_a, d_bias)


def score_kept(d_z, d_log_ratio, d_log_q, a, eps, sigma, z, d_a, d_bias):
    """That of the path derivative, which has none."""
    OPS.normal_log_ratio_backward(d_z, d_log_ratio, d_log_ratio, a, eps, sigma, z, d_a, d_bias)


def no_sigmoid(d_nll, a, sigmoid_mean, limit, inv_sigma, residual, d_a, d_bias):
    OPS.normal_nll_backward(d_nll, a, False, limit, inv_sigma, residual, d_a, d_bias)


def sum_for_mean(d_nll, x, y, d_a, d_bias):
    OPS.bernoulli_nll_backward(1 + 0 * d_nll, x, y, d_a, d_bias)


def no_penalty(weights, strength, scratch, d_weights):
    pass


# mistake: (the op, a model that it shows in, the layers or parameters whose gradient it spoils)
MISTAKES = {
    no_bias_gradient: ("tanh_backward", Config(depth=2),
                       ["encoder.hidden.0.bias", "encoder.hidden.1.bias",
                        "decoder.hidden.0.bias", "decoder.hidden.1.bias"]),
    slope_of_the_wrong_variable: ("tanh_backward", Config(depth=2), ["encoder", "decoder.hidden"]),
    no_mask: ("relu_backward", Config(activation="relu", depth=2, L=3),
              ["encoder", "decoder.hidden"]),
    half_lost: ("normal_kl_backward", Config(L=3), ["encoder.hidden", "encoder.logvar"]),
    no_kl: ("normal_kl_backward", Config(), ["encoder"]),
    no_path_through_z: ("normal_log_ratio_backward", Config("A"), ["encoder"]),
    no_path_beside_z: ("normal_log_ratio_backward", Config("A", L=3),
                       ["encoder.hidden", "encoder.logvar"]),
    no_score: ("normal_log_ratio_backward", Config("A", L=3), ["encoder"]),
    score_kept: ("normal_log_ratio_backward", Config("stl", L=3), ["encoder"]),
    sum_for_mean: ("bernoulli_nll_backward", Config(), ["encoder", "decoder"]),
    no_sigmoid: ("normal_nll_backward", Config(likelihood="normal, sigmoid mean"),
                 ["encoder", "decoder.hidden", "decoder.mean"]),
    no_penalty: ("l2_backward", Config(penalised=True),
                 [f"{net}.{layer}.weight" for net, *layers in (
                     ("encoder", "hidden.0", "mean", "logvar"), ("decoder", "hidden.0", "logits"))
                  for layer in layers]),
}  # fmt: skip
WAYS = {
    "central": {},
    "complex": {"method": "complex"},
    "random": {"directions": 3},
    "random, complex": {"method": "complex", "directions": 3},
}


def spoilt(report):
    return {row.name for row in report.rows if not row.error <= report.tolerance}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda function: function.__name__)
def test_a_wrong_backward_is_found_and_named(mistake, way):
    op, config, where = MISTAKES[mistake]
    engine = config.engine(replace(OPS, **{op: mistake}))
    x, eps = config.batch()
    report = check_gradients(engine, x, eps=eps, **WAYS[way])
    names = [row.name for row in report.rows]
    assert spoilt(report) == {n for n in names if n.startswith(tuple(where))}
    assert not report.ok and report.kinks == 0
    assert "WRONG" in str(report)
    assert check_gradients(config.engine(), x, eps=eps, **WAYS[way]).ok


def test_a_transposed_weight_is_found():
    """Where it is square, all shapes fit."""

    def transposed(a, b, out):
        """d_h = d_a Wᵀ, where it is d_a W. (The forward pass reads W through a view of Wᵀ.)"""
        backward = a.flags.c_contiguous and b.flags.c_contiguous and b.shape == (3, 3)
        return OPS.gemm(a, b.T if backward else b, out)

    model = Config(depth=2).model()
    encoder, decoder = (replace(net, hidden=(3, 3)) for net in (model.encoder, model.decoder))
    model = replace(model, encoder=encoder, decoder=decoder)
    theta = np.random.default_rng(0).standard_normal(model.layout().size)
    x, _ = Config().batch()
    for method in ("central", "complex"):
        true, false = (
            check_gradients(Engine(model, replace(NUMPY, ops=ops), theta), x, method=method)
            for ops in (OPS, replace(OPS, gemm=transposed))
        )
        assert true.ok and {"encoder.hidden.0.weight", "decoder.hidden.0.weight"} <= spoilt(false)


def test_the_worst_row_says_where():
    def one_element(d_h, h, d_a, d_bias):
        OPS.tanh_backward(d_h, h, d_a, d_bias)
        if h.shape[1] == DECODER[0]:
            d_bias[2] *= 1 + 1e-4

    config = Config(L=3)
    x, eps = config.batch()
    report = check_gradients(config.engine(replace(OPS, tanh_backward=one_element)), x, eps=eps)
    (row,) = [row for row in report.rows if not row.error <= 1e-6]
    assert (row.name, row.shape, row.where) == ("decoder.hidden.0.bias", (4,), (2,))
    assert row.analytic == pytest.approx(row.numeric * (1 + 1e-4), rel=1e-8)
    assert report.worst == row.error <= 1e-4


# --- kinks --------------------------------------------------------------------------------


def at_a_kink(offset, ops=OPS):
    """A black datapoint and one hidden bias at ``offset``: relu is asked for its slope there."""
    config = Config(activation="relu")
    engine, (x, eps) = config.engine(ops), config.batch()
    x[1] = 0
    engine.P["encoder.hidden.0.bias"][0] = offset
    return engine, x, eps


@pytest.mark.parametrize("offset", [0.0, 1e-12, -1e-12, 3e-8, -1e-7, 5e-7, -2e-6, 5e-6])
def test_a_kink_within_the_step_is_reported_and_not_failed(offset):
    engine, x, eps = at_a_kink(offset)
    report = check_gradients(engine, x, eps=eps)
    kinks = {row.name: row.kinks for row in report.rows if row.kinks}
    assert report.ok and kinks == {"encoder.hidden.0.bias": 1}


def test_the_complex_step_knows_only_the_kink_at_zero():
    for offset, kinks in ((0.0, 1), (1e-12, 0), (-1e-12, 0)):
        engine, x, eps = at_a_kink(offset)
        report = check_gradients(engine, x, eps=eps, method="complex")
        assert report.ok and report.kinks == kinks


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("offset", [0.0, 3e-8, -2e-6])
@pytest.mark.parametrize("factor", [1.001, 0.5, 2])
def test_a_kink_excuses_no_wrong_gradient(factor, offset, way):
    def scaled(d_h, h, d_a, d_bias):
        OPS.relu_backward(factor * d_h, h, d_a, d_bias)

    engine, x, eps = at_a_kink(offset, replace(OPS, relu_backward=scaled))
    report = check_gradients(engine, x, eps=eps, **WAYS[way])
    assert "encoder.hidden.0.weight" in spoilt(report)
    assert way != "central" or "encoder.hidden.0.bias" in spoilt(report)


# --- models too large to walk -------------------------------------------------------------


def large(activation, ops=OPS):
    """81,120 parameters."""
    p_x = BernoulliLikelihood()
    encoder = MLP("encoder", 200, (200,), {"mean": 5, "logvar": 5}, activation)
    decoder = MLP("decoder", 5, (180,), p_x.heads(200), activation)
    model = VAEModel(encoder, decoder, p_x)
    layout, rng = model.layout(), np.random.default_rng(0)
    theta = initialize(layout, rng.standard_normal(layout.size))
    return Engine(model, replace(NUMPY, ops=ops), theta), rng.random((20, 200))


@pytest.mark.parametrize("method", ["central", "complex"])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_a_large_model_is_tried_along_random_directions(activation, method):
    engine, x = large(activation)
    report = check_gradients(engine, x, method=method)
    assert report.ok and report.directions == 10
    assert {row.checked for row in report.rows} == {10}
    assert report.kinks == 0 or (activation, method) == ("relu", "central")


def test_one_wrong_weight_in_forty_thousand_is_found():
    def one_element(a, b, out):
        OPS.gemm(a, b, out)
        if out.shape == (200, 200):
            out[17, 42] += 1e-4  # against a root mean square gradient of some 1e-3
        return out

    engine, x = large("tanh", replace(OPS, gemm=one_element))
    report = check_gradients(engine, x)
    assert spoilt(report) == {"encoder.hidden.0.weight"}


# --- what it promises ---------------------------------------------------------------------


def test_the_model_and_the_data_are_left_as_they_are():
    config = Config(activation="relu")
    engine, arrays = config.engine(dtype=np.float32), config.batch()
    x, eps = (a.astype(np.float32) for a in arrays)
    engine.loss_and_grad(x, Noise(eps))
    held = {"theta": engine.theta, "grad": engine.grad, **engine.work.buffers()}
    held |= dict(zip(["x", "eps"], arrays, strict=True))
    before = {name: array.tobytes() for name, array in held.items()}
    for way in WAYS.values():
        assert check_gradients(engine, arrays[0], eps=arrays[1], **way).ok  # in float64
    assert {name: array.tobytes() for name, array in held.items()} == before
    assert engine.work.buffers().keys() == held.keys() - {"theta", "grad", "x", "eps"}


def test_the_same_seed_gives_the_same_report():
    engine, (x, _) = Config().engine(), Config().batch()
    for way in WAYS.values():
        report = check_gradients(engine, x, rng=3, **way)
        assert report == check_gradients(engine, x, rng=np.random.default_rng(3), **way)
        assert report != check_gradients(engine, x, rng=4, **way)


def test_the_table():
    config = Config(depth=2)
    report = check_gradients(config.engine(), config.batch()[0], method="complex")
    lines = str(report).splitlines()
    assert lines[0] == "gradient check in float64 by complex steps, every element"
    assert lines[1].split() == ["parameter", "shape", "checked", "kinks", "worst", "error", "at"]
    assert lines[-1].startswith("ok: worst relative error")
    shapes = config.engine().layout.shapes
    for line, (name, shape) in zip(lines[2:-1], shapes.items(), strict=True):
        assert line.split()[0] == name and str(list(shape)) in line
        assert len(line) == len(lines[1])
    assert "3 random directions a parameter" in str(
        check_gradients(config.engine(), config.batch()[0], directions=3)
    )
    surrogate = check_gradients(Config("stl").engine(), config.batch()[0], method="complex")
    assert str(surrogate).splitlines()[0] == (
        "gradient check of the surrogate, samples and weights held, in float64 by complex steps, "
        "every element"
    )


def test_a_number_that_is_not_finite_never_passes():
    def row(error):
        return ParameterCheck("w", (1,), 1, 0, error, (0,), 0.0, 0.0)

    for errors in ((np.nan, 0.0), (0.0, np.nan), (np.inf, np.nan)):
        report = GradientReport("central", None, 1e-6, tuple(map(row, errors)))
        assert np.isnan(report.worst) and not report.ok and not report.passed(np.inf)
    engine, (x, eps) = Config().engine(), Config().batch()
    engine.P["decoder.logits.bias"][1] = np.nan
    assert not check_gradients(engine, x, eps=eps).ok


def test_what_cannot_be_checked_is_refused_in_one_line():
    engine, (x, eps) = Config().engine(), Config().batch()
    for error, words, call in [
        (ParameterError, "'forward' is not known; choose 'central' or 'complex'",
         lambda: check_gradients(engine, x, method="forward")),
        (ParameterError, "directions=0", lambda: check_gradients(engine, x, directions=0)),
        (ParameterError, "rng=-1", lambda: check_gradients(engine, x, rng=-1)),
        (DataError, r"eps has shape \(1, 2, 2\); it must be \(L, 3, 2\)",
         lambda: check_gradients(engine, x, eps=eps[:, :2])),
        (DataError, r"X\[0, 1\] is NaN",
         lambda: check_gradients(engine, np.where(np.arange(D) == 1, np.nan, x))),
        (NotFittedError, "VAE has no parameters yet; call fit",
         lambda: check_gradients(npvae.VAE(), x)),
    ]:  # fmt: skip
        with pytest.raises(error, match=words) as raised:
            call()
        assert "\n" not in str(raised.value)


# --- the public classes -------------------------------------------------------------------


@pytest.mark.parametrize("model", [
    npvae.VAE(3, (7, 4), n_samples=2, parameter_prior=True, random_state=0),
    npvae.VAE(3, (6,), "relu", "normal", "sigmoid", estimator="A", random_state=0),
    npvae.Autoencoder(3, (6,), "elu", l2=0.1, dtype="float64", random_state=0),
], ids=repr)  # fmt: skip
def test_a_public_model_is_checked_as_it_is(model):
    x = np.random.default_rng(0).random((4, 9))
    for method in ("central", "complex"):
        assert check_gradients(model.initialize(9), x, method=method).ok
    with pytest.raises(DataError, match="X has 8 features"):
        check_gradients(model, x[:, :8])


def test_a_trained_model_is_right_too():
    digits = npvae.data.load_digits().images
    vae = npvae.VAE(2, (20,), "relu", epochs=2, random_state=0, verbose=False).fit(digits)
    theta = vae.engine_.theta.copy()
    report = check_gradients(vae, digits[:10])
    assert report.ok, str(report)
    np.testing.assert_array_equal(vae.engine_.theta, theta)


def test_the_gradient_is_that_of_the_public_bound():
    """`loss_and_grad` against differences of `elbo`, through nothing but the public names."""
    vae = npvae.VAE(J, (4,), dtype="float64", n_samples=3, random_state=0).initialize(D)
    rng, h = np.random.default_rng(0), 1e-5
    x, eps = rng.random((M, D)), rng.standard_normal((3, M, J))
    loss, gradient = vae.loss_and_grad(x, eps)
    assert loss == pytest.approx(-vae.elbo(x, eps).total.mean(), rel=1e-14)
    for name, parameter in vae.parameters.items():
        v = rng.standard_normal(parameter.shape)
        bounds = []
        for step in (h, -h):
            parameter += step * v
            bounds.append(vae.elbo(x, eps).total.mean())
            parameter -= step * v
        slope = -(bounds[0] - bounds[1]) / (2 * h)
        assert slope == pytest.approx((gradient[name] * v).sum(), rel=1e-7, abs=1e-9), name
