"""Published behaviour of variances: by the number of latents, near the posterior, along training.

Closed forms are those of ``benchmarks/gradients``, by hand for each model; what is compared with
them is what :func:`npvae.lab.compare` found of training's own gradients.
"""
import numpy as np
import pytest
from gradients import latents, posterior
from gradients.lines import T, slope
from gradients.training import stages

import npvae
from npvae import lab


def off(row, closed):
    """How far a variance is from a closed form, in errors of its logarithm."""
    error = np.log(row.variance_high / row.variance_low) / (2 * T)
    return abs(np.log(row.variance / closed)) / error


@pytest.mark.parametrize("J", [1, 4, 32])
def test_the_score_functions_variance_is_its_closed_form_by_the_number_of_latents(J):
    """The 9 at 4 jackknife errors of 31 degrees of freedom: 1 of 300 runs fails."""
    vae, x = latents.model(J)
    closed = latents.closed_form(J)
    for row in lab.compare(list(closed), vae, x, 1000, rng=1, samples=2).select(
        block="encoder.mean.bias"
    ):
        assert off(row, closed[row.estimator]) < 4, row


def test_powers_of_the_number_of_latents():
    """J³, J² and J of the closed forms, to 1 % between 1,000 and 10,000 latents."""
    few, many = latents.closed_form(1000), latents.closed_form(10_000)
    powers = {name: np.log10(many[name] / few[name]) for name in few}
    assert powers == pytest.approx({"A": 1, "score": 3, "score-loo": 2}, rel=0.01)


@pytest.fixture(scope="module")
def near():
    """By t: the model, its data and what was found of the encoder."""
    result = {}
    for t in (0.0, 0.01, 0.03, 0.1):
        vae, X = posterior.model(t, D=3, M=4, seed=1)
        rows = lab.compare(["A", "B", "stl"], vae, X, 512, rng=2).select(block="encoder")
        result[t] = {row.estimator: row for row in rows}, posterior.closed_form(vae, X)
    return result


def test_variances_near_the_posterior_are_their_closed_forms(near):
    """The 11 at 4 jackknife errors of 31 degrees of freedom: 1 of 250 runs fails."""
    for t, (rows, closed) in near.items():
        for name, row in rows.items():
            assert (t, name) == (0, "stl") or off(row, closed[name]) < 4, row


def test_the_path_derivatives_variance_goes_as_the_square_of_the_distance(near):
    """To 4 errors of its slope, 1 of 2,700; to nothing but rounding, while A's and B's stay."""
    ts = [t for t in near if t]
    y = np.array([near[t][0]["stl"].variance for t in ts])
    error = [np.log(near[t][0]["stl"].variance_high / near[t][0]["stl"].variance_low) / (2 * T)
             for t in ts]  # fmt: skip
    value, its_error = slope(ts, y, np.array(error))
    assert value == pytest.approx(2, abs=4 * its_error + 0.01)
    rows, _ = near[0.0]
    assert rows["stl"].variance < 1e-28 * rows["B"].variance < 1e-28 * rows["A"].variance
    for name in ("A", "B"):
        assert rows[name].variance == pytest.approx(near[0.01][0][name].variance, rel=0.05)


def test_along_training_the_path_derivative_comes_to_vary_least():
    """Before, where q(z|x) is far from p(z|x), B does; A is above both, the score function above A.

    Eight inequalities at 4 errors. Over seeds the nearest is 6.9 errors or more from equality, so
    that fewer than 1 of 100 runs would fail.
    """
    X = npvae.data.load_digits().images
    vae = npvae.VAE(5, (32,), random_state=0, verbose=False).initialize(X.shape[1])
    _, rows = stages(vae, X, (0, 10), 64)
    ratios = {(row["epochs"], row["of"], row["over"]): row for row in rows}

    def above(epochs, one, other):
        row = ratios[epochs, one, other]
        error = np.log(row["high"] / row["low"]) / (2 * T)
        return np.log(row["ratio"]) / error

    for epochs, sign in ((0, -1), (10, 1)):
        assert sign * above(epochs, "B", "stl") > 4
        assert above(epochs, "A", "B" if sign < 0 else "stl") > 4
        assert above(epochs, "A", "stl" if sign < 0 else "B") > 4
        assert above(epochs, "A", "score-loo") < -4
