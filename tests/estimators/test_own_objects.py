"""Objects in the place of names: npvae's own, which files keep, and those that a user wrote."""
from dataclasses import dataclass
from math import lgamma, log, pi

import numpy as np
import pytest
from scipy import stats

import npvae
from npvae import io
from npvae.backend import array_module
from npvae.distributions import Erlang, Exponential, Gamma, Laplace, NormalLikelihood
from npvae.distributions.latents import LatentFamily
from npvae.distributions.likelihoods import (
    BernoulliLikelihood,
    DiscretizedLogisticLikelihood,
    FixedNormalLikelihood,
    Likelihood,
)
from npvae.distributions.priors import FamilyPrior, MixturePrior, VampPrior
from npvae.distributions.support import Support
from npvae.errors import ParameterError
from npvae.optim import Adam, Optimizer, Schedule, Step

X = npvae.data.load_digits().images[:100]
NU = 4.0  # degrees of freedom


class StudentTLikelihood(Likelihood):
    """x_d = μ_d + s_d t, t of Student's distribution with 4 degrees of freedom: heavy tails.

    Written outside the package, in plain array code, from what the protocol says.
    """

    mean_head = "mean"
    support = Support()

    def __repr__(self):
        return "StudentTLikelihood()"

    def heads(self, D):
        return {"mean": D, "logscale": D}

    def initial_bias(self, mean, variance, n):
        return {"mean": mean, "logscale": 0.5 * np.log(variance / 2)}  # of variance 2 s²

    def residual(self, a, x):
        """r = (x − μ)/s, and 1/s and log s."""
        D = x.shape[-1]
        rate = array_module(a).exp(-a[..., D:])
        return (x - a[..., :D]) * rate, rate, a[..., D:]

    def nll(self, ctx, a, bias, x):
        a += bias
        r, _, logscale = self.residual(a, x)
        constant = lgamma(NU / 2) - lgamma((NU + 1) / 2) + 0.5 * log(NU * pi)
        each = logscale + 0.5 * (NU + 1) * array_module(a).log1p(r * r / NU) + constant
        return each.sum(axis=-1), (a, x)

    def nll_backward(self, ctx, d_nll, cache, d_bias):
        a, x = cache
        r, rate, _ = self.residual(a, x)
        d_r = d_nll[..., None] * (NU + 1) * r / (NU + r * r)
        d_a = array_module(a).concatenate([-d_r * rate, d_nll[..., None] - d_r * r], axis=-1)
        d_bias[...] = d_a.reshape(-1, d_a.shape[-1]).sum(axis=0)
        return d_a

    def mean(self, ctx, a, bias, out):
        out[...] = a + bias

    def sample(self, ctx, a, bias, rng_key):
        D = a.shape[-1] // 2
        noise = ctx.work("student.noise", 1, len(a), 5 * D)
        ctx.ops.fill_noise(*rng_key, 0, noise)
        normal = noise.reshape(len(a), 5, D)
        t = normal[:, 0] / ((normal[:, 1:] ** 2).mean(axis=1)) ** 0.5
        return a[:, :D] + bias[:D] + array_module(a).exp(a[:, D:] + bias[D:]) * t


class Sharp(npvae.distributions.Logistic):
    """A family of a user's own."""


@dataclass(frozen=True)
class SignDescent(Optimizer):
    """An update rule of a user's own."""

    def step(self, ops, theta, grad, state, scratch, rate):
        theta -= rate * np.sign(grad)


@dataclass(frozen=True)
class Halving(Schedule):
    """A schedule of a user's own."""

    def __call__(self, p):
        return 0.5 ** (10 * p)


def model(cls=npvae.VAE, **settings):
    return cls(**{"hidden": (8,), "epochs": 2, "random_state": 0, "verbose": False} | settings)


# --- of a user's own ----------------------------------------------------------------------


def test_the_likelihood_is_one():
    assert isinstance(StudentTLikelihood(), Likelihood)


@pytest.mark.parametrize("cls", [npvae.VAE, npvae.Autoencoder, npvae.WakeSleep, npvae.FullVB,
                                 npvae.MCEM], ids=lambda cls: cls.__name__)  # fmt: skip
@pytest.mark.filterwarnings("ignore:in the last epoch:UserWarning")
def test_a_likelihood_of_ones_own_does_all_that_npvaes_do(cls):
    settings = {"likelihood": StudentTLikelihood(), "dtype": "float64", "learning_rate": 0.01}
    trained = model(cls, **settings, epochs=10, batch_size=20).fit(X)
    log_p = trained.history_["reconstruction"]
    assert log_p[-1] > log_p[0] + 10
    assert np.isfinite(trained.score(X[:5]))
    assert trained.inverse_transform(trained.transform(X[:5])).shape == (5, 64)
    report = npvae.testing.check_gradients(trained, X[:4], directions=3)
    assert report.ok, report
    exact = npvae.testing.check_gradients(trained, X[:4], directions=3, method="complex")
    assert exact.ok, exact
    if cls.has_prior:
        assert trained.sample(3, rng=0).shape == (3, 64)
        assert np.isfinite(trained.log_likelihood(X[:3], 100, method="prior", rng=0).estimate).all()


def test_draws_of_it_fit_its_density_and_its_deviation_is_its_own_affair():
    """20,000 draws of each of four features: p below 1e-6 once in 250,000 seeds."""
    trained = model(likelihood=StudentTLikelihood(), dtype="float64").fit(X[:, 18:22])
    p = trained.likelihood_of([[0.5, -0.5]])
    x, logscale = p.sample(2, 20_000)[:, 0], p.parameters["logscale"][0]
    for d in range(4):
        truth = stats.t(NU, p.mean[0, d], np.exp(logscale[d]))
        assert stats.kstest(x[:, d], truth.cdf).pvalue > 1e-6
    with pytest.raises(ParameterError, match=r"gives no std; give it a method stddev\(ctx, a, b"):
        _ = p.std

    class WithDeviation(StudentTLikelihood):
        def stddev(self, ctx, a, bias, out):
            np.exp(np.add(a, bias, out=a), out=a)  # it may use them up
            out[...] = 2**0.5 * a[:, a.shape[1] // 2 :]

    p = model(likelihood=WithDeviation(), dtype="float64").fit(X).likelihood_of([[0.5, -0.5]])
    drawn = p.sample(0)
    np.testing.assert_allclose(p.std, 2**0.5 * np.exp(p.parameters["logscale"]), 1e-14)
    np.testing.assert_array_equal(p.sample(0), drawn)
    assert trained.sample(3, 0, draw=True).shape == (3, 4)


def test_a_family_of_ones_own_has_what_it_has_methods_for():
    q = model(posterior=Sharp(), prior=Sharp(), estimator="A").fit(X).posterior_of(X[:5])
    assert repr(q) == "q(z|x) of 5 datapoints: Sharp(unit=0.0) of 2 latents, by " + (
        "loc (5, 2), log_scale (5, 2)"
    )
    np.testing.assert_allclose(q.std, pi / 3**0.5 * np.exp(q.parameters["log_scale"]), 1e-6)
    assert q.sample(0, 3).shape == (3, 5, 2)


def test_its_density_is_scipys():
    trained = model(npvae.Autoencoder, likelihood=StudentTLikelihood(), dtype="float64").fit(X)
    P, Z = trained.parameters, trained.transform(X)
    h = np.tanh(Z @ P["decoder.hidden.0.weight"].T + P["decoder.hidden.0.bias"])
    loc, logscale = (h @ P[f"decoder.{n}.weight"].T + P[f"decoder.{n}.bias"]
                     for n in ("mean", "logscale"))  # fmt: skip
    truth = stats.t.logpdf(X, NU, loc, np.exp(logscale)).sum(axis=1)
    np.testing.assert_allclose(trained.score_samples(X), truth, rtol=1e-10)


@pytest.mark.parametrize("settings", [
    {"posterior": Sharp()}, {"posterior": Sharp(), "prior": Sharp()}, {"prior": Sharp()},
    {"posterior": LatentFamily(Sharp()), "prior": "vamp", "prior_components": 3},
], ids=str)  # fmt: skip
@pytest.mark.filterwarnings("ignore:posterior='normal' has lighter tails:UserWarning")
def test_a_family_of_ones_own_is_a_posterior_and_a_prior(settings):
    trained = model(**settings, estimator="A", dtype="float64").fit(X)
    own = (Sharp, LatentFamily)
    named = {k: "logistic" if isinstance(v, own) else v for k, v in settings.items()}
    same = model(**named, estimator="A", dtype="float64").fit(X)
    assert trained.engine_.theta.tobytes() == same.engine_.theta.tobytes()
    assert npvae.testing.check_gradients(trained, X[:3], directions=2).ok
    assert trained.sample(2, rng=0).tobytes() == same.sample(2, rng=0).tobytes()
    assert np.isfinite(trained.log_likelihood(X[:3], 100, rng=0).estimate).all()


def test_a_family_of_ones_own_is_judged_by_where_it_lies():
    with pytest.raises(ParameterError, match=r"posterior=Sharp\(unit=0.0\) is on the real line an"):
        model(posterior=Sharp(), prior="gamma", estimator="A").fit(X)

    class Within(Sharp):
        support = "interval"

    with pytest.raises(ParameterError, match="is on an interval and prior='normal'"):
        model(posterior=Within(), estimator="A").fit(X)
    with pytest.raises(ParameterError, match="needs a KL in closed form"):
        model(posterior=Sharp(), prior="laplace").fit(X)


@dataclass
class Unhashable(Sharp):
    unit: float = 0.0


def test_a_family_that_cannot_be_hashed_is_refused():
    with pytest.raises(ParameterError, match="frozen=True"):
        model(posterior=Unhashable(), estimator="A").fit(X)


def test_an_optimizer_and_a_schedule_of_ones_own_train():
    trained = model(optimizer=SignDescent(), schedule=Halving(), epochs=1, batch_size=100)
    before = model().initialize(64)
    npvae.estimators.training.start_at_moments(before, X, 1.0)
    moved = trained.fit(X).engine_.theta - before.engine_.theta
    assert set(np.round(np.abs(moved) * 1e6)) <= {0, 1000}  # one step of ± the learning rate


def test_a_likelihood_that_lacks_something_is_told_of_in_one_line():
    class NoSample(StudentTLikelihood):
        sample = property()

    for lacks, given in (("sample", NoSample()), ("nll_backward", lacking("nll_backward"))):
        with pytest.raises(ParameterError, match=f"has no {lacks}; give it all") as caught:
            model(likelihood=given).fit(X)
        assert "\n" not in str(caught.value)


def lacking(name):
    """A likelihood without one of its methods."""
    members = {k: v for k, v in vars(StudentTLikelihood).items() if k != name}
    return type("Lacking", (Likelihood,), members)()


@pytest.mark.parametrize("settings", [
    {"likelihood": StudentTLikelihood(), "likelihood_std": 0.1},
    {"likelihood": StudentTLikelihood(), "likelihood_mean": "sigmoid"},
    {"likelihood": StudentTLikelihood(), "n_levels": 3},
    {"likelihood": StudentTLikelihood}, {"likelihood": Adam()}, {"posterior": Sharp},
    {"prior": BernoulliLikelihood()}, {"prior": MixturePrior(0)},
    {"prior": VampPrior(3, LatentFamily("laplace")), "estimator": "A"},
], ids=str)  # fmt: skip
def test_what_does_not_fit_is_one_line(settings):
    with pytest.raises(ParameterError) as caught:
        model(**settings).fit(X)
    assert "\n" not in str(caught.value) and f"{next(iter(settings))}" in str(caught.value)


OWN = {"likelihood": StudentTLikelihood(), "posterior": Sharp(), "prior": Sharp(),
       "optimizer": SignDescent(), "schedule": Halving()}  # fmt: skip


@pytest.mark.parametrize("name", OWN)
def test_a_file_cannot_hold_them_and_says_what_can(name, tmp_path):
    settings = {name: OWN[name], "estimator": "A"}
    with pytest.warns(UserWarning, match=rf"^{name}=.*no file can hold.*save will refuse") as told:
        trained = model(**settings).fit(X)  # said before the hours that a training may take
    assert "\n" not in str(told[0].message)
    assert trained.get_params()[name] is OWN[name]
    path, theta = tmp_path / "model.npz", trained.engine_.theta.copy()
    for call in (lambda: trained.save(path), lambda: trained.fit(X, checkpoint=path)):
        with pytest.raises(ParameterError, match=f"^{name}=.*no file can hold; keep the") as caught:
            call()
        assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    assert trained.engine_.theta.tobytes() == theta.tobytes()  # refused before it began anew
    np.savez(path, **trained.parameters)  # what it says
    with np.load(path) as kept:
        again = model(**settings).initialize(64).set_parameters(dict(kept))
    assert again.transform(X).tobytes() == trained.transform(X).tobytes()


# --- npvae's own --------------------------------------------------------------------------

KEPT = {
    "names": {"likelihood": "NORMAL", "optimizer": "SGD", "estimator": "b", "dtype": "FLOAT64"},
    "bernoulli": {"likelihood": BernoulliLikelihood()},
    "normal": {"likelihood": NormalLikelihood(sigmoid_mean=True)},
    "fixed": {"likelihood": FixedNormalLikelihood(0.1)},
    "levels": {"likelihood": DiscretizedLogisticLikelihood(17)},
    "family": {"posterior": Gamma(), "prior": Exponential(), "estimator": "A"},
    "options": {"posterior": Erlang(3), "prior": "exponential", "estimator": "A"},
    "variables": {"posterior": LatentFamily("laplace"), "prior": FamilyPrior("laplace")},
    "prior": {"posterior": Laplace(), "prior": Laplace()},
    "mixture": {"prior": MixturePrior(3), "estimator": "A"},
    "vamp": {"posterior": Laplace(), "prior": VampPrior(3, LatentFamily("laplace")),
             "estimator": "A"},
    "training": {"optimizer": Adam(beta1=0.8), "schedule": Step(at=(0.5,))},
}  # fmt: skip


@pytest.mark.parametrize("kind", KEPT)
def test_files_and_checkpoints_hold_npvaes_own_objects(kind, tmp_path):
    path, second, checkpoint = (tmp_path / f"{n}.npz" for n in ("model", "second", "checkpoint"))
    trained = model(**KEPT[kind], batch_size=30)
    trained.fit(X, checkpoint=checkpoint, callbacks=[lambda state: state.epoch == 1])
    assert trained.get_params().items() >= KEPT[kind].items()
    trained.save(path)
    loaded = npvae.load(path)
    assert loaded.engine_.model == trained.engine_.model
    assert loaded.transform(X).tobytes() == trained.transform(X).tobytes()
    assert loaded.score_samples(X).tobytes() == trained.score_samples(X).tobytes()
    loaded.save(second)
    assert path.read_bytes() == second.read_bytes()
    resumed = model(**KEPT[kind], batch_size=30).fit(X, checkpoint=checkpoint, resume=True)
    straight = model(**KEPT[kind], batch_size=30).fit(X)
    assert resumed.engine_.theta.tobytes() == straight.engine_.theta.tobytes()


def test_an_object_is_what_its_name_is():
    for settings, same in [
        ({"likelihood": NormalLikelihood()}, {"likelihood": "normal"}),
        ({"posterior": Gamma(), "prior": Gamma(), "estimator": "A"},
         {"posterior": "gamma", "prior": "gamma", "estimator": "A"}),
        ({"prior": MixturePrior(4), "estimator": "A"},
         {"prior": "mixture", "prior_components": 4, "estimator": "A"}),
        ({"optimizer": Adam()}, {"optimizer": "adam"}),
    ]:  # fmt: skip
        once, again = (model(**s).fit(X).engine_.theta.tobytes() for s in (settings, same))
        assert once == again, settings


# --- files of before ----------------------------------------------------------------------

NEWER = ("kl_weight", "kl_warmup", "free_bits", "likelihood_std", "n_levels", "initial_std")


def test_files_that_lack_newer_arguments_load_and_go_on(tmp_path):
    path, checkpoint = tmp_path / "model.npz", tmp_path / "checkpoint.npz"
    trained = model().fit(X, checkpoint=checkpoint)
    trained.save(path)
    for kind, file in (("model", path), ("checkpoint", checkpoint)):
        config, arrays = io.read_archive(file, kind)
        for name in NEWER:
            del config["params"][name]
        io.write_archive(file, kind, config, arrays)
    assert npvae.load(path).score_samples(X).tobytes() == trained.score_samples(X).tobytes()
    resumed = model(epochs=3).fit(X, checkpoint=checkpoint, resume=True)
    straight = model(epochs=3).fit(X)
    assert resumed.engine_.theta.tobytes() == straight.engine_.theta.tobytes()
    with pytest.raises(npvae.ModelFileError, match=r"made with kl_weight=1\.0, not 2"):
        model(epochs=3, kl_weight=2).fit(X, checkpoint=checkpoint, resume=True)
