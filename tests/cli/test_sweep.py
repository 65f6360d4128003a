"""A sweep's runs are those of ``npvae train``, and whatever ends it, the same command goes on."""
import json
import os
import re
import signal
import subprocess
import sys
from unittest.mock import patch

import numpy as np
import pytest

import npvae
from npvae import runs
from npvae.cli import main
from npvae.data import disk_rows
from npvae.errors import ParameterError
from npvae.io import read_jsonl
from npvae.runs import sweep
from npvae.training import StackedStep

COMMON = "hidden = [8]\nepochs = 3\n"
GRID = "[grid]\nlearning_rate = [1e-3, 1e-2]\nkl_weight = [1, 4]\n"


@pytest.fixture
def grid(tmp_path, monkeypatch):
    """A grid of four runs of one architecture, in the folder where the command is given."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "grid.toml"
    file.write_text(COMMON + GRID)
    return file


def parameters(folder):
    return {name: view.tobytes() for name, view in
            npvae.load(folder / "model.npz").parameters.items()}  # fmt: skip


def histories(folder):
    rows = [read_jsonl(folder / str(n) / "history.jsonl") for n in range(1, 5)]
    return [[{k: v for k, v in row.items() if k != "seconds"} for row in run] for run in rows]


def test_a_grid_is_trained_as_train_trains_each(grid, capsys):
    assert main(["sweep", str(grid)]) == 0
    folder = grid.parent / "runs" / "grid"
    out = capsys.readouterr().out
    assert "4 runs at once: 1 2 3 4" in out and (folder / "sweep.png").read_bytes()[1:4] == b"PNG"
    assert (folder / "sweep.toml").read_text() == grid.read_text()
    points = [(rate, beta) for rate in (1e-3, 1e-2) for beta in (1, 4)]
    table = out[out.index("run  learning_rate  kl_weight  epochs") :].splitlines()[1:5]
    bests = [float(line.split()[4]) for line in table]
    assert bests == sorted(bests, reverse=True)
    for number, (rate, beta) in enumerate(points, 1):
        options = {"hidden": [8], "epochs": 3, "learning_rate": rate, "kl_weight": beta}
        with runs.create(runs.resolve_settings(options), f"alone-{number}") as alone:
            runs.train(alone, quiet=True)
        run = folder / str(number)
        assert parameters(run) == parameters(alone.folder)
        for file in ("config.toml", "data.json"):
            assert (run / file).read_text() == (alone.folder / file).read_text()
        rows = [read_jsonl(place / "history.jsonl") for place in (run, alone.folder)]
        assert [r["validation_elbo"] for r in rows[0]] == [r["validation_elbo"] for r in rows[1]]
        best = max(row["validation_elbo"] for row in rows[0])
        assert any(line.split()[:5] == [str(number), str(rate), str(beta), "3/3", f"{best:.2f}"]
                   for line in table)  # fmt: skip
    assert main(["evaluate", str(folder / "1"), "--samples", "2", "-q"]) == 0  # a run as any


def test_what_is_done_is_left_alone_and_what_is_new_is_trained(grid, capsys):
    assert main(["sweep", str(grid), "--out", "s"]) == 0
    folder = grid.parent / "s"
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*/*")}
    grid.write_text(grid.read_text().replace("[1, 4]", "[2, 1, 4]"))
    assert main(["sweep", str(grid), "--out", "s", "--json"]) == 0
    found = json.loads(capsys.readouterr().out.partition("plot")[2].partition("\n")[2])
    assert all(path.stat().st_mtime_ns == mtime for path, mtime in before.items())
    kinds = {(run["settings"]["learning_rate"], run["settings"]["kl_weight"]): run["folder"]
             for run in found}  # fmt: skip
    assert len(found) == 6 and all(run["finished"] and run["failed"] is None for run in found)
    assert kinds[1e-3, 1] == "s/1" and kinds[1e-2, 4] == "s/4"
    assert {kinds[1e-3, 2], kinds[1e-2, 2]} == {"s/5", "s/6"}


def test_other_architectures_follow_and_what_is_not_batched_goes_alone(grid, capsys):
    grid.write_text(
        'epochs = 1\n[grid]\nhidden = [[8], [4, 8]]\nposterior = ["normal", "laplace"]\n'
        'random_state = [0, 1]\n'
    )  # fmt: skip
    with patch.object(sweep, "train", side_effect=sweep.train) as alone:
        assert main(["sweep", str(grid)]) == 0
    out = capsys.readouterr().out
    assert re.findall("training +(.*)", out) == [
        "2 runs at once: 1 2", "run 3", "run 4", "2 runs at once: 5 6", "run 7", "run 8"
    ]
    assert alone.call_count == 4
    assert re.search(r"^\d +4 8 +laplace +[01] +1/1", out, flags=re.M)


def test_ctrl_c_says_how_to_go_on_and_the_same_command_does(grid, capsys):
    assert main(["sweep", str(grid), "--out", "whole", "-q"]) == 0
    advance = StackedStep.advance

    def interrupted(self):
        advance(self)
        if self.state.step == 20:  # of 17 steps an epoch
            os.kill(os.getpid(), signal.SIGINT)

    with patch.object(StackedStep, "advance", interrupted):
        assert main(["sweep", str(grid), "--out", "cut"]) == 130
    again = re.search("go on with: npvae (.*)", capsys.readouterr().err)[1]
    assert not list((grid.parent / "cut").glob("*/model.npz"))
    assert main(again.split()) == 0
    cut, whole = grid.parent / "cut", grid.parent / "whole"
    assert histories(cut) == histories(whole)
    for number in range(1, 5):
        assert parameters(cut / str(number)) == parameters(whole / str(number))


KILLED = """
import os, signal
from npvae.cli import main
from npvae.estimators import many

save, written = many.save_checkpoint, []

def save_or_die(*arguments, **options):
    save(*arguments, **options)
    written.append(options)
    if len(written) == {n}:
        os.kill(os.getpid(), signal.SIGKILL)

many.save_checkpoint = save_or_die
main(["sweep", "grid.toml", "--out", "killed", "-q"])
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
@pytest.mark.parametrize("n", [1, 6])  # checkpoints: some runs have one, and then not as many
def test_a_kill_loses_no_more_than_the_epoch_in_hand(n, grid):
    assert main(["sweep", "grid.toml", "--out", "whole", "-q"]) == 0
    killed, whole = grid.parent / "killed", grid.parent / "whole"
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ended = subprocess.run([sys.executable, "-c", KILLED.format(n=n)], env=env)
    assert ended.returncode == -signal.SIGKILL and not list(killed.glob("*/model.npz"))
    assert len(list(killed.glob("*/checkpoint.npz"))) == min(n, 4)
    assert main(["sweep", "grid.toml", "--out", "killed", "-q"]) == 0
    assert histories(killed) == histories(whole)
    for number in "1234":
        assert parameters(killed / number) == parameters(whole / number)


def test_a_run_that_fails_harms_no_other_and_is_one_line(grid, capsys):
    grid.write_text(COMMON + 'likelihood = "normal"\n[grid]\nlearning_rate = [1e-3, 1e30, 1e-2]\n')
    assert main(["sweep", str(grid)]) == 1
    out, err = capsys.readouterr()
    (line,) = [line for line in err.splitlines() if "error" in line]
    assert re.match(r"npvae: error: 1 of 3 runs failed; run 2: the loss is \S+ at step", line)
    assert re.search(r"^2 +1e\+30 .*failed$", out, flags=re.M)
    folder = grid.parent / "runs" / "grid"
    assert [(folder / n / "model.npz").exists() for n in "123"] == [True, False, True]
    assert main(["sweep", str(grid), "-q"]) == 1  # it is tried again, the others are done
    capsys.readouterr()


@pytest.mark.parametrize(("text", "words"), [
    ("epochs = 1\n", r"no \[grid\]"), ("[grid]\n", r"no \[grid\]"),
    ("[grid]\nlearning_rate = 1e-3\n", "no list of values"), ("[grid]\nhidden = []\n", "no list"),
    ("epochs = 1\n[grid]\nepochs = [1, 2]\n", "stands above"),
    ("[grid]\nkl_weight = [1, 1.0]\n", "a value twice"),
    ("[grid]\nlearning_rat = [1, 2]\n", "learning_rat=1 is no setting of model 'vae'"),
    ("[grid]\nlearning_rate = [1e-3, -1.0]\n", "learning_rate=-1.0"),
    ("[grid]\nhidden = [8, 16]\n", "hidden=8"),
    ("[grid]\nn_samples = [1]\nestimator = ['vimco']\n", "n_samples"),
    ("[grid\n", "not valid TOML"), (None, "no such file|No such file|not there|missing"),
    ("[grid]\n" + "".join(f"{name} = {list(range(1, 30))}\n" for name in
                          ("random_state", "epochs", "latent_dim")), "more than 10,000"),
], ids=str)  # fmt: skip
def test_a_file_that_is_no_grid_is_one_line_and_leaves_nothing(grid, text, words, capsys):
    grid.unlink()
    if text is not None:
        grid.write_text(text)
    assert main(["sweep", str(grid), "--out", "s"]) == 1
    err = capsys.readouterr().err
    assert re.search(words, err) and err.count("\n") == 1 and str(grid) in err
    assert not (grid.parent / "s").exists()


def test_a_folder_of_something_else_is_refused(grid, capsys):
    (grid.parent / "s").mkdir()
    (grid.parent / "s" / "thesis.tex").write_text("x")
    (grid.parent / "t").write_text("x")
    for place, words in (("s", "holds something that is no sweep"), ("t", "is a file")):
        assert main(["sweep", str(grid), "--out", place]) == 1
        assert words in capsys.readouterr().err
    assert [p.name for p in (grid.parent / "s").iterdir()] == ["thesis.tex"]


def test_data_on_the_disk_are_swept_one_run_after_another(grid, monkeypatch):
    np.save("x.npy", np.random.default_rng(0).random((120, 6), np.float32))
    monkeypatch.setattr(disk_rows, "LARGE", 1000)
    grid.write_text(COMMON + 'data = "x.npy"\n' + GRID)
    with patch.object(sweep, "train", side_effect=sweep.train) as alone:
        assert main(["sweep", str(grid), "-q"]) == 0
    assert alone.call_count == 4
    assert len(list((grid.parent / "runs" / "grid").glob("*/model.npz"))) == 4


def test_data_that_have_changed_are_refused(grid, capsys):
    rng = np.random.default_rng(0)
    np.save("x.npy", rng.random((50, 6), np.float32))
    text = COMMON + 'data = "x.npy"\n' + GRID
    grid.write_text(text)
    assert main(["sweep", str(grid), "-q"]) == 0
    np.save("x.npy", rng.random((50, 6), np.float32))
    assert main(["sweep", str(grid), "-q"]) == 0  # nothing is left to train
    grid.write_text(text.replace("[1, 4]", "[1, 4, 2]"))
    (grid.parent / "runs" / "grid" / "1" / "model.npz").unlink()
    assert main(["sweep", str(grid), "-q"]) == 1
    assert "is not what" in capsys.readouterr().err


def test_the_last_name_varies_fastest(tmp_path):
    file = tmp_path / "g.toml"
    file.write_text('[grid]\nlatent_dim = [1, 2]\nmodel = ["vae", "autoencoder"]\n')
    grid, found = sweep.combinations(file)
    assert list(grid) == ["latent_dim", "model"]
    assert [(s["latent_dim"], s["model"]) for s in found] == [
        (1, "vae"), (1, "autoencoder"), (2, "vae"), (2, "autoencoder")
    ]
    with pytest.raises(ParameterError, match="no setting of model"):
        file.write_text('model = "autoencoder"\n[grid]\nkl_weight = [1, 2]\n')
        sweep.combinations(file)
