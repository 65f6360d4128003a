"""A checkpoint's progress is believed only if each number can be, and all go together."""
import copy
import json
from itertools import product

import numpy as np
import pytest

from npvae import VAE
from npvae.errors import ModelFileError
from npvae.io import read_archive, write_archive
from npvae.training.progress_check import COUNTERS, check_progress

PROGRESS = {  # after two epochs of three batches, and one batch more
    "epoch": 2, "batch": 1, "step": 7, "sums": [1.5, 2], "objective": [0.0, 0.0],
    "history": {"epoch": [1, 2], "elbo": [-3.0, -2.5], "validation_elbo": [-3.5, -2.75],
                "objective": [None, -1.0]},
    "best_epoch": 2, "best_elbo": -2.75,
}  # fmt: skip
VALUES = (None, True, -1, 0.5, "2", [], {}, [1], [1, "2"], [None, 1], {"epoch": 1}, 10**30)


def changed(**values):
    return copy.deepcopy(PROGRESS) | values


def refused(progress, n_batches=3):
    with pytest.raises(ModelFileError, match=r"^c\.npz: its progress is damaged: ") as caught:
        check_progress("c.npz", progress, n_batches)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_good_one_is_taken():
    check_progress("c.npz", PROGRESS, 3)
    check_progress("c.npz", changed(best_epoch=0, best_elbo=None), 3)
    check_progress("c.npz", changed(best_elbo=None), 3)  # kept without a bound
    check_progress("c.npz", changed(batch=3, step=9), 3)  # interrupted after the last batch


@pytest.mark.parametrize(("name", "value"), product(COUNTERS, VALUES))
def test_no_value_of_another_type_is_taken(name, value):
    if (name, value) != ("best_elbo", None):
        refused(changed(**{name: value}))


@pytest.mark.parametrize("name", COUNTERS)
def test_nothing_may_be_missing(name):
    refused({k: v for k, v in PROGRESS.items() if k != name})


@pytest.mark.parametrize("changes", [
    {"epoch": 3}, {"step": 8}, {"batch": 0}, {"batch": 4, "step": 10}, {"best_epoch": 3},
    {"best_epoch": 1}, {"best_epoch": 0}, {"best_elbo": -3.0},
    {"history": {"epoch": [1, 2], "elbo": [1.0]}}, {"history": {}}, {"history": {"epoch": [2, 1]}},
    {"history": {"epoch": [1, 2]}}, {"epoch": 0, "step": 1},
    {"history": PROGRESS["history"] | {"samples": [6, None]}},
])  # fmt: skip
def test_numbers_go_together(changes):
    refused(changed(**changes))


@pytest.mark.parametrize("progress", [None, [], "x", 3])
def test_it_is_an_object(progress):
    refused(progress)


def test_resuming_asks(tmp_path):
    """A checkpoint with a step more than it has had was resumed, with other noise."""
    X, path = np.zeros((6, 4), np.float32), tmp_path / "c.npz"
    small = {"hidden": (3,), "batch_size": 2, "random_state": 0, "verbose": False}
    VAE(**small, epochs=1).fit(X, checkpoint=path)
    config, arrays = read_archive(path, "checkpoint")
    config["progress"]["step"] += 1
    write_archive(path, "checkpoint", config, arrays)
    with pytest.raises(ModelFileError, match="epoch=1, batch=0 and step=4"):
        VAE(**small, epochs=2).fit(X, checkpoint=path, resume=True)
    config["progress"]["step"] -= 1
    write_archive(path, "checkpoint", json.loads(json.dumps(config)) | {"swish": 1}, arrays)
    with pytest.raises(ModelFileError, match=r"made by a newer npvae: .* its 'swish'; update"):
        VAE(**small, epochs=2).fit(X, checkpoint=path, resume=True)
