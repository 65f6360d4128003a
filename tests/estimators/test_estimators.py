"""The public classes keep scikit-learn's conventions, and their files keep every bit."""
import inspect
import json
import zipfile

import numpy as np
import pytest
from scipy import stats

import npvae
from npvae.errors import DataError, ModelFileError, NotFittedError, ParameterError
from npvae.estimators.arguments import resolve_option
from npvae.optim import Adam, AdamW, Cosine, Momentum, Step, WarmUp

DIGITS = npvae.data.load_digits()
X = DIGITS.images[:200]  # (N, D), float32
CLASSES = [npvae.VAE, npvae.Autoencoder]


def fitted(cls=npvae.VAE, data=X, **settings):
    defaults = {"hidden": (8,), "epochs": 2, "random_state": 0, "verbose": False}
    return cls(**(defaults | settings)).fit(data)


@pytest.fixture(scope="module")
def vae():
    """A fitted model that no test changes."""
    return fitted()


# --- scikit-learn -------------------------------------------------------------------------


@pytest.mark.parametrize("cls", CLASSES)
def test_the_constructor_keeps_its_arguments_and_checks_nothing(cls):
    names = list(inspect.signature(cls).parameters)
    nonsense = {name: object() for name in names}
    model = cls(**nonsense)
    assert model.get_params() == nonsense
    assert all(getattr(model, name) is nonsense[name] for name in names)
    assert set(vars(model)) == set(names)


@pytest.mark.parametrize("cls", CLASSES)
def test_set_params_changes_what_get_params_gives(cls):
    model = cls()
    assert model.set_params(latent_dim=7, epochs=2) is model
    expected = cls(latent_dim=7, epochs=2).get_params()
    assert model.get_params() == expected
    assert model.set_params().get_params() == expected


def test_repr_shows_what_differs_from_the_defaults():
    assert repr(npvae.VAE()) == "VAE()"
    assert repr(npvae.VAE(hidden=(3,), n_samples=2)) == "VAE(hidden=(3,), n_samples=2)"
    assert repr(npvae.Autoencoder(l2=0.1)) == "Autoencoder(l2=0.1)"


def test_the_public_surface_has_its_defaults():
    """DESIGN's signature, which others build on."""
    expected = {
        "latent_dim": 2, "hidden": (500,), "activation": "tanh", "likelihood": "bernoulli",
        "likelihood_mean": "linear", "posterior": "normal", "prior": "normal", "estimator": "B",
        "n_samples": 1, "parameter_prior": False, "optimizer": "adam", "learning_rate": 1e-3,
        "batch_size": 100, "epochs": 20, "backend": "numpy", "dtype": "float32",
        "random_state": None, "verbose": None,
    }  # fmt: skip
    assert expected.items() <= npvae.VAE().get_params().items()


def test_methods_return_self_and_fit_transform_the_codes(vae):
    model = npvae.VAE(hidden=(4,), epochs=1, verbose=False)
    assert model.initialize(64) is model
    assert model.fit(X) is model
    assert model.partial_fit(X) is model
    assert model.set_parameters(dict(model.parameters)) is model
    again = npvae.VAE(hidden=(8,), epochs=2, random_state=0, verbose=False)
    np.testing.assert_array_equal(again.fit_transform(X, None), vae.transform(X))


STILL = {"optimizer": "sgd", "learning_rate": 1e-12, "epochs": 1}  # training that changes nothing
each_class = pytest.mark.parametrize(
    "cls", [npvae.VAE, npvae.WakeSleep, npvae.FullVB, npvae.Autoencoder, npvae.MCEM],
    ids=lambda cls: cls.__name__,
)  # fmt: skip


@each_class
@pytest.mark.parametrize("first", ["fit", "partial_fit"])
@pytest.mark.filterwarnings("ignore:in the last epoch:UserWarning")  # of an MCEM, after one
def test_the_decoder_begins_at_the_mean_of_the_data(cls, first):
    """E[x|z = 0], where tanh(W z) is 0. One datapoint more at either end is all that it is off."""
    model = cls(hidden=(4,), random_state=0, verbose=False, **STILL)
    getattr(model, first)(X)
    got = model.inverse_transform(np.zeros((1, 2)))[0]
    np.testing.assert_allclose(got, X.mean(0), atol=1.1 / len(X))


def test_what_is_learned_is_kept_by_a_second_partial_fit():
    model = npvae.VAE(hidden=(4,), random_state=0, verbose=False, **STILL).partial_fit(X)
    once = model.inverse_transform(np.zeros((1, 2)))
    assert np.array_equal(model.partial_fit(1 - X).inverse_transform(np.zeros((1, 2))), once)


def test_the_mean_is_of_the_pixels_as_the_model_sees_them():
    model = npvae.VAE(hidden=(4,), random_state=0, binarize="threshold", verbose=False, **STILL)
    got = model.fit(npvae.data.load_digits()).inverse_transform(np.zeros((1, 2)))[0]
    whole = npvae.data.load_digits().images
    np.testing.assert_allclose(got, (whole > 0.5).mean(0), atol=1.1 / len(whole))


@pytest.mark.parametrize("rows", [10, 4100, 20_000])
def test_the_mean_is_of_every_row(rows):
    """Also of data whose rows repeat, where every second row has not all features."""
    model = npvae.VAE(hidden=(4,), random_state=0, verbose=False, **STILL | {"batch_size": 10})
    got = model.fit(np.resize(np.eye(10), (rows, 10))).inverse_transform(np.zeros((1, 2)))
    np.testing.assert_allclose(got, 0.1, rtol=1.1 * 10 / rows)


def test_a_resumed_run_begins_where_it_was(tmp_path):
    settings = {"hidden": (4,), "random_state": 0, "verbose": False}
    file = tmp_path / "checkpoint.npz"
    npvae.VAE(epochs=1, **settings).fit(X, checkpoint=file)
    resumed = npvae.VAE(epochs=2, **settings).fit(X, checkpoint=file, resume=True)
    whole = npvae.VAE(epochs=2, **settings).fit(X)
    assert resumed.engine_.theta.tobytes() == whole.engine_.theta.tobytes()


def test_first_weights_have_the_deviation_asked_for_and_files_keep_it(tmp_path):
    model = npvae.VAE(hidden=(50,), initial_std=0.01, random_state=0).initialize(64)
    weights = model.engine_.theta[model.engine_.weights]  # 6,700: √(2/n) = 1.7 % of the variance
    assert weights.var() == pytest.approx(1e-4, rel=0.07)
    model.save(tmp_path / "model.npz")
    assert npvae.load(tmp_path / "model.npz").get_params()["initial_std"] == 0.01


def test_all_of_the_prior_decodes_to_something_like_the_data():
    """From a bias of 0, half of these samples are brighter than any digit (README's pictures)."""
    model = npvae.VAE(hidden=(64,), epochs=10, random_state=0, verbose=False)
    X = npvae.data.load_digits().images
    samples = model.fit(X).sample(1000, rng=0)
    assert samples.mean(1).max() < X.mean(1).max()


# Where npvae differs on purpose, or not yet does what the check wants.
@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_own_checks(cls):
    checks = pytest.importorskip("sklearn.utils.estimator_checks")
    model = cls(hidden=(4,), epochs=1, likelihood="normal", verbose=False)
    results = checks.check_estimator(model, on_skip=None, on_fail=None)
    assert not [(r["check_name"], r["exception"]) for r in results if r["status"] == "failed"]
    assert sum(r["status"] == "passed" for r in results) > 30


@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_tools():
    """Cloned, cut into folds, put behind a scaler, searched over: as any estimator."""
    base = pytest.importorskip("sklearn.base")
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler

    model = npvae.VAE(hidden=(8,), epochs=1, random_state=0, optimizer=Adam(beta1=0.8))
    clone = base.clone(model)
    assert clone is not model
    assert clone.get_params() == model.get_params()
    pipeline = make_pipeline(MinMaxScaler(clip=True), model)
    search = GridSearchCV(pipeline, {"vae__latent_dim": [1, 3]}, cv=2).fit(DIGITS.pixels[:200])
    assert search.best_estimator_.transform(DIGITS.pixels[:5]).shape[1] in (1, 3)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


# --- before fit ---------------------------------------------------------------------------

CALLS = {
    "history_": lambda m: m.history_,
    "parameters": lambda m: m.parameters,
    "set_parameters": lambda m: m.set_parameters({}),
    "transform": lambda m: m.transform(X),
    "inverse_transform": lambda m: m.inverse_transform(np.zeros((1, 2))),
    "likelihood_of": lambda m: m.likelihood_of(np.zeros((1, 2))),
    "reconstruct": lambda m: m.reconstruct(X),
    "posterior_of": lambda m: m.posterior_of(X),
    "score_samples": lambda m: m.score_samples(X),
    "score": lambda m: m.score(X),
    "loss_and_grad": lambda m: m.loss_and_grad(X),
    "save": lambda m: m.save("never-written.npz"),
    "export": lambda m: m.export("never-written.safetensors", "safetensors"),
    "elbo": lambda m: m.elbo(X),
    "standardization_": lambda m: m.standardization_,
    "sample": lambda m: m.sample(1),
    "log_likelihood": lambda m: m.log_likelihood(X),
    "iwae_bound": lambda m: m.iwae_bound(X),
    "get_feature_names_out": lambda m: m.get_feature_names_out(),
}
NO_PRIOR = ("elbo", "sample", "log_likelihood", "iwae_bound")  # an auto-encoder has none of these


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("cls", CLASSES)
def test_results_of_a_model_without_parameters_are_refused(cls, call):
    if (cls is npvae.Autoencoder and call in NO_PRIOR) or (
        call == "posterior_of" and not cls.has_bound
    ):
        assert not hasattr(cls, call)
        return
    with pytest.raises(NotFittedError, match=rf"this {cls.__name__} has no parameters yet; call"):
        CALLS[call](cls())


def test_every_public_method_is_in_that_list():
    public = {name for name in dir(npvae.VAE) if not name.startswith("_")}
    makes_parameters = {"fit", "partial_fit", "fit_transform", "initialize"}
    defaults = {"n_samples", "kl_weight", "kl_warmup", "free_bits", "likelihood_std", "n_levels"}
    defaults |= {"takes_validation", "has_prior", "has_bound", "decoder_hidden", "posterior"}
    defaults |= {"prior", "prior_components", "estimator", "parameter_prior", "early_stopping"}
    defaults |= {"noise", "indivisible", "in_memory"}
    needs_none = {"get_params", "set_params", "set_output", "MODELS"}
    assert public - makes_parameters - needs_none - defaults == set(CALLS)


# --- arrays in and out --------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_results_are_numpy_arrays_of_the_models_dtype(dtype):
    vae = fitted(dtype=dtype, latent_dim=3)
    bound, likelihood = vae.elbo(X), vae.log_likelihood(X[:3], 10, rng=0)
    loss, gradient = vae.loss_and_grad(X)
    shapes = {
        (200, 3): [vae.transform(X)],
        (200, 64): [vae.inverse_transform(vae.transform(X))],
        (6, 64): [vae.sample(6, rng=0)],
        (200,): [bound.total, bound.reconstruction, bound.kl, vae.score_samples(X)],
        (3,): [likelihood.estimate, likelihood.standard_error, likelihood.effective_sample_size],
    }
    for shape, arrays in shapes.items():
        for array in arrays:
            assert type(array) is np.ndarray
            assert (array.shape, array.dtype) == (shape, dtype)
    assert type(loss) is float and type(vae.score(X)) is float
    assert gradient.keys() == vae.parameters.keys()
    for name, view in vae.parameters.items():
        assert (gradient[name].shape, gradient[name].dtype) == (view.shape, dtype)


def test_results_belong_to_the_caller(vae):
    """No later call changes what an earlier one gave, and changing it changes nothing."""
    results = [vae.transform(X), vae.score_samples(X), vae.sample(3, rng=0)]
    results += vae.loss_and_grad(X)[1].values()
    before = [result.copy() for result in results]
    vae.transform(1 - X), vae.score_samples(1 - X), vae.loss_and_grad(1 - X), vae.sample(3)
    for result, copy in zip(results, before, strict=True):
        assert result.tobytes() == copy.tobytes()
        assert not any(np.shares_memory(result, view) for view in vae.parameters.values())


def test_transform_is_deterministic_and_score_too(vae):
    for call in (vae.transform, vae.score_samples, vae.score, vae.inverse_transform):
        argument = vae.transform(X) if call == vae.inverse_transform else X
        once, again = call(argument), call(argument)
        assert np.asarray(once).tobytes() == np.asarray(again).tobytes()
    assert vae.score(X) == vae.score(X, np.zeros(200))  # labels are ignored
    np.testing.assert_allclose(vae.score(X), vae.score_samples(X).mean(), rtol=1e-6)


def test_score_does_not_depend_on_what_was_asked_before(vae):
    before = vae.score_samples(X)
    vae.sample(3), vae.log_likelihood(X[:2], 5), vae.loss_and_grad(X[:7]), vae.transform(X)
    assert vae.score_samples(X).tobytes() == before.tobytes()


def test_sample_follows_rng(vae):
    assert vae.sample(5, rng=7).tobytes() == vae.sample(5, rng=7).tobytes()
    assert vae.sample(5, rng=7).tobytes() != vae.sample(5, rng=8).tobytes()
    assert vae.sample(5).tobytes() != vae.sample(5).tobytes()
    rng = np.random.default_rng(7)
    once, again = vae.sample(5, rng), vae.sample(5, rng)
    assert once.tobytes() == vae.sample(5, rng=7).tobytes()
    assert once.tobytes() != again.tobytes()  # the generator moved on
    assert ((once > 0) & (once < 1)).all()


def test_log_likelihood_follows_rng(vae):
    def estimate(rng):
        return vae.log_likelihood(X[:4], 20, rng=rng).estimate.tobytes()

    assert estimate(3) == estimate(3) != estimate(4)
    assert estimate(None) != estimate(None)
    assert estimate(np.random.default_rng(3)) == estimate(np.random.default_rng(3))


@pytest.mark.parametrize(
    "make",
    [lambda: 5, lambda: np.int64(5), lambda: 2**64 - 1, lambda: np.random.default_rng(5),
     lambda: np.random.RandomState(5)],
)  # fmt: skip
def test_random_state_decides_everything(make):
    once, again = (fitted(random_state=make()) for _ in range(2))
    assert once.engine_.theta.tobytes() == again.engine_.theta.tobytes()
    assert once.score(X) == again.score(X)


def test_without_random_state_no_two_are_alike():
    a, b = (npvae.VAE(hidden=(4,)).initialize(64).engine_.theta for _ in range(2))
    assert a.tobytes() != b.tobytes()


def test_widths():
    def shapes(**widths):
        model = npvae.VAE(latent_dim=2, **widths).initialize(9)
        return [
            view.shape for name, view in model.parameters.items()
            if name.endswith(".weight") and "logvar" not in name
        ]  # fmt: skip

    assert shapes(hidden=(7, 5)) == [(7, 9), (5, 7), (2, 5), (5, 2), (7, 5), (9, 7)]
    assert shapes(hidden=(7,), decoder_hidden=(4, 6)) == [(7, 9), (2, 7), (4, 2), (6, 4), (9, 6)]
    assert shapes(hidden=(7,), decoder_hidden=()) == [(7, 9), (2, 7), (9, 2)]
    assert shapes(hidden=()) == [(2, 9), (9, 2)]
    assert shapes(hidden=[np.int64(7)]) == shapes(hidden=(7,))


# --- the loss and its parts ---------------------------------------------------------------


@pytest.mark.parametrize("likelihood", ["bernoulli", "normal"])
@pytest.mark.parametrize("estimator", ["A", "B"])
@pytest.mark.parametrize("L", [1, 3])
def test_loss_is_minus_the_mean_bound_at_the_same_noise(likelihood, estimator, L):
    vae = fitted(likelihood=likelihood, estimator=estimator, n_samples=L, dtype="float64")
    eps = np.random.default_rng(0).standard_normal((L, 200, 2))
    loss, _ = vae.loss_and_grad(X, eps)
    assert loss == pytest.approx(-vae.elbo(X, eps).total.mean(), rel=1e-12)
    assert vae.loss_and_grad(X)[0] == pytest.approx(-vae.score(X, n_samples=L), rel=1e-12)
    assert vae.elbo(X).total.tobytes() == vae.score_samples(X).tobytes()


def test_noise_may_have_any_number_of_samples(vae):
    """And the bound of L samples is the mean of L bounds of one."""
    eps = np.random.default_rng(0).standard_normal((4, 200, 2))
    each = [vae.elbo(X, eps[l : l + 1]).total for l in range(4)]
    np.testing.assert_allclose(vae.elbo(X, eps).total, np.mean(each, axis=0), rtol=1e-5)
    assert vae.elbo(X, eps.tolist()).total.tobytes() == vae.elbo(X, eps).total.tobytes()


def test_the_gradient_points_up_the_loss(vae):
    """A first-order step along −g lowers the loss by rate · ‖g‖², to second order in the rate."""
    model = npvae.VAE(hidden=(8,), dtype="float64", random_state=0).initialize(64)
    model.set_parameters(vae.parameters)
    eps = np.random.default_rng(0).standard_normal((1, 200, 2))
    before, gradient = model.loss_and_grad(X, eps)
    square = sum((g**2).sum() for g in gradient.values())
    for name, view in model.parameters.items():
        view -= 1e-7 * gradient[name]
    after, _ = model.loss_and_grad(X, eps)
    assert (before - after) / (1e-7 * square) == pytest.approx(1, rel=1e-4)


def test_parameter_prior_is_log_normal_of_the_weights_over_n():
    """−log N(w; 0, I) / N, weights only, N the datapoints that it was fitted to."""
    settings = {"hidden": (8,), "dtype": "float64", "random_state": 0, "epochs": 1}
    without = npvae.VAE(**settings, verbose=False).fit(X)
    with_it = npvae.VAE(**settings, parameter_prior=True, verbose=False).fit(X)
    with_it.set_parameters(without.parameters)
    eps = np.random.default_rng(0).standard_normal((1, 50, 2))
    (loss, gradient), (plain, plain_gradient) = (
        model.loss_and_grad(X[:50], eps) for model in (with_it, without)
    )
    weights = {k: v for k, v in without.parameters.items() if k.endswith(".weight")}
    log_prior = sum(stats.norm.logpdf(w).sum() for w in weights.values())
    assert loss - plain == pytest.approx(-log_prior / 200, rel=1e-12)
    for name, w in without.parameters.items():
        change = gradient[name] - plain_gradient[name]
        np.testing.assert_allclose(change, w / 200 if name in weights else 0 * w, atol=1e-15)
    assert with_it.elbo(X, None).total.tobytes() == without.elbo(X, None).total.tobytes()


@pytest.mark.parametrize("likelihood", ["bernoulli", "normal"])
def test_autoencoder_is_reconstruction_error_and_a_penalty(likelihood):
    """Against SciPy's densities at the decoder's own output."""
    model = fitted(
        npvae.Autoencoder, likelihood=likelihood, dtype="float64", l2=0.3, standardize=False
    )
    p = model.parameters
    h = np.tanh(X @ p["encoder.hidden.0.weight"].T + p["encoder.hidden.0.bias"])
    z = h @ p["encoder.code.weight"].T + p["encoder.code.bias"]
    h = np.tanh(z @ p["decoder.hidden.0.weight"].T + p["decoder.hidden.0.bias"])

    def head(name):
        return h @ p[f"decoder.{name}.weight"].T + p[f"decoder.{name}.bias"]

    if likelihood == "bernoulli":
        y = 1 / (1 + np.exp(-head("logits")))
        log_p, mean = (X * np.log(y) + (1 - X) * np.log1p(-y)).sum(axis=1), y
    else:
        mean, sigma = head("mean"), np.exp(0.5 * head("logvar"))
        log_p = stats.norm.logpdf(X, mean, sigma).sum(axis=1)
    np.testing.assert_allclose(model.transform(X), z, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(model.inverse_transform(z), mean, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(model.score_samples(X), log_p, rtol=1e-9)
    penalty = 0.5 * 0.3 * sum((w**2).sum() for k, w in p.items() if k.endswith(".weight"))
    assert model.loss_and_grad(X)[0] == pytest.approx(penalty - log_p.mean(), rel=1e-12)


def test_autoencoder_learns():
    model = fitted(npvae.Autoencoder, epochs=10, learning_rate=0.01)
    assert model.history_["elbo"][0] < model.history_["elbo"][-1]
    assert set(model.history_["kl"]) == {0.0}


# --- parameters ---------------------------------------------------------------------------


def test_parameters_are_views():
    vae = fitted()
    before = vae.sample(2, rng=0)
    vae.parameters["decoder.logits.bias"][:] = 50
    assert (vae.sample(2, rng=0) == 1).all() and (before < 1).all()


@pytest.mark.parametrize(
    ("change", "fragment"),
    [
        (lambda p: p.pop("encoder.mean.bias"), "encoder.mean.bias"),
        (lambda p: p.update(surplus=np.zeros(1)), "surplus"),
        (lambda p: p.update({"encoder.mean.bias": np.zeros(3)}), r"\(3,\).*\(2,\)"),
        (lambda p: p.update({"encoder.mean.bias": np.array([0, np.nan])}), "NaN or infinity"),
    ],
    ids=["missing", "unknown", "misshapen", "NaN"],
)
def test_parameters_that_do_not_fit_change_nothing(change, fragment):
    vae = fitted()
    before = vae.engine_.theta.tobytes()
    parameters = {name: np.zeros_like(view) for name, view in vae.parameters.items()}
    change(parameters)
    with pytest.raises(ModelFileError, match=fragment):
        vae.set_parameters(parameters)
    assert vae.engine_.theta.tobytes() == before


def test_parameters_cross_dtypes(vae):
    double = npvae.VAE(hidden=(8,), dtype="float64", random_state=0).initialize(64)
    double.set_parameters(vae.parameters)
    np.testing.assert_allclose(double.transform(X), vae.transform(X), atol=1e-5)  # float32
    np.testing.assert_allclose(double.score_samples(X), vae.score_samples(X), rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"X": X, "validation": X[:, 1:]}, DataError),
        ({"X": X + 1}, DataError),
    ],
    ids=["validation", "data"],
)
def test_a_fit_that_is_refused_leaves_the_last_one(arguments, error):
    vae = fitted()
    before = vae.score(X)
    with pytest.raises(error):
        vae.fit(**arguments)
    assert vae.score(X) == before
    with pytest.raises(ParameterError, match="early_stopping=2 needs validation data"):
        vae.set_params(early_stopping=2).fit(X)
    assert vae.score(X) == before


# --- files --------------------------------------------------------------------------------

SAVED = {
    "default": (npvae.VAE, {}),
    "normal": (npvae.VAE, {"likelihood": "normal", "likelihood_mean": "sigmoid"}),
    "deep": (npvae.VAE, {"hidden": (9, 7), "decoder_hidden": (5, 6), "activation": "elu"}),
    "flat": (npvae.VAE, {"hidden": ()}),
    "list": (npvae.VAE, {"hidden": [8]}),
    "double": (npvae.VAE, {"dtype": "float64", "estimator": "A", "n_samples": 2}),
    "prior": (npvae.VAE, {"parameter_prior": True}),
    "instance": (npvae.VAE, {"optimizer": AdamW(weight_decay=0.1), "schedule": Step(at=(0.5,))}),
    "nested": (npvae.VAE, {"schedule": WarmUp(fraction=0.1, then=Cosine(floor=0.2))}),
    "dict": (npvae.VAE, {"optimizer": {"name": "momentum", "mu": 0.5}}),
    "numpy": (npvae.VAE, {"latent_dim": np.int64(3), "learning_rate": np.float32(0.01)}),
    "generator": (npvae.VAE, {"random_state": np.random.default_rng(0)}),
    "none": (npvae.VAE, {"random_state": None}),
    "autoencoder": (npvae.Autoencoder, {"l2": 0.01}),
}


@pytest.mark.parametrize("kind", SAVED)
def test_a_file_alone_rebuilds_the_model(kind, tmp_path):
    cls, settings = SAVED[kind]
    images = npvae.data.Dataset(DIGITS.pixels[:200], image_shape=(8, 8), scale=1 / 16)
    model, path = fitted(cls, images, **settings), tmp_path / "model.npz"
    model.save(path)
    loaded = npvae.load(path)
    assert type(loaded) is cls
    assert (loaded.n_features_in_, loaded.image_shape_) == (64, (8, 8))
    for name, view in model.parameters.items():
        assert view.dtype == loaded.parameters[name].dtype
        assert view.tobytes() == loaded.parameters[name].tobytes()
    assert model.transform(X).tobytes() == loaded.transform(X).tobytes()
    assert model.score_samples(X).tobytes() == loaded.score_samples(X).tobytes()
    (loss, gradient), (again, other) = model.loss_and_grad(X), loaded.loss_and_grad(X)
    assert loss == again
    assert all(gradient[name].tobytes() == other[name].tobytes() for name in gradient)
    if cls is npvae.VAE:
        assert model.sample(3, rng=0).tobytes() == loaded.sample(3, rng=0).tobytes()
        assert model.elbo(X).kl.tobytes() == loaded.elbo(X).kl.tobytes()
    second = tmp_path / "second.npz"
    loaded.save(second)
    assert path.read_bytes() == second.read_bytes()
    for kind in ("optimizer", "schedule"):
        once, again = (resolve_option(kind, m.get_params()[kind]) for m in (model, loaded))
        assert once == again


def test_a_loaded_model_trains_on(tmp_path):
    """After its last epoch, from a fresh optimiser, and as any model with that seed does."""
    path = tmp_path / "model.npz"
    fitted(optimizer=Momentum(mu=0.8)).save(path)
    once, again = (npvae.load(path).partial_fit(X) for _ in range(2))
    assert once.engine_.theta.tobytes() == again.engine_.theta.tobytes()
    assert once.score(X) > npvae.load(path).score(X)
    assert once.verbose is False
    assert once.history_["epoch"] == [3]


def test_numpy_alone_reads_the_file(vae, tmp_path):
    vae.save(tmp_path / "model.npz")
    with np.load(tmp_path / "model.npz", allow_pickle=False) as file:
        assert {name: file[name].tobytes() for name in vae.parameters} == {
            name: view.tobytes() for name, view in vae.parameters.items()
        }
        config = json.loads(str(file["config"]))
    assert config["class"] == "VAE"
    assert config["params"]["latent_dim"] == 2


def test_a_file_crosses_dtypes(tmp_path):
    """float32 parameters are float64 numbers too, and the model computes with those."""
    single, path = fitted(), tmp_path / "model.npz"
    single.set_params(dtype="float64").save(path)
    loaded = npvae.load(path)
    for name, view in single.parameters.items():
        assert loaded.parameters[name].dtype == np.float64
        assert loaded.parameters[name].astype(np.float32).tobytes() == view.tobytes()
    np.testing.assert_allclose(loaded.score(X), single.score(X), rtol=1e-5)


# --- the first rows that partial_fit is given ----------------------------------------------

UNITS = {
    "bernoulli": X, "normal": 5e3 + 1e3 * X, "laplace": 50 * X - 4e3, "poisson": np.round(99 * X),
    "continuous-bernoulli": X,
}  # fmt: skip
FIRST = {
    "one row": [slice(1), slice(1, 200)], "two rows": [slice(2), slice(2, 200)],
    "row by row": [*(slice(i, i + 1) for i in range(120)), slice(120, 200)],
    "one row 150 times": [[0] * 150, slice(1, 200)],
    "many few rows": [slice(0, 40), slice(40, 80), slice(80, 200)],
}  # fmt: skip


@pytest.mark.parametrize("first", FIRST)
@pytest.mark.parametrize("likelihood", UNITS)
def test_a_start_by_few_rows_is_as_good_as_by_all(likelihood, first):
    """At a learning rate of nothing the bound is that of the start. Where two calls make a hundred
    rows it is as by both at once, but for units, which are those of the first; by others of the 200
    rows it is within a tenth of the way there from the start by one row."""
    data = UNITS[likelihood]

    def start(*chunks):
        vae = npvae.VAE(hidden=(8,), likelihood=likelihood, random_state=0, verbose=False,
                        learning_rate=1e-12)  # fmt: skip
        for rows in chunks:
            vae.partial_fit(data[rows])
        return vae.score(data)

    best, worst, found = start(slice(200)), start(slice(1)), start(*FIRST[first])
    assert worst < best and abs(found - best) <= 0.1 * (best - worst)
    if first == "many few rows" and likelihood not in ("normal", "laplace"):
        assert start(slice(60), slice(60, 120)) == pytest.approx(start(slice(120)), rel=1e-5)


def test_few_sparse_rows_begin_as_dense_ones_do():
    sparse = pytest.importorskip("scipy.sparse")
    settings = {"hidden": (8,), "random_state": 0, "verbose": False}
    one, other = npvae.VAE(**settings), npvae.VAE(**settings)
    for rows in (X[:1], X[1:30], X[30:]):
        one.partial_fit(rows), other.partial_fit(sparse.csr_array(rows))
    np.testing.assert_allclose(one.engine_.theta, other.engine_.theta, rtol=1e-5, atol=1e-6)


def test_later_rows_leave_the_start_alone():
    """A hundred rows are enough, and what was initialised or fitted has begun."""
    black = np.zeros_like(X)
    for begun in (
        npvae.VAE(hidden=(8,), verbose=False, learning_rate=1e-12).partial_fit(X[:100]),
        npvae.VAE(hidden=(8,), verbose=False, learning_rate=1e-12).initialize(64),
        npvae.VAE(hidden=(8,), verbose=False, learning_rate=1e-12, epochs=1).fit(X[:50]),
    ):
        before = begun.parameters["decoder.logits.bias"].copy()
        begun.partial_fit(black[:7]).partial_fit(black)
        np.testing.assert_allclose(begun.parameters["decoder.logits.bias"], before, atol=1e-9)


def test_few_rows_at_first_train_all_the_same():
    """What they taught the bias is kept: it moves by the difference of two starts."""
    vae = npvae.VAE(hidden=(8,), random_state=0, verbose=False, learning_rate=0.1)
    vae.partial_fit(X[:50])
    still = npvae.VAE(hidden=(8,), random_state=0, verbose=False, learning_rate=1e-12)
    still.partial_fit(X[:50])
    learned = vae.parameters["decoder.logits.bias"] - still.parameters["decoder.logits.bias"]
    assert abs(learned).max() > 0.05
    for model in (vae, still):
        model.set_params(learning_rate=1e-12).partial_fit(X[50:])
    kept = vae.parameters["decoder.logits.bias"] - still.parameters["decoder.logits.bias"]
    np.testing.assert_allclose(kept, learned, atol=1e-5)


@pytest.mark.parametrize("cls", [*CLASSES, npvae.WakeSleep, npvae.FullVB, npvae.MCEM],
                         ids=lambda cls: cls.__name__)  # fmt: skip
@pytest.mark.filterwarnings("ignore:in the last epoch:UserWarning")
def test_fewer_rows_than_a_batch_are_the_batch(cls):
    settings = {"hidden": (8,), "epochs": 2, "random_state": 0, "verbose": False}
    more, same = (cls(batch_size=M, **settings).fit(X[:50]) for M in (1000, 50))
    assert more.engine_.theta.tobytes() == same.engine_.theta.tobytes()
    more.partial_fit(X[:7]), same.set_params(batch_size=7).partial_fit(X[:7])
    assert more.engine_.theta.tobytes() == same.engine_.theta.tobytes()


# --- arguments that change after training ---------------------------------------------------

ANOTHER_MODEL = [
    {"hidden": (9,)}, {"activation": "relu"}, {"likelihood": "normal"}, {"latent_dim": 3},
    {"decoder_hidden": (5,)}, {"prior": "mixture", "estimator": "A"}, {"likelihood_std": 0.1,
     "likelihood": "normal"}, {"posterior": "laplace", "prior": "laplace"},
]  # fmt: skip
ANOTHER_TRAINING = [{"estimator": "A"}, {"optimizer": "sgd"}]
USES = {  # what needs the parameters there are
    "transform": lambda vae: vae.transform(X), "score": lambda vae: vae.score(X),
    "score_samples": lambda vae: vae.score_samples(X), "elbo": lambda vae: vae.elbo(X),
    "inverse_transform": lambda vae: vae.inverse_transform(np.zeros((1, 2))),
    "reconstruct": lambda vae: vae.reconstruct(X), "sample": lambda vae: vae.sample(2, rng=0),
    "posterior_of": lambda vae: vae.posterior_of(X),
    "likelihood_of": lambda vae: vae.likelihood_of(np.zeros((1, 2))),
    "log_likelihood": lambda vae: vae.log_likelihood(X[:3], 10),
    "iwae_bound": lambda vae: vae.iwae_bound(X[:3], 2, 10),
    "loss_and_grad": lambda vae: vae.loss_and_grad(X),
    "partial_fit": lambda vae: vae.partial_fit(X),
    "check_gradients": lambda vae: npvae.testing.check_gradients(vae, X[:3]),
}  # fmt: skip


@pytest.mark.parametrize("change", ANOTHER_MODEL + ANOTHER_TRAINING, ids=str)
def test_a_model_that_is_no_longer_described_is_not_saved(change, tmp_path):
    """set_params takes effect at the next fit; until then the file would not be this model."""
    vae = fitted().set_params(**change)
    for call in (lambda: vae.save(tmp_path / "model.npz"), lambda: vae.partial_fit(X)):
        with pytest.raises(ParameterError, match=r"was set after the VAE was .* call fit ag"):
            call()
    assert list(tmp_path.iterdir()) == []
    if change in ANOTHER_TRAINING:
        assert vae.sample(2, rng=0).shape == (2, 64)  # what was fitted still works
    assert vae.fit(X).transform(X).shape == (200, vae.latent_dim)
    vae.save(tmp_path / "model.npz")


@pytest.mark.parametrize("change", ANOTHER_MODEL, ids=str)
def test_a_model_that_is_no_longer_described_is_not_used(change):
    vae, codes = fitted(), fitted().transform(X)
    before = vae.get_params()
    vae.set_params(**change)
    name, value = next(iter(change.items()))
    for what, use in USES.items():
        for _ in range(2):  # the second time as well
            with pytest.raises(ParameterError, match="call fit again, or set it back") as caught:
                use(vae)
            assert f"{name}={value!r} (was {before[name]!r})" in str(caught.value), what
            assert "\n" not in str(caught.value)
    assert vae.set_params(**before).transform(X).tobytes() == codes.tobytes()  # set back
    assert fitted().set_params(**change).fit(X).transform(X).shape == (200, vae.set_params(
        **change).latent_dim)


@pytest.mark.parametrize("cls", [*CLASSES, npvae.WakeSleep, npvae.FullVB, npvae.MCEM],
                         ids=lambda cls: cls.__name__)  # fmt: skip
def test_no_class_uses_parameters_of_another_model(cls):
    """Set by attribute as well."""
    trained = cls(hidden=(8,), random_state=0, verbose=False).initialize(64)
    trained.latent_dim = 3
    for use in (trained.transform, trained.score, trained.loss_and_grad, trained.partial_fit):
        with pytest.raises(ParameterError, match=r"latent_dim=3 \(was 2\) was set after"):
            use(X)
    if cls is npvae.FullVB:
        with pytest.raises(ParameterError, match="latent_dim=3"):
            _ = trained.parameter_kl
    assert trained.initialize(64).inverse_transform(np.zeros((1, 3))).shape == (1, 64)


@pytest.mark.parametrize("change", [
    {"learning_rate": 0.1}, {"batch_size": 7}, {"epochs": 3}, {"n_samples": 2}, {"clip_norm": 1.0},
    {"random_state": 5}, {"verbose": True}, {"schedule": "cosine"}, {"initial_std": 0.1},
    {"kl_weight": 2.0}, {"backend": "auto"}, {"parameter_prior": True},
], ids=str)  # fmt: skip
def test_what_says_how_to_train_may_change(change):
    vae = fitted()
    codes = vae.transform(X)
    assert vae.set_params(**change).transform(X).tobytes() == codes.tobytes()
    vae.partial_fit(X).loss_and_grad(X)


@pytest.mark.parametrize("change", [
    {"kl_weight": 2.0}, {"free_bits": 0.1}, {"estimator": "A"}, {"parameter_prior": True},
], ids=str)  # fmt: skip
def test_the_loss_is_not_that_of_before(change):
    vae = fitted().set_params(**change)
    with pytest.raises(ParameterError, match=r"was set after .* its loss is still that of before"):
        vae.loss_and_grad(X)


def test_arguments_may_change_before_there_are_parameters():
    vae = npvae.VAE(verbose=False).set_params(latent_dim=3, hidden=(8,))
    vae.latent_dim = 4
    assert vae.set_params(epochs=1).fit(X).transform(X).shape == (200, 4)


NEWER = "made by a newer npvae: this one does not know its 'surplus'; update npvae: "


@pytest.mark.parametrize(
    ("change", "fragment"),
    [
        (lambda c: c.update({"class": "Fake"}), "holds a 'Fake', a class that is not here"),
        (lambda c: c["params"].update(surplus=1), NEWER),
        (lambda c: c.update(surplus=1), NEWER),
        (lambda c: c["params"].update(hidden=[0]), "hidden=0"),
        (lambda c: c["params"].update(activation="os.system"), "activation='os.system'"),
        (lambda c: c["params"].update(random_state="x"), "'x'"),
        (lambda c: c["params"].update(random_state=-1), "-1"),
        (lambda c: c["params"].update(optimizer={"name": "adam", "beta9": 1}), "beta9"),
        (lambda c: c.update(n_features="many"), "many"),
        (lambda c: c.update(n_features=float("inf")), "Infinity"),
        (lambda c: c.pop("n_data"), "n_data"),
        (lambda c: c.update(n_features=64.5), "n_features=64.5"),
        (lambda c: c.update(n_features="64"), "n_features='64'"),
        (lambda c: c.update(n_data=True), "n_data=True"),
        (lambda c: c.update(epoch=1.5), "epoch=1.5"),
        (lambda c: c.update(image_shape="ab"), "image_shape='ab'"),
        (lambda c: c.update(image_shape=[8, 9]), "not of 64 features"),
        (lambda c: c["params"].update(random_state=True), "random_state=True"),
        (lambda c: c["params"].update(hidden=[1] * 300_000), "more layers than the"),  # 210 MB
        (lambda c: c.update(params=[["latent_dim", 2]]), "list"),
        (lambda c: c.update(params=[1]), "list"),
    ],
)
def test_a_config_that_cannot_be_built_is_one_line(change, fragment, vae, tmp_path):
    """Written around npvae's own writer, which would not hold an infinity."""
    path, forged = tmp_path / "model.npz", tmp_path / "forged.npz"
    vae.save(path)
    config = json.loads(str(np.load(path)["config"]))
    change(config)
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(forged, "w") as new:
        for member in old.infolist():
            with new.open(member.filename, "w", force_zip64=True) as file:
                if member.filename == "config.npy":
                    np.lib.format.write_array(file, np.asarray(json.dumps(config)))
                else:
                    file.write(old.read(member))
    with pytest.raises(ModelFileError, match=r"forged\.npz: ") as caught:
        npvae.load(forged)
    assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bound_is_its_parts(vae):
    bound = vae.elbo(X)
    assert bound.total.tobytes() == (bound.reconstruction - bound.kl).tobytes()
    assert (bound.kl > 0).all()
