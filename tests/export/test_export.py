"""Exports: what every format does alike, and the safetensors file."""
import json
import warnings

import numpy as np
import pytest
from export_models import CASES, D, fitted, inputs

import npvae
from npvae.cli import export as command
from npvae.estimators.exporting import describe
from npvae.export import FORMATS, FUNCTIONS


@pytest.mark.parametrize("name", CASES)
def test_safetensors_comes_back(name, tmp_path):
    """All that a model computes is the same to the last bit, so it is the same model."""
    pytest.importorskip("safetensors")
    model, (X, Z) = fitted(name), inputs(name)
    (path,) = model.export(tmp_path / "m.safetensors", "safetensors")
    loaded = npvae.load(path)
    assert repr(loaded) == repr(model)
    assert np.array_equal(loaded.transform(X), model.transform(X))
    assert np.array_equal(loaded.inverse_transform(Z), model.inverse_transform(Z))
    assert np.array_equal(loaded.score_samples(X), model.score_samples(X))


def test_other_programs_read_it(tmp_path):
    safe = pytest.importorskip("safetensors")
    model = fitted("normal")
    (path,) = model.export(tmp_path / "m.safetensors", "safetensors")
    with safe.safe_open(path, "numpy") as file:
        assert json.loads(file.metadata()["config"])["class"] == "VAE"
        for name, array in model.parameters.items():
            assert np.array_equal(file.get_tensor(name), array)
        assert np.array_equal(
            file.get_tensor("standardization.shift"), model.standardization_.shift
        )


def test_one_flipped_bit_is_found(tmp_path):
    """Wherever it is: the format itself has no checksum."""
    pytest.importorskip("safetensors")
    (path,) = fitted("no hidden layers").export(tmp_path / "m.safetensors", "safetensors")
    content = path.read_bytes()
    for place in np.linspace(0, 8 * len(content) - 1, 200).astype(int):
        flipped = bytearray(content)
        flipped[place // 8] ^= 1 << (place % 8)
        path.write_bytes(flipped)
        with pytest.raises(npvae.ModelFileError):
            npvae.load(path)


def test_nothing_is_overwritten_unasked(tmp_path):
    pytest.importorskip("safetensors")
    model, path = fitted("bernoulli"), tmp_path / "m.safetensors"
    path.write_text("mine")
    with pytest.raises(npvae.ModelFileError, match="not overwritten"):
        model.export(path, "safetensors")
    assert path.read_text() == "mine"
    model.export(path, "safetensors", overwrite=True)
    assert npvae.load(path).n_features_in_ == D


def test_what_cannot_be_is_refused_in_words(tmp_path):
    model, path = fitted("bernoulli"), tmp_path / "m.safetensors"
    with pytest.raises(npvae.ParameterError, match="'onx' is not known"):
        model.export(path, "onx")
    with pytest.raises(npvae.ParameterError, match=r"end in \.safetensors"):
        model.export(tmp_path / "m.npz", "safetensors")
    with pytest.raises(npvae.ParameterError, match="no option 'opset'"):
        model.export(path, "safetensors", opset=3)
    with pytest.raises(npvae.NotFittedError):
        npvae.VAE().export(path, "safetensors")
    assert not [*tmp_path.iterdir()]


def test_a_file_of_another_program_is_told(tmp_path):
    numpy = pytest.importorskip("safetensors.numpy")
    numpy.save_file({"fc1.weight": np.zeros((2, 2))}, tmp_path / "m.safetensors")
    with pytest.raises(npvae.ModelFileError, match="load_state_dict"):
        npvae.load(tmp_path / "m.safetensors")


@pytest.mark.parametrize("name", CASES)
def test_programs_are_of_known_functions(name):
    """And of values that were made before, each name once, each an identifier."""
    described = describe(fitted(name))
    for program in (described.encoder, described.decoder):
        known = {program.input, *program.constants}
        for step in program.steps:
            assert step.function in FUNCTIONS and step.output.isidentifier()
            assert known >= {name for name in step.inputs if isinstance(name, str)}
            assert step.output not in known
            known.add(step.output)
        assert known >= set(program.outputs)


def test_the_command_names_every_format():
    assert set(FORMATS) == set(command.NAMES)


def test_ones_own_file_is_no_state_dict(tmp_path):
    """As one it would come back with another activation."""
    pytest.importorskip("safetensors")
    (path,) = fitted("bernoulli").export(tmp_path / "m.safetensors", "safetensors")
    fitted("bernoulli").save(tmp_path / "m.npz")
    for own in (path, tmp_path / "m.npz"):
        with pytest.raises(npvae.ModelFileError, match=r"read it by npvae\.load"):
            npvae.load_state_dict(own)


def test_a_model_without_an_encoder_is_kept_whole(tmp_path):
    pytest.importorskip("safetensors")
    model = npvae.MCEM(hidden=(4,), random_state=0).initialize(D)
    (path,) = model.export(tmp_path / "m.safetensors", "safetensors")
    Z = np.eye(3, 2)
    assert np.array_equal(npvae.load(path).inverse_transform(Z), model.inverse_transform(Z))


class Own(npvae.distributions.Normal):
    """Of a user's own."""


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_a_users_own_is_refused(format, tmp_path):
    """What no file can name, nor any language compute."""
    model = npvae.VAE(hidden=(4,), posterior=Own(), estimator="A").initialize(D)
    with pytest.raises(npvae.ParameterError, match="of a class that is not npvae's"):
        model.export(tmp_path / f"m{FORMATS[format].suffixes[0]}", format)
    assert not [*tmp_path.iterdir()]


def test_data_that_float32_cannot_hold_are_told_of(tmp_path):
    """At a million a float32 moves by 1/16; a model of float64 takes such data."""
    X = 1e6 + 0.1 * np.random.default_rng(0).standard_normal((40, 3))
    said = r"feature \d, of 1e\+06 ± 0\.\d+, moves in steps of 0\.\d deviations"
    arguments = {"hidden": (4,), "likelihood": "normal", "epochs": 1, "verbose": False}
    vae = npvae.VAE(**arguments).fit(X)
    for name, format in (("m.h", "c"), ("m", "onnx")):
        if format == "onnx":
            pytest.importorskip("onnx")
        with pytest.warns(UserWarning, match=said):
            vae.export(tmp_path / name, format)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        npvae.VAE(dtype="float64", **arguments).fit(X).export(tmp_path / "m64", "onnx")


def test_a_folder_that_cannot_be_is_told_of(tmp_path):
    pytest.importorskip("onnx")
    with pytest.raises(npvae.ModelFileError, match="cannot be made: No such file"):
        fitted("bernoulli").export(tmp_path / "none" / "m", "onnx")
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "mine.txt").write_text("mine")
    with pytest.raises(npvae.ModelFileError, match="exists and is not overwritten"):
        fitted("bernoulli").export(tmp_path / "m", "onnx")
    with pytest.raises(npvae.ModelFileError, match=r"holds mine\.txt, which is no part of this"):
        fitted("bernoulli").export(tmp_path / "m", "onnx", overwrite=True)
    assert [path.name for path in (tmp_path / "m").iterdir()] == ["mine.txt"]
