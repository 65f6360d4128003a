"""Families take whatever stands for real numbers, and say −∞ where nothing can be."""
import numpy as np
import pytest
from scipy import stats

import npvae
from npvae import distributions
from npvae.distributions import Bernoulli
from npvae.distributions.latents import FAMILIES

METHODS = {  # what they take before the parameters
    "rsample": ["noise"], "rsample_backward": ["d", "noise"], "log_prob": ["z"],
    "log_prob_backward": ["d", "z"], "entropy": [], "entropy_backward": ["d"], "kl": [],
    "kl_backward": ["d"], "kl_normal": [], "kl_normal_backward": ["d"], "mean": [],
    "mean_backward": ["d"], "location": [], "std": [],
}  # fmt: skip
KINDS = {
    "int": int, "float": float, "NumPy int": np.int64, "uint8": np.uint8, "bool": bool,
    "no dimensions": np.array, "a list": lambda v: [v] * 3, "a tuple": lambda v: (v,) * 3,
    "ints": lambda v: np.full(3, v), "uint8s": lambda v: np.full(3, v, "u1"),
    "a column": lambda v: np.full((2, 1), v),
}  # fmt: skip
ELEMENTWISE = [name for name, cls in FAMILIES.items() if not getattr(distributions, cls).joint]


def flat(result):
    return [a for part in result for a in flat(part)] if isinstance(result, tuple) else [result]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_numbers_of_any_kind_are_float64(name, kind):
    """The same as of float64 arrays, bit for bit, with parameters of 0 and 1 and z of 1."""
    q, make = getattr(distributions, FAMILIES[name])(), KINDS[kind]
    noise = [0.25 if what == "uniform" else 0.5 for what in q.noise]
    noise = np.array(noise) if len(noise) > 1 else noise[0]
    for method in (name for name in METHODS if hasattr(q, name)):
        for which in range(len(q.parameters) + 1):  # the one parameter that is 1
            before = [noise if a == "noise" else make(1) for a in METHODS[method]]
            params = [make(int(i == which)) for i in range(len(q.parameters))]
            exact = [np.asarray(a, float) for a in (*before, *params)]
            got, expected = (
                flat(getattr(q, method)(*arguments)) for arguments in ((*before, *params), exact)
            )
            for a, b in zip(got, expected, strict=True):
                assert np.asarray(a).dtype == np.float64, method
                np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_a_python_number_has_the_dtype_of_the_arrays_beside_it(name):
    q = getattr(distributions, FAMILIES[name])()
    z = np.array([0.25, 0.5], "f4")
    assert q.log_prob(z, *[0.0] * len(q.parameters)).dtype == np.float32
    assert q.log_prob(z, *[[0, 0]] * len(q.parameters)).dtype == np.float64


def test_joint_families_take_them_too():
    q = distributions.Dirichlet()
    assert q.log_prob([0.5, 0.25, 0.25], 0) == pytest.approx(np.log(2))  # uniform: Γ(3)
    np.testing.assert_array_equal(q.location([0, 0]), [0.5, 0.5])
    q = distributions.Elliptical()
    expected = stats.norm.logpdf([1, 2, 3]).sum()
    assert q.log_prob([1, 2, 3], 0, 0, 0) == pytest.approx(expected)
    assert q.log_prob([1, 2, 3], [0, 0, 0], [0, 0, 0], [0, 0, 0]) == pytest.approx(expected)
    assert q.log_prob(2, 1, 0, []) == pytest.approx(stats.norm.logpdf(1))
    assert q.kl([1, 1], 0, 0) == 1
    np.testing.assert_array_equal(q.std([0, 0], [0, 0], [0]), [1, 1])
    assert distributions.Dirichlet().std([0, 0]) == pytest.approx([12**-0.5] * 2)


def test_a_bernoulli_takes_them_and_is_minus_infinity_where_it_should_be():
    p = Bernoulli()
    assert p.mean(0) == 0.5 and p.log_prob(1, 0) == np.log(0.5)
    assert p.log_prob(np.uint8(0), 0) == np.log(0.5) and p.sample(0, [0, 0]).dtype == np.float64
    assert p.log_prob_backward(1, True, 0)[1][0] == 0.5
    l = np.array([np.inf, np.inf, -np.inf, -np.inf])
    np.testing.assert_array_equal(p.log_prob([0, 1, 0, 1], l), [-np.inf, 0, 0, -np.inf])
    x, l = np.meshgrid([0, 0.3, 1], np.float32([-1e30, -88, -30, 0, 30, 88, 1e30]))
    assert (p.log_prob(x.astype("f4"), l) <= 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_nothing_is_infinitely_far(name, dtype):
    """Of z and of the base variable y, with no NaN; and far out, at 10³⁰, nothing is likely."""
    q = getattr(distributions, FAMILIES[name])()
    z = np.array([-np.inf, np.inf], dtype)
    for p in (-2, 0, 2):
        with np.errstate(all="ignore"):
            params = [np.full(1, p, dtype)] * len(q.parameters)
            np.testing.assert_array_equal(q.log_prob(z, *params), -np.inf)
            np.testing.assert_array_equal(q.base.log_prob(z, *params), -np.inf)
            assert (q.base.log_prob(np.array([-1e30, 1e30], dtype), *params) < -50).all()


def test_the_kl_of_cauchys_is_finite_where_their_scales_are():
    for s in (-80.0, 80.0):
        kl = distributions.Cauchy().kl(np.zeros(1, "f4"), np.full(1, s, "f4"))
        assert kl[0] == pytest.approx(80 - np.log(4), rel=1e-6)
        d_loc, d_scale = distributions.Cauchy().kl_backward(1, np.zeros(1), np.full(1, s))
        assert d_loc == 0 and d_scale == pytest.approx(np.sign(s))


@pytest.mark.parametrize("logvar", [-80, 80])
@pytest.mark.parametrize("estimator", ["B", "A", "stl", "iwae", "dreg"])
def test_a_posterior_of_any_width_is_finite(estimator, logvar):
    X = npvae.data.load_digits().images[:20]
    vae = npvae.VAE(latent_dim=2, hidden=(5,), estimator=estimator, n_samples=2, random_state=0,
                    verbose=False).initialize(64)  # fmt: skip
    vae.parameters["encoder.logvar.bias"][...] = logvar
    loss, gradient = vae.loss_and_grad(X)
    assert np.isfinite([loss, *(g.sum() for g in gradient.values()), *vae.score_samples(X)]).all()
    assert np.isfinite(vae.log_likelihood(X, n_samples=10, rng=0).estimate).all()
