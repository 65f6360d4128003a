"""The command line as a person meets it: what it leaves, what it says, and its exit codes."""
import json
import os
import signal
import subprocess
import sys
import tomllib
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import npvae
from npvae import backend, runs
from npvae.cli import main
from npvae.cli.parser import parser
from npvae.errors import DataError

ROOT = Path(__file__).parents[2]
QUICK = ["--hidden", "8", "--epochs", "2"]
PLOTS = {"learning_curve.png", "reconstructions.png", "samples.png", "manifold.png", "latent.png"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A small finished run."""
    folder = tmp_path_factory.mktemp("runs") / "small"
    assert main(["train", *QUICK, "--out", str(folder)]) == 0
    return folder


def one_line_error(capsys, *argv):
    """The error of a command that must fail with exit code 1 and a single line."""
    assert main([*map(str, argv)]) == 1
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("npvae: error: "), captured.err
    return lines[0]


def test_a_run_leaves_its_folder(run):
    assert {path.name for path in run.iterdir()} == {
        "config.toml", "data.json", "history.jsonl", "model.npz", "checkpoint.npz", "plots",
        "gradient_flow.jsonl", "report.html",
    }  # fmt: skip
    assert {path.name for path in (run / "plots").iterdir()} == PLOTS
    config = tomllib.loads((run / "config.toml").read_text())
    assert config["hidden"] == [8] and config["data"] == "digits" and config["binarize"] == "none"
    rows = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2]
    assert all({"elbo", "reconstruction", "kl", "validation_elbo"} <= row.keys() for row in rows)


@pytest.mark.parametrize(("options", "words"), [
    (["--method", "prior"], "by 100000 samples each"),
    (["--method", "annealed", "--samples", "2"], "HMC accepted"),
    (["--method", "harmonic"], "HMC accepted"),
    (["--curve", "--samples", "2000"], "L_k, nats"),
])  # fmt: skip
def test_evaluate_estimates_in_every_way(run, options, words, capsys):
    assert main(["evaluate", str(run), "--limit", "3", *options]) == 0
    assert words in capsys.readouterr().out


def test_evaluate_refuses_what_does_not_go_together(run, capsys):
    line = one_line_error(capsys, "evaluate", run, "--curve", "--method", "prior")
    assert "leave out --method" in line
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", str(run), "--method", "magic"])
    assert stop.value.code == 2 and "'magic' is not known" in capsys.readouterr().err


def test_a_config_file_repeats_a_run(run, tmp_path):
    assert main(["train", "--config", str(run / "config.toml"), "--out", str(tmp_path / "b")]) == 0
    first, second = npvae.load(run / "model.npz"), npvae.load(tmp_path / "b" / "model.npz")
    for name, value in first.parameters.items():
        assert np.array_equal(value, second.parameters[name]), name


def test_resuming_with_more_epochs_goes_on(tmp_path):
    assert main(["train", *QUICK, "--out", str(tmp_path / "a")]) == 0
    assert main(["train", "--resume", str(tmp_path / "a"), "--epochs", "3"]) == 0
    assert main(["train", "--hidden", "8", "--epochs", "3", "--out", str(tmp_path / "b")]) == 0
    resumed, straight = (npvae.load(tmp_path / x / "model.npz") for x in "ab")
    for name, value in straight.parameters.items():
        assert np.array_equal(value, resumed.parameters[name]), name
    assert len((tmp_path / "a" / "history.jsonl").read_text().splitlines()) == 3


def test_a_resume_takes_a_new_learning_rate(tmp_path):
    """At one so small that no parameter moves, the second epoch changes nothing."""
    folder = tmp_path / "run"
    assert main(["train", "--hidden", "8", "--epochs", "1", "--out", str(folder)]) == 0
    before = npvae.load(folder / "model.npz").parameters
    rate = ["--epochs", "2", "--learning-rate", "1e-30"]
    assert main(["train", "--resume", str(folder), *rate]) == 0
    after = npvae.load(folder / "model.npz")
    assert all(np.array_equal(value, after.parameters[name]) for name, value in before.items())
    assert after.learning_rate == 1e-30
    assert len((folder / "history.jsonl").read_text().splitlines()) == 2
    assert tomllib.loads((folder / "config.toml").read_text())["learning_rate"] == 1e-30


def test_a_resume_says_what_it_keeps(run, capsys):
    line = one_line_error(capsys, "train", "--resume", run, "--latent-dim", 3, "--hidden", 8,
                          "--epochs", 9)  # fmt: skip
    assert "--resume keeps hidden and latent_dim; data, epochs, learning_rate" in line


@pytest.mark.parametrize(("options", "words"), [
    (["--epochs", "0"], "epochs=0"), (["--epochs", "1"], "less than the 2"),
    (["--early-stopping", "1"], "validation=0 leaves none"),
    (["--backend", "cupy"], "CuPy"),
])  # fmt: skip
def test_a_resume_that_is_refused_changes_nothing(options, words, tmp_path, capsys):
    if "cupy" in options and not backend.why_no_gpu():
        pytest.skip("a GPU is there, and this would not be refused")
    folder = tmp_path / "run"
    assert main(["train", *QUICK, "--validation", "0", "--out", str(folder)]) == 0
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert words in one_line_error(capsys, "train", "--resume", folder, *options)
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("error", [MemoryError("64 GB"), DataError("no such data")])
def test_a_folder_in_which_nothing_was_trained_is_not_left(error, tmp_path, monkeypatch, capsys):
    def train(*_, **__):
        raise error

    monkeypatch.setattr(runs, "train", train)
    one_line_error(capsys, "train", *QUICK, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("line", ["n_train = 1.5", "n_train = true", 'n_train = "x"',
                                  'parameter_prior = "no"'])  # fmt: skip
def test_a_config_of_the_wrong_kind_is_one_line(line, tmp_path, capsys):
    (tmp_path / "config.toml").write_text(line)
    out = tmp_path / "run"
    assert line.split()[0] in one_line_error(
        capsys, "train", "--config", tmp_path / "config.toml", "--out", out
    )
    assert not out.exists()


@pytest.fixture
def training(tmp_path):
    """A process that trains for as long as it may."""
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "npvae", "train", "--hidden", "8", "--epochs", "100000"]
    process = subprocess.Popen(
        [*command, "--out", folder], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        for line in process.stdout:
            if line.startswith("folder"):  # the last line before training
                break
        yield process, folder
        process.kill()


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_an_interrupt_leaves_a_run_that_resumes(name, code, training):
    """A real signal to a real process: its exit code, one line, and a run that can go on."""
    process, folder = training
    process.send_signal(getattr(signal, name))
    err = process.communicate(timeout=60)[1]
    assert process.returncode == code
    assert err == f"npvae: interrupted; go on with: npvae train --resume {folder}\n"
    assert not {path.name for path in folder.iterdir()} & {".lock", "model.npz"}
    history = folder / "history.jsonl"
    epochs = len(history.read_text().splitlines()) if history.exists() else 0
    assert main(["train", "--resume", str(folder), "--epochs", str(epochs + 1)]) == 0


def test_a_run_that_another_process_trains_is_left_to_it(training, capsys):
    process, folder = training
    words = f"{folder} is in use by process {process.pid} on "
    config = (folder / "config.toml").read_bytes()
    assert words in one_line_error(capsys, "train", "--resume", folder, "--epochs", 200000)
    assert "is not empty" in one_line_error(capsys, "train", *QUICK, "--out", folder)
    assert (folder / "config.toml").read_bytes() == config


def test_runs_that_begin_at_once_have_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = runs.resolve_settings({})
    with ExitStack() as stack:
        found = [stack.enter_context(runs.create(settings)).folder for _ in range(3)]
    assert found == [Path("runs", f"digits-{number}") for number in (1, 2, 3)]


def test_a_folder_that_a_killed_process_never_wrote_into_is_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = Path("runs", "digits-1")
    folder.mkdir(parents=True)
    (folder / ".lock").write_text("process 1 on the moon")
    (folder / ".npvae-00.tmp").write_text("half a configura")
    with runs.create(runs.resolve_settings({})) as run:
        assert run.folder == folder
    assert [path.name for path in folder.iterdir()] == ["config.toml"]


def test_evaluate_prints_bound_and_likelihood(run, capsys):
    assert main(["evaluate", str(run), "--samples", "20", "--limit", "10"]) == 0
    out = capsys.readouterr().out
    assert "grey pixels: none" in out and "ELBO" in out and "±" in out
    assert "effective sample size" in out and "active" in out


@pytest.mark.parametrize("command", ["sample", "reconstruct", "manifold"])
def test_pictures_are_written_and_never_overwritten(command, run, tmp_path, capsys):
    target = tmp_path / "picture.png"
    assert main([command, str(run), "--out", str(target)]) == 0
    assert target.read_bytes().startswith(b"\x89PNG")
    before = target.read_bytes()
    capsys.readouterr()
    assert "not overwritten" in one_line_error(capsys, command, run, "--out", target)
    assert target.read_bytes() == before


def test_draws_are_another_picture_of_the_same_samples(run, tmp_path, capsys):
    """Black and white, where the means are grey; and --help says so."""
    from matplotlib import image

    pictures = {}
    for flags in ([], ["--draw"]):
        target = tmp_path / f"picture{len(flags)}.png"
        assert main(["sample", str(run), "-n", "9", *flags, "--out", str(target)]) == 0
        pictures[bool(flags)] = image.imread(target)
    rows = slice(-60, -30)  # of dots, in the last row of images
    greys = {draw: len(np.unique(pixels[rows])) for draw, pixels in pictures.items()}
    assert greys[True] < greys[False]
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["sample", "--help"])
    assert "--draw" in (said := " ".join(capsys.readouterr().out.split()))
    assert "draw each x from p(x|z)" in said


def test_an_autoencoder_trains_and_has_no_prior(tmp_path, capsys):
    folder = tmp_path / "ae"
    assert main(["train", "--model", "autoencoder", *QUICK, "--out", str(folder)]) == 0
    assert "no prior" in one_line_error(capsys, "sample", folder)
    assert "no likelihood" in one_line_error(capsys, "evaluate", folder)


@pytest.mark.parametrize("likelihood", ["bernoulli", "normal"])
def test_gradcheck_passes_and_exits_0(likelihood, capsys):
    assert main(["gradcheck", "--hidden", "4", "--likelihood", likelihood]) == 0
    assert "decoder.hidden.0.weight" in capsys.readouterr().out


def test_gradcheck_exits_1_on_a_wrong_gradient(monkeypatch):
    from npvae.backend import get_backend
    from npvae.ops import DECLARED
    from npvae.ops.cpu import twins

    right = DECLARED["normal_kl_backward"]

    def without_kl(xp, d_z, d_kl, *rest):
        right.body(xp, d_z, 0 * d_kl, *rest)

    def forget() -> None:
        get_backend.cache_clear()
        twins.library.cache_clear()

    monkeypatch.setitem(DECLARED, "normal_kl_backward", replace(right, body=without_kl))
    monkeypatch.setenv("NPVAE_PURE_PYTHON", "1")  # the wrong body, and not its right twin
    forget()
    try:
        assert main(["gradcheck", "--hidden", "4"]) == 1
    finally:
        monkeypatch.undo()
        forget()


def test_doctor_and_data_say_what_is_here(capsys):
    assert main(["doctor"]) == 0 and main(["data"]) == 0
    out = capsys.readouterr().out
    assert "numpy" in out and "GPU" in out and "digits" in out


@pytest.mark.parametrize(
    ("argv", "fragments"),
    [
        (["train", "--data", "digit"], ["digit", "did you mean"]),
        (["train", "--latent-dim", "0"], ["latent_dim=0"]),
        (["train", "--hidden", "8", "-3"], ["-3"]),
        (["train", "--activation", "swish"], ["swish", "tanh"]),
        (["train", "--estimator", "C"], ["'C'"]),
        (["train", "--learning-rate", "nan"], ["learning_rate=nan"]),
        (["train", "--l2", "0.1"], ["l2"]),
        (["train", "--resume", "nowhere"], ["nowhere"]),
        (["train", "--config", "nowhere.toml"], ["nowhere.toml"]),
        (["evaluate", "nowhere.npz"], ["nowhere.npz"]),
        (["train", "--validation", "1797"], ["1797"]),
        (["train", "--validation", "test"], ["for mnist", "digits"]),
        (["train", "--n-train", "5000"], ["5000 datapoints of digits", "1618"]),
    ],
)
def test_bad_input_is_one_line(argv, fragments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    line = one_line_error(capsys, *argv)
    assert all(fragment in line for fragment in fragments), line


def test_an_out_folder_in_use_is_left_alone(run, capsys):
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    assert "not empty" in one_line_error(capsys, "train", *QUICK, "--out", run)
    assert before == {path: path.stat().st_mtime_ns for path in run.rglob("*")}


def test_own_data_of_every_kind_trains(tmp_path):
    X = np.random.default_rng(0).random((60, 12))
    np.save(tmp_path / "x.npy", X)
    np.savetxt(tmp_path / "x.csv", X, delimiter=",")
    for name in ("x.npy", "x.csv"):
        argv = ["train", "--data", str(tmp_path / name), "--likelihood", "normal", *QUICK]
        assert main([*argv, "--batch-size", "20", "--out", str(tmp_path / f"run-{name}")]) == 0


@pytest.mark.parametrize(("n", "held_out"), [(1, 0), (2, 1), (9, 1), (10, 1), (29, 2)])
def test_small_data_train_and_hold_out_a_row(n, held_out, tmp_path, capsys):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((n, 6)))
    run = tmp_path / "run"
    assert main(["train", "--data", str(tmp_path / "x.npy"), *QUICK, "--out", str(run)]) == 0
    parts = runs.open_run(run).datasets()
    assert [0 if part is None else len(part) for part in parts] == [n - held_out, held_out]
    if not held_out:
        assert "held no data out" in one_line_error(capsys, "evaluate", run)


def test_bytes_of_a_file_are_counts_where_counts_are_wanted(tmp_path, capsys):
    """In every command that reads them; --scale is kept with the run."""
    np.save(tmp_path / "x.npy", np.random.default_rng(0).poisson(9, (40, 6)).astype(np.uint8))
    command = ["train", "--data", str(tmp_path / "x.npy"), "--likelihood", "poisson", *QUICK]
    assert main([*command, "--out", str(tmp_path / "a")]) == 0
    for more in ([], ["--data", str(tmp_path / "x.npy")]):
        assert main(["evaluate", str(tmp_path / "a"), "--samples", "9", *more]) == 0
        assert main(["reconstruct", str(tmp_path / "a"), "--out", f"{tmp_path}/{len(more)}.png",
                     *more]) == 0
    assert "is no count" in one_line_error(capsys, *command, "--scale", "1/255")
    command[4] = "normal"
    assert main([*command, "--scale", "1/9", "--out", str(tmp_path / "b")]) == 0
    held_out = runs.open_run(tmp_path / "b").held_out()
    np.testing.assert_allclose(held_out.images, held_out.pixels / 9, rtol=2.0**-22)


def test_a_table_is_read_alike_by_every_command(tmp_path, capsys):
    """And what was understood is said; the answers are settings of the run."""
    rng = np.random.default_rng(0)
    rows = "".join(f"{i},{a},{b},{i % 3}\n" for i, (a, b) in enumerate(rng.random((40, 2))))
    (tmp_path / "x.csv").write_text("when,a,b,kind\n" + rows)
    command = ["train", "--data", str(tmp_path / "x.csv"), *QUICK, "--out", str(tmp_path / "run")]
    assert main([*command, "--label-column", "kind", "--drop", "when"]) == 0
    said = capsys.readouterr().out
    assert ("read       40 rows x 2 columns, header used, column 'kind' holds labels and is left "
            "out, column 'when' left out as asked") in said
    held_out = runs.open_run(tmp_path / "run").held_out()
    assert held_out.pixels.shape == (4, 2) and set(held_out.labels) <= {0, 1, 2}
    assert main(["train", "--resume", str(tmp_path / "run"), "--epochs", "3"]) == 0
    assert main(["evaluate", str(tmp_path / "run"), "--samples", "9"]) == 0
    (tmp_path / "y.csv").write_text("when,a,b,kind\n" + rows.replace("0,0.", "0,0.9"))
    again = ["evaluate", str(tmp_path / "run"), "--data", str(tmp_path / "y.csv")]
    assert main([*again, "--samples", "9"]) == 0
    assert "first 4," in capsys.readouterr().out
    assert "no column 'c'" in one_line_error(capsys, *command[:-1], tmp_path / "b", "--drop", "c")
    assert not (tmp_path / "b").exists()
    assert "is for tables" in one_line_error(capsys, "train", "--label-column", "y")


def test_colour_goes_through_from_a_folder_to_the_pictures(tmp_path):
    """(H, W, 3) is kept by the model file, and pictures have colours."""
    image = pytest.importorskip("PIL.Image")
    (tmp_path / "reds").mkdir()
    reds = np.zeros((12, 5, 4, 3), np.uint8)
    reds[..., 0] = np.arange(100, 220, 10)[:, None, None]
    for i, red in enumerate(reds):
        image.fromarray(red).save(tmp_path / "reds" / f"{i:02}.png")
    command = ["train", "--data", str(tmp_path / "reds"), *QUICK, "--out", str(tmp_path / "run")]
    assert main(command) == 0
    model = npvae.load(tmp_path / "run" / "model.npz")
    assert model.image_shape_ == (5, 4, 3) and model.n_features_in_ == 60
    for name in ("reconstructions", "samples", "manifold"):
        dots = np.asarray(image.open(tmp_path / "run" / "plots" / f"{name}.png").convert("RGB"))
        assert (dots.max(axis=2) > dots.min(axis=2)).any(), name  # some are not grey
    assert main(["sample", str(tmp_path / "run"), "--out", str(tmp_path / "s.png")]) == 0


def test_every_command_has_a_function():
    (commands,) = (a for a in parser()._actions if a.dest == "command")
    assert all(callable(sub.get_default("run")) for sub in commands.choices.values())


def test_early_stopping_that_is_asked_for_at_a_resume_is_told_of_as_it_went(tmp_path, capsys):
    """The epoch that is printed is that of the model that was saved."""
    folder = tmp_path / "run"
    assert main(["train", *QUICK, "--learning-rate", "0.05", "--out", str(folder)]) == 0
    capsys.readouterr()
    command = ["train", "--resume", str(folder), "--epochs", "8", "--early-stopping", "1"]
    assert main(command) == 0
    (line,) = (s for s in capsys.readouterr().out.splitlines() if s.startswith("held out"))
    held_out = runs.open_run(folder).held_out()
    bound = npvae.load(folder / "model.npz").score(held_out)
    assert f"ELBO {bound:.2f} nats" in line


def test_what_early_stopping_keeps_beside_a_warm_up_is_told(tmp_path, capsys):
    """The epoch that is printed comes after the warm-up, and its model is the one saved."""
    command = ["train", *QUICK, "--epochs", "6", "--early-stopping", "2", "--kl-warmup"]
    assert main([*command, "3", "--out", str(tmp_path / "run")]) == 0
    lines = {line[:10].strip(): line for line in capsys.readouterr().out.splitlines()}
    bounds = read_history(tmp_path / "run")[3:]
    best = 4 + max(range(len(bounds)), key=bounds.__getitem__)
    assert lines["kept"] == f"kept       epoch {best}, the best after the KL warm-up of 3 epochs"
    assert lines["training"].endswith(f"epoch {best}")
    assert f"ELBO {bounds[best - 4]:.2f} nats" in lines["held out"]
    assert main([*command, "8", "--out", str(tmp_path / "short")]) == 0
    said = capsys.readouterr()
    assert "kept       the last epoch, for none came after the KL warm-up of 8 epochs" in said.out
    (warning,) = (line for line in said.err.splitlines() if "warm-up of 8 epochs" in line)
    assert warning.startswith("npvae: warning: ")


def read_history(folder):
    """The held-out bound of each epoch."""
    rows = (folder / "history.jsonl").read_text().splitlines()
    return [json.loads(row)["validation_elbo"] for row in rows]


def test_quiet_and_json_say_that_alone(run, tmp_path, capsys):
    """--quiet leaves a run and says nothing; --json one object, whose numbers are the history's."""
    assert main(["train", *QUICK, "--quiet", "--out", str(tmp_path / "a")]) == 0
    assert capsys.readouterr() == ("", "")
    assert main(["train", *QUICK, "--json", "--out", str(tmp_path / "b")]) == 0
    found = json.loads(capsys.readouterr().out)
    rows = [json.loads(row) for row in (tmp_path / "b" / "history.jsonl").read_text().splitlines()]
    assert found["elbo"] == rows[-1]["elbo"] and found["model"].endswith("model.npz")
    configs = [(folder / "config.toml").read_text() for folder in (run, tmp_path / "a")]
    assert configs[0] == configs[1]  # how much is said is no setting of the run
    command = ["evaluate", str(run), "--limit", "5", "--samples", "50"]
    assert main([*command, "--quiet"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("bound ")
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert f"ELBO {found['bound']['elbo']:.3f} ± {found['bound']['standard_error']:.3f}" in lines[0]
    assert f"log p(x) = {found['likelihood']['log_likelihood']:.3f} ± " in lines[1]
    assert main([*command[:-1], "2000", "--curve", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["curve"]["k"] == [1, 10, 100, 1000]


def test_force_replaces_what_out_names_and_nothing_else_does(run, tmp_path, capsys):
    target = tmp_path / "picture.png"
    target.write_text("mine")
    assert "--force" in one_line_error(capsys, "manifold", run, "--out", target)
    assert target.read_text() == "mine"
    assert main(["manifold", str(run), "--out", str(target), "--force"]) == 0
    assert target.read_bytes().startswith(b"\x89PNG")
