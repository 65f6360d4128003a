"""n processes train as one: the same curve to the rounding of the sum, and they end together.

Models are of float64, so the tolerance is 10⁶ times below what a wrong row, noise or weight does:
one row of 202 is 0.5 % of a gradient.
"""
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from ranks import ROOT, mpiexec, said

import npvae
from npvae import cli
from npvae.errors import ParameterError
from npvae.training import ALONE, communicator_of

X = npvae.data.load_digits().images[:202]  # the last minibatch of 50 has two rows
HELD_OUT = npvae.data.load_digits().images[300:333]
SMALL = {"hidden": (16,), "batch_size": 50, "epochs": 3, "random_state": 1, "dtype": "float64"}
CASES = {
    "plain": {},
    "clipped": {"clip_norm": 0.5, "optimizer": "momentum", "learning_rate": 0.1},
    "penalised": {"parameter_prior": True, "schedule": "cosine"},
    "dynamic": {"binarize": "dynamic"},
    "fixed": {"binarize": "fixed", "kl_warmup": 2},
    "standardized": {"likelihood": "normal", "early_stopping": 1, "learning_rate": 0.05},
    "antithetic": {"noise": "antithetic", "n_samples": 4},
    "sobol": {"noise": "sobol", "n_samples": 2},
    "iwae": {"estimator": "iwae", "n_samples": 3},
    "score-loo": {"estimator": "score-loo", "n_samples": 2},
    "another family": {"posterior": "gamma", "prior": "gamma"},
    "a prior that learns": {"prior": "vamp", "prior_components": 5, "estimator": "A"},
    "full-vb": {"model": "FullVB"},
    "autoencoder": {"model": "Autoencoder"},
}
TRAIN = """if True:
    import sys
    from mpi4py import MPI
    from test_distributed import CASES, results
    found = {name: results(name, MPI.COMM_WORLD) for name in CASES}
    if MPI.COMM_WORLD.rank == 0:
        import pickle
        pickle.dump(found, open(sys.argv[1], "wb"))
"""


def model(model="VAE", **settings):
    return getattr(npvae, model)(**(SMALL | settings))


def results(name, comm=None):
    """The history less its seconds, and the parameters, of one of the cases."""
    trained = model(**CASES[name]).fit(X, validation=HELD_OUT, comm=comm)
    history = {key: values for key, values in trained.history_.items() if key != "seconds"}
    return history, {key: value.copy() for key, value in trained.parameters.items()}


@pytest.mark.parametrize("n", [1, 2, 4])
def test_n_ranks_train_as_one_process(n, tmp_path, monkeypatch):
    """Of one, to the bit. Parameters are those of rank 0."""
    import pickle
    from pathlib import Path

    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parent}:{Path(__file__).parents[1]}/helpers")
    done = mpiexec(n, "-c", TRAIN, tmp_path / "found")
    assert done.returncode == 0, done.stderr
    found = pickle.loads((tmp_path / "found").read_bytes())
    for name in CASES:
        for theirs, alone in zip(found[name], results(name), strict=True):
            assert theirs.keys() == alone.keys()
            for key in alone:
                exact = n == 1 or key in ("epoch", "samples", "active_latents")
                np.testing.assert_allclose(
                    np.array(theirs[key], float), np.array(alone[key], float),
                    *((0, 0) if exact else (1e-9, 1e-10)), err_msg=f"{name}: {key}",
                )  # fmt: skip


def run(n, *arguments, patch="", **options):
    """``npvae train`` on n ranks, after ``patch``, which knows its ``rank``."""
    script = f"""if True:
        import os, sys
        from mpi4py import MPI
        rank = MPI.COMM_WORLD.rank
        from npvae import cli, data
        from npvae.training import TrainStep, communicator
        def at(step, do):
            advance = TrainStep.advance
            def changed(self):
                if self.state.step == step:
                    do(self)
                advance(self)
            TrainStep.advance = changed
        {patch}
        sys.exit(cli.main(["train", "--distributed", *sys.argv[1:]]))
    """
    return mpiexec(n, "-c", script, *arguments, **options)


NEW = ("--n-train", 300, "--batch-size", 100, "--hidden", 8, "--dtype", "float64", "--epochs", 4)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The history of a run of four epochs in one process."""
    folder = tmp_path_factory.mktemp("alone") / "run"
    assert cli.main(["train", "--quiet", "--out", str(folder), *map(str, NEW)]) == 0
    return history(folder)


def history(folder):
    rows = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    return [row["elbo"] for row in rows] + [row["validation_elbo"] for row in rows]


def test_a_rank_that_is_killed_is_one_line_and_another_number_of_ranks_goes_on(whole, tmp_path):
    """In the middle of the third epoch; the first two are there."""
    folder = tmp_path / "run"
    for victim in (0, 1):
        patch = f"at(7, lambda steps: rank == {victim} and os.kill(os.getpid(), 9))"
        done = run(2, "--quiet", "--out", folder / str(victim), *NEW, patch=patch)
        assert done.returncode != 0 and len(said(done)) == 1, done.stderr
        again = said(done)[0].partition("go on with: mpiexec -n 2 npvae train ")[2].split()
        assert again == ["--resume", str(folder / str(victim)), "--distributed"]
        done = run(4 - victim, "--quiet", *again[:2])
        assert done.returncode == 0 and not said(done), done.stderr
        np.testing.assert_allclose(history(folder / str(victim)), whole, 1e-9)


def test_a_full_disk_on_rank_0_is_one_line_and_the_run_goes_on_with_room(whole, tmp_path):
    """The kernel's limit on the size of a file stands for it, from the second epoch on."""
    patch = (
        "import resource; at(4, lambda steps: rank or resource.setrlimit("
        "resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY)))"
    )
    done = run(2, "--quiet", "--out", tmp_path / "run", *NEW, patch=patch)
    assert done.returncode == 1 and len(said(done)) == 1, done.stderr
    assert "with room" in said(done)[0]
    done = run(2, "--quiet", "--resume", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(history(tmp_path / "run"), whole, 1e-9)


def test_an_interrupt_of_one_rank_ends_all_at_the_same_step(whole, tmp_path):
    patch = "import signal; at(4, lambda steps: rank and os.kill(os.getpid(), signal.SIGINT))"
    done = run(2, "--quiet", "--out", tmp_path / "run", *NEW, patch=patch)
    assert done.returncode == 130 and len(said(done)) == 1, done.stderr
    assert "interrupted; go on with: mpiexec -n 2" in said(done)[0]
    assert cli.main(["train", "--quiet", "--resume", str(tmp_path / "run")]) == 0
    np.testing.assert_allclose(history(tmp_path / "run"), whole, 1e-9)


def test_a_slow_rank_is_named_once_and_changes_nothing(whole, tmp_path):
    """Its clock says that it worked for a minute more."""
    patch = """
        communicator.ENOUGH = 50
        end = communicator.Ranks.end_epoch
        communicator.Ranks.end_epoch = lambda self, seconds: end(self, seconds + 60 * rank)
    """
    done = run(2, "--quiet", "--out", tmp_path / "run", *NEW, patch=patch)
    assert done.returncode == 0 and len(said(done)) == 1, done.stderr
    assert "rank 1, on " in said(done)[0] and "all wait for it" in said(done)[0]
    np.testing.assert_allclose(history(tmp_path / "run"), whole, 1e-9)


@pytest.mark.parametrize("arguments, patch, message", [
    (["--free-bits", 0.1], "", "set free_bits=0"),
    (["--estimator", "score-ema"], "", "carries a baseline"),
    (["--model", "mcem"], "", "MCEM trains in one process"),
    (["--model", "wake-sleep"], "", "WakeSleep trains in one process"),
    (["--batch-size", 1], "", "no row for each of 2 ranks"),
    (["--data", "nowhere"], "", "no data or file 'nowhere'"),
    (["--learning-rate", 1e300], "", "not finite"),
    ([], "at(5, lambda steps: 1 / (1 - rank))", "rank 1 of 2: ZeroDivisionError: division by"),
    ([], "data.load_digits, load = None, data.load; "
         "data.load = lambda *a, **k: load('swiss-roll' if rank else 'digits')",
     "rank 1 of 2: digits is not what"),
], ids=lambda value: value if isinstance(value, str) else "")  # fmt: skip
def test_what_fails_on_one_rank_is_one_line_and_ends_all(arguments, patch, message, tmp_path):
    done = run(2, "--quiet", "--out", tmp_path / "run", *NEW, *arguments, patch=patch)
    assert done.returncode == 1 and len(said(done)) == 1, done.stderr
    assert message in said(done)[0]
    assert ("Traceback" in done.stderr) == ("ZeroDivision" in message)  # of a bug, where it is


def test_ranks_that_were_not_called_alike_are_refused():
    script = """if True:
        import sys
        import npvae
        from mpi4py import MPI
        comm, X = MPI.COMM_WORLD, npvae.data.load_digits().images
        for rows, settings in ((slice(comm.rank, None, 2), {}), (slice(None), {"n_samples": 1})):
            settings = {key: value + comm.rank for key, value in settings.items()}
            try:
                npvae.VAE(epochs=1, **settings).fit(X[:1796][rows], comm=comm)
            except npvae.DataError as error:
                sys.stderr.write(f"{error}\\n")  # a line in one write, for both write at once
    """
    lines = sorted(mpiexec(2, "-c", script).stderr.splitlines())
    assert len(lines) == 4 and lines[0] == lines[1] and lines[2] == lines[3]
    assert "hash of 898 rows" in lines[0] and "n_samples is 2 on rank 1" in lines[2]


def test_no_communicator_is_one_process():
    from mpi4py import MPI

    assert communicator_of(None) is communicator_of(MPI.COMM_SELF) is ALONE
    with pytest.raises(ParameterError, match="no communicator"):
        communicator_of(4)


def test_a_machine_without_mpi_is_one_line(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    assert cli.main(["train", "--distributed"]) == 1
    assert "this needs mpi4py" in capsys.readouterr().err


def test_an_mpi4py_without_an_mpi_library_is_one_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "npvae", "train", "--distributed"], cwd=tmp_path, text=True,
        capture_output=True, check=False,
        env=os.environ | {"MPI4PY_LIBMPI": "/nowhere/libmpi.so", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("npvae: error: mpi4py finds no MPI library: pip install mpich")
