"""A VAE from the ``state_dict`` of another program: the same layers under other names."""
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from npvae.errors import ModelFileError, ParameterError
from npvae.estimators.layer_names import WORDS, check_names, depth, known_names, misfit, unwrapped
from npvae.estimators.vae import VAE
from npvae.io import as_numpy, read_state_dict
from npvae.options import OPTIONS

COUNTERS = {"n_averaged"}  # of torch.optim.swa_utils.AveragedModel, beside the model's own


class Layer(NamedTuple):
    """A linear layer: weight (out, in) and bias (out,), zeros if it has none."""

    weight: np.ndarray
    bias: np.ndarray


def load_state_dict(
    source: str | Path | Mapping[str, Any], names: Mapping[str, str] | None = None,
    activation: str = "relu", backend: str = "numpy", dtype: str = "float32",
) -> VAE:  # fmt: skip
    """A VAE with a Bernoulli likelihood whose parameters are those of ``source``.

    Parameters
    ----------
    source : path or mapping of str to array
        A ``.safetensors`` or ``.npz`` file, or the ``state_dict()`` itself: ``"fc1.weight"``
        (out, in), ``"fc1.bias"`` (out,), and so on. Tensors of any floating dtype, on any device;
        prefixes of wrappers (``module.``, ``_orig_mod.``) may be there; a layer without a bias
        has one of zeros here.
    names : mapping of str to str, optional
        Name of each layer there → its name here. If not given it is found out: of two published
        programs by their names, of others where there is one way to put the layers in a row
        (``encoder.0``, ``encoder.2``, ``fc_mu``, ``fc_logvar``, ``decoder.0``, …). A variance by
        its name (``fc_var``) is taken for log σ².
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
        If a layer is missing, unknown, or of a shape that does not fit its neighbours, or holds
        what is no finite number of ``dtype``. Where the names are not known the error prints the
        mapping to fill in.
    ParameterError
        If ``source`` or ``names`` is none, or a name stands for no layer of a VAE.

    Examples
    --------
    >>> layers = {"fc1": (5, 9), "fc21": (2, 5), "fc22": (2, 5), "fc3": (5, 2), "fc4": (9, 5)}
    >>> state = {f"{k}.weight": np.ones(shape) for k, shape in layers.items()}
    >>> state |= {f"{k}.bias": np.zeros(shape[0]) for k, shape in layers.items()}
    >>> load_state_dict(state)
    VAE(hidden=(5,), activation='relu', verbose=False)
    """
    if names is not None:
        check_names(names)
    if not isinstance(source, (str, Path, Mapping)):
        raise ParameterError(
            f"source, of class {type(source).__name__}, must be a path or a mapping of names to "
            "arrays, such as model.state_dict()"
        )
    if not isinstance(source, Mapping) and Path(source).suffix in (".safetensors", ".npz"):
        from npvae.export import is_own  # formats cost nothing until used

        if is_own(Path(source)):
            raise ModelFileError(f"{source}: npvae's own, with all that rebuilds the model; "
                                 "read it by npvae.load")  # fmt: skip
    given = source if isinstance(source, Mapping) else read_state_dict(source)
    called = "the state_dict" if isinstance(source, Mapping) else str(source)
    dtype = OPTIONS["dtype"].canonical_name(dtype)
    layers = read_layers(called, given, dtype, names or {})
    shapes = {layer: found.weight.shape for layer, found in layers.items()}
    if names is None:
        names = known_names(shapes)
    if names is None:
        raise ModelFileError(
            f"{called}: which of its layers is which cannot be told; fill in and pass names={{"
            f"{', '.join(f'{layer!r}: ...' for layer in layers)}}}, where ... is one of {WORDS}"
        )
    for layer in layers:
        if layer not in names:
            raise ModelFileError(
                f"{called}: {layer} is of no layer that is known; names has {', '.join(names)}, "
                "so add it there"
            )
    for layer in names:
        if layer not in layers:
            raise ModelFileError(f"{called}: {layer}.weight is missing; give the whole state_dict")
    if what := misfit(names, shapes):
        raise ModelFileError(f"{called}: {what}")
    ours = {names[layer]: found for layer, found in layers.items()}
    if both := ours.pop("encoder.heads", None):
        halves = zip(*(np.split(array, 2) for array in both), strict=True)
        ours["encoder.mean"], ours["encoder.logvar"] = (Layer(*half) for half in halves)
    hidden, decoder_hidden = (
        tuple(len(ours[f"{network}.hidden.{i}"].bias) for i in range(depth(ours, network)))
        for network in ("encoder", "decoder")
    )
    vae = VAE(
        len(ours["encoder.mean"].bias), hidden, activation, backend=backend, dtype=dtype,
        decoder_hidden=None if decoder_hidden == hidden[::-1] else decoder_hidden, verbose=False,
    )  # fmt: skip
    vae.initialize(len(ours["decoder.logits"].bias))
    return vae.set_parameters({
        f"{name}.{kind}": array
        for name, layer in ours.items()
        for kind, array in zip(("weight", "bias"), layer, strict=True)
    })


def read_layers(
    called: str, given: Mapping[str, Any], dtype: str, names: Mapping[str, str]
) -> dict[str, Layer]:
    """The linear layers of a state_dict, by the names that ``names`` has, or without wrappers."""
    parts: dict[str, dict[str, np.ndarray]] = {}  # kind → array of each layer
    for name in given:
        layer, _, kind = str(name).rpartition(".")
        if isinstance(given[name], Mapping):
            raise ModelFileError(
                f"{called}: {name} holds another mapping, which may be the state_dict; pass that"
            )
        if layer and kind in ("weight", "bias"):
            parts.setdefault(layer, {})[kind] = real_numbers(called, name, given[name], dtype)
        elif name not in COUNTERS:
            raise ModelFileError(
                f"{called}: {name} is of no layer that is known; a VAE has linear layers here, "
                "each a weight and a bias"
            )
    bare = [*parts] if names and names.keys() <= parts.keys() else unwrapped([*parts])
    if twice := next((layer for layer in bare if bare.count(layer) > 1), None):
        raise ModelFileError(f"{called}: {twice} is there twice, in two wrappers; leave one out")
    return {layer: linear(called, theirs, parts[theirs])
            for layer, theirs in zip(bare, parts, strict=True)}  # fmt: skip


def real_numbers(called: str, name: str, value: Any, dtype: str) -> np.ndarray:
    """An array of ``dtype``, finite as it was."""
    try:
        array = as_numpy(value)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelFileError(f"{called}: {name} cannot be read: {reason}") from error
    if array.dtype.kind not in "biuf" or not np.isfinite(array).all():
        what = array.dtype if array.dtype.kind not in "biuf" else "NaN or infinity"
        raise ModelFileError(f"{called}: {name} holds {what}; give finite real numbers")
    with np.errstate(over="ignore"):
        cast = array.astype(dtype)
    if not np.isfinite(cast).all():
        raise ModelFileError(
            f"{called}: {name} holds {abs(array).max():.3g}, more than {dtype} can; "
            "pass dtype='float64'"
        )
    return cast


def linear(called: str, layer: str, parts: Mapping[str, np.ndarray]) -> Layer:
    """A layer of a weight and a bias that fit each other."""
    if "weight" not in parts:
        raise ModelFileError(f"{called}: {layer}.weight is missing; give the whole state_dict")
    weight = parts["weight"]
    bias = parts.get("bias", np.zeros(weight.shape[:1], weight.dtype))
    for kind, array, ndim in (("weight", weight, 2), ("bias", bias, 1)):
        if array.ndim != ndim or not array.size:
            raise ModelFileError(
                f"{called}: {layer}.{kind} has shape {array.shape}; a {kind} of a linear layer has "
                f"{ndim} dimension{'s' * (ndim > 1)}, and something in it"
            )
    if len(weight) != len(bias):
        raise ModelFileError(
            f"{called}: {layer} has a weight of {len(weight)} rows and a bias of {len(bias)}; "
            "they are not of one layer"
        )
    return Layer(weight, bias)
