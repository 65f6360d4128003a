"""Files that were written before npvae's internals were redrawn: what they hold, and how to go on.

    <name>.npz               a model, by ``save``
    <name>.checkpoint.npz    a checkpoint of ``fit``, by its end or by Ctrl-C within an epoch
    run/                     the folder of ``npvae train``, three epochs of the digits
    expected.npz             what came of each when it was read and trained further
"""
import json
from pathlib import Path
from typing import Any

import numpy as np

import npvae

from .configurations import LIKELIHOODS, Configuration, D, M, Settings, dataset, pair_settings
from .measure import HERE, UNRECORDED, Numbers, columns, outputs

FILES = HERE / "files"


def models() -> list[Configuration]:
    """The models that were trained for three epochs and saved."""
    real, normal = LIKELIHOODS["normal"]
    table: list[tuple[str, str, str, Settings]] = [
        ("vae", "VAE", "grey", {}),
        ("vae-float32", "VAE", "bytes", {"dtype": "float32", "optimizer": "adagrad"}),
        ("vae-options", "VAE", "bytes", {
            "binarize": "dynamic", "kl_weight": 2.0, "kl_warmup": 5, "parameter_prior": True,
            "hidden": (5, 3), "decoder_hidden": (4,), "activation": "softplus", "n_samples": 2,
            "optimizer": npvae.optim.Adam(beta1=0.8), "schedule": npvae.optim.Cosine(floor=0.1),
            "clip_norm": 1.0}),
        ("vae-vamp", "VAE", real, normal | pair_settings("normal", "vamp", "A")),
        ("vae-mixture", "VAE", real, normal | pair_settings("normal", "mixture", "A")),
        ("vae-gamma", "VAE", "grey", pair_settings("gamma", "gamma", "B")),
        ("vae-elliptical-poisson", "VAE", "counts", {
            "posterior": "elliptical", "prior": "elliptical", "likelihood": "poisson"}),
        ("vae-categorical", "VAE", *LIKELIHOODS["categorical"]),
        ("wake-sleep", "WakeSleep", "grey", {}),
        ("mcem", "MCEM", "grey", {}),
        ("full-vb", "FullVB", real, normal),
        ("autoencoder", "Autoencoder", "grey", {"l2": 0.01}),
    ]  # fmt: skip
    return [Configuration(*row) for row in table]


def checkpoints() -> list[Configuration]:
    """The trainings that left a checkpoint; ``fit["steps"]`` is when Ctrl-C came, if it did."""
    settings = {"epochs": 2, "binarize": "dynamic", "kl_warmup": 3, "schedule": "step"}
    interrupted = {"steps": 5}  # in the middle of the second epoch
    return [
        Configuration("vae-finished", "VAE", "grey", settings, fit={"validation": True}),
        Configuration("vae-interrupted", "VAE", "grey", settings, fit=interrupted),
        Configuration("vae-early-stopping", "VAE", "grey", {
            "epochs": 2, "early_stopping": 2, "optimizer": "nesterov"}, fit={"validation": True}),
        Configuration("mcem-interrupted", "MCEM", "grey", {"epochs": 2}, fit=interrupted),
        Configuration("full-vb-interrupted", "FullVB", "grey", {"epochs": 2}, fit=interrupted),
    ]  # fmt: skip


MODELS, CHECKPOINTS = models(), checkpoints()
RUN = [  # what the run folder was made with
    "train", "--data", "digits", "--hidden", "6", "--latent-dim", "2", "--n-train", "120",
    "--validation", "30", "--batch-size", "50", "--epochs", "3", "--dtype", "float64",
    "--random-state", "1",
]  # fmt: skip


def model_file(c: Configuration, folder: Path = FILES) -> Path:
    """Where a model lies."""
    return folder / f"{c.name}.npz"


def checkpoint_file(c: Configuration, folder: Path = FILES) -> Path:
    """Where a checkpoint lies."""
    return folder / f"{c.name}.checkpoint.npz"


def held_out(c: Configuration) -> dict[str, Any]:
    """The keyword of ``fit`` for validation data, if there are any."""
    return {"validation": dataset(c.data, M)} if c.fit.get("validation") else {}


def loaded(c: Configuration) -> Numbers:
    """What a model gives that is read from its file; and, as "then …", after another pass."""
    model = npvae.load(model_file(c))
    assert model.n_features_in_ == D
    found = outputs(c, model)
    model.partial_fit(dataset(c.data))
    return found | {f"then {name}": value for name, value in columns(model).items()}


def resumed(c: Configuration, folder: Path) -> Numbers:
    """The history of a training that goes on from its checkpoint in ``folder``, to epoch 4."""
    path = checkpoint_file(c, folder)
    model = c.model(epochs=4)
    model.fit(dataset(c.data), checkpoint=path, resume=True, **held_out(c))
    return columns(model)


def run_outputs(folder: Path) -> Numbers:
    """What the model of a run folder says of the first digits."""
    model = npvae.load(folder / "model.npz")
    X = npvae.data.load_digits().images[:5]
    return {"transform": model.transform(X), "score": model.score_samples(X)}


def run_history(folder: Path) -> Numbers:
    """The history of a run folder, but for UNRECORDED columns."""
    lines = (folder / "history.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return {k: np.array([row[k] for row in rows], float) for k in rows[0] if k not in UNRECORDED}
