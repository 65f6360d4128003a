"""A hundred steps of P with its ops compiled come to what NumPy's bodies come to."""
from contextlib import contextmanager

import numpy as np
import pytest

import npvae
from npvae.backend import get_backend
from npvae.ops.cpu import twins

STEPS = 100


@contextmanager
def ops_compiled(wanted):
    """Compiled or not, whatever the environment says."""

    def forget():
        get_backend.cache_clear()
        twins.library.cache_clear()

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NPVAE_PURE_PYTHON", "0" if wanted else "1")
        forget()
        try:
            yield
        finally:
            patch.undo()
            forget()


def trained(compiled, dtype, optimizer):
    """Parameters, and the ELBO of each of ten epochs of ten steps."""
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((STEPS * 10, 12)) @ rng.standard_normal((12, 784))
    X = (rng.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(np.float32)
    with ops_compiled(compiled):
        vae = npvae.VAE(
            latent_dim=20, hidden=(500,), batch_size=100, epochs=10, optimizer=optimizer,
            dtype=dtype, random_state=0, verbose=False,
        ).fit(X)  # fmt: skip
    return vae.engine_.theta.astype(np.float64), np.array(vae.history_["elbo"])


def distance(a, b):
    """Root mean square of a − b, by that of b."""
    return np.sqrt(np.mean((a - b) ** 2) / np.mean(b**2))


@pytest.mark.skipif(not twins.library()[1], reason="no compiled twins")
@pytest.mark.parametrize("optimizer", ["adam", "adagrad"])
def test_a_hundred_steps_are_those_of_the_bodies(optimizer):
    """To a unit in the last place a step, in either dtype: 2 to 14 in all were seen in the root
    mean square of the parameters, most with Adam, which divides small gradients by their own size.
    In float32 the bodies themselves are as far from float64, and compiled ops no more than twice.
    """
    bodies = {dtype: trained(False, dtype, optimizer) for dtype in ("float32", "float64")}
    compiled = {dtype: trained(True, dtype, optimizer) for dtype in bodies}
    for dtype in bodies:
        tolerance = STEPS * np.finfo(dtype).eps
        assert 0 < distance(compiled[dtype][0], bodies[dtype][0]) < tolerance
        np.testing.assert_allclose(compiled[dtype][1], bodies[dtype][1], tolerance)
    truth = bodies["float64"][0]
    assert distance(compiled["float32"][0], truth) < 2 * distance(bodies["float32"][0], truth)
