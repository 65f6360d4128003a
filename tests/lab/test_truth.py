"""Kinds of truth against one another, where there are two: what their mean is, is one number."""
import numpy as np
import pytest

import npvae
from npvae.lab.truth import truth_of
from npvae.objectives import IWAE, SampledELBO


@pytest.mark.parametrize("J", [1, 2, 3, 4])
def test_quadrature_and_closed_form_agree(J):
    """IWAE of one sample is the ELBO: every tensor rule there is, to rounding, as its check is.

    A rule of m points is exact to degree 2m − 1, and the gradient of a linear-normal model is of 2.
    """
    rng = np.random.default_rng(J)
    X = rng.standard_normal((3, 5))
    vae = npvae.VAE(J, (), likelihood="normal", likelihood_std=0.7, standardize=False,
                    dtype="float64", random_state=0).initialize(5)  # fmt: skip
    for view in vae.parameters.values():
        view[...] = 0.4 * rng.standard_normal(view.shape)
    exact = truth_of(SampledELBO(), vae.engine_, X, 1)
    by_rule = truth_of(IWAE(), vae.engine_, X, 1)
    assert (exact.kind, by_rule.kind) == ("exact", "quadrature")
    np.testing.assert_allclose(by_rule.mean, exact.mean, rtol=0, atol=1e-11)
    np.testing.assert_allclose(by_rule.check, exact.mean, rtol=0, atol=1e-11)
