"""Hamiltonian Monte Carlo: its leapfrog against mechanics, its chains against known densities."""
from math import pi

import numpy as np
import pytest
import small_models
from op_cases import relative_error
from scipy import integrate, special, stats

from npvae import models
from npvae.backend import get_backend
from npvae.errors import NumericalError, ParameterError
from npvae.evaluation import hmc
from npvae.evaluation.chains import ChainNoise, Chains, sample
from npvae.evaluation.hmc import Point, leapfrog, transition
from npvae.evaluation.log_joint import InitialDensity, LogJointTarget, initial_density
from npvae.models import Engine
from npvae.ops import ACTIVATIONS

OPS = get_backend("numpy").ops
COVARIANCE = np.array([[1.0, 0.6], [0.6, 0.5]])
PRECISION = np.linalg.inv(COVARIANCE)


def normal(z):
    """N(0, COVARIANCE)."""
    grad = z @ PRECISION
    return 0.5 * (grad * z).sum(axis=-1), grad


def wells(z):
    """Two wells, coupled, and no multiple of a normal."""
    u = z[..., 0] * z[..., 1]
    U = ((z * z - 1) ** 2).sum(axis=-1) + 0.3 * np.sin(u)
    return U, 4 * z * (z * z - 1) + 0.3 * np.cos(u)[..., None] * z[..., ::-1]


def at(target, z):
    return Point(z, *target(z))


def exact(n, seed=0):
    """Independent samples of the normal, one a chain.   (n, 1, 2)"""
    rng = np.random.default_rng(seed)
    return rng.multivariate_normal(np.zeros(2), COVARIANCE, n)[:, None]


# --- the leapfrog -------------------------------------------------------------------------


def test_steps_are_reversible():
    """There, the momentum turned round, and back: 50 steps each way, to rounding."""
    z, p = np.random.default_rng(0).standard_normal((2, 7, 3, 2))
    end, p_end = leapfrog(wells, at(wells, z), p, 0.05, 50)
    back, p_back = leapfrog(wells, end, -p_end, 0.05, 50)
    assert np.abs(end.z - z).max() > 1
    np.testing.assert_allclose(back.z, z, rtol=0, atol=1e-9)  # wells amplify rounding
    np.testing.assert_allclose(-p_back, p, rtol=0, atol=1e-9)


def test_steps_keep_volume():
    """The Jacobian of (z, p) → (z', p') by the complex step: its determinant is 1."""
    start, h = np.random.default_rng(1).standard_normal(4), 1e-30
    columns = []
    for direction in np.eye(4):
        z, p = np.split((start + 1j * h * direction)[None, None], 2, axis=-1)
        end, p_end = leapfrog(wells, at(wells, z), p, 0.2, 5)
        columns.append(np.concatenate([end.z, p_end], axis=-1)[0, 0].imag / h)
    assert np.linalg.det(columns) == pytest.approx(1, rel=1e-10)


def test_the_energy_error_is_of_second_order():
    """Half the step over the same time leaves a quarter of the error."""
    z, p = np.random.default_rng(2).standard_normal((2, 100, 1, 2))
    errors = []
    for n in (50, 100):
        end, p_end = leapfrog(wells, at(wells, z), p, 1 / n, n)
        start = hmc.hamiltonian(at(wells, z), p)
        errors.append(np.abs(hmc.hamiltonian(end, p_end) - start).mean())
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.05)


def test_steps_follow_the_motion():
    """A normal's is a rotation: after a time t, z cos t + p sin t, to ε²."""
    z, p = np.random.default_rng(3).standard_normal((2, 5, 1, 2))
    end, _ = leapfrog(unit, at(unit, z), p, 1e-3, 1000)
    np.testing.assert_allclose(end.z, z * np.cos(1) + p * np.sin(1), rtol=0, atol=1e-6)


def unit(z):
    return 0.5 * (z * z).sum(axis=-1), z


# --- a transition leaves the target as it is ----------------------------------------------

N = 40_000


def one_transition(z, seed=0):
    """One transition of each of N chains, with steps so long that a good part is rejected."""
    noise = np.random.default_rng(seed + 100).standard_normal((*z.shape[:2], 5))
    return transition(normal, at(normal, z), np.full((1, 1), 0.5), 3, noise)


def assert_stationary():
    """Exact samples stay exact after a transition: a true sampler fails once in 300 seeds."""
    point, _ = one_transition(exact(N))
    u = np.linalg.solve(np.linalg.cholesky(COVARIANCE), point.z[:, 0].T)  # (2, N)
    for values in u:
        assert stats.kstest(values, stats.norm.cdf).pvalue > 1e-3
    assert stats.kstest((u**2).sum(axis=0), stats.chi2(2).cdf).pvalue > 1e-3


def assert_detailed_balance():
    """From exact samples, E[g(z) h(z')] = E[h(z) g(z')]: within 4 standard errors."""
    z = exact(N, seed=1)
    after = one_transition(z, seed=1)[0].z
    features = [lambda z: z[:, 0, 0], lambda z: z[:, 0, 0] ** 2, lambda z: np.tanh(z[:, 0, 1]),
                lambda z: (z[:, 0, 0] > 1) * 1.0]  # fmt: skip
    for g in features:
        for h in features:
            flow = g(z) * h(after) - h(z) * g(after)
            assert abs(flow.mean()) <= 4 * flow.std() / np.sqrt(N) + 1e-15


def test_a_transition_leaves_the_target_invariant():
    assert 0.5 < one_transition(exact(N))[1].acceptance.mean() < 0.9
    assert_stationary()


def test_a_transition_is_in_detailed_balance():
    assert_detailed_balance()


def always_accept(monkeypatch):
    monkeypatch.setattr(hmc, "hamiltonian", lambda point, p: np.zeros(p.shape[:-1]))


def potential_alone(monkeypatch):
    monkeypatch.setattr(hmc, "hamiltonian", lambda point, p: point.energy)


def wrong_sign(monkeypatch):
    true = hmc.hamiltonian
    monkeypatch.setattr(hmc, "hamiltonian", lambda point, p: -true(point, p))


def no_half_step(monkeypatch):
    def euler(target, start, p, step, n):
        point = start
        for _ in range(n):
            p = p - step * point.grad
            point = at(target, point.z + step * p)
        return point, p

    monkeypatch.setattr(hmc, "leapfrog", euler)


MISTAKES = [always_accept, potential_alone, wrong_sign, no_half_step]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_caught(mistake, monkeypatch):
    mistake(monkeypatch)
    with pytest.raises(AssertionError):
        assert_stationary()
        assert_detailed_balance()


# --- chains -------------------------------------------------------------------------------


def chains(target, L, M=1, J=2, seed=0, **settings):
    z = np.random.default_rng(seed).standard_normal((L, M, J))
    return Chains(target, z, ChainNoise(OPS, seed), **settings)


def test_chains_find_a_correlated_normal():
    """From N(0, 1) starts: mean and covariance within 4 standard errors, over 2,000 chains."""
    n = 2000
    z = sample(normal, chains(normal, n), 1, warm_up=60).z[0, :, 0]  # (n, 2): independent
    assert (np.abs(z.mean(axis=0)) <= 4 * np.sqrt(np.diag(COVARIANCE) / n)).all()
    error = np.sqrt((COVARIANCE**2 + np.outer(*2 * [np.diag(COVARIANCE)])) / n)
    assert (np.abs(np.cov(z.T) - COVARIANCE) <= 4 * error).all()
    for j in range(2):
        law = stats.norm(scale=np.sqrt(COVARIANCE[j, j]))
        assert stats.kstest(z[:, j], law.cdf).pvalue > 1e-3


def test_chains_find_a_density_known_by_quadrature():
    """A lopsided well, in twenty equal bins: χ² fails a true sampler once in 1,000."""

    def well(z):
        return z[..., 0] ** 4 / 4 - 0.8 * z[..., 0], z**3 - 0.8

    grid = np.linspace(-4, 4, 4001)
    density = np.exp(-well(grid[:, None])[0])
    cdf = integrate.cumulative_simpson(density, x=grid, initial=0)
    z = sample(well, chains(well, 4000, J=1, seed=1), 1, warm_up=40).z.ravel()
    counts = np.histogram(np.interp(z, grid, cdf / cdf[-1]), 20, (0, 1))[0]
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("n_leapfrog", [4, 10])
@pytest.mark.parametrize("scale", [0.01, 0.3, 3])
def test_acceptance_reaches_its_target(scale, n_leapfrog):
    """Ten chains for each of 20 datapoints, 50 samples: 0.9 within 0.03, with no divergence."""

    def target(z):
        U, grad = normal(z / scale)
        return U, grad / scale

    report = sample(target, chains(target, 10, 20, n_leapfrog=n_leapfrog), 50).diagnostics
    assert report.acceptance.mean() == pytest.approx(0.9, abs=0.03)
    assert report.acceptance.min() > 0.8
    assert not report.divergences.any() and "diverged" not in str(report)
    assert "HMC accepted 90" in str(report) or "HMC accepted 8" in str(report)


def test_one_step_size_may_serve_all_and_chains_go_on():
    """As Monte Carlo EM has it: the target changes, the chains stay and ε follows."""
    c = chains(normal, 1, 200, step_size=np.full((1, 1), 0.1))
    for scale in (1.0, 0.5, 0.25):

        def target(z, scale=scale):
            U, grad = normal(z / scale)
            return U, grad / scale

        c.point = at(target, c.point.z)
        for _ in range(40):
            c.move(target, tune=True)
        c.reset_counts()
        for _ in range(10):
            c.move(target)
        assert c.step_size.shape == (1, 1) and c.diagnostics().step_size.shape == (200,)
        assert c.diagnostics().acceptance.mean() == pytest.approx(0.9, abs=0.03)
    assert c.moves == 150
    assert c.point.z.std(axis=(0, 1)) == pytest.approx(0.25 * np.sqrt(np.diag(COVARIANCE)), rel=0.2)


def test_chains_do_not_depend_on_the_chunk():
    """Of 5 datapoints with 4 chains each, the last 3 alone move as in company, to the bit."""
    z = np.random.default_rng(0).standard_normal((4, 5, 2))
    keys = np.arange(5, dtype=np.uint64)
    whole = sample(normal, Chains(normal, z, ChainNoise(OPS, 7, keys=keys)), 3, warm_up=20)
    noise = ChainNoise(OPS, 7, keys=keys[2:])
    part = sample(normal, Chains(normal, z[:, 2:].copy(), noise), 3, 20)
    np.testing.assert_allclose(part.z, whole.z[:, :, 2:], rtol=1e-12)
    other = sample(normal, Chains(normal, z, ChainNoise(OPS, 7, first=100)), 3, warm_up=20)
    assert np.abs(other.z - whole.z).min() > 0


# --- failures are said --------------------------------------------------------------------


def test_divergence_is_counted_and_said():
    """At forty times the step that is stable, the first moves explode, without a warning."""
    c = chains(normal, 5, 3, step_size=40.0)
    for _ in range(2):
        c.move(normal)
    report = c.diagnostics()
    assert (report.divergences == 10).all() and (report.acceptance == 0).all()
    assert "30 of them diverged, for 3 of 3 datapoints" in str(report)
    with pytest.raises(NumericalError, match=r"3 of 3 datapoints do not move: .* 30 diverged"):
        report.check()
    np.testing.assert_array_equal(c.point.z, chains(normal, 5, 3).point.z)


def test_energies_that_are_not_finite_are_never_accepted():
    """Outside a box the energy is NaN, or −∞ with a gradient that is NaN."""
    for outside in (np.nan, -np.inf, np.inf):

        def box(z, outside=outside):
            out = np.abs(z).max(axis=-1) > 1
            return np.where(out, outside, 0.0), np.where(out[..., None], np.nan, 0 * z)

        z = np.zeros((200, 1, 2))
        result = sample(box, Chains(box, z, ChainNoise(OPS, 0), 3), 20, warm_up=20)
        assert np.abs(result.z).max() <= 1
        assert result.z.std() == pytest.approx(1 / np.sqrt(3), rel=0.1)  # uniform in the box
        assert "diverged" in str(result)


def test_chains_that_never_move_are_an_error():
    def needle(z):
        return np.where((z == 0).all(axis=-1), 0.0, np.nan), np.zeros_like(z)

    with pytest.raises(NumericalError, match="2 of 2 datapoints do not move"):
        sample(needle, Chains(needle, np.zeros((3, 2, 2)), ChainNoise(OPS, 0)), 5)


def test_a_start_that_is_not_finite_is_an_error():
    def log_of(z):
        return -np.log(np.maximum(z[..., 0], 0)), np.ones_like(z)

    z = np.ones((2, 3, 1))
    z[0, 1] = 0
    with pytest.raises(NumericalError, match="not finite where 1 of 6 chains start"):
        Chains(log_of, z, ChainNoise(OPS, 0))


# --- the posterior of a decoder -----------------------------------------------------------

POSTERIORS = [(p, "tanh", (4,)) for p in small_models.LIKELIHOODS]
POSTERIORS += [("bernoulli", activation, (4, 3)) for activation in ACTIVATIONS]
POSTERIORS += [("normal", "identity", ())]


@pytest.mark.parametrize(("likelihood", "activation", "hidden"), POSTERIORS)
def test_the_gradient_of_log_p_is_that_of_the_complex_step(likelihood, activation, hidden):
    model = small_models.vae(likelihood=likelihood, hidden=hidden, activation=activation)
    engine = small_models.engine(model)
    x, z = small_models.batch(model)  # z (3, 5, 2)
    _, grad = LogJointTarget(engine, x).energy(z)
    along = Engine(model, get_backend("numpy"), engine.theta.astype(complex))
    posterior, h = LogJointTarget(along, x.astype(complex)), 1e-30
    for j in range(2):
        step = z + 1j * h * np.eye(2)[j]
        numeric = posterior.energy(step)[0].imag / h
        assert relative_error(grad[..., j], numeric) <= 1e-13


def test_log_p_is_that_of_scipy():
    model = small_models.vae(likelihood="bernoulli")
    engine = small_models.engine(model)
    (x, z), p = small_models.batch(model), engine.P
    h = np.tanh(z @ p["decoder.hidden.0.weight"].T + p["decoder.hidden.0.bias"])
    l = h @ p["decoder.logits.weight"].T + p["decoder.logits.bias"]
    log_p = (x * special.log_expit(l) + (1 - x) * special.log_expit(-l)).sum(axis=-1)
    U, _ = LogJointTarget(engine, x).energy(z)
    np.testing.assert_allclose(-U, log_p + stats.norm.logpdf(z).sum(axis=-1), rtol=1e-13)


def test_gradients_that_somebody_reads_stay():
    model = small_models.vae()
    engine = small_models.engine(model)
    x, eps = small_models.batch(model)
    engine.loss_and_grad(x, models.Noise(eps))
    before = engine.grad.copy()
    first = LogJointTarget(engine, x).energy(eps)
    kept = [a.copy() for a in first]
    LogJointTarget(engine, x).energy(eps + 1)
    np.testing.assert_array_equal(engine.grad, before)
    for a, b in zip(first, kept, strict=True):  # what is returned is no buffer
        np.testing.assert_array_equal(a, b)


def test_chains_start_at_the_prior_or_at_q():
    model = small_models.vae()
    engine = small_models.engine(model)
    x, eps = small_models.batch(model)
    cache = engine.forward(x, models.Noise(eps))
    posterior, expected = LogJointTarget(engine, x), cache.latent.z.copy()
    q = initial_density("posterior", posterior)
    np.testing.assert_allclose(q.rsample(eps), expected, rtol=1e-13)
    U, grad = q.energy(eps)
    np.testing.assert_allclose(-U, stats.norm.logpdf(eps, q.mu, q.sigma).sum(axis=-1), 1e-13)
    along = eps + 1j * 1e-30 * np.array([1, 0])
    numeric = InitialDensity(q.mu, q.sigma).energy(along)[0].imag / 1e-30
    np.testing.assert_allclose(grad[..., 0], numeric, rtol=1e-13)
    prior = initial_density("prior", posterior)
    np.testing.assert_array_equal(prior.rsample(eps), eps)
    assert prior.energy(np.zeros((1, 5, 2)))[0] == pytest.approx(np.full((1, 5), np.log(2 * pi)))
    with pytest.raises(ParameterError, match="start='here' is not known; choose from prior, pos"):
        initial_density("here", posterior)
    other = LogJointTarget(small_models.engine(small_models.autoencoder()), x)
    with pytest.raises(ParameterError, match="needs a normal"):
        initial_density("posterior", other)
