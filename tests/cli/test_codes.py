"""encode, decode and sample leave files that hold what the model's own methods give."""
import numpy as np
import pytest

import npvae
from npvae import data
from npvae.cli import main

QUICK = ["train", "--hidden", "8", "--epochs", "1", "--quiet", "--out"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "small"
    assert main([*QUICK, str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def model(run):
    return npvae.load(run / "model.npz")


def error(capsys, *argv):
    assert main([*map(str, argv)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize("suffix", ["csv", "npy"])
def test_encode_writes_what_the_model_says(suffix, run, model, tmp_path):
    target = tmp_path / f"codes.{suffix}"
    assert main(["encode", str(run), "--data", "digits", "--out", str(target)]) == 0
    digits = data.load_digits()
    if suffix == "csv":
        table = np.genfromtxt(target, delimiter=",", names=True)
        mean, std = (np.stack([table[f"{k}_1"], table[f"{k}_2"]], axis=1) for k in ("mean", "std"))
    else:
        table = np.load(target)
        mean, std = table["mean"], table["std"]
    q = model.posterior_of(digits)
    assert np.array_equal(mean.astype(np.float32), q.mean)
    assert np.array_equal(std.astype(np.float32), q.std)
    assert np.array_equal(table["elbo"].astype(np.float32), model.score_samples(digits))
    assert np.array_equal(table["label"], digits.labels)


@pytest.mark.parametrize("suffix", ["csv", "npy"])
def test_decode_takes_what_encode_wrote(suffix, run, model, tmp_path):
    codes, out = tmp_path / f"codes.{suffix}", tmp_path / "out.npy"
    assert main(["encode", str(run), "--out", str(codes), "-q"]) == 0
    assert main(["decode", str(run), str(codes), "--out", str(out)]) == 0
    rows = np.load(codes)["mean"] if suffix == "npy" else None
    if rows is not None:
        assert np.array_equal(np.load(out), model.inverse_transform(rows))
    assert np.load(out).shape == (179, 64)
    again = tmp_path / "again.csv"
    assert main(["decode", str(run), str(codes), "--out", str(again)]) == 0
    assert np.allclose(np.loadtxt(again, delimiter=",", skiprows=1), np.load(out), atol=1e-7)


@pytest.mark.parametrize("kind", ["autoencoder", "mcem"])
def test_a_model_without_a_posterior_has_codes_alone(kind, tmp_path):
    assert main([*QUICK, str(tmp_path / "run"), "--model", kind, "--n-train", "100"]) == 0
    np.save(tmp_path / "x.npy", data.load_digits().images[:20])
    argv = ["encode", str(tmp_path / "run"), "--data", str(tmp_path / "x.npy"), "--out"]
    assert main([*argv, str(tmp_path / "z.npy")]) == 0
    assert np.load(tmp_path / "z.npy").dtype.names == ("mean",)


def test_all_that_is_named_is_encoded_and_read_as_it_is_told(tmp_path, capsys):
    """Of the file that a run was trained on too every row, and by a model file that knows none."""
    rows = "".join(f"{i / 30},{i % 7 / 7},{'ab'[i % 2]}\n" for i in range(30))
    (tmp_path / "x.csv").write_text("p,q,kind\n" + rows)
    run, named = tmp_path / "run", ["--data", str(tmp_path / "x.csv")]
    assert main([*QUICK, str(run), *named, "--label-column", "kind"]) == 0
    tables = []
    for model, *told in ([run], [run / "model.npz", "--label-column", "kind"]):
        target = tmp_path / f"{len(tables)}.npy"
        assert main(["encode", str(model), *named, *told, "--out", str(target)]) == 0
        tables.append(np.load(target))
    assert tables[0].tobytes() == tables[1].tobytes() and len(tables[0]) == 30
    assert set(tables[0]["label"]) == {"a", "b"}
    capsys.readouterr()
    line = error(capsys, "encode", run, "--drop", "p", "--out", tmp_path / "z.npy")
    assert "name the data too" in line


def test_samples_are_the_same_in_every_form(run, model, tmp_path):
    argv = ["sample", str(run), "-n", "7", "--seed", "3", "--out"]
    assert all(main([*argv, str(tmp_path / name)]) == 0 for name in ("x.npy", "x.csv", "x"))
    X = model.sample(7, 3)
    assert np.array_equal(np.load(tmp_path / "x.npy"), X)
    written = np.loadtxt(tmp_path / "x.csv", delimiter=",", skiprows=1)
    assert np.array_equal(written.astype(np.float32), X)
    images = data.load_file(tmp_path / "x")
    assert images.image_shape == (8, 8) and np.abs(images.images - X).max() <= 0.5 / 255 + 1e-6


def test_what_is_there_is_not_overwritten(run, tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "0001.png").write_text("mine")
    (tmp_path / "mine.csv").write_text("mine")
    for target in ("mine", "mine.csv"):
        assert "not overwritten" in error(capsys, "sample", run, "--out", tmp_path / target)
    assert "not overwritten" in error(capsys, "encode", run, "--out", tmp_path / "mine.csv")
    assert (tmp_path / "mine" / "0001.png").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    assert main(["sample", str(run), "-n", "1", "--out", str(tmp_path / "empty")]) == 0
    assert main(["sample", str(run), "-n", "1", "--force", "--out", str(tmp_path / "mine")]) == 0


def test_what_does_not_fit_is_one_line(run, tmp_path, capsys):
    np.save(tmp_path / "z3.npy", np.zeros((4, 3)))
    np.save(tmp_path / "nan.npy", np.full((4, 2), np.nan))
    decode = ("decode", run)
    assert "3" in error(capsys, *decode, tmp_path / "z3.npy", "--out", tmp_path / "x.npy")
    assert "NaN" in error(capsys, *decode, tmp_path / "nan.npy", "--out", tmp_path / "x.npy")
    assert "nowhere" in error(capsys, *decode, "nowhere.csv", "--out", tmp_path / "x.npy")
    assert "'.png'" in error(capsys, *decode, tmp_path / "z3.npy", "--out", tmp_path / "x.png")
    assert ".csv or .npy" in error(capsys, "encode", run, "--out", tmp_path / "codes.xlsx")
    assert not (tmp_path / "x.npy").exists()


def test_a_mistyped_run_is_told_what_is_there(run, capsys):
    wrong = run.parent / "smal-1"
    assert error(capsys, "encode", wrong).endswith(f"model; did you mean '{run}'?")
    assert "npvae runs lists" in error(capsys, "encode", run.parent / "xyz" / "model.npz")


def test_what_is_no_image_makes_no_folder_of_images(tmp_path, capsys):
    argv = [*QUICK, str(tmp_path / "run"), "--data", "swiss-roll", "--likelihood", "normal"]
    assert main(argv) == 0
    line = error(capsys, "sample", tmp_path / "run", "--out", tmp_path / "folder")
    assert "not trained on any" in line and not (tmp_path / "folder").exists()
