"""Whatever units and offsets features have, a model is the same, up to the change of variables."""
import numpy as np
import pytest
from scipy import stats
from sklearn.preprocessing import StandardScaler

import npvae
from npvae.errors import ModelFileError, ParameterError
from npvae.standardization import Standardization

RNG = np.random.default_rng(0)
Z = RNG.standard_normal((120, 2))
X = np.tanh(Z @ RNG.standard_normal((2, 5))) + 0.2 * RNG.standard_normal((120, 5))
UNITS = {
    "micro": (1e-6, 0.0), "mega": (1e6, 0.0), "far": (1.0, 1e6), "spectra": (0.01, 1.0),
    "each its own": (np.array([1e-6, 1e6, 1.0, 10.0, 1e3]), np.array([0.0, -1e7, 1e4, 5.0, 1.0])),
}  # fmt: skip
CLASSES = [npvae.VAE, npvae.Autoencoder, npvae.WakeSleep, npvae.FullVB, npvae.MCEM]
SETTINGS = {
    "latent_dim": 2, "hidden": (8,), "dtype": "float64", "epochs": 3, "random_state": 0,
    "verbose": False, "batch_size": 50,
}  # fmt: skip

each_unit = pytest.mark.parametrize(("unit", "offset"), UNITS.values(), ids=UNITS)
each_class = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
real = pytest.mark.parametrize("likelihood", ["normal", "laplace"])
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def fitted(X, cls=npvae.VAE, **settings):
    return cls(**(SETTINGS | {"likelihood": "normal"} | settings)).fit(X)


def log_jacobian(unit):
    """log |dx/dx′| of x = unit · x′ + offset, nats a datapoint."""
    return np.log(np.broadcast_to(unit, X.shape[1])).sum()


@each_unit
@real
def test_a_change_of_units_is_a_change_of_variables(unit, offset, likelihood):
    """To 1e-6: what x − 1e6 leaves of float64's digits, grown by three epochs of training."""
    plain, other = (fitted(Y, likelihood=likelihood) for Y in (X, X * unit + offset))
    shift, Y = log_jacobian(unit), X * unit + offset
    close = {"rtol": 1e-6, "atol": 1e-6}
    for name in ("elbo", "reconstruction"):
        ours, theirs = plain.history_[name], np.add(other.history_[name], shift)
        np.testing.assert_allclose(theirs, ours, **close)
    np.testing.assert_allclose(other.history_["kl"], plain.history_["kl"], **close)
    for name, value in plain.parameters.items():
        np.testing.assert_allclose(other.parameters[name], value, err_msg=name, **close)
    np.testing.assert_allclose(other.transform(Y), plain.transform(X), **close)
    eps = np.random.default_rng(1).standard_normal((3, len(X), 2))
    np.testing.assert_allclose(other.elbo(Y, eps).total + shift, plain.elbo(X, eps).total, **close)
    (a, d_a), (b, d_b) = plain.loss_and_grad(X, eps), other.loss_and_grad(Y, eps)
    assert b - shift == pytest.approx(a, rel=1e-6)
    for name in d_a:
        np.testing.assert_allclose(d_b[name], d_a[name], err_msg=name, rtol=1e-5, atol=1e-6)


@each_unit
@real
def test_outputs_are_in_the_datas_units(unit, offset, likelihood):
    plain, other = (fitted(Y, likelihood=likelihood) for Y in (X, X * unit + offset))
    codes, close = plain.transform(X[:7]), {"rtol": 1e-5, "atol": 1e-5}
    p, q = plain.likelihood_of(codes), other.likelihood_of(codes)
    outputs = [
        (plain.inverse_transform(codes), other.inverse_transform(codes)), (p.mean, q.mean),
        (plain.sample(5, rng=0), other.sample(5, rng=0)), (p.sample(rng=1), q.sample(rng=1)),
        (plain.sample(5, rng=0, draw=True), other.sample(5, rng=0, draw=True)),
        (p.parameters["mean"], q.parameters["mean"]), (plain.reconstruct(X), None),
    ]  # fmt: skip
    for ours, theirs in outputs[:-1]:
        np.testing.assert_allclose((theirs - offset) / unit, ours, **close)
    np.testing.assert_allclose((other.reconstruct(X * unit + offset) - offset) / unit,
                               outputs[-1][0], **close)  # fmt: skip
    np.testing.assert_allclose(q.std / unit, p.std, **close)


@pytest.mark.parametrize("likelihood", ["normal", "laplace", "fixed"])
def test_the_density_of_what_likelihood_of_tells_is_the_one_that_is_scored(likelihood):
    """SciPy's log p(x|z), of the parameters that are told, less what the decoder is scored by."""
    settings = {"likelihood": likelihood} if likelihood != "fixed" else {"likelihood_std": 4.0}
    ae = fitted(30 * X + 1000, npvae.Autoencoder, **settings)
    Y = 30 * X[:20] + 1000
    p = ae.likelihood_of(ae.transform(Y)).parameters
    density = {
        "normal": lambda: stats.norm(p["mean"], np.exp(0.5 * p["logvar"])),
        "laplace": lambda: stats.laplace(p["mean"], np.exp(p["logscale"])),
        "fixed": lambda: stats.norm(p["mean"], 4.0),
    }[likelihood]()
    np.testing.assert_allclose(ae.score_samples(Y), density.logpdf(Y).sum(axis=1), rtol=1e-9)


@pytest.mark.parametrize(("unit", "offset"), [(1e-6, 0.0), (1e6, 0.0), (1.0, 1e6)])
def test_a_given_deviation_stays_in_the_datas_units(unit, offset):
    """σ · unit of unit · x: one scale for all features, as σ is one."""
    plain = fitted(X, likelihood_std=0.3)
    other = fitted(X * unit + offset, likelihood_std=0.3 * unit)
    np.testing.assert_allclose(np.add(other.history_["elbo"], log_jacobian(unit)),
                               plain.history_["elbo"], rtol=1e-6)  # fmt: skip
    assert len(set(other.standardization_.scale)) == 1
    assert (other.likelihood_of(np.zeros((1, 2))).std == pytest.approx(0.3 * unit))


@each_class
def test_it_is_the_model_of_data_standardized_by_hand(cls):
    """And its scores are of the raw data: sums, histories, estimates of log p(x)."""
    scaler = StandardScaler().fit(100 * X + 7)
    by_hand = fitted(scaler.transform(100 * X + 7), cls, standardize=False)
    model = fitted(100 * X + 7, cls)
    shift = np.log(scaler.scale_).sum()
    column = "log_joint" if cls is npvae.MCEM else "elbo"
    column = column if column in model.history_ else "reconstruction"
    np.testing.assert_allclose(
        np.add(model.history_[column], shift), by_hand.history_[column], rtol=1e-7
    )
    if cls is not npvae.Autoencoder:
        ours = model.log_likelihood(100 * X[:3] + 7, n_samples=20, rng=0).estimate
        theirs = by_hand.log_likelihood(scaler.transform(100 * X[:3] + 7), 20, rng=0).estimate
        np.testing.assert_allclose(ours + shift, theirs, atol=1.0)  # noise by other rows' values


def test_a_float32_model_takes_digits_from_before_the_cast():
    """1e6 ± 1e-3: nothing of it would be left in float32."""
    plain = fitted(X, dtype="float32")
    other = fitted(1e-3 * X + 1e6, dtype="float32")
    np.testing.assert_allclose(np.add(other.history_["elbo"], log_jacobian(1e-3)),
                               plain.history_["elbo"], rtol=1e-4)  # fmt: skip
    np.testing.assert_allclose(other.transform(1e-3 * X + 1e6), plain.transform(X), atol=1e-3)


def test_bytes_and_integers_and_float32_are_standardized_too():
    pixels = np.random.default_rng(2).integers(0, 256, (60, 5), dtype=np.uint8)
    dataset = npvae.data.Dataset(pixels, scale=1 / 255)
    expected = fitted(pixels / 255).history_["elbo"]
    np.testing.assert_allclose(fitted(dataset).history_["elbo"], expected, rtol=1e-9)
    shift = log_jacobian(255.0)
    for dtype in ("uint8", "int64", "float32"):
        np.testing.assert_allclose(
            np.add(fitted(pixels.astype(dtype)).history_["elbo"], shift), expected, rtol=1e-9
        )


def test_constant_features_keep_their_unit():
    Y = np.column_stack([X, np.full(len(X), 5.0)])
    units = fitted(Y).standardization_
    assert (units.shift[-1], units.scale[-1]) == (5, 1)
    np.testing.assert_allclose(units.scale[:-1], X.std(axis=0), rtol=1e-12)


# ---- where it is not


@pytest.mark.parametrize("settings", [
    {"likelihood": "bernoulli"}, {"likelihood": "continuous-bernoulli"},
    {"likelihood_mean": "sigmoid"}, {"likelihood_mean": "sigmoid", "likelihood_std": 0.1},
    {"standardize": False}, {"binarize": "threshold"},
])  # fmt: skip
def test_units_that_mean_something_are_left(settings):
    grey = np.random.default_rng(3).random((60, 4))
    assert fitted(grey, **settings).standardization_ is None


def test_parameters_that_are_given_are_of_the_data_as_they_are():
    """Loss against SciPy, of a model that was initialised: the textbook formula."""
    vae = npvae.VAE(**SETTINGS | {"likelihood": "normal"}).initialize(5)
    assert vae.standardization_ is None
    eps = np.random.default_rng(1).standard_normal((1, 9, 2))
    q, Y = vae.posterior_of(50 * X[:9]), 50 * X[:9]
    z = q.mean + q.std * eps[0]
    p = vae.likelihood_of(z)
    kl = 0.5 * (q.mean**2 + q.std**2 - 1 - 2 * np.log(q.std)).sum(axis=1)
    log_p = stats.norm.logpdf(Y, p.mean, p.std).sum(axis=1)
    assert vae.loss_and_grad(Y, eps)[0] == pytest.approx((kl - log_p).mean(), rel=1e-10)
    assert vae.partial_fit(Y).standardization_ is None


def test_it_is_not_taken_out_of_a_fitted_model():
    vae = fitted(100 * X + 7).set_params(standardize=False)
    with pytest.raises(ParameterError, match="call fit again"):
        vae.partial_fit(X)
    assert vae.fit(X).standardization_ is None
    assert vae.set_params(standardize=True).partial_fit(X).standardization_ is None


# ---- where it is kept


def test_the_first_chunk_sets_it_and_later_ones_keep_it():
    vae = npvae.VAE(**SETTINGS | {"likelihood": "normal"})
    units = vae.partial_fit(X[:60]).standardization_
    np.testing.assert_allclose(units.shift, X[:60].mean(axis=0), rtol=1e-12)
    assert vae.partial_fit(9 * X[60:]).standardization_ is units
    refitted = vae.fit(X).standardization_
    np.testing.assert_allclose(refitted.shift, X.mean(axis=0), rtol=1e-12, atol=1e-15)


@each_class
def test_a_file_holds_it_and_one_without_is_of_data_as_they_are(cls, tmp_path):
    model = fitted(100 * X + 7, cls)
    model.save(tmp_path / "m.npz")
    loaded = npvae.load(tmp_path / "m.npz")
    for name in ("shift", "scale"):
        ours, theirs = (getattr(m.standardization_, name) for m in (model, loaded))
        assert ours.tobytes() == theirs.tobytes()
    codes = np.ones((3, 2))
    assert loaded.inverse_transform(codes).tobytes() == model.inverse_transform(codes).tobytes()
    members = dict(np.load(tmp_path / "m.npz"))
    assert members["standardization.shift"].dtype == np.float64
    older = {k: v for k, v in members.items() if not k.startswith("standardization")}
    np.savez(tmp_path / "older.npz", **older)
    assert npvae.load(tmp_path / "older.npz").standardization_ is None


@pytest.mark.parametrize(("change", "fault"), [
    ({"standardization.scale": np.zeros(5)}, "not above 0"),
    ({"standardization.scale": -np.ones(5)}, "not above 0"),
    ({"standardization.shift": np.full(5, np.nan)}, "NaN or infinity"),
    ({"standardization.shift": np.zeros(4)}, "has shape"),
    ({"standardization.shift": None}, "missing"),
], ids=str)  # fmt: skip
def test_a_file_with_another_one_is_refused(tmp_path, change, fault):
    fitted(X).save(tmp_path / "m.npz")
    members = dict(np.load(tmp_path / "m.npz")) | change
    np.savez(tmp_path / "bad.npz", **{k: v for k, v in members.items() if v is not None})
    with pytest.raises(ModelFileError, match=fault):
        npvae.load(tmp_path / "bad.npz")


@pytest.mark.parametrize("settings", [
    {"likelihood": "bernoulli"}, {"likelihood_mean": "sigmoid"}, {"likelihood_std": 0.5},
], ids=str)  # fmt: skip
def test_a_model_takes_none_that_it_could_not_have(settings, tmp_path):
    """From a file or from hand: refused in a line, and the model is as it was."""
    grey = np.random.default_rng(4).random((60, 5))
    vae = fitted(grey, **settings)
    before, units = vae.score_samples(grey), Standardization(np.zeros(5), np.arange(1.0, 6))
    with pytest.raises(ParameterError, match=r"standardization|one scale"):
        vae.set_parameters({k: 0 * v for k, v in vae.parameters.items()}, units)
    assert vae.score_samples(grey).tobytes() == before.tobytes()
    vae.save(tmp_path / "m.npz")
    np.savez(tmp_path / "bad.npz", **dict(np.load(tmp_path / "m.npz")) | units.arrays())
    with pytest.raises(ModelFileError, match=r"standardization|one scale"):
        npvae.load(tmp_path / "bad.npz")


def test_a_resumed_run_has_the_units_that_it_began_with(tmp_path):
    whole = fitted(100 * X + 7, epochs=4)
    part = npvae.VAE(**SETTINGS | {"likelihood": "normal", "epochs": 2})
    part.fit(100 * X + 7, checkpoint=tmp_path / "c.npz")
    rest = npvae.VAE(**SETTINGS | {"likelihood": "normal", "epochs": 4})
    rest.fit(100 * X + 7, checkpoint=tmp_path / "c.npz", resume=True)
    assert rest.engine_.theta.tobytes() == whole.engine_.theta.tobytes()
    np.testing.assert_array_equal(rest.standardization_.shift, whole.standardization_.shift)
    refused = npvae.VAE(**SETTINGS | {"likelihood": "normal", "epochs": 4, "standardize": False})
    with pytest.raises(ModelFileError, match="standardize"):
        refused.fit(100 * X + 7, checkpoint=tmp_path / "c.npz", resume=True)


def test_parameters_go_with_their_units_to_another_model():
    model = fitted(100 * X + 7)
    other = npvae.VAE(**SETTINGS | {"likelihood": "normal"}).initialize(5)
    other.set_parameters(model.parameters, model.standardization_)
    Y = 100 * X[:5] + 7
    assert other.score_samples(Y).tobytes() == model.score_samples(Y).tobytes()


@each_class
def test_hand_written_gradients_hold_in_standardized_units(cls):
    report = npvae.testing.check_gradients(fitted(100 * X[:20] + 7, cls, hidden=(4,)), 100 * X[:6])
    assert report.worst < 1e-6
