"""npvae explore leaves a page, or one line that says why not."""
import json
import re

import pytest

from npvae.cli import main


def held(path):
    """What Python wrote into a page."""
    found = re.search(r'id="npvae-data">(.*?)</script>', path.read_text("utf-8"), re.S)
    return json.loads(found[1])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "small"
    assert main(["train", "--hidden", "8", "--epochs", "1", "-q", "--out", str(folder)]) == 0
    return folder


@pytest.mark.parametrize(("argv", "n", "rows"), [
    ([], 1618, False), (["--data", "digits"], 1797, False), (["--embed-data"], 1618, True),
])  # fmt: skip
def test_a_run_is_shown_with_its_data(argv, n, rows, run, tmp_path, capsys):
    """What it was trained on, and all of what is named."""
    page = tmp_path / "page.html"
    assert main(["explore", str(run), *argv, "--out", str(page)]) == 0
    assert re.fullmatch(rf"{page}: [\d,]+ kB\n", capsys.readouterr().out)
    points = held(page)["points"]
    assert (points["n"], "rows" in points) == (n, rows)
    assert points["names"] == list("0123456789")


def test_a_model_file_is_shown_with_samples_of_the_prior(run, tmp_path):
    page = tmp_path / "page.html"
    assert main(["explore", str(run / "model.npz"), "--out", str(page), "-q"]) == 0
    assert held(page)["points"].keys() == {"n", "mean", "names", "labels"}


def test_the_name_of_the_page_if_none_is_given(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["explore", str(run), "-q"]) == 0
    assert (tmp_path / "small-explore.html").exists()


@pytest.mark.parametrize(("argv", "words"), [
    (["model.npz", "--embed-data"], "no data to put into the page"),
    (["model.npz", "--scale", "1"], "scale is of --data"),
    (["", "--scale", "1"], "scale is of --data"),
    (["", "--out", "page.png"], "let it end in .html or .htm"),
    (["", "--data", "nowhere.csv"], "nowhere.csv"),
])  # fmt: skip
def test_what_cannot_be_shown_is_one_line(argv, words, run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["explore", str(run / argv[0]), *argv[1:]]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line and not list(tmp_path.iterdir())


def test_a_page_is_not_replaced_unless_told_to(run, tmp_path, capsys):
    page = tmp_path / "page.html"
    page.write_text("mine")
    argv = ["explore", str(run), "--out", str(page)]
    assert main(argv) == 1 and page.read_text() == "mine"
    assert "--force" in capsys.readouterr().err
    assert main([*argv, "--force"]) == 0 and page.read_text("utf-8").startswith("<!DOCTYPE")


def test_an_autoencoder_is_told_to_be_none(tmp_path, capsys):
    argv = ["train", "--model", "autoencoder", "--hidden", "8", "--epochs", "1", "-q", "--out"]
    assert main([*argv, str(tmp_path / "run")]) == 0
    assert main(["explore", str(tmp_path / "run"), "--out", str(tmp_path / "x.html")]) == 1
    assert "this is Autoencoder; train a VAE" in capsys.readouterr().err
