"""A process that loads a model to code and decode imports what that takes, and no more."""
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import npvae

# What training, evaluation and files of other kinds are for; what npvae has beside the library.
UNNEEDED = {
    "npvae.training": ("batches", "config", "diagnosis", "gradient_flow", "history", "loop",
                       "monte_carlo", "progress", "state", "step"),
    "npvae.evaluation": ("annealed", "chains", "harmonic", "hmc", "importance", "iwae",
                         "log_joint", "prior"),
    "npvae.models": ("autoencoder", "full_vb", "learned_prior", "mcem", "wake_sleep"),
    "npvae.estimators": ("autoencoder", "full_vb", "mcem", "onnx_file", "state_dict",
                         "wake_sleep"),
    "npvae.io": ("columns", "images", "state_dict", "toml"),
    "npvae.data": ("catalogue", "tables", "user_files"),
    "npvae": ("cli", "explain", "export", "lab", "plotting", "reproduce", "runs", "testing"),
}  # fmt: skip
STANDARD_LIBRARY = {"csv", "html", "pkgutil", "signal", "tempfile", "tomllib"}
SCRIPT = """
import sys
import numpy
import npvae
model = npvae.load(sys.argv[1])
model.transform(model.inverse_transform(numpy.zeros((1, 2), "float32")))
print(*sys.modules)
print("_state" in vars(model))
"""


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "model.npz"
    npvae.VAE(latent_dim=2, hidden=(5,), random_state=0).initialize(4).save(path)
    return path


def test_inference_imports_little_and_has_no_optimiser_state(saved):
    environment = {"PYTHONPATH": str(Path(npvae.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", SCRIPT, saved], capture_output=True, text=True,
                          check=True, env=environment)  # fmt: skip
    modules, state = done.stdout.splitlines()
    unneeded = {f"{package}.{file}" for package, files in UNNEEDED.items() for file in files}
    assert (unneeded | STANDARD_LIBRARY) & {*modules.split()} == set()
    assert state == "False"


def test_the_modules_that_are_not_imported_exist():
    folder = Path(npvae.__file__).parents[1]
    for package, files in UNNEEDED.items():
        for file in files:
            path = folder.joinpath(*package.split("."), file)
            assert path.is_dir() or path.with_suffix(".py").is_file(), path


def test_training_goes_on_where_a_model_was_loaded(saved):
    X = np.random.default_rng(0).random((20, 4))
    model = npvae.VAE(latent_dim=2, hidden=(5,), epochs=3, random_state=0, verbose=False).fit(X)
    model.save(saved)
    again = npvae.load(saved)
    assert again.history_ == {} and again._state.epoch == 3
    assert again.partial_fit(X).history_["epoch"] == [4]


def test_another_optimizer_after_loading_is_still_refused(saved):
    model = npvae.load(saved).set_params(optimizer="sgd")
    with pytest.raises(npvae.ParameterError, match="was set after"):
        model.partial_fit(np.zeros((3, 4)))
