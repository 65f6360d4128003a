"""Which layer of another program's VAE is which of ours: by tables, by names, and by widths.

A state_dict says of each layer its name and its shape, (out, in). Two published programs are known
by all their names. Of any other, the heads are known by name (``fc_mu`` and ``fc_logvar``, ``mean``
and ``log_var``), or are one last layer of the encoder, as wide as both, the means first. The other
layers follow one another from D down to the heads, and from J up to D again; where that can
be read in one way only, it is what they are.
"""
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from npvae.errors import ParameterError

# The seven layers of a widely read PyTorch write-up of the paper, 784-512-256-(2, 2) and back.
WRITE_UP = {
    "fc1": "encoder.hidden.0", "fc2": "encoder.hidden.1", "fc31": "encoder.mean",
    "fc32": "encoder.logvar", "fc4": "decoder.hidden.0", "fc5": "decoder.hidden.1",
    "fc6": "decoder.logits",
}  # fmt: skip
# The VAE of github.com/pytorch/examples, 784-400-(20, 20) and back.
PYTORCH_EXAMPLES = {
    "fc1": "encoder.hidden.0", "fc21": "encoder.mean", "fc22": "encoder.logvar",
    "fc3": "decoder.hidden.0", "fc4": "decoder.logits",
}  # fmt: skip
WORDS = (
    "encoder.hidden.0, 1, …; encoder.mean and encoder.logvar, or encoder.heads if one layer holds "
    "both, the means first; decoder.hidden.0, 1, …; decoder.logits"
)
WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
MEAN = re.compile(r"(?<![a-z])(fc|z|enc)?(mu|means?|loc)(?![a-z])")
LOGVAR = re.compile(r"(?<![a-z])(fc|z|enc)?(log_?var|log_?variance|var|lv)(?![a-z])")
ENCODER, DECODER = re.compile(r"(?<![a-z])enc"), re.compile(r"(?<![a-z])dec")

Shapes = Mapping[str, tuple[int, ...]]  # (out, in) by layer


def unwrapped(layers: Sequence[str]) -> list[str]:
    """Names without what wrappers put before them, nor a prefix that all of them share.

    Examples
    --------
    >>> unwrapped(["_orig_mod.module.fc1", "_orig_mod.module.fc2"])
    ['fc1', 'fc2']
    >>> unwrapped(["vae.encoder._orig_mod.0", "vae.decoder._orig_mod.0"])
    ['encoder.0', 'decoder.0']
    """
    parts = [[part for part in layer.split(".") if part not in WRAPPERS] for layer in layers]
    while parts and all(len(part) > 1 and part[0] == parts[0][0] for part in parts):
        parts = [part[1:] for part in parts]
    return [".".join(part) for part in parts]


def known_names(shapes: Shapes) -> Mapping[str, str] | None:
    """Their layers → ours, if there is one way to read them.

    Examples
    --------
    >>> shapes = {"encoder.0": (4, 9), "fc_mu": (2, 4), "fc_var": (2, 4), "decoder.0": (9, 2)}
    >>> for theirs, ours in known_names(shapes).items():
    ...     print(theirs, ours)
    encoder.0 encoder.hidden.0
    fc_mu encoder.mean
    fc_var encoder.logvar
    decoder.0 decoder.logits
    """
    for table in (WRITE_UP, PYTORCH_EXAMPLES):
        if shapes.keys() == table.keys():
            return table
    means, logvars = ([layer for layer in shapes if head.search(layer.lower())]
                      for head in (MEAN, LOGVAR))  # fmt: skip
    if len(means) != len(logvars) or len(means) > 1:
        return None
    rest = [layer for layer in shapes if layer not in means + logvars]
    found: list[dict[str, str]] = []
    for order in (rest, sorted(rest, key=natural)):  # as defined, or where a file has sorted them
        decoder_last = sorted(order, key=lambda layer: bool(DECODER.search(layer.lower())))
        for k in range(len(rest)):
            encoder, decoder = decoder_last[:k], decoder_last[k:]
            swapped = any(DECODER.search(layer.lower()) for layer in encoder) or any(
                ENCODER.search(layer.lower()) for layer in decoder
            )
            names = in_order(encoder, means + logvars, decoder)
            if not swapped and names and not misfit(names, shapes) and names not in found:
                found.append(names)
    return found[0] if len(found) == 1 else None


def in_order(encoder: list[str], heads: list[str], decoder: list[str]) -> dict[str, str]:
    """Layers in their order → ours; where there are no heads, the encoder's last is both."""
    if not heads:
        encoder, heads = encoder[:-1], encoder[-1:]
    ours = ["encoder.mean", "encoder.logvar"] if len(heads) == 2 else ["encoder.heads"]
    names = {layer: f"encoder.hidden.{i}" for i, layer in enumerate(encoder)}
    names |= dict(zip(heads, ours, strict=False))  # of no layers at all there are no heads
    names |= {layer: f"decoder.hidden.{i}" for i, layer in enumerate(decoder[:-1])}
    return names | {decoder[-1]: "decoder.logits"} if heads else {}


def misfit(names: Mapping[str, str], shapes: Shapes) -> str:
    """What keeps layers of these shapes from following one another; empty if nothing does."""
    theirs = {ours: layer for layer, ours in names.items()}
    heads = [f"encoder.{head}" for head in ("heads", "mean", "logvar")]
    heads = [head for head in heads if head in theirs]
    widths = [shapes[theirs[head]][0] for head in heads]
    if len(heads) == 2 and widths[0] != widths[1]:
        return (
            f"the means are of {widths[0]} latents and the log-variances of {widths[1]}; "
            "the layers are not of one model"
        )
    if len(heads) == 1 and widths[0] % 2:
        return (
            f"{theirs[heads[0]]} has {widths[0]} outputs, which are not as many means as "
            "log-variances; the layer is another one"
        )
    n_features, latent_dim = shapes[theirs["decoder.logits"]][0], widths[0] // (3 - len(heads))
    for network, width, last in (
        ("encoder", n_features, heads), ("decoder", latent_dim, ["decoder.logits"])
    ):  # fmt: skip
        hidden = [f"{network}.hidden.{i}" for i in range(depth(theirs, network))]
        for ours in hidden + last:
            n_out, n_in = shapes[theirs[ours]]
            if n_in != width:
                return (
                    f"{theirs[ours]}.weight takes {n_in} inputs, and {ours} has {width} before "
                    "it; the layers are not of one model, or names puts them in another order"
                )
            width = n_out if ours in hidden else width
    return ""


def check_names(names: Any) -> None:
    """Raise a ParameterError unless the names here are those of one VAE's layers."""
    if not isinstance(names, Mapping):
        raise ParameterError(f"names={names!r} must be a mapping of their layers to ours")
    ours = [str(name) for name in names.values()]
    hidden = {f"{n}.hidden.{i}" for n in ("encoder", "decoder") for i in range(depth(ours, n))}
    heads = {"encoder.heads"} if "encoder.heads" in ours else {"encoder.mean", "encoder.logvar"}
    layers = hidden | heads | {"decoder.logits"}
    for name in ours:
        if name not in layers:
            raise ParameterError(f"names: {name!r} is no layer here; choose {WORDS}")
        if ours.count(name) > 1:
            raise ParameterError(f"names: {name} is there twice; name one layer of theirs for it")
    if missing := sorted(layers - set(ours)):
        raise ParameterError(f"names: nothing stands for {missing[0]}; name their layer for it")


def depth(names: Iterable[str], network: str) -> int:
    """How many hidden layers of a network there are among the names."""
    return sum(name.startswith(f"{network}.hidden.") for name in names)


def natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts ``encoder.2`` before ``encoder.10``."""
    return [(int(part), "") if part.isdecimal() else (-1, part)
            for part in re.split(r"(\d+)", name)]  # fmt: skip
