"""Whatever is wrong with what goes in, one line says so, with the offending value and a way out.

One table: what is called, which error it raises, and what its line must hold.
"""
import os
import sys

import numpy as np
import pytest

import npvae
from npvae.errors import (
    BackendError,
    DataError,
    ModelFileError,
    NpvaeError,
    NumericalError,
    ParameterError,
)
from npvae.evaluation import active_units
from npvae.io import read_archive, write_archive

X = npvae.data.load_digits().images[:120]  # (N, D), float32
Z = np.zeros((4, 2))


def model(cls=npvae.VAE, **settings):
    return cls(**({"hidden": (8,), "epochs": 1, "random_state": 0, "verbose": False} | settings))


VAE = model().fit(X)
NORMAL = model(likelihood="normal").fit(X)
AUTOENCODER = model(npvae.Autoencoder).fit(X)


def with_value(value, where=(3, 7), dtype=None):
    changed = X.astype(dtype or X.dtype)
    changed[where] = value
    return changed


def fit(X=X, **settings):
    return lambda: model(**settings).fit(X)


def eps(*shape):
    return lambda: VAE.elbo(X, np.zeros(shape))


# --- data ---------------------------------------------------------------------------------

TAKES_DATA = {
    "fit": lambda X: model().fit(X),
    "validation": lambda X_val: model().fit(X, validation=X_val),
    "partial_fit": lambda X: model().partial_fit(X),
    "partial_fit again": lambda X: VAE.partial_fit(X),
    "fit_transform": lambda X: model().fit_transform(X),
    "transform": lambda X: VAE.transform(X),
    "score": lambda X: VAE.score(X),
    "score_samples": lambda X: VAE.score_samples(X),
    "elbo": lambda X: VAE.elbo(X),
    "loss_and_grad": lambda X: VAE.loss_and_grad(X),
    "log_likelihood": lambda X: VAE.log_likelihood(X, 10),
    "autoencoder": lambda X: model(npvae.Autoencoder).fit(X),
    "autoencoder's score": lambda X: AUTOENCODER.score(X),
}
BAD_DATA = {
    "NaN": (with_value(np.nan), "X[3, 7] is NaN", "remove or impute"),
    "infinite": (with_value(-np.inf), "X[3, 7] is -inf", "remove or impute"),
    "above one": (with_value(1.5), "X[3, 7] = 1.5", "[0, 1]", "divide"),
    "below zero": (with_value(-0.25), "X[3, 7] = -0.25", "[0, 1]"),
    "bytes": ((X * 255).astype(np.uint8), "= 79", "[0, 1]", "divide 8-bit pixels by 255"),
    "1-D": (X[0], "(64,)", "Reshape"),
    "3-D": (X.reshape(-1, 8, 8), "(120, 8, 8)", "Reshape"),
    "empty": (X[:0], "0 sample(s)", "(0, 64)"),
    "no columns": (X[:, :0], "0 feature(s)", "(120, 0)"),
    "complex": (X + 1j, "complex", "real numbers"),
    "text": (X.astype(str), "<U", "numbers"),
    "ragged": ([[0.0], [0.0, 1.0]], "numbers"),
    "a number": (0.5, "shape ()", "Reshape"),
}
DATASETS = {
    "scaled above one": (
        npvae.data.Dataset(np.full((120, 64), 51, np.uint8), name="bright", scale=0.1),
        "bright", "5.1", "[0, 1]", "scale",
    ),
    "scaled below zero": (
        npvae.data.Dataset(np.full((120, 64), -4.0), name="dark", scale=0.5),
        "dark", "-2", "[0, 1]",
    ),
    "NaN in a Dataset": (npvae.data.Dataset(with_value(np.nan)), "X[3, 7] is NaN"),
}  # fmt: skip
NEEDS_WIDTH = [name for name in TAKES_DATA if name not in ("fit", "partial_fit", "fit_transform",
                                                            "autoencoder")]  # fmt: skip
CASES = {
    f"{name}: {what}": (lambda take=take, bad=bad: take(bad), DataError, fragments)
    for name, take in TAKES_DATA.items()
    for what, (bad, *fragments) in (BAD_DATA | DATASETS).items()
}
CASES |= {
    f"{name}: wrong width": (
        lambda name=name: TAKES_DATA[name](X[:, :60]), DataError, ["60 features", "64 features"],
    )
    for name in NEEDS_WIDTH
}  # fmt: skip
CASES |= {
    "normal: NaN": (lambda: NORMAL.score(with_value(np.nan)), DataError, ["X[3, 7] is NaN"]),
    "normal: infinite": (lambda: NORMAL.fit(with_value(np.inf)), DataError, ["X[3, 7] is inf"]),
    "normal: infinite in float32": (
        lambda: NORMAL.score(with_value(-1e300, dtype=float)), DataError,
        ["X[3, 7] = -1e+300 is infinite in float32", "dtype='float64'"]),
    "above one by little": (
        fit(with_value(1.0000001, dtype=float)), DataError, ["X[3, 7] = 1.0000001 lies"]),
    "codes: infinite in float32": (
        lambda: VAE.inverse_transform(Z + 1e300), DataError, ["X[0, 0] = 1e+300", "float32"]),
    "on a device, without CuPy": (
        lambda: VAE.transform(type("Tensor", (), {"__cuda_array_interface__": {}})()),
        BackendError, ["lies on a GPU", "NumPy"]),
    "codes: wrong width": (
        lambda: VAE.inverse_transform(np.zeros((4, 3))), DataError, ["3 features", "2 features"]),
    "codes: 1-D": (lambda: VAE.inverse_transform(Z[0]), DataError, ["(2,)", "Reshape"]),
    "codes: NaN": (lambda: VAE.inverse_transform(Z * np.nan), DataError, ["X[0, 0] is NaN"]),
    "codes: empty": (lambda: VAE.inverse_transform(Z[:0]), DataError, ["0 sample(s)"]),
    "active units of one": (lambda: active_units(Z[:1]), DataError, ["1 datapoint", "2"]),
}  # fmt: skip

# --- noise and seeds ----------------------------------------------------------------------

CASES |= {
    "eps: two axes": (eps(120, 2), DataError, ["(120, 2)", "(L, 120, 2)"]),
    "eps: wrong M": (eps(1, 119, 2), DataError, ["(1, 119, 2)", "(L, 120, 2)"]),
    "eps: wrong J": (eps(1, 120, 3), DataError, ["(1, 120, 3)", "(L, 120, 2)"]),
    "eps: no sample": (eps(0, 120, 2), DataError, ["(0, 120, 2)", "L ≥ 1"]),
    "eps: a number": (eps(), DataError, ["()", "(L, 120, 2)"]),
    "eps: NaN": (lambda: VAE.elbo(X, np.full((1, 120, 2), np.nan)), DataError, ["eps", "NaN"]),
    "eps: of a gradient": (
        lambda: VAE.loss_and_grad(X, np.zeros((2, 2))), DataError, ["(2, 2)", "(L, 120, 2)"]),
    "rng: negative": (lambda: VAE.sample(3, rng=-1), ParameterError, ["-1"]),
    "rng: text": (lambda: VAE.sample(3, rng="x"), ParameterError, ["'x'"]),
    "rng: a fraction": (lambda: VAE.sample(3, rng=0.5), ParameterError, ["0.5"]),
    "likelihood's rng: negative": (
        lambda: VAE.log_likelihood(X, 10, rng=-1), ParameterError, ["-1"]),
    "likelihood's rng: text": (
        lambda: VAE.log_likelihood(X, 10, rng="x"), ParameterError, ["'x'"]),
    "random_state: text": (fit(random_state="x"), ParameterError, ["'x'"]),
    "random_state: negative": (fit(random_state=-1), ParameterError, ["random_state=-1"]),
    "random_state: too large": (fit(random_state=2**64), ParameterError, [str(2**64)]),
    "random_state: a fraction": (fit(random_state=1.5), ParameterError, ["1.5"]),
}  # fmt: skip

# --- sizes and names ----------------------------------------------------------------------

WHOLE_NUMBERS = ("latent_dim", "batch_size", "epochs", "n_samples", "early_stopping")
POSITIVE = ("learning_rate", "clip_norm", "initial_std")
NAMES = ("activation", "likelihood", "likelihood_mean", "posterior", "prior", "estimator",
         "optimizer", "schedule", "binarize", "dtype")  # fmt: skip
CASES |= {
    f"{name}={value!r}": (fit(**{name: value}), ParameterError, [f"{name}={value!r}", "at least 1"])
    for name in WHOLE_NUMBERS
    for value in (0, -1, 2.0, True, "3", float("nan"))
}
CASES |= {
    f"{name}={value!r}": (fit(**{name: value}), ParameterError, [f"{name}={value!r}", "above 0"])
    for name in POSITIVE
    for value in (0, -0.1, float("nan"), float("inf"), True, "fast")
}
CASES |= {
    f"{name}={value!r}": (fit(**{name: value}), ParameterError, [f"{name}={value!r}", "choose"])
    for name in NAMES
    for value in ("fancy", "", 3, ["tanh"])
}
CASES |= {
    f"{name}={value!r}": (
        fit(**{name: value}), ParameterError, [f"{name}={value!r}", "tuple", "(500,)"])
    for name in ("hidden", "decoder_hidden")
    for value in (500, 5.0, "500")
}  # fmt: skip
CASES |= {
    "hidden=None": (fit(hidden=None), ParameterError, ["hidden=None", "(500,)"]),
    "hidden=(0,)": (fit(hidden=(0,)), ParameterError, ["hidden=0", "at least 1"]),
    "hidden=(8, -1)": (fit(hidden=(8, -1)), ParameterError, ["hidden=-1"]),
    "hidden=(8.0,)": (fit(hidden=(8.0,)), ParameterError, ["hidden=8.0"]),
    "hidden=(True,)": (fit(hidden=(True,)), ParameterError, ["hidden=True"]),
    "decoder_hidden=(0,)": (fit(decoder_hidden=(0,)), ParameterError, ["decoder_hidden=0"]),
    "optimizer with an option it lacks": (
        fit(optimizer={"name": "adam", "beta9": 1}), ParameterError, ["optimizer=", "beta9"]),
    "a word for an option's number": (
        fit(optimizer={"name": "adam", "epsilon": "x"}), ParameterError, ["epsilon='x'", "1e-08"]),
    "a word for a schedule's number": (
        fit(schedule={"name": "warmup", "fraction": "x"}), ParameterError, ["fraction='x'"]),
    "a number for a schedule's tuple": (
        fit(schedule={"name": "step", "at": 3}), ParameterError, ["at=3", "(0.5, 0.75)"]),
    "optimizer without a name": (
        fit(optimizer={"beta1": 0.5}), ParameterError, ["optimizer=None", "adam"]),
    "schedule for optimizer": (
        fit(optimizer=npvae.optim.Cosine()), ParameterError, ["optimizer=Cosine", "adam"]),
    "optimizer for schedule": (
        fit(schedule=npvae.optim.Adam()), ParameterError, ["schedule=Adam", "cosine"]),
    "a class for an optimizer": (
        fit(optimizer=npvae.optim.Adam), ParameterError, ["optimizer=", "Adam"]),
    "backend='torch'": (fit(backend="torch"), ParameterError, ["'torch'", "'numpy'"]),
    "l2=-1": (
        lambda: model(npvae.Autoencoder, l2=-1).fit(X), ParameterError, ["l2=-1", "at least 0"]),
    "l2=nan": (
        lambda: model(npvae.Autoencoder, l2=float("nan")).fit(X), ParameterError, ["l2=nan"]),
    "early stopping on nothing": (
        fit(early_stopping=3), ParameterError, ["early_stopping=3", "validation"]),
    "n_features=0": (lambda: model().initialize(0), ParameterError, ["n_features=0"]),
    "n_features=64.0": (lambda: model().initialize(64.0), ParameterError, ["n_features=64.0"]),
    "sample(0)": (lambda: VAE.sample(0), ParameterError, ["n=0", "at least 1"]),
    "sample(2.5)": (lambda: VAE.sample(2.5), ParameterError, ["n=2.5"]),
    "log_likelihood of 1": (
        lambda: VAE.log_likelihood(X, 1), ParameterError, ["n_samples=1", "2 or more"]),
    "log_likelihood of 0": (lambda: VAE.log_likelihood(X, 0), ParameterError, ["n_samples=0"]),
    "log_likelihood of 10.0": (
        lambda: VAE.log_likelihood(X, 10.0), ParameterError, ["n_samples=10.0"]),
    "set_params of what is not there": (
        lambda: model().set_params(learning_rat=1), ParameterError, ["'learning_rat'", "rate"]),
    "bad setting before partial_fit": (
        lambda: model().fit(X).set_params(batch_size=0).partial_fit(X),
        ParameterError, ["batch_size=0"]),
    "eps of complex numbers": (
        lambda: VAE.elbo(X, np.zeros((1, 120, 2), complex)), DataError, ["complex", "real"]),
    "eps of objects": (
        lambda: VAE.elbo(X, np.zeros((1, 120, 2), object)), DataError, ["eps holds object"]),
    "log_likelihood by rng=-1": (
        lambda: VAE.log_likelihood(X, 10, rng=-1), ParameterError, ["rng=-1"]),
    "random_state='x'": (fit(random_state="x"), ParameterError, ["random_state='x'"]),
    "parameter_prior='no'": (
        fit(parameter_prior="no"), ParameterError, ["parameter_prior='no'", "True or False"]),
    "tf32='x'": (fit(tf32="x"), ParameterError, ["tf32='x'", "True or False"]),
    "iwae_bound of no k": (lambda: VAE.iwae_bound(X, k=None), ParameterError, ["k=None"]),
    "iwae_bound of 2.5": (lambda: VAE.iwae_bound(X, k=2.5), ParameterError, ["k=2.5"]),
    "kl_warmup=1.5": (fit(kl_warmup=1.5), ParameterError, ["kl_warmup=1.5", "at least 0"]),
    "rate too large": (
        fit(learning_rate=1e38, optimizer="sgd", epochs=3), NumericalError,
        ["not finite", "lower the learning rate"]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_one_line(name, monkeypatch):
    if "without CuPy" in name:
        monkeypatch.setitem(sys.modules, "cupy", None)
    call, error, fragments = CASES[name]
    text = message(call, error)
    for fragment in fragments:
        assert fragment in text


def message(call, error):
    """The text of the error that the call raises: of that class, and one line."""
    with pytest.raises(NpvaeError) as caught:
        call()
    assert type(caught.value) is error
    text = str(caught.value)
    assert "\n" not in text
    assert 20 < len(text) < 500
    return text


def test_good_input_is_taken():
    """The gate is not simply shut: the nearest good neighbours of what it refuses."""
    for good in (X.astype(np.float64), X > 0.5, X.tolist(), with_value(1.0), with_value(0.0)):
        model().fit(good).score(good)
    NORMAL.score(with_value(-3.5))
    rounded = with_value(1 + 2**-51, dtype=float)  # as a scaler may leave it
    np.testing.assert_array_equal(VAE.transform(rounded), VAE.transform(with_value(1)))
    assert rounded[3, 7] > 1
    model(batch_size=120, hidden=(), decoder_hidden=(3,), early_stopping=1).fit(X, validation=X[:1])
    assert VAE.sample(np.int64(2), rng=np.random.SeedSequence(1)).shape == (2, 64)
    model(kl_warmup=np.int64(1), parameter_prior=np.bool_(True)).fit(X)
    model(npvae.Autoencoder, l2=np.float32(0.1)).fit(X)
    assert VAE.iwae_bound(X, k=np.int64(2), n_samples=10).estimate.shape == (1, 120)
    em = model(npvae.MCEM, latent_dim=2).initialize(64).set_params(n_leapfrog=5)
    assert em.sample(2).shape == (2, 64)


# --- files --------------------------------------------------------------------------------


def damaged(tmp_path, kind):
    """A path, and what stands there."""
    path = tmp_path / "model.npz"
    VAE.save(path)
    whole = path.read_bytes()
    if kind == "missing":
        path.unlink()
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "truncated":
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "flipped":
        i = whole.index(VAE.parameters["encoder.mean.weight"].tobytes())  # stored as it is
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :])
    elif kind == "foreign":
        np.savez(path, a=np.zeros(3))
    elif kind == "text":
        path.write_text("weights: 1, 2, 3\n")
    elif kind == "folder":
        path.unlink()
        path.mkdir()
    elif kind == "checkpoint":
        model().fit(X, checkpoint=path)
    return path


DAMAGES = {
    "missing": "no such file", "empty": "zip", "truncated": "damaged", "flipped": "damaged",
    "foreign": "not an npvae model", "text": "zip", "folder": "is a folder",
    "checkpoint": "is a checkpoint, not a model",
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_file_that_cannot_be_loaded(kind, tmp_path):
    path = damaged(tmp_path, kind)
    before = path.read_bytes() if path.is_file() else None
    text = message(lambda: npvae.load(path), ModelFileError)
    assert DAMAGES[kind] in text
    assert str(path) in text
    assert before is None or path.read_bytes() == before


def test_a_model_that_was_made_for_other_shapes(tmp_path):
    """The arrays of one model under the config of another."""
    a, b = tmp_path / "a.npz", tmp_path / "b.npz"
    VAE.save(a)
    model(hidden=(9,)).fit(X).save(b)
    (config, _), (_, arrays) = read_archive(a, "model"), read_archive(b, "model")
    write_archive(a, "model", config, arrays)
    text = message(lambda: npvae.load(a), ModelFileError)
    assert "encoder.hidden.0.weight has shape (9, 64), its config says (8, 64)" in text


def test_unknown_backend_of_a_file(tmp_path):
    VAE.save(tmp_path / "model.npz")
    text = message(lambda: npvae.load(tmp_path / "model.npz", backend="torch"), ParameterError)
    assert "'torch'" in text


@pytest.mark.parametrize("where", ["missing", "file", "folder"])
@pytest.mark.parametrize("what", ["save", "checkpoint"])
def test_a_place_that_cannot_be_written(what, where, tmp_path):
    (tmp_path / "file").write_text("precious")
    path = {
        "missing": tmp_path / "none" / "model.npz",
        "file": tmp_path / "file" / "model.npz",
        "folder": tmp_path,
    }[where]
    calls = {"save": lambda: VAE.save(path), "checkpoint": lambda: model().fit(X, checkpoint=path)}
    text = message(calls[what], ModelFileError)
    assert str(path) in text
    assert (tmp_path / "file").read_text() == "precious"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_that_forbids_writing(tmp_path):
    path = tmp_path / "model.npz"
    VAE.save(path)
    before = path.read_bytes()
    tmp_path.chmod(0o555)
    try:
        text = message(lambda: NORMAL.save(path), ModelFileError)
    finally:
        tmp_path.chmod(0o755)
    assert "Permission denied" in text
    assert path.read_bytes() == before


def test_a_disk_that_fills_up_loses_nothing(tmp_path, monkeypatch):
    """The file that stood there stays, whole, and no part of the new one is left."""
    path = tmp_path / "model.npz"
    VAE.save(path)
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert "No space left on device" in message(lambda: NORMAL.save(path), ModelFileError)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_refused_parameters_and_checkpoints_change_no_file(tmp_path):
    path = tmp_path / "checkpoint.npz"
    model().fit(X, checkpoint=path)
    before = path.read_bytes()
    for settings in ({"latent_dim": 3}, {"hidden": (0,)}, {"binarize": "fixed"}):
        with pytest.raises(NpvaeError):
            model(**settings).fit(X, checkpoint=path, resume=True)
        assert path.read_bytes() == before
    path.write_bytes(before[:1000])
    text = message(lambda: model().fit(X, checkpoint=path, resume=True), ModelFileError)
    assert "damaged" in text
    assert path.read_bytes() == before[:1000]


@pytest.mark.parametrize("name", ["m.safetensors", "m.onnx", "m.pt", "m.pth", "m.h5", "m.v2",
                                  "m.zip", "m.npz.gz"])  # fmt: skip
def test_a_file_is_of_the_format_that_its_name_says(tmp_path, name):
    path = tmp_path / name
    for call in (lambda: VAE.save(path), lambda: model().fit(X, checkpoint=path)):
        text = message(call, ParameterError)
        assert f"npvae writes .npz and not {path.suffix}" in text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["m.npz", "M.NPZ", "m", ".npz"])
def test_a_name_without_a_suffix_is_used_as_it_is(tmp_path, name):
    VAE.save(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert npvae.load(tmp_path / name).parameters.keys() == VAE.parameters.keys()


@pytest.mark.parametrize("option", [
    {"schedule": {"name": "warmup", "fraction": float("nan")}},
])  # fmt: skip
def test_an_objects_numbers_are_finite(option):
    assert "must be a finite number" in message(lambda: model(**option).fit(X), ParameterError)
