"""The reproductions: what they train, what they keep, what they say; on digits, in seconds."""
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import npvae
from npvae import data, runs
from npvae.cli import main
from npvae.errors import MissingExtraError, ModelFileError, NpvaeError
from npvae.io import read_jsonl
from npvae.reproduce import FIGURES, Curve, train_curves
from npvae.reproduce.curves import prepare
from npvae.reproduce.learning_curves import LearningCurve, bound, compare, table
from npvae.reproduce.learning_curves import learning_curve as line_of
from npvae.reproduce.marginal import MarginalLikelihood, marks
from npvae.reproduce.paper import PUBLISHED

SMALL = Curve("digits-2-vae", "digits", 2, "vae", 500, 8)
ASLEEP = replace(SMALL, name="digits-2-wake-sleep", algorithm="wake-sleep")


def test_every_curve_of_the_paper_is_there_by_its_settings():
    names = {name for figure in FIGURES.values() for name in figure.curves}
    assert set(PUBLISHED) < names
    assert names - set(PUBLISHED) == {"mnist-2-vae"}  # pictures alone: figures 4 and 5
    for name in names:
        curve = next(f.curves[name] for f in FIGURES.values() if name in f.curves)
        settings = runs.resolve_settings(curve.settings(1e7))
        assert settings.get("n_samples", 1) == 1 and settings["batch_size"] == 100
        assert settings["activation"] == "tanh" and settings["parameter_prior"]
        assert settings["learning_rate"] in (0.01, 0.02, 0.1)  # the paper's choices
        assert settings["epochs"] * settings["n_train"] >= 1e7


def test_curves_train_side_by_side_and_again_at_no_cost(tmp_path, capsys):
    first = train_curves([SMALL, ASLEEP], 1000, tmp_path, jobs=2)
    assert [run.folder.name for run in first] == [SMALL.name, ASLEEP.name]
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 2 and all("100%" in line and "1,000 samples" in line for line in printed)
    before = [(tmp_path / c.name / "model.npz").stat().st_mtime_ns for c in (SMALL, ASLEEP)]
    train_curves([SMALL, ASLEEP], 900, tmp_path)  # a smaller budget is met already
    after = [(tmp_path / c.name / "model.npz").stat().st_mtime_ns for c in (SMALL, ASLEEP)]
    assert before == after and not capsys.readouterr().out
    assert bound(first[0]).samples == [500, 1000]


def test_a_larger_budget_goes_on_to_where_it_would_have_come(tmp_path):
    train_curves([SMALL], 1000, tmp_path / "a")
    train_curves([SMALL], 1500, tmp_path / "a")
    train_curves([SMALL], 1500, tmp_path / "b")
    one, other = (npvae.load(tmp_path / x / SMALL.name / "model.npz") for x in "ab")
    assert one.history_ is not None
    for name, value in one.parameters.items():
        assert np.array_equal(value, other.parameters[name]), name


def test_a_folder_of_other_settings_is_left_alone(tmp_path):
    prepare(SMALL, 1000, tmp_path / "x")
    config = (tmp_path / "x" / "config.toml").read_text()
    with pytest.raises(ModelFileError, match=r"hidden=\[8\], and this curve has \[9\]; name"):
        prepare(replace(SMALL, hidden=9), 1000, tmp_path / "x")
    assert (tmp_path / "x" / "config.toml").read_text() == config


def test_a_curve_that_fails_says_why_and_the_others_are_done(tmp_path):
    wrong = replace(SMALL, name="too-many", n_train=10**6)
    with pytest.raises(NpvaeError, match=r"curve too-many failed: .*1000000 datapoints of digits"):
        train_curves([wrong, SMALL], 1000, tmp_path, jobs=1)
    assert (tmp_path / SMALL.name / "model.npz").exists()


def test_a_failed_curve_does_not_cost_the_figure(tmp_path):
    pytest.importorskip("matplotlib")
    wrong = replace(SMALL, name="too-many", n_train=10**6)
    figure = replace(FIGURES["figure5"], panels={"a": (wrong,), "b": (SMALL,)})
    with pytest.raises(NpvaeError, match="curve too-many failed"):
        figure.reproduce(tmp_path, 500)
    assert (tmp_path / "figure5.png").exists()


def test_a_smaller_budget_takes_a_larger_one_back(tmp_path):
    assert prepare(SMALL, 5e7, tmp_path / "x").settings["epochs"] == 100_000
    assert prepare(SMALL, 1000, tmp_path / "x").settings["epochs"] == 2


def test_a_run_of_other_settings_is_no_curve_of_the_paper(tmp_path):
    settings = runs.resolve_settings(SMALL.settings(500) | {"learning_rate": 0.5})
    with runs.create(settings, tmp_path / SMALL.name):
        pass
    figure = replace(FIGURES["figure2"], panels={"Digits": (SMALL,)})
    with pytest.raises(ModelFileError, match=r"learning_rate=0.5, and this curve has 0\.02"):
        figure.show(tmp_path)


def test_a_curve_asked_for_twice_is_trained_once():
    figure = FIGURES["figure2"]
    assert len(figure.chosen(["mnist-3-vae", "mnist-3-vae"])) == 1


PARENT = """if True:
    import dataclasses, pathlib, signal, sys
    from npvae.interrupts import terminable
    from npvae.reproduce import Curve, train_curves
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whether or not the tests run under nohup
    one = Curve("a", "digits", 2, "vae", 500, 8)
    with terminable():
        train_curves([one, dataclasses.replace(one, name="b")], 5e7, pathlib.Path(sys.argv[1]), 2)
"""


@pytest.mark.skipif(os.name != "posix", reason="kills as POSIX does")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGKILL"])
def test_workers_end_with_the_process_that_started_them(name, tmp_path):
    """However that ends; and each leaves a checkpoint of the step in hand."""
    import fcntl

    parent = subprocess.Popen([sys.executable, "-c", PARENT, tmp_path], stderr=subprocess.DEVNULL)
    folders = [tmp_path / "a", tmp_path / "b"]
    try:
        while not all((folder / "history.jsonl").exists() for folder in folders):
            assert parent.poll() is None
        locks = [(folder / ".lock").open() for folder in folders]
        parent.send_signal(getattr(signal, name))
    except BaseException:
        parent.kill()  # and so its workers
        raise
    for lock in locks:
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # waits for as long as the worker lives
    parent.wait()
    for folder in folders:
        written = {path.name for path in folder.iterdir()}
        written -= {"report.html", "gradient_flow.jsonl"}  # from time to time
        assert written == {"config.toml", "data.json", "history.jsonl", "checkpoint.npz", "log.txt"}
        assert (folder / "log.txt").read_text() == ""
        assert 0 < len(read_jsonl(folder / "history.jsonl")) < 100_000


def test_an_interrupted_curve_leaves_a_checkpoint(tmp_path):
    run = prepare(SMALL, 5e7, tmp_path / "x")
    command = [sys.executable, "-m", "npvae.reproduce.worker", str(run.folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE)
    while not run.checkpoint.exists():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    process.stdin.close()
    assert read_jsonl(run.folder / "history.jsonl") and not run.model_file.exists()


# ---- the marginal likelihood on the way


def test_marks_are_log_spaced_and_the_end_is_one():
    assert marks(3e6) == [100_000, 200_000, 500_000, 1_000_000, 2_000_000, 3_000_000]
    assert marks(5_000) == [5_000]


def test_the_marginal_likelihood_lies_above_the_bound(tmp_path):
    settings = SMALL.settings(2500) | {"optimizer": "adam"}
    with runs.create(runs.resolve_settings(settings), tmp_path / "run") as run:
        runs.train(run, callbacks=[MarginalLikelihood(run)])
    (row,) = read_jsonl(run.folder / "likelihood.jsonl")
    assert (row["epoch"], row["samples"]) == (5, 2500)
    # by two other estimates of the same 500 datapoints: log p(x) by importance sampling, and the
    # bound. Each is an average over independent noise, of error below 0.01.
    model, X = npvae.load(run.model_file), data.load("digits").split(179, seed=0)[0].first(500)
    truth = model.log_likelihood(X, 2000, 0).estimate.mean()
    assert model.score(X) < row["train"] and abs(row["train"] - truth) < 0.03
    assert row["train_effective_samples"] > 1000


def test_a_model_of_an_earlier_day_is_not_taken_for_this_one(tmp_path):
    """Interrupted after the last checkpoint and before the model was saved."""
    (run,) = train_curves([SMALL], 1000, tmp_path)
    old = run.model_file.read_bytes()
    train_curves([SMALL], 1500, tmp_path)
    new = run.model_file.read_bytes()
    run.model_file.write_bytes(old)
    os.utime(run.model_file, ns=(0, 0))
    train_curves([SMALL], 1500, tmp_path)
    assert run.model_file.read_bytes() == new


def test_an_estimate_that_is_missing_is_made_where_no_epoch_is_left(tmp_path):
    (run,) = train_curves([SMALL], 1000, tmp_path)
    assert not (run.folder / "likelihood.jsonl").exists()
    train_curves([SMALL], 500, tmp_path, marginal=True)
    (row,) = read_jsonl(run.folder / "likelihood.jsonl")
    assert (row["epoch"], row["samples"]) == (2, 1000)


def test_a_history_that_was_deleted_comes_back(tmp_path):
    (run,) = train_curves([SMALL], 1000, tmp_path)
    history = run.folder / "history.jsonl"
    rows = read_jsonl(history)
    history.unlink()
    train_curves([SMALL], 1000, tmp_path)
    assert read_jsonl(history) == rows


# ---- lines and tables


def test_a_line_keeps_its_end_and_few_points_of_the_way():
    rows = [{"samples": 100 * i, "elbo": -i, "validation_elbo": None} for i in range(1, 10_001)]
    whole = line_of(rows, "elbo", "validation_elbo")
    assert whole.at(500_000)[0] == -5000  # compared before it is thinned
    line = whole.thinned()
    assert line.samples[-1] == 1_000_000 and line.train[-1] == -10_000
    assert len(line.samples) < 4 * 24 + 1 and set(line.test) == {None}
    ratio = np.divide(line.samples[60:], line.samples[59:-1])
    assert (ratio < 1.2).all()
    assert line_of([], "elbo", "validation_elbo").samples == []


def test_a_comparison_is_made_at_the_same_number_of_samples():
    curve = FIGURES["figure2"].curves["mnist-20-vae"]
    line = LearningCurve([9_000_000, 10_000_000, 12_000_000], [-106.0, -105.0, -104.0], [None] * 3)
    row = compare(curve, line)
    assert row.samples == 10_000_000 and row.paper[0] == -104.5 and row.ours[0] == -105.0
    early = compare(curve, LearningCurve([1_000_000], [-110.0], [-111.0]))
    assert early.paper == (None, None) and early.samples == 1_000_000
    text = table([row, early])
    assert "−0.5" in text and "−97.3 / −99.5 at 2.5e8" in text
    assert text.splitlines()[3].split("|")[3].strip() == "–"  # nothing to compare with so early


def test_a_curve_of_one_epoch_is_marked():
    curves = FIGURES["figure2"].curves
    one, two = (
        compare(curves[name], LearningCurve([50_000 * (i + 1) for i in range(n)], [-150.0] * n,
                                            [-151.0] * n))
        for n, name in ((1, "mnist-3-vae"), (2, "mnist-5-vae"))
    )  # fmt: skip
    _, _, *rows, nothing, note = table([one, two]).splitlines()
    assert [row.split("|")[1].strip() for row in rows] == ["mnist-3-vae *", "mnist-5-vae"]
    assert nothing == "" and note.startswith("* one epoch so far")
    assert "*" not in table([two])


# ---- the pictures and the command


def test_what_was_not_asked_for_is_not_shown(tmp_path, monkeypatch, capsys):
    other = replace(SMALL, name="digits-3-vae", J=3)
    small_figure(monkeypatch, SMALL, other)
    monkeypatch.setitem(PUBLISHED, SMALL.name, {1e3: (-30, None)})
    monkeypatch.setitem(PUBLISHED, other.name, {1e3: (-30, None)})
    train_curves([SMALL, other], 500, tmp_path)
    for asked in ([SMALL.name], [other.name, SMALL.name], []):
        command = ["reproduce", "figure2", "--budget", "500", "--out", str(tmp_path)]
        assert main([*command, *["--curves", *asked][:9 * len(asked)]]) == 0
        shown = set(asked or [SMALL.name, other.name])
        printed = capsys.readouterr().out
        assert {c.name for c in (SMALL, other) if f"| {c.name}" in printed} == shown
        result = json.loads((tmp_path / "figure2.json").read_text())
        assert set(result["curves"]) == {row["curve"] for row in result["table"]} == shown


def test_a_figure_is_drawn_and_written_from_what_there_is(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    figure = replace(
        FIGURES["figure2"], panels={"Digits": (SMALL, ASLEEP), "None yet": (replace(SMALL, J=3),)}
    )
    monkeypatch.setitem(PUBLISHED, SMALL.name, {1e3: (-30, None), 1e6: (-25, -26)})
    monkeypatch.setitem(PUBLISHED, ASLEEP.name, {1e6: (-27, None)})
    monkeypatch.setitem(FIGURES, "figure2", figure)
    out = tmp_path / "out"
    command = ["reproduce", "figure2", "--budget", "1000", "--out", str(out), "--curves"]
    assert main([*command, SMALL.name, ASLEEP.name]) == 0
    printed = capsys.readouterr().out
    assert "| digits-2-vae" in printed and "figure2.png" in printed
    result = json.loads((out / "figure2.json").read_text())
    assert result["curves"][SMALL.name]["samples"] == [500, 1000]
    assert (out / "figure2.png").stat().st_size > 10_000
    assert main([*command, SMALL.name, ASLEEP.name, "--json"]) == 0  # of the curves that are there
    assert json.loads(capsys.readouterr().out)["table"] == result["table"]
    assert main([*command, "mnist-7-vae"]) == 1
    assert "'mnist-7-vae' is no curve of figure2; it has digits-2-vae" in capsys.readouterr().err


def small_figure(monkeypatch, *curves):
    figure = replace(FIGURES["figure2"], panels={curve.name: (curve,) for curve in curves})
    monkeypatch.setitem(FIGURES, "figure2", figure)
    return figure


def test_a_figure_of_no_curve_is_one_line(tmp_path, monkeypatch, capsys):
    wrong = replace(SMALL, name="too-many", n_train=10**6)
    small_figure(monkeypatch, wrong)
    assert main(["reproduce", "figure2", "--budget", "500", "--out", str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("npvae: error: curve too-many failed: n = 1000000 datapoints of digits")
    assert not (tmp_path / "figure2.json").exists()


def test_a_folder_in_the_way_is_said_before_the_work(tmp_path, monkeypatch):
    other = replace(SMALL, name="digits-3-vae", J=3)
    figure = small_figure(monkeypatch, SMALL, other)
    prepare(replace(other, hidden=9), 500, tmp_path / other.name)
    with pytest.raises(ModelFileError, match="and this curve has"):
        figure.reproduce(tmp_path, 500, [SMALL.name, other.name])
    assert not (tmp_path / SMALL.name).exists()


def test_without_matplotlib_there_are_numbers(tmp_path, monkeypatch, capsys):
    def plot(*_):
        raise MissingExtraError("this needs matplotlib")

    figure = replace(small_figure(monkeypatch, SMALL), plot=plot)
    monkeypatch.setitem(FIGURES, "figure2", figure)
    assert main(["reproduce", "figure2", "--budget", "500", "--out", str(tmp_path)]) == 0
    *_, numbers, picture = capsys.readouterr().out.splitlines()
    assert numbers == str(tmp_path / "figure2.json")
    assert picture == f"{tmp_path / 'figure2.png'} was not drawn: this needs matplotlib"


def test_sheets_are_drawn_from_the_models(tmp_path):
    pytest.importorskip("matplotlib")
    for name in ("figure4", "figure5"):
        figure = replace(FIGURES[name], panels={"Digits": (SMALL,)})
        figure.reproduce(tmp_path, 500)
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000
        before = (tmp_path / f"{name}.png").read_bytes()
        (tmp_path / SMALL.name / "model.npz").unlink()  # as of a curve that is not finished
        figure.show(tmp_path)
        assert (tmp_path / f"{name}.png").read_bytes() == before


@pytest.mark.parametrize("wrong", [["--budget", "0.5"], ["--jobs", "0"], ["--budget", "nan"]])
def test_arguments_that_cannot_be(wrong, capsys, tmp_path):
    assert main(["reproduce", "figure2", "--out", str(tmp_path / "x"), *wrong]) == 1
    assert wrong[0] in capsys.readouterr().err and not (tmp_path / "x").exists()
