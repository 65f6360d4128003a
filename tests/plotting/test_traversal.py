"""Paths through the latent space show the images of the latents that they go through."""
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from npvae import plotting
from npvae.errors import ParameterError


def identity(J, prior="normal", squash=stats.norm.cdf):
    """A model whose x is z, put into [0, 1] to be seen; images are one row of J pixels."""
    return SimpleNamespace(
        latent_dim=J, prior=prior, posterior=prior, image_shape_=(1, J),
        inverse_transform=squash, transform=stats.norm.ppf,
    )  # fmt: skip


def cells(figure, rows, cols, J):
    """The images of a picture of one-pixel gaps.   (rows, cols, J)"""
    pixels = np.asarray(figure.axes[0].images[0].get_array())  # (2·rows − 1, cols·(J + 1) − 1)
    return np.stack([pixels[::2, k * (J + 1):k * (J + 1) + J] for k in range(cols)], axis=1)


def test_one_latent_moves_through_the_prior_and_the_others_stay():
    start = np.array([0.3, -1.0, 0.7])
    shown = stats.norm.ppf(cells(plotting.traversals(identity(3), start, n=5), 3, 5, 3))
    for row in range(3):
        expected = np.tile(start, (5, 1))
        expected[:, row] = [-2, -1, 0, 1, 2]
        assert np.allclose(shown[row], expected, atol=1e-9)


def test_those_shown_may_be_named_and_the_rest_is_at_the_median():
    figure = plotting.traversals(identity(12), latents=[12, 2], n=2)
    shown = stats.norm.ppf(cells(figure, 2, 2, 12))
    expected = np.zeros((2, 2, 12))
    expected[0, :, 11] = expected[1, :, 1] = [-2, 2]
    assert np.allclose(shown, expected, atol=1e-9)
    ax = figure.axes[0]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["$z_{12}$", "$z_{2}$"]
    heights = ax.get_yticks()
    assert heights[0] > heights[1]  # the first row is at the top


def test_a_prior_of_another_family_is_gone_through_by_its_quantiles():
    """The logistic's, which are closed: log u / (1 − u) at u = Φ(t)."""
    def logistic(Z):
        return 1 / (1 + np.exp(-Z))

    shown = cells(plotting.traversals(identity(1, "logistic", logistic), n=5), 1, 5, 1)
    assert np.allclose(shown[0, :, 0], stats.norm.cdf([-2, -1, 0, 1, 2]), atol=1e-6)


def test_a_path_is_straight_between_the_codes_of_two_datapoints():
    x = stats.norm.cdf(np.array([[-1.0, 2.0], [1.0, 0.0], [0.0, 0.0], [0.5, -1.0]]))  # (2P, D)
    shown = cells(plotting.interpolations(identity(2), x, n=3), 2, 5, 2)
    for row, (a, b) in zip(shown, [x[:2], x[2:]], strict=True):
        assert np.array_equal(row[0], a) and np.array_equal(row[-1], b)
        middle = stats.norm.cdf((stats.norm.ppf(a) + stats.norm.ppf(b)) / 2)
        assert np.allclose(row[1:4], [a, middle, b], atol=1e-12)


@pytest.mark.parametrize(("call", "words"), [
    (lambda m: plotting.traversals(m, latents=[0]), "no latent 0; choose from 1 to 2"),
    (lambda m: plotting.traversals(m, latents=[3]), "no latent 3"),
    (lambda m: plotting.traversals(m, n=1), "choose 2 or more"),
    (lambda m: plotting.interpolations(m, np.full((3, 2), 0.5)), "3 datapoints are no pairs"),
    (lambda m: plotting.interpolations(m, np.empty((0, 2))), "0 datapoints are no pairs"),
    (lambda m: plotting.interpolations(m, np.full((2, 2), 0.5), n=1), "choose 2 or more"),
])  # fmt: skip
def test_what_is_no_path_is_refused(call, words):
    with pytest.raises(ParameterError, match=words):
        call(identity(2))


def test_what_is_no_image_is_refused():
    model = identity(2)
    model.image_shape_ = None
    with pytest.raises(ParameterError, match="not trained on images"):
        plotting.traversals(model)
    with pytest.raises(ParameterError, match="no quantiles"):
        plotting.traversals(identity(3, "dirichlet"))
