"""Wake-sleep: each network learns from its own phase, and from nothing else."""
from itertools import product

import numpy as np
import pytest
from scipy import optimize, special, stats

import npvae
from npvae import random
from npvae.errors import ParameterError
from npvae.models import Noise
from npvae.testing import check_gradients

DIGITS = npvae.data.load_digits()
X = DIGITS.images[:6]
LIKELIHOODS = [("bernoulli", "linear"), ("normal", "linear"), ("normal", "sigmoid")]
each_likelihood = pytest.mark.parametrize(("likelihood", "mean"), LIKELIHOODS)


def make(kind=npvae.WakeSleep, **settings):
    defaults = {"latent_dim": 3, "hidden": (5,), "dtype": "float64", "random_state": 2}
    return kind(**(defaults | settings), verbose=False).initialize(64)


def dream(model, z, seed, step):
    """What a step of training dreams of z.   z (B, J) → (B, D)"""
    noise = Noise(z[None], (seed, random.POSTERIOR, np.array([step])))
    return model.engine_.model.dream(model.engine_.ctx, z, noise)


@each_likelihood
@pytest.mark.parametrize(("method", "L"), [*product(["central", "complex"], [1, 3])])
def test_each_gradient_is_that_of_its_loss(likelihood, mean, method, L):
    """With the samples held where they are: no gradient goes through them."""
    model = make(likelihood=likelihood, likelihood_mean=mean, n_samples=L, parameter_prior=True)
    report = check_gradients(model, X, method=method)
    assert report.ok and not report.exact, str(report)


@each_likelihood
def test_the_decoder_learns_as_a_vae_s_does(likelihood, mean):
    """Awake, both see the same data and the same z; and both are judged by the same bound."""
    settings = {"likelihood": likelihood, "likelihood_mean": mean}
    eps = np.random.default_rng(0).standard_normal((2, 6, 3))
    ours, theirs = make(**settings), make(npvae.VAE, **settings)
    (loss, gradient), (bound, expected) = (m.loss_and_grad(X, eps) for m in (ours, theirs))
    assert loss == bound
    for name, value in expected.items():
        same = np.allclose(gradient[name], value, rtol=1e-12, atol=1e-15)
        assert same == name.startswith("decoder"), name


def test_the_encoder_learns_from_dreams_alone():
    """Other data, the same dreams."""
    model, eps = make(), np.random.default_rng(0).standard_normal((1, 6, 3))
    (_, one), (_, other) = (model.loss_and_grad(data, eps) for data in (X, 1 - X))
    for name, value in one.items():
        assert np.array_equal(value, other[name]) == name.startswith("encoder"), name


@each_likelihood
def test_dreams_are_drawn_from_the_decoder(likelihood, mean):
    """Pixels of 4,000 dreams of one z, against p(x|z) as SciPy has it.

    Bernoulli: counts by an exact test; normal: Kolmogorov-Smirnov. 64 pixels at 1e-5 each fail
    once in 1,500 seeds; the seed is fixed.
    """
    model = make(likelihood=likelihood, likelihood_mean=mean)
    B = 4000
    z = np.tile(np.array([0.5, -1.0, 2.0]), (B, 1))
    dreams = dream(model, z, seed=7, step=3)
    expected = model.inverse_transform(z[:1])[0]
    if likelihood == "bernoulli":
        counts = zip(dreams.sum(0), expected, strict=True)
        p = [stats.binomtest(int(n), B, q).pvalue for n, q in counts]
        assert set(np.unique(dreams)) == {0, 1}
    else:
        h = np.tanh(z[:1] @ model.parameters["decoder.hidden.0.weight"].T)
        logvar = (h @ model.parameters["decoder.logvar.weight"].T)[0]  # all biases are zero
        columns = zip(dreams.T, expected, np.exp(0.5 * logvar), strict=True)
        p = [stats.kstest(x, stats.norm(m, s).cdf).pvalue for x, m, s in columns]
    assert min(p) > 1e-5


@pytest.mark.parametrize("seed", [0, 1])
def test_dreams_teach_the_encoder_on_average_what_they_should(seed):
    """∇ E[−log q(z|x)] over p(z) p(x|z), of one latent and two pixels: the four images are
    summed over, z is by quadrature, the gradient by differences.

    60 means of 1,000 dreams each: Hotelling's T² of the 6 parameters fails once in 1,000 seeds.
    """
    model = npvae.WakeSleep(
        latent_dim=1, hidden=(), dtype="float64", random_state=seed, verbose=False
    ).initialize(2)
    p = model.parameters
    p["decoder.logits.weight"][...], p["decoder.logits.bias"][...] = [[1.5], [-1]], [0.3, -0.5]
    names = [name for name in p if name.startswith("encoder")]
    phi = np.concatenate([p[name].ravel() for name in names])
    z, weight = np.polynomial.hermite_e.hermegauss(60)
    images = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    y = special.expit(z[:, None, None] * [1.5, -1] + [0.3, -0.5])  # (nodes, 1, 2)
    p_x = np.where(images, y, 1 - y).prod(-1) * weight[:, None] / weight.sum()  # (nodes, 4)

    def sleep_loss(phi):
        q = dict(zip(names, np.split(phi, np.cumsum([p[n].size for n in names])), strict=False))
        mean, logvar = (images @ q[f"encoder.{head}.weight"] + q[f"encoder.{head}.bias"]
                        for head in ("mean", "logvar"))  # fmt: skip
        return -(p_x * stats.norm.logpdf(z[:, None], mean, np.exp(logvar / 2))).sum()

    expected = optimize.approx_fprime(phi, sleep_loss, 1e-6)
    rng, found = np.random.default_rng(seed), []
    for step in range(60):
        _, gradient = model.loss_and_grad(np.zeros((1000, 2)), rng.standard_normal((1, 1000, 1)),
                                          dream=step)  # fmt: skip
        found.append(np.concatenate([gradient[name].ravel() for name in names]))
    off, covariance = np.mean(found, axis=0) - expected, np.cov(found, rowvar=False) / 60
    bound = 6 * 59 / 54 * stats.f.ppf(0.999, 6, 54)
    assert off @ np.linalg.solve(covariance, off) < bound


@pytest.mark.parametrize("dream", ["x", None, 1.5, -1])
def test_a_dream_is_a_number(dream):
    with pytest.raises(ParameterError, match=f"dream={dream!r} must be a whole number"):
        make().loss_and_grad(X, dream=dream)


def test_dreams_go_by_the_seed():
    gradients = [make(random_state=seed) for seed in (2, 3)]
    gradients[1].set_parameters(gradients[0].parameters)
    eps = np.zeros((1, 6, 3))
    one, other = (m.loss_and_grad(X, eps)[1]["encoder.mean.bias"] for m in gradients)
    assert not np.array_equal(one, other)


def test_dreams_go_by_the_step():
    model, z = make(), np.zeros((4, 3))
    first, again, other = (dream(model, z, seed=7, step=t).tobytes() for t in (1, 1, 2))
    assert first == again != other


def test_a_dream_that_is_asked_for_by_its_number_is_that_of_the_step():
    """And the noise that says it is heard before a step's own."""
    model, z = make(), np.zeros((4, 3))
    key = (7, random.DREAM, np.array([3]))
    for rng_key in (None, (8, random.POSTERIOR, np.array([4]))):
        asked = model.engine_.model.dream(model.engine_.ctx, z, Noise(z[None], rng_key, dream=key))
        assert asked.tobytes() == dream(model, z, seed=7, step=3).tobytes()


def test_it_learns_and_is_saved_and_resumed(tmp_path):
    settings = {"latent_dim": 2, "hidden": (64,), "random_state": 0, "verbose": False}
    model = npvae.WakeSleep(epochs=80, **settings).fit(DIGITS)
    images = DIGITS.images
    p = np.clip(images.mean(0), 1e-9, 1 - 1e-9)  # the best that can be said without a code
    blind = (images * np.log(p) + (1 - images) * np.log(1 - p)).sum(1).mean()
    assert model.history_["elbo"][-1] > blind > model.history_["elbo"][0]
    model.save(tmp_path / "model.npz")
    again = npvae.load(tmp_path / "model.npz")
    assert type(again) is npvae.WakeSleep
    np.testing.assert_array_equal(again.transform(X), model.transform(X))
    path = tmp_path / "checkpoint.npz"
    npvae.WakeSleep(epochs=2, **settings).fit(DIGITS, checkpoint=path)
    resumed = npvae.WakeSleep(epochs=4, **settings).fit(DIGITS, checkpoint=path, resume=True)
    whole = npvae.WakeSleep(epochs=4, **settings).fit(DIGITS)
    assert resumed.engine_.theta.tobytes() == whole.engine_.theta.tobytes()


def test_its_likelihood_is_that_of_a_vae_with_its_parameters():
    ours, theirs = make(), make(npvae.VAE)
    theirs.set_parameters(ours.parameters)
    a, b = (m.log_likelihood(X, 100, rng=0).estimate for m in (ours, theirs))
    np.testing.assert_array_equal(a, b)
