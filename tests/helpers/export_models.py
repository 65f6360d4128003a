"""One tiny fitted model of each kind that formats are tested with, and inputs for it."""
from functools import cache
from typing import Any

import numpy as np

import npvae

N, D = 40, 6
UNIT = np.random.default_rng(0).random((N, D))  # in [0, 1]
FAR = 1000 + np.array([0.01, 1, 100, 1, 1, 5]) * np.random.default_rng(1).standard_normal((N, D))
COUNTS = np.random.default_rng(2).poisson(3, (N, D)).astype(float)
LEVELS = np.random.default_rng(3).integers(0, 4, (N, D)) / 3
SMALL: dict[str, Any] = {"hidden": (5,), "epochs": 2, "batch_size": 20, "random_state": 0,
                         "initial_std": 0.5, "verbose": False}  # fmt: skip

# name: class, its arguments, data. The first eight are those of the issue.
CASES: dict[str, tuple[Any, dict[str, Any], np.ndarray]] = {
    "bernoulli": (npvae.VAE, {}, UNIT),
    "normal": (npvae.VAE, {"likelihood": "normal"}, FAR),
    "sigmoid mean": (npvae.VAE, {"likelihood": "normal", "likelihood_mean": "sigmoid"}, UNIT),
    "poisson": (npvae.VAE, {"likelihood": "poisson"}, COUNTS),
    "categorical": (npvae.VAE, {"likelihood": "categorical", "n_levels": 4}, LEVELS),
    "gamma": (npvae.VAE, {"posterior": "gamma", "prior": "gamma", "activation": "relu"}, UNIT),
    "three layers": (npvae.VAE, {"hidden": (7, 6, 5), "activation": "gelu"}, UNIT),
    "full VB": (npvae.FullVB, {"activation": "softplus"}, UNIT),
    "one scale": (npvae.VAE, {"likelihood": "normal", "likelihood_std": 0.1}, FAR),
    "variance a feature": (npvae.VAE, {"likelihood": "normal", "likelihood_variance": "feature",
                                       "activation": "elu"}, FAR),
    "laplace": (npvae.VAE, {"likelihood": "laplace", "activation": "leaky_relu"}, FAR),
    "grey": (npvae.VAE, {"likelihood": "continuous-bernoulli", "activation": "silu"}, UNIT),
    "levels": (npvae.VAE, {"likelihood": "discretized-logistic", "n_levels": 4}, LEVELS),
    "float64": (npvae.VAE, {"dtype": "float64", "likelihood": "normal"}, FAR),
    "no hidden layers": (npvae.VAE, {"hidden": (), "activation": "identity"}, UNIT),
    "linear layers": (npvae.VAE, {"activation": "identity", "latent_dim": 3}, UNIT),
    "own decoder": (npvae.VAE, {"decoder_hidden": (4, 3), "activation": "sigmoid"}, UNIT),
    "autoencoder": (npvae.Autoencoder, {}, UNIT),
    "wake-sleep": (npvae.WakeSleep, {}, UNIT),
    "elliptical": (npvae.VAE, {"posterior": "elliptical", "latent_dim": 3}, UNIT),
    "beta": (npvae.VAE, {"posterior": "beta", "prior": "beta"}, UNIT),
    "dirichlet": (npvae.VAE, {"posterior": "dirichlet", "prior": "dirichlet", "latent_dim": 3},
                  UNIT),
    "vamp": (npvae.VAE, {"prior": "vamp", "estimator": "A", "prior_components": 3}, UNIT),
}  # fmt: skip
ISSUE = tuple(CASES)[:8]


@cache
def fitted(name: str) -> Any:
    """The model of a case, fitted once a process."""
    make, arguments, X = CASES[name]
    return make(**{**SMALL, **arguments}).fit(X)


def inputs(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Data and latents of a case, in its dtype, of more rows than one."""
    model, X = fitted(name), CASES[name][2]
    return X[:7].astype(model.dtype), model.transform(X)[::-1][:9]


def expected(model: Any, part: str, rows: np.ndarray) -> dict[str, np.ndarray]:
    """What npvae says of rows: all that a format's ``"encoder"`` or ``"decoder"`` may give."""
    if part == "decoder":
        found = model.likelihood_of(rows)
        return {**found.parameters, "mean": found.mean}
    if not model.has_bound:
        return {"code": model.transform(rows)}
    found = {**model.posterior_of(rows).parameters, "location": model.transform(rows)}
    return found | {"mean": found["mu"]} if "mu" in found else found


def close(found: np.ndarray, wanted: np.ndarray) -> None:
    """Whether as many rows of ``wanted`` as were found agree to 1e-5 of its scale, or 1e-12 if it
    is float64.

    The scale of numbers far from 0 is their deviation, for their offset is no result of the model;
    but never less than leaves some roundings of the numbers themselves.
    """
    least, rows = {"float32": 1e-5, "float64": 1e-12}[wanted.dtype.name], wanted[: len(found)]
    assert found.shape == rows.shape and found.dtype == wanted.dtype
    rounding = 4 * np.finfo(wanted.dtype).eps * np.abs(wanted).max()
    scale = max(np.abs(wanted - wanted.mean(axis=0)).max(), rounding / least)
    assert np.abs(found - rows).max(initial=0) <= least * scale
