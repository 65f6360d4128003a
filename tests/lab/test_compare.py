"""Estimators compared: against closed forms, against draws of one's own, and what is refused."""
import csv
import json
import tracemalloc
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

import npvae
from npvae import lab
from npvae.errors import DataError, NotFittedError, ParameterError
from npvae.lab.truth import bound_of, truth_of
from npvae.objectives import (
    ELBO,
    IWAE,
    OBJECTIVES,
    Loss,
    Objective,
    SampledELBO,
    Seeds,
    mean_grad,
)
from npvae.objectives.renyi import Renyi

D, J, M, S = 5, 2, 3, 0.5
X = np.random.default_rng(0).random((M, D))


def vae(J=J, **options):
    settings = {"hidden": (4,), "dtype": "float64", "random_state": 0, "verbose": False}
    model = npvae.VAE(J, **settings | options).initialize(D)
    rng = np.random.default_rng(3)
    for view in model.parameters.values():
        view[...] = 0.4 * rng.standard_normal(view.shape)
    return model


def linear(**options):
    return vae(hidden=(), likelihood="normal", likelihood_std=S, **options)


def closed_form(model):
    """∂(−ELBO)/∂θ of x = W z + b + s ν, z|x ~ N(A x + a, diag σ²(x)), by hand.   (P,)"""
    P = model.parameters
    W, A, C = P["decoder.mean.weight"], P["encoder.mean.weight"], P["encoder.logvar.weight"]
    mu, var = X @ A.T + P["encoder.mean.bias"], np.exp(X @ C.T + P["encoder.logvar.bias"])
    r = (X - mu @ W.T - P["decoder.mean.bias"]) / S**2  # (M, D)
    d_mu = (mu - r @ W) / M
    d_logvar = 0.5 * (var * (1 + (W**2).sum(axis=0) / S**2) - 1) / M
    gradient = {
        "encoder.mean.weight": d_mu.T @ X, "encoder.mean.bias": d_mu.sum(axis=0),
        "encoder.logvar.weight": d_logvar.T @ X, "encoder.logvar.bias": d_logvar.sum(axis=0),
        "decoder.mean.weight": (-r.T @ mu + W * var.sum(axis=0) / S**2) / M,
        "decoder.mean.bias": -r.sum(axis=0) / M,
    }  # fmt: skip
    return np.concatenate([gradient[name].ravel() for name in P])


# --- the truth ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["A", "B"])
def test_the_exact_truth_of_a_linear_model_is_its_closed_form(name):
    model = linear()
    truth = truth_of(OBJECTIVES[name](), model.engine_, X, 3)
    assert truth.kind == "exact"
    np.testing.assert_allclose(truth.mean, closed_form(model), rtol=0, atol=1e-12)


def test_quadrature_of_a_linear_model_is_its_closed_form():
    """To its own estimate of its error, and that is small."""
    model = linear(J=1)
    iwae = truth_of(IWAE(), model.engine_, X, 1)  # of one sample, the ELBO
    assert iwae.kind == "quadrature"
    np.testing.assert_allclose(iwae.mean, closed_form(model), rtol=0, atol=1e-9)
    assert np.abs(iwae.mean - iwae.check).max() < 1e-9


@pytest.mark.parametrize(("options", "bound", "k", "kind"), [
    ({}, "A", 50, "quadrature"), ({"J": 1}, "iwae", 3, "quadrature"), ({}, "iwae", 3, "paired"),
    ({"J": 5}, "A", 1, "paired"), ({"activation": "relu"}, "A", 1, "paired"),
    ({"activation": "relu", "hidden": (), "likelihood": "normal", "likelihood_std": S}, "A", 1,
     "exact"),
    ({"hidden": (), "likelihood": "normal"}, "B", 1, "quadrature"),
    ({"hidden": (), "likelihood": "normal", "likelihood_variance": "feature", "J": 9}, "B", 1,
     "exact"),
    ({"hidden": (), "likelihood": "normal", "likelihood_std": S, "J": 9,
      "likelihood_mean": "sigmoid"}, "B", 1, "paired"),
    ({"hidden": (), "likelihood": "normal", "likelihood_std": S, "J": 9, "prior": "mixture",
      "estimator": "A"}, "A", 1, "paired"),
])  # fmt: skip
def test_which_truth_there_is(options, bound, k, kind):
    assert truth_of(OBJECTIVES[bound](), vae(**options).engine_, X, k).kind == kind


def test_the_bound_of_every_estimator():
    """The nearest that is the derivative of a loss, with the same settings."""
    bounds = {name: type(bound_of(kind())) for name, kind in OBJECTIVES.items()}
    iwae = ("iwae", "iwae-stl", "dreg", "vimco", "rws")
    assert bounds == {
        "A": SampledELBO, "B": ELBO, "renyi": Renyi, **dict.fromkeys(iwae, IWAE),
        **dict.fromkeys(("stl", "score", "score-ema", "score-loo"), SampledELBO),
    }  # fmt: skip
    assert bound_of(OBJECTIVES["stl"](kl_weight=3.0)) == SampledELBO(kl_weight=3.0)
    assert bound_of(OBJECTIVES["B"](free_bits=0.1)) == ELBO(free_bits=0.1)


# --- the rows -----------------------------------------------------------------------------------

ELBOS = ("A", "B", "stl", "score", "score-loo")


@pytest.fixture(scope="module")
def found():
    model = linear()
    return lab.compare(ELBOS, model, X, n_draws=1000, rng=0, samples=2)


def test_estimators_of_the_bound_are_without_bias(found):
    """No block of any is 4 standard errors off the closed form; 45 rows, each far below 1e-4."""
    assert {row.truth for row in found.rows} == {"exact"}
    assert len(found.rows) == len(ELBOS) * 9
    for row in found.rows:
        assert 0 <= row.bias <= 4 * row.bias_se, row


@pytest.mark.parametrize("name", ["A", "stl", "score-loo"])
def test_variance_and_signal_are_those_of_draws_of_ones_own(found, name):
    """1,000 others, by loss_and_grad; intervals of 95 % widened to the quotient's 4 deviations."""
    model, noise = linear(estimator=name, n_samples=2), np.random.default_rng(1)
    flat = np.array([
        np.concatenate([g.ravel() for g in model.loss_and_grad(X, eps)[1].values()])
        for eps in noise.standard_normal((1000, 2, M, J))
    ])  # fmt: skip
    own, truth = flat.var(axis=0, ddof=1), closed_form(model)
    side = np.concatenate([
        np.full(p.size, name.startswith("encoder")) for name, p in model.parameters.items()
    ])  # fmt: skip
    for block, here in (("encoder", side), ("decoder", ~side), ("all", side | ~side)):
        (row,) = found.select(estimator=name, block=block)
        width = np.log(row.variance_high / row.variance_low) / 2 * 2**0.5 * 4 / 2.093
        assert abs(np.log(row.variance / own[here].sum())) < width
        assert row.variance_low < row.variance < row.variance_high
        snr = np.sqrt((truth[here] ** 2).sum() / own[here].sum())
        assert row.snr == pytest.approx(snr, abs=2.7 * (row.snr_high - row.snr_low))
        assert row.norm == pytest.approx(np.linalg.norm(truth[here]), abs=4 * row.bias_se + 1e-3)


def test_the_bound_block_by_block(found):
    """A block of a side is its parameters' sum, and cost is variance times seconds."""
    for name in ELBOS:
        rows = {row.block: row for row in found.select(estimator=name)}
        for side in ("encoder", "decoder"):
            parts = sum(row.variance for block, row in rows.items() if block.startswith(side + "."))
            assert rows[side].variance == pytest.approx(parts, rel=1e-9)
        assert rows["all"].cost == pytest.approx(rows["all"].variance * rows["all"].seconds)
        assert 0 < rows["all"].seconds_low <= rows["all"].seconds <= rows["all"].seconds_high
        assert -1 <= rows["all"].cosine <= 1


def test_differences_are_paired(found):
    """Those that share θ differ by nothing there; and the ratio of variances is told better than by
    two intervals apart."""
    pairs = {(row.estimator, row.other, row.block): row for row in found.differences}
    assert len(pairs) == 10 * 9
    same = pairs["A", "score", "decoder"]
    assert (same.difference, same.difference_se, same.ratio) == (0, 0, 1)
    (a,), (b,) = (found.select(estimator=name, block="all") for name in ("A", "B"))
    ratio = pairs["A", "B", "all"]
    assert ratio.ratio == pytest.approx(a.variance / b.variance, rel=1e-9)
    assert ratio.ratio_low < ratio.ratio < ratio.ratio_high
    apart = np.hypot(np.log(a.variance_high / a.variance_low),
                     np.log(b.variance_high / b.variance_low))  # fmt: skip
    assert np.log(ratio.ratio_high / ratio.ratio_low) < apart
    assert ratio.difference <= 4 * ratio.difference_se


@pytest.mark.parametrize("J", [1, 5], ids=["quadrature", "paired"])
def test_the_bias_of_iwaes_path_derivative_is_found(J):
    """In the encoder, and of the size that the other truth gives; in the decoder there is none.
    Over seeds it stands out by 10 errors and more."""
    found = lab.compare(["iwae-stl", "dreg"], vae(J), X, n_draws=1000, rng=0, samples=2)
    (biased,), (free,) = (found.select(estimator=n, block="encoder") for n in ("iwae-stl", "dreg"))
    assert biased.truth == ("quadrature" if J == 1 else "paired")
    assert biased.bias > 4 * biased.bias_se
    assert free.bias <= 4 * free.bias_se
    for row in found.select(block="decoder"):
        assert row.bias <= 4 * row.bias_se


def test_paired_and_quadrature_agree(monkeypatch):
    """The same bias by both, at 4 of their errors together."""
    model, rows = vae(1), []
    for most in (4, 0):
        monkeypatch.setattr("npvae.lab.truth.MOST", most)
        found = lab.compare(["iwae-stl"], model, X, n_draws=1000, rng=0, samples=3)
        rows += found.select(block="encoder")
    one, other = rows
    assert (one.truth, other.truth) == ("quadrature", "paired")
    assert len({row.estimator for row in found.rows}) == 1  # the reference is no row
    assert abs(one.bias - other.bias) < 4 * np.hypot(one.bias_se, other.bias_se)
    assert other.cosine == pytest.approx(one.cosine, abs=0.1)


def test_a_bounds_own_estimator_has_no_bias_by_what_it_is():
    found = lab.compare(["A", "B", "renyi"], vae(5), X, n_draws=64, rng=0)
    assert {(row.truth, row.bias, row.bias_se) for row in found.rows} == {("paired", 0.0, 0.0)}


def test_a_moving_baseline_moves():
    """Where f is far from 0 the baseline takes most of the score's variance away."""
    model = vae(1, likelihood="normal", likelihood_std=0.1)
    found = lab.compare(["score", "score-ema"], model, X, n_draws=200, rng=0)
    plain, ema = found.select(block="encoder")
    assert ema.variance < plain.variance / 2
    assert ema.bias <= 4 * ema.bias_se


@dataclass  # and so without a hash
class Unheard(Objective):
    """SGVB A without its score, as one's own that derives from no bound."""

    exact: ClassVar[bool] = False

    def __call__(self, ctx, terms, scalars=(), state=None):
        theta = mean_grad(ctx.work, *terms.nll.shape)
        return Loss(terms.nll, terms.kl, Seeds(theta, theta, 0 * theta))


def test_an_objective_of_ones_own_without_a_bound_has_no_truth():
    """Its variance is known all the same, and so is its difference to others."""
    found = lab.compare([Unheard(), "stl"], vae(), X, n_draws=64, rng=0)
    own, stl = found.select(block="all")
    assert own.truth == "unknown" and np.isnan(own.bias) and own.variance == stl.variance
    assert "nan" not in str(found)
    assert (found.differences[-1].difference, found.differences[-1].ratio) == (0, 1)


def test_what_is_compared_beside_does_not_matter():
    """Noise of L samples is the same beside others, and other estimators: to the bit."""
    model = vae(5)
    alone = lab.compare(["A"], model, X, n_draws=64, rng=0, samples=5)
    beside = lab.compare(["B", "A"], model, X, n_draws=64, rng=0, samples=[2, 5])
    assert [row.variance for row in alone.rows] == [
        row.variance for row in beside.select(estimator="A", samples=5)
    ]
    assert [row.samples for row in beside.select(estimator="A", block="all")] == [2, 5]


def test_kinds_of_noise_are_told_apart():
    """In the rows, the table, the picture; no pair is of two kinds."""
    kinds = ["independent", "antithetic", "sobol"]
    found = lab.compare(["A", "B"], vae(5), X, 64, rng=0, samples=2,
                        noise=["Independent", "antithetic", "sobol"])  # fmt: skip
    assert [row.noise for row in found.select(block="all", estimator="B")] == kinds
    assert "B, sobol" in str(found)
    assert "A, antithetic" in [t.get_text() for t in found.plot().axes[0].get_yticklabels()]
    assert [row.noise for row in found.differences if row.block == "all"] == kinds
    own = lab.compare(["A"], vae(5, noise="sobol", n_samples=2), X, 64, rng=0)
    assert own.rows[0].variance == found.select(estimator="A", noise="sobol")[0].variance
    several = lab.compare(["A"], vae(5), X, 64, rng=0, samples=[2, 4], noise=kinds)
    labels = [t.get_text() for t in several.plot().legends[0].get_texts()]
    assert labels == [f"A, {kind}" for kind in kinds]


def test_a_bound_of_dependent_samples_has_no_quadrature():
    """Which is of independent ones; the ELBO has the same mean."""
    engine = vae(J=1).engine_
    assert truth_of(IWAE(), engine, X, 2, "antithetic").kind == "paired"
    assert truth_of(ELBO(), engine, X, 2, "antithetic").kind == "quadrature"
    (row,) = lab.compare(["iwae-stl"], vae(J=1), X, 200, rng=0, samples=2, noise="sobol").select(
        block="encoder")  # fmt: skip
    assert row.truth == "paired" and row.bias > 4 * row.bias_se


def test_models_by_their_labels():
    models = {"J = 1": vae(1), "J = 5": vae(5)}
    found = lab.compare(["A", "score"], models, X, n_draws=64, rng=0)
    assert {(row.model, row.latents) for row in found.rows} == {("J = 1", 1), ("J = 5", 5)}
    assert found.plot().axes


def test_the_model_is_left_as_it_was():
    model = vae(estimator="B", n_samples=1)
    before = {name: p.copy() for name, p in model.parameters.items()}
    loss, _ = model.loss_and_grad(X)
    lab.compare(["A", "dreg"], model, X, n_draws=64, rng=0, samples=3)
    assert model.loss_and_grad(X)[0] == loss
    assert (model.estimator, model.n_samples) == ("B", 1)
    for name, p in model.parameters.items():
        np.testing.assert_array_equal(p, before[name])


@pytest.mark.parametrize("options", [
    {"posterior": "gamma", "prior": "gamma"}, {"prior": "vamp"}, {"kl_weight": 2.0},
    {"likelihood": "normal", "standardize": True}, {"dtype": "float32"}, {"n_samples": 2},
    {"posterior": "elliptical"}, {"parameter_prior": True},
], ids=str)  # fmt: skip
def test_every_kind_of_model(options):
    """A fixed seed: 1 of 10,000 numbers is above 4 errors by itself, and there are some 150."""
    model = npvae.VAE(2, (4,), estimator="A", epochs=1, random_state=0, verbose=False, **options)
    found = lab.compare(["A", "stl"], model.fit(X), X, n_draws=100, rng=1)
    for row in found.rows:
        assert np.isfinite([row.bias, row.variance, row.snr]).all()
        assert row.bias <= 4 * row.bias_se


def test_memory_does_not_grow_with_draws():
    """By less than one gradient an additional 100 draws."""
    model, peaks = vae(5, hidden=(16,)), []
    for n in (64, 64, 264):
        tracemalloc.start()
        lab.compare(["A"], model, X, n_draws=n, rng=0)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert abs(peaks[2] - peaks[1]) < 2 * model.engine_.theta.nbytes


# --- as it is shown and kept --------------------------------------------------------------------


def test_a_result_is_read_and_kept(found, tmp_path):
    text = str(found)
    assert "score-loo" in text
    assert "1000 gradients of 3 datapoints in 32 batches" in text
    assert "<table>" in found._repr_html_()
    assert found.rows[0]["bias"] == found.rows[0].bias
    with open(found.to_csv(tmp_path / "rows.csv"), newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["variance"]) for row in rows] == [row.variance for row in found.rows]
    assert [row["block"] for row in rows] == [row.block for row in found.rows]
    kept = json.loads(found.to_json(tmp_path / "all.json").read_text("utf-8"))
    assert kept["rows"][0]["estimator"] == "A"
    assert len(kept["differences"]) == len(found.differences)
    found.plot().savefig(tmp_path / "found.png")


def test_a_picture_has_every_estimator_and_its_intervals(found):
    figure = found.plot()
    variance, snr, bias = figure.axes
    assert [label.get_text() for label in variance.get_yticklabels()] == list(ELBOS)
    for ax, measure in ((variance, "variance"), (snr, "snr"), (bias, "bias")):
        dots = np.concatenate([line.get_xdata() for line in ax.get_lines()])
        for row in found.rows:
            shown = row.block in ("encoder", "decoder")
            assert not shown or np.isclose(dots, row[measure], rtol=1e-12, atol=0).any()
    with pytest.raises(DataError, match="no row to plot"):
        npvae.plotting.gradient_estimators([])


@pytest.mark.parametrize(("estimators", "options", "match"), [
    (["A"], {"n_draws": 63}, "ask for 64 draws"), (["A"], {"n_draws": 1e3}, "ask for 64 draws"),
    (None, {}, "none of them twice"), ([1], {}, "estimator=1 is not known"),
    ([], {}, "none of them twice"), ("A", {}, "none of them twice"),
    (["A", "A"], {}, "none of them twice"), (["a", "A"], {}, "none of them twice"),
    (["C"], {}, "not known"), (["score-loo"], {"samples": 1}, "n_samples to 2 or more"),
    (["A"], {"samples": 0}, "samples=0"), (["A"], {"samples": []}, "samples=\\[\\]"),
    (["A"], {"samples": [1, 1]}, "samples="), (["A"], {"rng": -1}, "rng=-1"),
    (["A"], {"noise": "sobol", "samples": 1}, "n_samples to 2 or more"),
    (["A"], {"noise": ["sobol", "Sobol"], "samples": 2}, "noise="),
    (["A"], {"noise": []}, "noise="),
    (["A"], {"noise": "white"}, "noise='white' is not known"),
    (["A", "vimco"], {"noise": "sobol", "samples": 2}, "needs them independent"),
])  # fmt: skip
def test_what_cannot_be_compared_is_refused(estimators, options, match):
    with pytest.raises(ParameterError, match=match):
        lab.compare(estimators, vae(), X, **{"n_draws": 64} | options)


def test_what_is_no_vae_or_has_no_parameters_is_refused():
    with pytest.raises(ParameterError, match="FullVB"):
        lab.compare(["A"], npvae.FullVB(2).initialize(D), X, n_draws=64)
    with pytest.raises(ParameterError, match="vae="):
        lab.compare(["A"], {}, X, n_draws=64)
    with pytest.raises(NotFittedError):
        lab.compare(["A"], npvae.VAE(2), X, n_draws=64)
    with pytest.raises(ParameterError, match="closed form"):
        lab.compare(["B"], vae(estimator="A", prior="mixture"), X, n_draws=64)
