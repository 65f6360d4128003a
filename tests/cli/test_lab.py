"""``npvae lab compare``: of a run, of a model by its options, and what it leaves."""
import csv
import json

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
    assert main(["train", "--hidden", "4", "--epochs", "1", "-q", "--out", str(run)]) == 0
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
    (["--model", "mcem"], None),
])  # fmt: skip
def test_what_cannot_be_is_one_line(options, words, capsys):
    if words is None:
        with pytest.raises(SystemExit):
            main([*QUICK, *options])
    else:
        assert words in error(capsys, *QUICK, *options)
