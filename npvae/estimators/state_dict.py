"""A VAE from the ``state_dict`` of another program: the same layers under other names."""
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from npvae.errors import ModelFileError
from npvae.estimators.vae import VAE
from npvae.io import check_arrays, read_state_dict

# The seven layers of a widely read PyTorch write-up of the paper, 784-512-256-(2, 2) and back.
WRITE_UP = {
    "fc1": "encoder.hidden.0", "fc2": "encoder.hidden.1", "fc31": "encoder.mean",
    "fc32": "encoder.logvar", "fc4": "decoder.hidden.0", "fc5": "decoder.hidden.1",
    "fc6": "decoder.logits",
}  # fmt: skip


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

    Examples
    --------
    >>> layers = {"fc1": (5, 9), "fc2": (4, 5), "fc31": (2, 4), "fc32": (2, 4),
    ...           "fc4": (4, 2), "fc5": (5, 4), "fc6": (9, 5)}
    >>> state = {f"{k}.weight": np.ones(shape) for k, shape in layers.items()}
    >>> state |= {f"{k}.bias": np.zeros(shape[0]) for k, shape in layers.items()}
    >>> load_state_dict(state)
    VAE(hidden=(5, 4), activation='relu', verbose=False)
    """
    given = source if isinstance(source, Mapping) else read_state_dict(source)
    called = "the state_dict" if isinstance(source, Mapping) else str(source)
    arrays = {}
    for name, array in given.items():
        layer, _, kind = name.rpartition(".")
        if layer not in names:
            raise ModelFileError(
                f"{called}: {name} is of no layer that is known; it may hold "
                f"{', '.join(names)}, or pass names={{theirs: ours}}"
            )
        arrays[f"{names[layer]}.{kind}"] = np.asarray(array)
    hidden, decoder_hidden = (_widths(arrays, network) for network in ("encoder", "decoder"))
    shapes = {name: array.shape for name, array in arrays.items()}
    latent_dim, n_features = (
        shapes.get(f"{head}.bias", (1,))[0] for head in ("encoder.mean", "decoder.logits")
    )
    vae = VAE(
        latent_dim, hidden, activation, backend=backend, dtype=dtype, verbose=False,
        decoder_hidden=None if decoder_hidden == hidden[::-1] else decoder_hidden,
    )  # fmt: skip
    vae.initialize(n_features)
    check_arrays(called, arrays, vae.engine_.layout.shapes)
    return vae.set_parameters(arrays)


def _widths(arrays: Mapping[str, np.ndarray], network: str) -> tuple[int, ...]:
    """Of a network's hidden layers, in order."""
    layers = sorted(
        (int(name.split(".")[2]), array.shape[0])
        for name, array in arrays.items()
        if name.startswith(f"{network}.hidden.") and name.endswith(".bias")
    )
    return tuple(width for _, width in layers)
