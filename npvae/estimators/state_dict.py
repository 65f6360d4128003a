"""A VAE from the ``state_dict`` of another program: the same layers under other names."""
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from npvae.errors import ModelFileError, ParameterError
from npvae.estimators.vae import VAE
from npvae.io import read_state_dict

# The seven layers of a widely read PyTorch write-up of the paper, 784-512-256-(2, 2) and back.
WRITE_UP = {
    "fc1": "encoder.hidden.0", "fc2": "encoder.hidden.1", "fc31": "encoder.mean",
    "fc32": "encoder.logvar", "fc4": "decoder.hidden.0", "fc5": "decoder.hidden.1",
    "fc6": "decoder.logits",
}  # fmt: skip
LAYERS = ("encoder.hidden.0, 1, …", "encoder.mean", "encoder.logvar", "decoder.hidden.0, 1, …",
          "decoder.logits")  # fmt: skip


def load_state_dict(
    source: str | Path | Mapping[str, Any], names: Mapping[str, str] = WRITE_UP,
    activation: str = "relu", backend: str = "numpy", dtype: str = "float32",
) -> VAE:  # fmt: skip
    """A VAE with a Bernoulli likelihood whose parameters are those of ``source``.

    Parameters
    ----------
    source : path or mapping of str to array
        A ``.safetensors`` or ``.npz`` file, or the ``state_dict()`` itself: ``"fc1.weight"``
        (out, in), ``"fc1.bias"`` (out,), and so on.
    names : mapping of str to str
        Name of each layer there → its name here. Those of the write-up if not given.
    activation : str
        Of all hidden layers; a ``state_dict`` does not say it.
    backend, dtype : str
        As :class:`npvae.VAE` has them.

    Returns
    -------
    VAE
        Ready to transform, sample and score, or to train further with ``partial_fit``.

    Raises
    ------
    ModelFileError
        If a layer is missing, unknown, or of a shape that does not fit its neighbours.
    ParameterError
        If ``source`` or ``names`` is none, or a name stands for no layer of a VAE.

    Examples
    --------
    >>> layers = {"fc1": (5, 9), "fc2": (4, 5), "fc31": (2, 4), "fc32": (2, 4),
    ...           "fc4": (4, 2), "fc5": (5, 4), "fc6": (9, 5)}
    >>> state = {f"{k}.weight": np.ones(shape) for k, shape in layers.items()}
    >>> state |= {f"{k}.bias": np.zeros(shape[0]) for k, shape in layers.items()}
    >>> load_state_dict(state)
    VAE(hidden=(5, 4), activation='relu', verbose=False)
    """
    check_names(names)
    if not isinstance(source, (str, Path, Mapping)):
        raise ParameterError(f"source={source!r} must be a path or a mapping of names to arrays")
    given = source if isinstance(source, Mapping) else read_state_dict(source)
    called = "the state_dict" if isinstance(source, Mapping) else str(source)
    for name in given:
        layer, _, kind = str(name).rpartition(".")
        if layer not in names or kind not in ("weight", "bias"):
            raise ModelFileError(
                f"{called}: {name} is of no layer that is known; it may hold "
                f"{', '.join(names)}, or pass names={{theirs: ours}}"
            )
    arrays: dict[str, np.ndarray] = {}
    widths: dict[str, int] = {}
    for layer, ours in names.items():
        weight, bias = weight_and_bias(called, given, layer)
        arrays[f"{ours}.weight"], arrays[f"{ours}.bias"] = weight, bias
        widths[ours] = len(bias)
    hidden, decoder_hidden = (
        tuple(widths[f"{network}.hidden.{i}"] for i in range(depth(widths, network)))
        for network in ("encoder", "decoder")
    )
    latent_dim, n_features = widths["encoder.mean"], widths["decoder.logits"]
    if widths["encoder.logvar"] != latent_dim:
        raise ModelFileError(
            f"{called}: the means are of {latent_dim} latents and the log-variances of "
            f"{widths['encoder.logvar']}; the layers are not of one model"
        )
    vae = VAE(
        latent_dim, hidden, activation, backend=backend, dtype=dtype, verbose=False,
        decoder_hidden=None if decoder_hidden == hidden[::-1] else decoder_hidden,
    )  # fmt: skip
    vae.initialize(n_features)
    for layer, ours in names.items():
        name = f"{ours}.weight"
        found, fits = arrays[name].shape[1], vae.engine_.layout.shapes[name][1]
        if found != fits:
            raise ModelFileError(
                f"{called}: {layer}.weight takes {found} inputs, and {ours} has {fits} before it; "
                "the layers are not of one model, or names puts them in another order"
            )
    return vae.set_parameters(arrays)


def check_names(names: Any) -> None:
    """Raise a ParameterError unless the names here are those of one VAE's layers."""
    if not isinstance(names, Mapping):
        raise ParameterError(f"names={names!r} must be a mapping of their layers to ours")
    ours = [str(name) for name in names.values()]
    hidden = {f"{n}.hidden.{i}" for n in ("encoder", "decoder") for i in range(depth(ours, n))}
    layers = hidden | {"encoder.mean", "encoder.logvar", "decoder.logits"}
    for name in ours:
        if name not in layers:
            raise ParameterError(f"names: {name!r} is no layer here; choose {', '.join(LAYERS)}")
        if ours.count(name) > 1:
            raise ParameterError(f"names: {name} is there twice; name one layer of theirs for it")
    if missing := sorted(layers - set(ours)):
        raise ParameterError(f"names: nothing stands for {missing[0]}; name their layer for it")


def weight_and_bias(
    called: str, given: Mapping[str, Any], layer: str
) -> tuple[np.ndarray, np.ndarray]:
    """Weight (out, in) and bias (out,) of a layer, real numbers that fit each other."""
    found = []
    for kind, ndim in (("weight", 2), ("bias", 1)):
        name = f"{layer}.{kind}"
        if name not in given:
            raise ModelFileError(f"{called}: {name} is missing; give the whole state_dict")
        array = np.asarray(given[name])
        if array.dtype.kind not in "biuf" or not np.isfinite(array).all():
            what = array.dtype if array.dtype.kind not in "biuf" else "NaN or infinity"
            raise ModelFileError(f"{called}: {name} holds {what}; give finite real numbers")
        if array.ndim != ndim or not array.size:
            raise ModelFileError(
                f"{called}: {name} has shape {array.shape}; a {kind} has {ndim} "
                f"dimension{'s' * (ndim > 1)}, and something in it"
            )
        found.append(array)
    weight, bias = found
    if len(weight) != len(bias):
        raise ModelFileError(
            f"{called}: {layer} has a weight of {len(weight)} rows and a bias of {len(bias)}; "
            "they are not of one layer"
        )
    return weight, bias


def depth(names: Iterable[str], network: str) -> int:
    """How many hidden layers of a network there are among the names."""
    return sum(name.startswith(f"{network}.hidden.") for name in names)
