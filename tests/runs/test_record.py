"""A run knows its data: others are refused, its own found again, and the same rows held out."""
import json
import shutil
import tomllib

import numpy as np
import pytest

import npvae
from npvae import runs
from npvae.cli import main
from npvae.data import Dataset
from npvae.data.fingerprint import BLOCK, fingerprint
from npvae.errors import DataError, ModelFileError
from npvae.io import read_archive, write_archive
from npvae.runs.record import DataRecord, read_record
from npvae.training import change_data

X = np.random.default_rng(0).random((60, 12)).round(3)
TRAIN = ["train", "--likelihood", "normal", "--hidden", "4", "--epochs", "1", "--batch-size", "20"]
EVALUATE = ["--samples", "20", "--limit", "100"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on x.npy, named by a relative path."""
    folder = tmp_path_factory.mktemp("trained")
    np.save(folder / "x.npy", X)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main([*TRAIN, "--data", "x.npy", "--out", "run"]) == 0
    return folder


@pytest.fixture
def run(trained, tmp_path, monkeypatch):
    """A copy of it whose data are its own; and another current folder."""
    shutil.copytree(trained, tmp_path / "copy")
    run = tmp_path / "copy" / "run"
    config = (run / "config.toml").read_text()
    (run / "config.toml").write_text(config.replace(str(trained), str(tmp_path / "copy")))
    monkeypatch.chdir(tmp_path)
    return run


def one_line_error(capsys, *argv):
    capsys.readouterr()
    assert main([*map(str, argv)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("npvae: error: ")
    return line


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def evaluated(capsys, *argv):
    capsys.readouterr()
    assert main(["evaluate", *map(str, argv), *EVALUATE, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def changed():
    other = X.copy()
    other[17, 3] = np.nextafter(other[17, 3], 2)
    return other


OTHERS = {
    "one bit of one value": (changed, "it has other values now"),
    "rows in another order": (lambda: X[::-1], "it has other values now"),
    "grown": (lambda: np.vstack([X, X[:7]]), "it has 67 rows of 12, and had 60 of 12"),
    "shrunk": (lambda: X[:50], "it has 50 rows of 12, and had 60 of 12"),
    "another file": (lambda: X[:, :9], "it has 60 rows of 9, and had 60 of 12"),
}
COMMANDS = [("evaluate", *EVALUATE), ("reconstruct",), ("encode", "--out", "z.csv")]


@pytest.mark.parametrize("which", OTHERS)
@pytest.mark.parametrize("command", COMMANDS, ids=[command[0] for command in COMMANDS])
def test_other_data_are_refused(which, command, run, capsys):
    make, words = OTHERS[which]
    np.save(run.parent / "x.npy", make())
    line = one_line_error(capsys, command[0], run, *command[1:])
    assert f"{run.parent / 'x.npy'} is not what {run} was trained on: {words}; " in line


@pytest.mark.parametrize("which", OTHERS)
def test_a_resume_on_other_data_is_refused_and_changes_nothing(which, run, capsys):
    make, words = OTHERS[which]
    np.save(run.parent / "x.npy", make())
    before = files(run)
    line = one_line_error(capsys, "train", "--resume", run, "--epochs", 2)
    assert words in line and "--new-data" in line
    np.save(run.parent / "elsewhere.npy", make())
    line = one_line_error(capsys, "train", "--resume", run, "--data", run.parent / "elsewhere.npy")
    assert words in line
    assert files(run) == before


def test_data_that_are_gone_are_asked_for(run, capsys):
    (run.parent / "x.npy").unlink()
    for command in ("evaluate", "reconstruct"):
        line = one_line_error(capsys, command, run)
        assert f"{run.parent / 'x.npy'}, which {run} was trained on, is not there" in line
        assert "say with --data where it is now" in line
    assert "is not there" in one_line_error(capsys, "train", "--resume", run, "--epochs", 2)


@pytest.mark.parametrize("suffix", ["npy", "csv"])
def test_data_are_known_again_wherever_they_are(suffix, run, capsys):
    """Also in another format, if it keeps every value; and again the rows held out are taken."""
    before = evaluated(capsys, run)
    (run.parent / "x.npy").unlink()
    place = run.parent / f"moved.{suffix}"
    np.save(place, X) if suffix == "npy" else np.savetxt(place, X, delimiter=",")
    after = evaluated(capsys, run, "--data", place)
    assert after["bound"] == before["bound"] and after["likelihood"] == before["likelihood"]
    assert main(["train", "--resume", str(run), "--epochs", "2", "--data", str(place)]) == 0
    assert tomllib.loads((run / "config.toml").read_text())["data"] == str(place)
    assert evaluated(capsys, run)["datapoints"] == before["datapoints"]


def test_other_data_that_are_named_are_meant(run, capsys):
    np.save(run.parent / "x.npy", changed())
    assert evaluated(capsys, run, "--data", run.parent / "x.npy")["datapoints"] == 60


def test_data_that_have_grown_keep_the_rows_held_out(run, capsys):
    """No row that was trained on is ever taken for one that was not."""
    before = runs.open_run(run).datasets()[1].pixels
    grown = np.vstack([X, 1 - X])
    np.save(run.parent / "x.npy", grown)
    assert main(["train", "--resume", str(run), "--epochs", "3", "--new-data"]) == 0
    training, held_out = runs.open_run(run).datasets()
    assert np.array_equal(held_out.pixels, before)
    assert len(training) + len(held_out) == 120
    rows = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    assert [row["samples"] for row in rows] == [54, 54 + 114, 54 + 2 * 114]
    assert evaluated(capsys, run)["datapoints"] == 6


@pytest.mark.parametrize("which", ["shrunk", "another file"])
def test_new_data_that_cannot_take_the_place_are_refused(which, run, capsys):
    make, words = OTHERS[which]
    np.save(run.parent / "x.npy", make())
    before = files(run)
    line = one_line_error(capsys, "train", "--resume", run, "--epochs", 3, "--new-data")
    assert words in line and "start a new run" in line
    assert files(run) == before
    assert "for --resume" in one_line_error(capsys, *TRAIN, "--new-data", "--out", "another")


def test_the_rows_held_out_are_those_of_the_record(run, monkeypatch):
    """Whatever another version, or another NumPy, would choose."""
    before = runs.open_run(run).datasets()[1].pixels
    monkeypatch.setattr(runs.run, "held_out_rows", lambda settings, dataset: (0, 1, 2))
    assert np.array_equal(runs.open_run(run).datasets()[1].pixels, before)
    (run / "data.json").unlink()  # a run of npvae 0.1 has none
    assert np.array_equal(runs.open_run(run).datasets()[1].pixels, X[:3])


def test_the_rows_held_out_are_those_of_npvae_0_1(run):
    """Written out from its formula."""
    order = np.random.default_rng(0).permutation(60)
    assert read_record(run / "data.json").held_out == tuple(sorted(order[-6:].tolist()))


@pytest.mark.parametrize("content", [
    "", "[" * 100_000, "[]", "3", "{}", '{"rows": 60}', "\xff", "null",
    *(json.dumps({"rows": 60, "columns": 12, "sha256": "", "held_out": [1]} | wrong) for wrong in (
        {"rows": "60"}, {"rows": True}, {"columns": 1.5}, {"sha256": 3}, {"held_out": 3},
        {"held_out": [60]}, {"held_out": [-1]}, {"held_out": [2, 1]}, {"held_out": [1, 1]},
        {"held_out": ["1"]}, {"held_out": [1e300]}, {"more": 1},
    )),
])  # fmt: skip
def test_a_damaged_record_is_one_line(content, tmp_path):
    (tmp_path / "data.json").write_text(content, "latin-1")
    with pytest.raises(ModelFileError, match=r"data\.json is damaged; delete it if") as caught:
        read_record(tmp_path / "data.json")
    assert "\n" not in str(caught.value)


def test_a_fingerprint_is_of_every_value_and_of_nothing_else(tmp_path):
    data = Dataset(X)
    same = [
        Dataset(np.asfortranarray(X)), Dataset(X.astype(">f8")), Dataset(X, np.arange(60)),
        Dataset(X, name="other"), Dataset(np.repeat(X, 2, axis=1)[:, ::2]),
    ]  # fmt: skip
    assert {fingerprint(one) for one in same} == {fingerprint(data)}
    others = [Dataset(make()) for make, _ in OTHERS.values()]
    others += [Dataset(X, scale=0.5), Dataset(X.reshape(30, 24)), Dataset(X.astype(np.float32))]
    assert len({fingerprint(one) for one in [data, *others]}) == len(others) + 1


def test_a_fingerprint_of_a_mapped_file_takes_little_memory(tmp_path):
    import tracemalloc

    np.save(tmp_path / "x.npy", np.zeros((20_000, 500), np.float32))  # 40 MB
    data = npvae.data.load_file(tmp_path / "x.npy")
    tracemalloc.start()
    fingerprint(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * BLOCK


def test_an_epoch_that_other_data_began_begins_anew(tmp_path):
    path, progress = tmp_path / "checkpoint.npz", {"epoch": 2, "batch": 2, "step": 12}
    config = {"params": {"batch_size": 10}, "n_data": 50, "progress": progress}
    write_archive(path, "checkpoint", config, {"theta": X})
    change_data(path, 62)
    config, arrays = read_archive(path, "checkpoint")
    sums = {"sums": [0, 0], "objective": [0, 0]}
    assert config["progress"] == {"epoch": 2, "batch": 0, "step": 14} | sums
    assert config["n_data"] == 62 and config["params"] == {"batch_size": 10}
    assert np.array_equal(arrays["theta"], X)


def test_a_record_for_new_data_keeps_the_rows_held_out():
    record = DataRecord.of(Dataset(X), (1, 5))
    new = record.for_new(Dataset(changed()))
    assert new.held_out == (1, 5) and new.sha256 != record.sha256
    with pytest.raises(DataError, match="start a new run"):
        record.for_new(Dataset(X[:10]))
