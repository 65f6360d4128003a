"""Training on rows that stay on the disk: by windows, which are shuffled as is stated.

The oracle is training in memory, by the same order of rows.
"""
import os
import re
import signal
from math import sqrt

import numpy as np
import pytest

import npvae
from npvae import random
from npvae.data import Dataset, disk_rows
from npvae.data.disk_rows import array_rows, npy_rows
from npvae.errors import DataError
from npvae.training import Minibatches, windows
from npvae.training.windows import Windows

DIGITS = npvae.data.load_digits()
PIXELS = DIGITS.pixels[:427]  # windows of 100 and one of 27, in batches of 50


def numbered(N, M, W, G=8, seed=0, chunk=1):
    """The windows of rows that hold their own numbers."""
    X = np.arange(N)[:, None]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "WINDOW", 8 * W)
        patch.setattr(windows, "BLOCKS", G)
        return Windows(array_rows(X, "X", chunk), lambda i, j: X[i:j], X.dtype, M, seed)


def sequence(of, epoch):
    """The numbers of the rows in the order in which an epoch visits them.   (N,)"""
    parts = [of.take(epoch, w)[of.order(epoch, w), 0] for w in range(len(of))]
    return np.concatenate(parts)


# --- the order ----------------------------------------------------------------------------


@pytest.mark.parametrize("N", [1, 7, 99, 100, 101, 1000, 1037])
@pytest.mark.parametrize("M, W, G", [(1, 1, 1), (10, 100, 8), (3, 64, 5), (40, 30, 7)])
def test_an_epoch_visits_every_row_once_and_epochs_differ(N, M, W, G):
    M = min(M, N)
    of = numbered(N, M, W, G)
    assert of.size % M == 0 and of.size <= max(W, M, windows.FEWEST)
    first, second = sequence(of, 0), sequence(of, 1)
    np.testing.assert_array_equal(np.sort(first), np.arange(N))
    np.testing.assert_array_equal(np.sort(second), np.arange(N))
    if N > 50:
        assert (first != second).any() and (first != np.arange(N)).any()


def test_a_window_is_a_function_of_its_number_whatever_was_read_ahead():
    expected = [numbered(1037, 10, 100).take(2, w) for w in range(11)]
    of = numbered(1037, 10, 100)
    for w in (4, 0, 10, 3):
        of.read_ahead(2, (w + 1) % 11)
        np.testing.assert_array_equal(of.take(2, w), expected[w])
        of.read_ahead(2, w)
        np.testing.assert_array_equal(of.take(2, w), expected[w])


def test_blocks_are_whole_pieces_of_the_file():
    of = numbered(10_000, 10, 1600, G=256, chunk=48)
    assert of.block == 48 and of.size == 1600
    assert numbered(10_000, 10, 10, chunk=48).size == 760  # of 16 pieces at least


def test_shuffling_is_as_good_as_is_stated():
    """Over 60 epochs; |z| < 4 in each of three tests: one in 5,000 fails, and the seed is fixed."""
    M, W, G, N = 20, 800, 40, 8000
    of = numbered(N, M, W, G, seed=3)
    rng, meet, distinct, means = np.random.default_rng(0), [], [], []
    for epoch in range(60):
        order = sequence(of, epoch)
        batch = np.empty(N, int)
        batch[order] = np.arange(N) // M
        block = np.arange(N) // of.block
        meet.append(np.mean((batch[1:] == batch[:-1])[block[1:] == block[:-1]]))
        batches = order.reshape(-1, M)
        distinct.append(np.mean([len(set(row // of.block)) for row in batches]))
        values = rng.normal(size=N // of.block)[block] * sqrt(0.5) + rng.normal(size=N) * sqrt(0.5)
        means.append(np.var(values[batches].mean(axis=1), ddof=1) / np.var(values, ddof=1))

    def z(found, expected):
        return abs(np.mean(found) - expected) / (np.std(found, ddof=1) / sqrt(len(found)))

    assert z(meet, (M - 1) / (W - 1)) < 4
    # without replacement a block has at most B rows: (1 − 1/G)^M is C(W − B, M)/C(W, M), 0.4 % off
    assert np.mean(distinct) == pytest.approx(G * (1 - (1 - 1 / G) ** M), rel=0.01)
    assert np.mean(means) == pytest.approx((1 + 0.5 * (M - 1) / G) / M, rel=0.05)


# --- training -----------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def small_is_large(monkeypatch):
    """Of 64 pixels of a byte: windows of 100 rows, of blocks of 13; all of it on the disk."""
    monkeypatch.setattr(windows, "WINDOW", 100 * 64)
    monkeypatch.setattr(windows, "BLOCKS", 8)
    monkeypatch.setattr(disk_rows, "LARGE", 1000)


@pytest.fixture
def on_disk(tmp_path):
    np.save(tmp_path / "x.npy", PIXELS)
    return Dataset(npy_rows(tmp_path / "x.npy"), scale=1 / 16)


def model(**settings):
    defaults = {"hidden": (16,), "epochs": 3, "random_state": 1, "verbose": False,
                "batch_size": 50, "parameter_prior": True, "schedule": "cosine"}  # fmt: skip
    return npvae.VAE(**(defaults | settings))


def state_of(trained):
    arrays = {"theta": trained.engine_.theta, **trained._state.moments}
    history = {k: v for k, v in trained.history_.items() if k != "seconds"}
    return {name: array.tobytes() for name, array in arrays.items()}, history


@pytest.mark.parametrize("settings", [
    {}, {"binarize": "dynamic"}, {"binarize": "fixed"}, {"kl_warmup": 2},
    {"likelihood": "normal"}, {"noise": "antithetic", "n_samples": 2, "dtype": "float64"},
], ids=str)  # fmt: skip
def test_training_is_that_in_memory_by_the_same_order(settings, on_disk, monkeypatch):
    """To the bit; standardized rows are larger, and a window has fewer."""
    held_out = DIGITS.images[500:550]
    trained = model(**settings).fit(on_disk, validation=held_out)
    of = numbered(427, 50, 25 if "likelihood" in settings else 100, seed=1)
    monkeypatch.setattr(Minibatches, "order", lambda self, epoch: sequence(of, epoch))
    alone = model(**settings).fit(Dataset(PIXELS, scale=1 / 16), validation=held_out)
    assert state_of(trained) == state_of(alone)


@pytest.mark.parametrize("step", [0, 1, 2, 4, 8, 9, 17])
def test_a_run_that_is_interrupted_anywhere_resumes_to_equal_bits(step, on_disk, tmp_path):
    whole = model().fit(on_disk)
    path = tmp_path / "checkpoint.npz"

    def interrupt(self):
        if self.state.step == step:
            os.kill(os.getpid(), signal.SIGINT)
        advance(self)

    advance = npvae.training.TrainStep.advance
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(npvae.training.TrainStep, "advance", interrupt)
        model().fit(on_disk, checkpoint=path)
    assert state_of(model().fit(on_disk, checkpoint=path, resume=True)) == state_of(whole)


def test_a_lost_shard_is_one_line_and_a_run_goes_on_when_it_is_back(tmp_path, capsys):
    """From the shell: held-out rows are left out of what is on the disk."""
    folder, run = tmp_path / "shards", tmp_path / "run"
    folder.mkdir()
    for k, rows in enumerate(np.split(PIXELS, [100, 200, 300])):
        np.save(folder / f"{k}.npy", rows)
    from npvae.cli import main

    new = ["train", "--data", str(folder), "--hidden", "8", "--epochs", "4", "--batch-size", "50"]
    assert main([*new, "--quiet", "--out", str(tmp_path / "whole")]) == 0
    lost, _ = folder / "2.npy", capsys.readouterr()

    def lose(self):
        if self.state.step >= 11 and lost.exists():
            lost.rename(tmp_path / "away.npy")
        advance(self)

    advance = npvae.training.TrainStep.advance
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(npvae.training.TrainStep, "advance", lose)
        assert main([*new, "--quiet", "--out", str(run)]) == 1
    error = capsys.readouterr().err
    assert re.fullmatch(r"npvae: error: .*2\.npy: rows .* cannot be read: .*\n", error)
    resume = ["train", "--quiet", "--resume", str(run)]
    assert main(resume) == 1  # still away
    (tmp_path / "away.npy").rename(lost)
    assert main(resume) == 0
    with np.load(run / "model.npz") as here, np.load(tmp_path / "whole" / "model.npz") as whole:
        for name in whole.files:
            if name != "config":
                assert here[name].tobytes() == whole[name].tobytes()


def test_what_needs_all_rows_loads_them_and_scores_go_through_them(on_disk):
    settings = {"latent_dim": 2, "hidden": (8,), "epochs": 1, "random_state": 0}
    of_disk, of_memory = (
        npvae.MCEM(**settings).fit(data) for data in (on_disk, Dataset(PIXELS, scale=1 / 16))
    )
    assert of_disk.engine_.theta.tobytes() == of_memory.engine_.theta.tobytes()
    trained, memory = model(epochs=1).fit(on_disk), Dataset(PIXELS, scale=1 / 16)
    np.testing.assert_array_equal(trained.score_samples(on_disk), trained.score_samples(memory))
    np.testing.assert_array_equal(trained.transform(on_disk), trained.transform(memory))
    trained.partial_fit(on_disk)


def test_a_value_that_becomes_nan_on_the_disk_is_no_quiet_end(tmp_path):
    X = PIXELS / 16
    np.save(tmp_path / "x.npy", X)
    rows = npy_rows(tmp_path / "x.npy")
    X[300] = np.nan

    def spoil(state):
        np.save(tmp_path / "x.npy", X)

    with pytest.raises((DataError, npvae.NumericalError), match=r"not finite|cannot be read"):
        model().fit(Dataset(rows), callbacks=[spoil])


def test_orders_of_windows_share_no_key_with_orders_of_blocks():
    orders = [random.permutation(1, 0, 50, window) for window in range(3)]
    assert len({tuple(order) for order in orders}) == 3
