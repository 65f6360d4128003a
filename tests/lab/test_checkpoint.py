"""A comparison that is interrupted goes on to the same numbers, and to no others'."""
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

import npvae
from npvae import lab
from npvae.errors import ModelFileError, ParameterError

D, M, N_DRAWS = 5, 3, 64
X = np.random.default_rng(0).random((M, D))
TIMES = ("seconds", "seconds_low", "seconds_high", "cost", "cost_low", "cost_high")


def vae(J=5, **options):
    settings = {"hidden": (4,), "random_state": 0, "verbose": False}
    return npvae.VAE(J, **settings | options).initialize(D)


def compare(path=None, resume=False, **options):
    """Of two models, an estimator that carries something along, and a paired truth's own."""
    settings = {
        "estimators": ["score-ema", "iwae-stl"], "vae": {"one": vae(), "other": vae(6)},
        "X": X, "n_draws": N_DRAWS, "rng": 0, "samples": 2,
        "noise": ["independent", "sobol"],
    }  # fmt: skip
    return lab.compare(**settings | options, checkpoint=path, resume=resume)


def numbers(found):
    """All but times, which are other ones each time."""
    rows = [{k: v for k, v in asdict(row).items() if k not in TIMES} for row in found.rows]
    return rows, [asdict(row) for row in found.differences]


@pytest.fixture(scope="module")
def whole():
    return numbers(compare())


class Stop:
    """A progress that does something at one of the draws of all models."""

    def __init__(self, at, do):
        self.left, self.do = at, do

    def __call__(self, draws):
        for i in draws:
            self.left -= 1
            if not self.left:
                self.do()
            yield i


@pytest.mark.parametrize("at", [1, 30, N_DRAWS + 1])
def test_ctrl_c_is_after_the_draw_in_hand_and_nothing_is_lost(at, whole, tmp_path):
    path = tmp_path / "found.npz"
    with pytest.raises(KeyboardInterrupt):
        compare(path, progress=Stop(at, lambda: signal.raise_signal(signal.SIGINT)))
    drawn = []
    resumed = compare(path, True, progress=lambda draws: drawn.extend(draws) or draws)
    np.testing.assert_equal(numbers(resumed), whole)
    assert len(drawn) == 2 * N_DRAWS - at


def test_a_kill_loses_what_was_not_saved_yet(whole, tmp_path):
    """At most half a minute, here nothing. That a file is whole or not there is io.atomic's."""
    path, here = tmp_path / "found.npz", Path(__file__).parent
    code = (f"import sys, os, signal; sys.path.insert(0, {str(here)!r})\n"
            "from test_checkpoint import *\n"
            "sys.modules['npvae.lab.compare'].BETWEEN_SAVES = 0\n"
            f"compare({str(path)!r}, progress=Stop(40, lambda: os.kill(os.getpid(), 9)))")
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    drawn = []
    resumed = compare(path, True, progress=lambda draws: drawn.extend(draws) or draws)
    np.testing.assert_equal(numbers(resumed), whole)
    assert len(drawn) == 2 * N_DRAWS - 39


def test_what_is_done_is_done(whole, tmp_path):
    path = tmp_path / "found.npz"
    assert numbers(compare(path))[0][0]["n_draws"] == N_DRAWS

    def nothing(draws):
        assert not list(draws)
        return draws

    np.testing.assert_equal(numbers(compare(path, True, progress=nothing)), whole)


def moved():
    model = vae()
    model.parameters["encoder.mean.bias"][0] += 1
    return model


OTHERS = {
    "n_draws": {"n_draws": 65}, "seed": {"rng": 1}, "estimators": {"estimators": ["A", "stl"]},
    "estimators of": {"samples": [2, 4]}, "estimators, noise": {"noise": "sobol"},
    "model": {"vae": {"one": vae(activation="relu"), "other": vae(6)}},
    "parameters": {"vae": {"one": moved(), "other": vae(6)}},
    "dtype": {"vae": {"one": vae(dtype="float64"), "other": vae(6)}},
    "estimators, kl_weight": {"vae": {"one": vae(kl_weight=2.0, estimator="A"), "other": vae(6)},
                              "estimators": ["A"]},
    "X": {"X": X[::-1]}, "estimators of another": {"vae": {"one": vae(), "another": vae(6)}},
}  # fmt: skip


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    path = tmp_path_factory.mktemp("begun") / "found.npz"
    with suppress(KeyboardInterrupt):
        compare(path, progress=Stop(9, lambda: signal.raise_signal(signal.SIGINT)))
    return path


@pytest.mark.parametrize("name", OTHERS)
def test_another_comparison_is_refused(name, begun):
    with pytest.raises(ModelFileError, match=f"was made with {name.partition(',')[0]}") as error:
        compare(begun, True, **OTHERS[name])
    assert "\n" not in str(error.value)


def test_what_is_no_such_file_is_refused(begun, tmp_path):
    vae().save(tmp_path / "model.npz")
    with pytest.raises(ModelFileError, match="is a model, not a comparison"):
        compare(tmp_path / "model.npz", True)
    with pytest.raises(ModelFileError, match="is a comparison, not a model"):
        npvae.load(begun)
    with pytest.raises(ModelFileError, match="no such file"):
        compare(tmp_path / "none.npz", True)
    with pytest.raises(ParameterError, match="needs checkpoint"):
        compare(None, True)
    with pytest.raises(ParameterError, match="npvae writes"):
        compare(tmp_path / "found.json")
    config, arrays = npvae.io.read_archive(begun, "comparison")
    for progress in (None, 3, [1], [-1] * len(config["progress"]), ["9"] * len(config["progress"])):
        path = tmp_path / "damaged.npz"
        npvae.io.write_archive(path, "comparison", config | {"progress": progress}, arrays)
        with pytest.raises(ModelFileError, match="is no progress of 64 draws"):
            compare(path, True)
    npvae.io.write_archive(path, "comparison", config, arrays | {"0.means": np.zeros(3)})
    with pytest.raises(ModelFileError, match=r"0\.means"):
        compare(path, True)


def test_a_checkpoint_that_cannot_be_written_is_told_of_before_the_first_draw(tmp_path):
    with pytest.raises(ModelFileError, match="there is no folder"):
        compare(tmp_path / "none" / "found.npz", progress=lambda draws: pytest.fail("drawn"))


def test_without_a_name_nothing_is_written(tmp_path):
    before = os.getcwd()
    os.chdir(tmp_path)
    try:
        lab.compare(["A"], vae(), X, n_draws=64, rng=0)
    finally:
        os.chdir(before)
    assert not list(tmp_path.iterdir())
