"""runs, compare and plot: what was trained, as a person and as a program read it."""
import json
import re

import pytest

import npvae
from npvae import data, runs
from npvae.cli import main
from npvae.io import read_jsonl


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two runs that can be compared, and one that cannot."""
    folder = tmp_path_factory.mktemp("runs")
    for name, *options in (["a"], ["b", "--latent-dim", "3"], ["c", "--model", "autoencoder"]):
        argv = ["train", "--hidden", "8", "--epochs", "2", "-q", *options, "--out"]
        assert main([*argv, str(folder / name)]) == 0
    return folder


def test_runs_are_listed(folder, tmp_path, monkeypatch, capsys):
    assert main(["runs", str(folder)]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split()[:2] == ["run", "begun"] and [line[0] for line in lines] == ["a", "b", "c"]
    assert main(["runs", str(folder), "--json"]) == 0
    for line, run in zip(lines, json.loads(capsys.readouterr().out), strict=True):
        rows = read_jsonl(run["folder"] + "/history.jsonl")
        best = max(row["validation_elbo"] for row in rows)
        assert run["best"]["nats"] == best and f"{best:.2f}" in line
        assert run["finished"] and "2/2" in line and run["settings"]["model"] in line
    monkeypatch.chdir(tmp_path)
    assert main(["runs"]) == 1
    assert "npvae train makes runs/" in capsys.readouterr().err


def test_two_runs_are_compared_on_the_same_held_out_rows(folder, tmp_path, capsys):
    a, b = folder / "a", folder / "b"
    command = ["compare", str(a), str(b)]
    assert main([*command, "--out", str(tmp_path / "x.png")]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^latent_dim +2 +3$", out, flags=re.M) and "hidden" not in out
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    assert main([*command, "--json", "--out", str(tmp_path / "y.png")]) == 0
    found = json.loads(capsys.readouterr().out)
    X = data.load_digits().split(179, seed=0)[1]
    elbos = [npvae.load(run / "model.npz").elbo(X, n_samples=10).total for run in (a, b)]
    assert found["difference"]["nats"] == pytest.approx(float((elbos[0] - elbos[1]).mean()))
    more, error = found["difference"]["nats"], found["difference"]["standard_error"]
    assert f" by {abs(more):.3f} ± {error:.3f} nats" in out
    assert ("no more than noise" in out) == (abs(more) <= 2 * error)
    assert (f"the ELBO of {a} is higher" in out) == (more > 2 * error)
    assert main(["compare", str(a), str(a), "--out", str(tmp_path / "w.png")]) == 0
    assert "their ELBOs differ by 0.000 ± 0.000 nats, no more than noise" in capsys.readouterr().out
    assert main(["compare", str(a), str(folder / "c"), "--out", str(tmp_path / "z.png")]) == 0
    assert "not compared: model autoencoder has none" in capsys.readouterr().out


def test_plot_draws_the_pictures_of_train_again(folder, capsys):
    plots = folder / "a" / "plots"
    before = {path.name: path.read_bytes() for path in plots.iterdir()}
    for path in plots.iterdir():
        path.unlink()
    assert main(["plot", str(folder / "a")]) == 0
    assert {path.name: path.read_bytes() for path in plots.iterdir()} == before
    assert len(capsys.readouterr().out.splitlines()) == len(before) + 1  # and the report


def test_a_model_file_is_no_run(folder, capsys):
    model = str(folder / "a" / "model.npz")
    for argv in (["plot", model], ["compare", model, str(folder / "b")]):
        assert main(argv) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert "run" in line and runs.__name__ not in line
