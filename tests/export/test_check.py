"""Every format, checked beside npvae as ``npvae export --check`` does it."""
import numpy as np
import pytest
from export_models import ISSUE, fitted

import npvae
from npvae import cli
from npvae.estimators.exporting import check, synthetic_rows
from npvae.export import FORMATS, Format, Runner
from npvae.export.check import compare, difference


@pytest.mark.parametrize("name", ISSUE)
@pytest.mark.parametrize("format", FORMATS)
def test_every_format_is_the_same_model(format, name, tmp_path, monkeypatch):
    """To 1e-5 of each output's scale: where what runs the format is here."""
    monkeypatch.setattr("npvae.export.check.SECONDS", 0)
    model, path = fitted(name), tmp_path / f"m{FORMATS[format].suffixes[0]}"
    try:
        model.export(path, format)
        found = check(model, path, format)
    except npvae.MissingExtraError as error:
        pytest.skip(str(error))
    assert found.ok and len(found.differences) >= 2, str(found)


def test_another_model_is_not_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr("npvae.export.check.SECONDS", 0)
    rows = {"encoder": np.eye(3), "decoder": np.eye(3)}
    wanted = {network: {"mean": x} for network, x in rows.items()}
    ours, form = dict.fromkeys(rows, lambda x: x), Format("mine", "", ("",), dict)
    for f, ok in (
        (lambda x: x, True), (lambda x: x * (1 + 1e-4), False), (lambda x: x + np.nan, False),
        (lambda x: x[:, :2], False),
    ):  # fmt: skip
        runner = Runner(lambda x: {"mean": x}, lambda x, f=f: {"mean": f(x)})
        found = compare(form, runner, wanted, ours, rows)
        assert found.ok is ok
        assert str(found).splitlines()[-1].startswith("the same" if ok else "not the same")


@pytest.mark.parametrize(("posterior", "prior"), [
    ("normal", "mixture"), ("beta", "beta"), ("erlang", "erlang"), ("laplace", "laplace"),
])  # fmt: skip
def test_samples_are_checked_too(posterior, prior, tmp_path, monkeypatch):
    """Where the noise is of one kind, of several planes, or of two kinds."""
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr("npvae.export.check.SECONDS", 0)
    vae = npvae.VAE(2, (4,), posterior=posterior, prior=prior, estimator="A", initial_std=0.5)
    vae.initialize(5).export(tmp_path / "m", "onnx")
    found = check(vae, tmp_path / "m", "onnx")
    assert found.ok and "sample x" in found.differences, str(found)


def test_a_difference_is_of_the_scale_of_the_output():
    wanted = np.array([[1000.0, 5], [1002, 5]])
    assert difference(wanted + np.array([0, 0.1]), wanted) == pytest.approx(0.1)
    assert difference(wanted * 1, wanted) == 0


def test_synthetic_rows_are_of_the_models_own_making():
    """They lie where data may, and are the same each time."""
    model = fitted("poisson")
    (x, z), (again, _) = synthetic_rows(model, 5), synthetic_rows(model, 5)
    assert np.array_equal(x, again) and np.array_equal(x, x.round()) and z.shape == (5, 2)
    model.score(x)


def test_the_command(tmp_path, capsys, monkeypatch):
    pytest.importorskip("safetensors")
    monkeypatch.chdir(tmp_path)
    fitted("bernoulli").save("m.npz")
    assert cli.main(["export", "m.npz", "--check"]) == 0
    out = capsys.readouterr().out
    assert "m.safetensors: " in out and out.endswith("the same model\n")
    assert cli.main(["export", "m.npz"]) == 1
    assert "is not overwritten" in capsys.readouterr().err
    assert cli.main(["export", "m.npz", "--force", "--opset", "15"]) == 1
    assert "has no option 'opset'" in capsys.readouterr().err
