"""What an estimate says it is worth, against models whose log p(x) is known.

The linear model is that of test_evaluation.py. The weights of a narrow, shifted q have no variance;
of e^−1.5 times the posterior's their tail has the shape 1 − e^−1.5 = 0.78 in one direction,
and by the shift it is longer still as far as samples reach.
"""
import warnings
from dataclasses import replace

import numpy as np
import pytest
from test_evaluation import ONES, TRUTH, X, bernoulli_model, linear_model

import npvae
from npvae.cli import main
from npvae.errors import ParameterError
from npvae.evaluation import BoundCurve, Elbo, LogLikelihood
from npvae.evaluation.comparison import why_below

MANY = TRUTH.rvs(80, random_state=7)
TRUE = TRUTH.logpdf(MANY)


def off(result):
    """Where an estimate is off by more than three of its own standard errors."""
    return np.abs(result.estimate - TRUE) > 3 * result.standard_error


# --- the Pareto shape of the weights ------------------------------------------------------


@pytest.mark.parametrize(("shift", "widen"), [(0.5, -1.5), (1.0, -1.5), (1.0, -2.0)])
def test_a_narrow_shifted_q_is_found_out(shift, widen):
    """Most estimates are off by more than three errors, and nine tenths of those are flagged: k̂ of
    213 weights has a deviation of 0.1 or so, and the shape is above 0.7 by that and more."""
    with pytest.warns(UserWarning, match=r"of 80 datapoints have a Pareto k above 0\.7"):
        result = linear_model(shift, widen).log_likelihood(MANY, 5000, 0)
    wrong = off(result)
    assert wrong.sum() >= 50
    assert (result.pareto_k > 0.7)[wrong].mean() >= 0.9
    assert (result.effective_sample_size < 10)[wrong].mean() < 0.9  # which alone was not enough


@pytest.mark.parametrize("method", ["importance", "iwae"])
def test_a_q_that_fits_is_left_alone(method):
    """Weights of a q wider than the posterior are bounded: the shape is negative, far below 0.7."""
    vae = linear_model()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if method == "iwae":
            result = vae.iwae_bound(MANY, 10, 5000, 0)
        else:
            result = vae.log_likelihood(MANY, 5000, 0)
            assert off(result).mean() < 0.05
    assert (result.pareto_k < 0.5).all()
    assert "too small" not in str(result)


def test_they_are_told_of_once_and_counted():
    """In one warning a call, and in what is printed, with the worst of them."""
    vae = linear_model(0.5, -1.5)
    for call in (vae.log_likelihood, lambda X, S, rng: vae.iwae_bound(X, 10, S, rng)):
        with pytest.warns(UserWarning) as caught:
            result = call(MANY, 5000, 0)
        high = int((result.pareto_k > 0.7).sum())
        assert len(caught) == 1 and caught[0].filename == __file__
        line = str(caught[0].message)
        assert line.startswith(f"the weights of {high} of 80 datapoints") and "\n" not in line
        assert line.endswith("too low by far more than their standard errors; "
                             "take method='annealed'")  # fmt: skip
        told = f"Pareto k {result.pareto_k.max():.2f} at worst, above 0.7 for {high} of them"
        assert told in str(result) and "take more samples" not in str(result)


def test_k_is_of_the_weights_of_every_estimator():
    """Samples of the prior miss a narrow posterior, annealed chains do not; 16 of them are too few
    to tell, and say nothing. Of appendix D the weights are the inverse ones, and its side another.
    """
    vae = linear_model(0.5, -1.5)
    with pytest.warns(UserWarning, match="may be too low"):
        poor = vae.log_likelihood(MANY[:20], 400, 0, method="prior")
    assert (poor.pareto_k > 0.7).any()
    options = {"rng": 0, "method": "annealed", "n_temperatures": 50}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        few = vae.log_likelihood(MANY[:5], 16, **options)
        many = vae.log_likelihood(MANY[:5], 100, **options)
    assert np.isnan(few.pareto_k).all() and "Pareto" not in str(few)
    assert (many.pareto_k < 0.7).all() and "Pareto k 0." in str(many)
    sampled = vae.log_likelihood(MANY[:5], 100, 0, method="harmonic", density="normal")
    assert np.isfinite(sampled.pareto_k).all()
    assert "an upper bound on average" in str(sampled)
    for result in (poor, few, many):
        assert "a lower bound on average, by a bias that ± does not cover" in str(result)


def test_what_helps_is_advised_where_it_serves():
    """Of a prior on the half-line nothing can be annealed."""
    vae = npvae.VAE(1, (3,), posterior="gamma", prior="gamma", estimator="A", random_state=0)
    vae.initialize(6)
    result = vae.log_likelihood(ONES, 20, 0)  # too few for k̂
    assert "prior" in result.advice and "annealed" not in result.advice
    high = replace(result, pareto_k=np.array([0.1, 0.9, np.nan]),
                   effective_sample_size=np.full(3, 50.0))  # fmt: skip
    assert "above 0.7 for 1 of them, whose ± may be far too small: take method='prior'" in str(high)
    assert vae.log_likelihood(ONES, 100, 0, method="prior").advice == "take method='importance'"


def test_exact_weights_have_no_tail():
    """k̂ = −∞ of weights that are all alike is no number to print."""
    result = LogLikelihood(np.zeros(2), np.zeros(2), np.full(2, 9.0), 9,
                           pareto_k=np.full(2, -np.inf))  # fmt: skip
    assert str(result).endswith("effective sample size 9.0 at worst") and not result.doubt


# --- the bound's own error ----------------------------------------------------------------


def test_the_error_of_the_bound_is_that_of_many_seeds():
    """The mean's deviation over 40 draws of the noise is the reported error, to a factor of 1.4:
    χ² with 39 degrees of freedom leaves that range once in 500."""
    vae, rng = linear_model(0.5, 1.0), np.random.default_rng(0)
    runs = [vae.elbo(X, rng.standard_normal((5, 40, 2))) for _ in range(40)]
    spread = np.std([run.total.mean() for run in runs], ddof=1)
    reported = np.sqrt(np.mean([run.mean_error**2 for run in runs]))
    assert 1 / 1.4 < spread / reported < 1.4
    each = np.std([run.total for run in runs], axis=0, ddof=1)
    own = np.sqrt(np.mean([run.standard_error**2 for run in runs], axis=0))
    assert 1 / 1.1 < np.median(each / own) < 1.1  # 40 datapoints of them
    assert f"± {runs[0].mean_error:.3f} = reconstruction" in str(runs[0])


def test_the_error_of_one_sample_is_that_over_datapoints():
    one = linear_model().elbo(X, n_samples=1)
    assert np.isnan(one.standard_error).all() and one.standard_error.shape == (40,)
    assert one.mean_error == pytest.approx(one.total.std(ddof=1) / np.sqrt(40), rel=1e-12)
    alone = linear_model().elbo(X[:1], n_samples=1)
    assert np.isnan(alone.mean_error) and "±" not in str(alone)


def test_the_bound_by_more_samples():
    vae = linear_model()
    ten, same = vae.elbo(X, n_samples=10), linear_model(n_samples=10).elbo(X)
    np.testing.assert_array_equal(ten.total, same.total)
    with pytest.raises(ParameterError, match="leave out n_samples"):
        vae.elbo(X, np.zeros((2, 40, 2)), n_samples=2)
    with pytest.raises(ParameterError, match="n_samples=0 must be a whole number"):
        vae.elbo(X, n_samples=0)


# --- an estimate below the bound ----------------------------------------------------------


def elbo_of(total, error=0.1):
    total = np.asarray(total, float)
    return Elbo(total, total + 1, np.ones(len(total)), np.full(len(total), error))


def likelihood_of(estimate, error=0.1):
    n = len(estimate)
    return LogLikelihood(np.asarray(estimate, float), np.full(n, error), np.full(n, 50.0), 100)


def test_an_estimate_below_the_bound_says_why():
    """0.2 nats: two joint errors of 0.1 √(2/2) = 0.1 explain that; 3 nats they do not."""
    assert why_below(elbo_of([-5, -5]), likelihood_of([-4, -5])) == ""
    assert why_below(elbo_of([-5, -5]), likelihood_of([-5.0001, -5])) == ""
    noise = why_below(elbo_of([-5, -5]), likelihood_of([-5.3, -5]))
    assert noise == (
        "log p(x) is 0.150 nats below the ELBO, which the noise of the two explains: ± 0.100 "
        "together"
    )
    low = why_below(elbo_of([-5, -5]), likelihood_of([-8, -8]))
    assert low == (
        "log p(x) is 3.000 nats below the ELBO, a bound from below: so the estimate is too low by "
        "that or more; take method='annealed'"
    )
    others = why_below(elbo_of([-3, -9]), likelihood_of([np.nan, -8]))
    assert "is of 1 datapoints, whose own ELBO is lower" in others
    curve = BoundCurve((1, 10), np.array([[-9.0, -9], [-8, -8]]), np.full((2, 2), 0.1),
                       np.ones(2), 100)  # fmt: skip
    assert why_below(elbo_of([-5, -5]), curve).startswith("L_10 is 3.000 nats below the ELBO")
    assert why_below(elbo_of([-9, -9]), curve) == ""


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A run of a small model on digits, which are grey."""
    folder = tmp_path_factory.mktemp("worth") / "run"
    settings = ["--epochs", "30", "--hidden", "16", "--latent-dim", "6", "--random-state", "0"]
    with warnings.catch_warnings():
        assert not main(["train", "--data", "digits", *settings, "--out", str(folder)])
    return folder


def test_evaluate_says_why(digits, capsys):
    """Two samples of six latents from the prior are far below the bound."""
    options = ["evaluate", str(digits), "--limit", "20", "--samples"]
    assert not main([*options, "2", "--method", "prior"])
    out = capsys.readouterr().out
    assert "ELBO" in out.splitlines()[1] and "±" in out.splitlines()[1]
    assert "nats below the ELBO" in out and out.count("note ") == 1
    assert not main([*options, "500"])
    assert "below the ELBO" not in capsys.readouterr().out


# --- grey pixels --------------------------------------------------------------------------

GREY = np.full((5, 6), 0.25)
CALLS = {
    "importance": lambda vae, X: vae.log_likelihood(X, 50, 0),
    "prior": lambda vae, X: vae.log_likelihood(X, 50, 0, method="prior"),
    "iwae": lambda vae, X: vae.iwae_bound(X, 5, 50, 0),
}


def notes(call, vae, X):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call(vae, X)
    return [str(one.message) for one in caught if "grey" in str(one.message)]


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_grey_pixels_under_a_bernoulli_are_said_to_have_no_density(call):
    """Once a call, for one grey pixel of all; not of black and white ones, in bytes or floats."""
    vae, one = bernoulli_model(), np.tile(ONES, (2000, 1))
    one[-1, -1] = 0.5
    for images in (GREY, one[-3:]):
        (note,) = notes(call, vae, images)
        assert "no density" in note and "continuous-bernoulli" in note and "\n" not in note
    for images in (ONES, ONES.astype(bool), ONES.astype("f4")):
        assert not notes(call, vae, images)
    for likelihood in ("continuous-bernoulli", "normal"):
        other = npvae.VAE(1, (4,), likelihood=likelihood, random_state=0).initialize(6)
        assert not notes(call, other, GREY)


def test_bytes_are_grey_by_their_scale():
    """Of a data set: 0 and 255 of 1/255 are black and white, whatever the rounding; 128 is not."""
    vae = bernoulli_model()
    for levels, grey in (([0, 255], False), ([0, 128, 255], True)):
        pixels = np.resize(np.array(levels, "u1"), (4, 6))
        data = npvae.data.Dataset(pixels, None, (2, 3), "levels", 1 / 255)
        assert bool(notes(CALLS["importance"], vae, data)) == grey


def test_evaluate_says_so_once(digits, capsys, monkeypatch):
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # main sets its own
    for options in ([], ["--curve"], ["--method", "prior"]):
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            assert not main(["evaluate", str(digits), "--limit", "5", "--samples", "2000",
                             *options])  # fmt: skip
        err = capsys.readouterr().err
        assert err.count("continuous-bernoulli") == 1
