"""Golden vectors: what travels in a model file, and what a check by it finds."""
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from export_models import CASES, fitted
from reference import stored

import npvae
from npvae.estimators import golden
from npvae.io import read_archive, write_archive


@pytest.fixture(params=[*CASES, "mcem"])
def model(request):
    if request.param == "mcem":
        X = CASES["bernoulli"][2]
        return npvae.MCEM(hidden=(5,), epochs=1, random_state=0, verbose=False).fit(X)
    return fitted(request.param)


def test_they_are_made_up_and_come_out_again(model, tmp_path):
    path = tmp_path / "m.npz"
    model.save(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = npvae.load(path, check=True)
    arrays = {k: v for k, v in read_archive(path, "model")[1].items() if k.startswith("golden.")}
    assert np.array_equal(arrays["golden.mean"], again.inverse_transform(arrays["golden.z"]))
    if isinstance(model, npvae.MCEM):
        assert arrays.keys() == {"golden.z", "golden.mean"}
    else:
        assert np.array_equal(arrays["golden.code"], again.transform(arrays["golden.x"]))


def test_no_row_is_a_users(tmp_path):
    """Of continuous data, where a row of the data does not come by chance."""
    name = "normal"
    fitted(name).save(tmp_path / "m.npz")
    _, arrays = read_archive(tmp_path / "m.npz", "model")
    for row in arrays["golden.x"]:
        assert not np.isclose(row, CASES[name][2], rtol=1e-9).all(axis=1).any()


@pytest.mark.parametrize("name", ["bernoulli", "float64", "poisson"])
def test_another_model_is_found(name, tmp_path):
    """One weight off by a thousandth: whether it matters is for the check to see."""
    model, path = fitted(name), tmp_path / "m.npz"
    model.save(path)
    config, arrays = read_archive(path, "model")
    for parameter in ("encoder.hidden.0.weight", "decoder.hidden.0.bias"):
        changed = dict(arrays)
        changed[parameter] = arrays[parameter] + 1e-3
        write_archive(path, "model", config, changed)
        npvae.load(path)
        part = "code" if parameter.startswith("encoder") else "mean"
        with pytest.raises(npvae.ModelFileError, match=f"golden.{part} comes out .* of its scale"):
            npvae.load(path, check=True)


@pytest.mark.parametrize("backend", [{}, {"NPVAE_PURE_PYTHON": "1"}, {"NPVAE_TWINS": "v3"}])
def test_compiled_ops_and_others_agree(backend, tmp_path):
    """Saved here by whatever there is, checked in a process that has other ops."""
    for name in CASES:
        fitted(name).save(tmp_path / f"{name}.npz")
    code = ("import sys, npvae\nfrom pathlib import Path\n"
            "for path in Path(sys.argv[1]).glob('*.npz'): npvae.load(path, check=True)")
    where = {"PYTHONPATH": str(Path(npvae.__file__).parents[1])}
    subprocess.run([sys.executable, "-W", "error", "-c", code, tmp_path], check=True,
                   env={**os.environ, **where, **backend})  # fmt: skip


@pytest.mark.parametrize("c", stored.models(), ids=lambda c: c.name)
def test_files_without_them_say_so(c):
    """All that were written before there were any: they load, and a check says what it lacks."""
    path = stored.FILES / f"{c.name}.npz"
    with pytest.warns(UserWarning, match="has no golden vectors, as files of older versions"):
        model = npvae.load(path, check=True)
    assert int(np.load(path)["format_version"]) == 1 and model.n_features_in_


@pytest.mark.parametrize("damage", [
    {"golden.z": np.zeros((8, 3))}, {"golden.x": np.full((8, 6), np.nan)},
    {"golden.other": np.zeros(3)}, {"golden.code": None},
])  # fmt: skip
def test_those_of_no_such_model_are_refused(damage, tmp_path):
    path = tmp_path / "m.npz"
    fitted("bernoulli").save(path)
    config, arrays = read_archive(path, "model")
    arrays = {k: v for k, v in {**arrays, **damage}.items() if v is not None}
    write_archive(path, "model", config, arrays)
    with pytest.raises(npvae.ModelFileError, match="golden"):
        npvae.load(path)


def test_a_file_that_crosses_dtypes_is_the_same_model(tmp_path):
    """Saved by a float32 engine, computed in float64: apart by float32's roundings."""
    model = npvae.VAE(2, (5,), random_state=0).initialize(4)
    model.set_params(dtype="float64").save(tmp_path / "m.npz")
    assert npvae.load(tmp_path / "m.npz", check=True).transform(np.zeros((1, 4))).dtype == "f8"


def test_a_model_beyond_the_finite_numbers_has_none(tmp_path):
    """Its file is as good as ever."""
    vae = npvae.VAE(2, (3,), "relu", "normal", initial_std=1e30, random_state=0).initialize(4)
    assert golden.golden_vectors(vae) == {}
    vae.save(tmp_path / "m.npz")
    assert npvae.load(tmp_path / "m.npz").n_features_in_ == 4
