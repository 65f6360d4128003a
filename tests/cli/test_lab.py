"""``npvae lab compare``: of a run, of a model by its options, and what it leaves."""
import csv
import json
import signal
from itertools import count

import pytest

from npvae.cli import main

QUICK = ["lab", "compare", "--hidden", "4", "--draws", "64", "--limit", "5"]


def error(capsys, *argv):
    assert main([*map(str, argv)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_a_model_by_its_options(capsys):
    assert main([*QUICK, "--activation", "relu", "--estimators", "a", "dreg"]) == 0
    out = capsys.readouterr().out
    assert "64 gradients of 5 datapoints" in out
    assert [line.split()[0] for line in out.splitlines() if " encoder " in line] == ["A", "dreg"]


def test_a_run_and_its_files(tmp_path, capsys):
    run = tmp_path / "run"
    assert main(["train", "--hidden", "4", "--latent-dim", "5", "--epochs", "1", "-q",
                 "--out", str(run)]) == 0
    command = ["lab", "compare", str(run), "--draws", "64", "--limit", "5", "--json",
               "--estimators", "A", "B", "--samples", "1", "2"]  # fmt: skip
    capsys.readouterr()
    assert main([*command, "--out", str(tmp_path / "found.csv")]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {(row["estimator"], row["samples"]) for row in printed["rows"]} == {
        ("A", 1), ("A", 2), ("B", 1), ("B", 2)
    }  # fmt: skip
    with open(tmp_path / "found.csv", newline="", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == len(printed["rows"])
    assert main([*command, "--out", str(tmp_path / "found.png")]) == 0
    assert (tmp_path / "found.png").stat().st_size > 1000
    assert main([*command, "--out", str(tmp_path / "found.json")]) == 0
    kept = json.loads((tmp_path / "found.json").read_text("utf-8"))
    assert len(kept["rows"]) == len(printed["rows"])
    assert "exists and is not overwritten" in error(
        capsys, *command, "--out", tmp_path / "found.png"
    )
    assert "describes a model" in error(capsys, *command, "--hidden", "4")


@pytest.mark.parametrize(("options", "words"), [
    (["--limit", "0"], "leaves no datapoint"), (["--draws", "5"], "ask for 64 draws"),
    (["--out", "found.txt"], "let it end in .json"), (["--estimators", "C"], "not known"),
    (["--samples", "1", "--estimators", "vimco"], "n_samples to 2 or more"),
    (["--noise", "antithetic", "--samples", "3"], "n_samples to an even number"),
    (["--noise", "white"], "noise='white' is not known"), (["--resume"], "what --out began"),
    (["--model", "mcem"], None),
])  # fmt: skip
def test_what_cannot_be_is_one_line(options, words, capsys):
    if words is None:
        with pytest.raises(SystemExit):
            main([*QUICK, *options])
    else:
        assert words in error(capsys, *QUICK, *options)


def test_an_interrupted_one_goes_on(tmp_path, capsys, monkeypatch):
    """By the same command and --resume; what was kept for that is gone in the end."""
    out, checkpoint = tmp_path / "found.json", tmp_path / "found.checkpoint.npz"
    command = [*QUICK, "--latent-dim", "5", "--samples", "2", "--noise", "independent", "sobol",
               "--out", str(out), "-q"]  # fmt: skip

    def stop(draws):
        for i in draws:
            if i == 40:
                signal.raise_signal(signal.SIGINT)
            yield i

    with monkeypatch.context() as patch:
        patch.setattr("npvae.cli.lab.progress_bar", lambda arguments, unit: stop)
        assert main(command) == 130
    assert "the same command with --resume goes on" in capsys.readouterr().err
    assert checkpoint.exists() and not out.exists()
    assert "go on with --resume, or start anew with --force" in error(capsys, *command)
    assert "was made with seed=0, not 1" in error(capsys, *command, "--resume", "--seed", "1")
    assert main([*command, "--resume"]) == 0
    assert not checkpoint.exists()
    kept = json.loads(out.read_text("utf-8"))
    assert main([*command, "--force"]) == 0
    whole = json.loads(out.read_text("utf-8"))
    assert kept["differences"] == whole["differences"]
    assert {row["noise"] for row in whole["rows"]} == {"independent", "sobol"}


def test_progress_where_no_line_can_be_written_over(capsys, monkeypatch):
    """A line every ten seconds, by a clock of four seconds a draw; and of a short run none."""
    assert main([*QUICK, "--latent-dim", "5"]) == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("npvae.cli.common.monotonic", count(0, 4).__next__)
    assert main([*QUICK, "--latent-dim", "5"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "2 of 64 draws" and 10 < len(lines) < 25
    assert main([*QUICK, "--latent-dim", "5", "-q"]) == 0
    assert capsys.readouterr().err == ""
