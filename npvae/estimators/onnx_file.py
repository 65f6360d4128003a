"""A model from ONNX graphs, npvae's own or another program's."""
from collections.abc import Mapping
from pathlib import Path

from npvae.errors import ModelFileError
from npvae.estimators.layer_names import LOGVAR, MEAN
from npvae.estimators.state_dict import load_state_dict
from npvae.estimators.vae import VAE


def load_onnx(
    folder: str | Path, names: Mapping[str, str] | None = None, backend: str = "numpy",
    dtype: str = "float32",
) -> VAE:  # fmt: skip
    """A VAE with a Bernoulli likelihood from the encoder and the decoder of another program.

    Both are plain multilayer perceptrons with one activation throughout. The encoder gives the
    mean and the log variance of a normal q(z|x), the decoder ends in a sigmoid. For a folder that
    ``export`` has written there is :func:`npvae.load`, which knows all kinds of models.

    Parameters
    ----------
    folder : path
        With ``encoder.onnx`` and ``decoder.onnx``.
    names : mapping of str to str, optional
        The encoder's two outputs, by their names there → ``"mean"`` and ``"logvar"``. Found out if
        not given, where they are called so or alike (``mu``, ``log_var``).
    backend, dtype : str
        As :class:`npvae.VAE` has them.

    Returns
    -------
    VAE
        Ready to transform, sample and score, or to train further with ``partial_fit``.

    Raises
    ------
    ModelFileError
        If a graph is missing or something else, naming what it is.
    MissingExtraError
        If onnx is not installed.
    """
    from npvae.export.onnx_layers import Layer, read_chains  # formats cost nothing until used

    encoder, decoder = (Path(folder) / f"{part}.onnx" for part in ("encoder", "decoder"))
    found = read_chains(encoder)
    heads = {ours: found[theirs] for ours, theirs in output_names(encoder, found, names).items()}
    if len(mean := read_chains(decoder)) != 1:
        raise ModelFileError(f"{decoder}: it has {len(mean)} outputs, {', '.join(mean)}; export "
                             "one, the mean of x")  # fmt: skip
    (mean_of_x,) = mean.values()
    hidden, below_logvar = heads["mean"][:-1], heads["logvar"][:-1]
    if [(a.name, a.activation) for a in hidden] != [(b.name, b.activation) for b in below_logvar]:
        raise ModelFileError(f"{encoder}: its two outputs do not share all hidden layers, as they "
                             "do here")  # fmt: skip
    if not mean_of_x or mean_of_x[-1].activation != "sigmoid":
        raise ModelFileError(
            f"{decoder}: it does not end in a sigmoid, and of another likelihood it does not say "
            "which; export it with the sigmoid, or fill a model of your own by set_parameters"
        )
    layers: dict[str, Layer] = {
        **{f"encoder.hidden.{i}": layer for i, layer in enumerate(hidden)},
        **{f"encoder.{head}": chain[-1] for head, chain in heads.items()},
        **{f"decoder.hidden.{i}": layer for i, layer in enumerate(mean_of_x[:-1])},
        "decoder.logits": mean_of_x[-1],
    }
    hidden_layers = (*hidden, *mean_of_x[:-1])
    activations = {layer.activation or "identity" for layer in hidden_layers} or {"relu"}
    if len(activations) > 1 or any(chain[-1].activation for chain in heads.values()):
        raise ModelFileError(
            f"{folder}: its activations are {', '.join(sorted(activations))}, with "
            f"{heads['mean'][-1].activation or 'none'} after the mean and "
            f"{heads['logvar'][-1].activation or 'none'} after the log variance; here all hidden "
            "layers have one, and the heads have none"
        )
    state = {f"{ours}.weight": layer.weight for ours, layer in layers.items()}
    state |= {f"{ours}.bias": layer.bias for ours, layer in layers.items()
              if layer.bias is not None}  # fmt: skip
    names = {ours: ours for ours in layers}
    return load_state_dict(state, names, activations.pop(), backend, dtype)


def output_names(
    path: Path, found: Mapping[str, object], names: Mapping[str, str] | None
) -> dict[str, str]:
    """``"mean"`` and ``"logvar"`` → the names of an encoder's outputs."""
    if names is None:
        patterns = {"mean": MEAN, "logvar": LOGVAR}
        named = {ours: [name for name in found if pattern.search(name.lower())]
                 for ours, pattern in patterns.items()}  # fmt: skip
        heads = {ours: theirs[0] for ours, theirs in named.items() if len(theirs) == 1}
    else:
        heads = {ours: theirs for theirs, ours in names.items() if theirs in found}
    if heads.keys() != {"mean", "logvar"} or len(found) != 2:
        raise ModelFileError(
            f"{path}: which of its outputs is which cannot be told; it should have two, so pass "
            f"names={{{', '.join(f'{name!r}: ...' for name in found)}}}, where ... is 'mean' or "
            "'logvar'"
        )
    return heads
