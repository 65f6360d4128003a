"""The gradient of each datapoint: that of the datapoint alone; their mean is the minibatch's."""
import numpy as np
import pytest

import npvae
from npvae.errors import ParameterError
from npvae.objectives import OBJECTIVES

M, D, L = 5, 6, 3
X = np.random.default_rng(0).random((M, D))
EPS = np.random.default_rng(1).standard_normal((L, M, 2))


def vae(**options):
    settings = {"latent_dim": 2, "hidden": (4,), "dtype": "float64", "random_state": 0,
                "n_samples": L, "verbose": False, "epochs": 1}  # fmt: skip
    return npvae.VAE(**settings | options)


def check(model, eps):
    """Rounding alone apart: twelve digits of the largest entry."""
    losses, gradients = model.loss_and_grad(X, eps, per_example=True)
    loss, gradient = model.loss_and_grad(X, eps)
    assert losses.shape == (M,)
    np.testing.assert_allclose(losses.mean(), loss, rtol=1e-12)
    largest = max(np.abs(g).max() for g in gradients.values())
    for m in range(M):
        own = None if eps is None else eps[:, m : m + 1]
        alone, of_row = model.loss_and_grad(X[m : m + 1], own)
        assert losses[m] == alone
        for name, g in of_row.items():
            np.testing.assert_array_equal(gradients[name][m], g)
    for name, g in gradient.items():
        assert gradients[name].shape == (M, *g.shape)
        np.testing.assert_allclose(gradients[name].mean(axis=0), g, rtol=0, atol=1e-12 * largest)


@pytest.mark.parametrize("estimator", OBJECTIVES)
def test_rows_are_datapoints_alone_by_every_estimator(estimator):
    check(vae(estimator=estimator).initialize(D), EPS)


@pytest.mark.parametrize("options", [
    {}, {"kl_weight": 4.0}, {"parameter_prior": True}, {"estimator": "A", "prior": "mixture"},
    {"estimator": "A", "prior": "vamp"}, {"likelihood": "normal"}, {"hidden": ()},
    {"estimator": "A", "posterior": "gamma", "prior": "gamma"},
], ids=str)  # fmt: skip
def test_rows_are_datapoints_alone_in_every_kind_of_model(options):
    check(vae(**options).fit(X), None)


def test_rows_of_an_autoencoder():
    model = npvae.Autoencoder(2, (4,), dtype="float64", random_state=0, l2=0.1, verbose=False)
    losses, _ = model.initialize(D).loss_and_grad(X, per_example=True)
    np.testing.assert_allclose(losses.mean(), model.loss_and_grad(X)[0], rtol=1e-12)


def test_free_bits_are_refused():
    """Their threshold is of the minibatch's mean KL: the mean over rows is another loss."""
    model = vae(estimator="B", free_bits=0.5).initialize(D)
    with pytest.raises(ParameterError, match="of the KL's mean"):
        model.loss_and_grad(X, per_example=True)
