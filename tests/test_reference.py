"""npvae computes what it did at commit 56df49b, and reads the files that were written by it.

Every model, posterior, prior, likelihood and option there is, in float64 and with the same noise:
losses, gradients and outputs to 1e-12 of the largest entry of each array, histories of training
and estimates of log p(x) to 1e-9. OpenBLAS's kernels and thread counts change them by 3e-14 and
6e-13 at most, a last bit of every parameter by 6e-14. A device computes them too: the stand-in for
one. How the numbers were recorded is told in tests/reference.
"""
import shutil
import sys
import warnings
from contextlib import ExitStack
from functools import partial
from unittest.mock import patch

import pytest
import shim
import strict_cupy
from reference.configurations import GRADIENTS, HISTORIES, LIKELIHOOD
from reference.measure import differences, gradient, history, likelihood, read
from reference.stored import (
    CHECKPOINTS,
    FILES,
    MODELS,
    RUN,
    loaded,
    resumed,
    run_history,
    run_outputs,
)
from scipy import special
from strict_cupy.arrays import into
from strict_cupy.cublas import Cublas

import npvae
from npvae import cli, random
from npvae.distributions.learned_scale import LearnedScale
from npvae.distributions.likelihoods import DiscretizedLogisticLikelihood
from npvae.estimators import gradient as gradients_of
from npvae.estimators import scoring, training
from npvae.evaluation import bound, importance, log_joint
from npvae.training import binarized

EXACT, TRAINED, SINGLE = 1e-12, 1e-9, 1e-4

by_name = pytest.mark.parametrize("c", GRADIENTS, ids=lambda c: c.name)
by_history = pytest.mark.parametrize("c", HISTORIES, ids=lambda c: c.name)


@pytest.fixture(scope="module")
def gradients():
    return read("gradients.npz")


@pytest.fixture(scope="module")
def histories():
    return read("histories.npz")


@pytest.fixture(scope="module")
def likelihoods():
    return read("likelihoods.npz")


@pytest.fixture(scope="module")
def expected():
    return read("files/expected.npz")


@pytest.fixture(autouse=True)
def noise_by_place(monkeypatch):
    """The same noise on both sides: in evaluation, at that commit, it went by a row's place and not
    by its values; one sample was taken where nobody said how many; score left grey pixels grey.
    And the same first weights: those of a learned scale were not 0."""

    def by_place(engine, seed, L, keys, first, work):
        eps = work("eps", L, len(keys), engine.model.n_noise)
        step = work.constant(0, 1, dtype="int64")
        engine.ops.fill_noise(seed, random.EVALUATE, step, first, eps)
        return eps

    for module in (bound, gradients_of, importance):
        monkeypatch.setattr(module, "row_noise", by_place)
    monkeypatch.setattr(log_joint.LogJointTarget, "keys", None)
    monkeypatch.setattr(scoring, "N_SAMPLES", 1)
    monkeypatch.setattr(training, "default_n_samples", lambda model: 1)
    monkeypatch.setattr(npvae.training, "binarized_by_row", binarized)
    monkeypatch.setattr(scoring, "scored_data", scoring.data_of)
    for cls in (LearnedScale, DiscretizedLogisticLikelihood):
        monkeypatch.setattr(cls, "zero_heads", ())


def unchanged(c, arrays):
    """Without what that commit got wrong: a Pareto posterior's code is its mean by now, if any."""
    codes = ("transform", "mean") if c.name == "VAE: pareto log-normal A, L=3" else ()
    return {name: array for name, array in arrays.items() if name not in codes}


def assert_same(found, recorded, tolerance):
    wrong = differences(found, recorded, tolerance)
    assert not wrong, "\n".join(wrong)


def test_the_tables_are_those_that_were_recorded(gradients, histories, likelihoods):
    assert [c.name for c in GRADIENTS] == list(gradients) and len(gradients) == 343
    assert [c.name for c in HISTORIES] == list(histories) and len(histories) == 166
    assert [c.name for c in LIKELIHOOD] == list(likelihoods) and len(likelihoods) == 47


@by_name
def test_loss_gradient_and_outputs_are_what_they_were(c, gradients):
    assert_same(unchanged(c, gradient(c)), unchanged(c, gradients[c.name]), EXACT)


@by_history
def test_a_training_goes_as_it_went(c, histories):
    assert_same(history(c), histories[c.name], TRAINED)


@pytest.mark.parametrize("c", LIKELIHOOD, ids=lambda c: c.name)
def test_the_likelihood_is_estimated_as_it_was(c, likelihoods):
    assert_same(likelihood(c), likelihoods[c.name], TRAINED)


# --- on a device ----------------------------------------------------------------------------


def special_functions():
    """``cupyx.scipy.special``, which the stand-in lacks: SciPy's own, on its arrays."""
    names = ("gammaln", "digamma", "zeta", "gammaincinv", "exp1", "ndtr")
    functions = {n: partial(lambda f, *args: into(f, args), getattr(special, n)) for n in names}
    return strict_cupy.module("cupyx.scipy.special", **functions)


@pytest.fixture(scope="module")
def cupy():
    """The stand-in for CuPy with a cuBLAS of its own, also where there is a GPU."""
    if not shim.COMPILER:
        pytest.skip("g++ is not installed")
    with ExitStack() as stack:
        stack.enter_context(patch("npvae.ops.gpu.cublas.library", lambda xp: Cublas()))
        stack.enter_context(patch("npvae.training.step.PARTS", 3))  # a CPU has not so many
        modules = {"cupyx": strict_cupy.module("cupyx"), "cupyx.scipy.special": special_functions()}
        stack.enter_context(patch.dict(sys.modules, modules))
        yield stack.enter_context(strict_cupy.installed())


@by_name
def test_a_device_computes_the_same(c, cupy, gradients):
    found = gradient(c, backend="cupy")
    assert_same(unchanged(c, found), unchanged(c, gradients[c.name]), EXACT)


@by_history
def test_a_device_trains_the_same(c, cupy, histories):
    assert_same(history(c, backend="cupy"), histories[c.name], TRAINED)


# --- files ----------------------------------------------------------------------------------


@pytest.mark.parametrize("c", MODELS, ids=lambda c: c.name)
def test_a_model_file_is_read_and_trained_further(c, expected):
    single = c.settings.get("dtype") == "float32"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # short chains are no samples to rely on
        assert_same(loaded(c), expected[c.name], SINGLE if single else TRAINED)


@pytest.mark.parametrize("c", CHECKPOINTS, ids=lambda c: c.name)
def test_a_checkpoint_is_gone_on_with(c, expected, tmp_path):
    shutil.copytree(FILES, tmp_path, dirs_exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert_same(resumed(c, tmp_path), expected[f"{c.name}, resumed"], TRAINED)


def test_a_run_folder_is_gone_on_with(expected, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # the command sets its own
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # plots take seconds
    run = tmp_path / "run"
    shutil.copytree(FILES / "run", run)
    assert_same(run_outputs(run) | run_history(run), expected["run"], EXACT)
    assert cli.main(["train", "--resume", str(run), "--epochs", "6"]) == 0
    assert_same(run_outputs(run) | run_history(run), expected["run, resumed"], TRAINED)


def test_a_run_is_repeated(expected, tmp_path, monkeypatch, capsys):
    """The same command line comes to the same model as then."""
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert cli.main([*RUN, "--out", str(tmp_path / "run")]) == 0
    run = tmp_path / "run"
    assert_same(run_outputs(run) | run_history(run), expected["run"], TRAINED)
    for name in ("config.toml", "history.jsonl", "checkpoint.npz", "model.npz"):
        assert (run / name).is_file()
    assert npvae.load(run / "model.npz").get_params() == npvae.load(
        FILES / "run" / "model.npz").get_params()
