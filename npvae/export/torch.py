"""A model as the source of a PyTorch module, with its parameters beside it as safetensors.

The source is one file to read and to change: ``encode`` and ``decode`` written out in plain
PyTorch, and the loss, minus the lower bound, so that training can go on there. Parameters have the
same names in the module's ``state_dict``, in the file, and here.
"""
import importlib.util
import re
from collections.abc import Iterable
from functools import partial
from math import isfinite
from pathlib import Path
from string import Template
from typing import Any
from warnings import warn

import numpy as np

from npvae.distributions.learned_scale import LearnedScale
from npvae.distributions.likelihoods import (
    BernoulliLikelihood,
    CategoricalLikelihood,
    ContinuousBernoulliLikelihood,
    DiscretizedLogisticLikelihood,
    FixedNormalLikelihood,
    LaplaceLikelihood,
    NormalLikelihood,
    PoissonLikelihood,
)
from npvae.distributions.priors import FamilyPrior
from npvae.errors import optional_import
from npvae.export import safetensors
from npvae.export.description import Description
from npvae.export.format import Files, Format, Outputs, Runner
from npvae.export.forward import FAR
from npvae.export.program import Step
from npvae.export.torch_source import (
    CODE_LOSS,
    CONSTANT,
    EXPRESSIONS,
    FULL_LOSS,
    HELPERS,
    LOSS,
    NLL,
    POSTERIOR,
    RENAMED,
    RETURN,
    TEMPLATE,
    USAGE,
)
from npvae.models import AutoencoderModel, FullVBModel, VAEModel
from npvae.ops.elementary import largest_exponent
from npvae.standardization import NAMES

LIKELIHOODS: dict[type, str] = {
    BernoulliLikelihood: "bernoulli", ContinuousBernoulliLikelihood: "continuous-bernoulli",
    NormalLikelihood: "normal", FixedNormalLikelihood: "fixed-normal",
    LaplaceLikelihood: "laplace", PoissonLikelihood: "poisson",
    CategoricalLikelihood: "categorical", DiscretizedLogisticLikelihood: "discretized-logistic",
}  # fmt: skip
PRIORS = {  # by posterior, that to which the KL is written
    "normal": "normal", "elliptical": "normal", "log-normal": "log-normal", "gamma": "exponential",
}  # fmt: skip
UNITS = {NAMES[0]: "self.standardization.shift", NAMES[1]: "self.standardization.scale"}
INDENT = " " * 8


def files(described: Description, name: str) -> Files:
    """The source, and a ``.safetensors`` of the same stem.

    Raises
    ------
    MissingExtraError
        If safetensors is not installed.

    Warns
    -----
    UserWarning
        If the loss is left out, for a posterior or a prior whose KL is not written there.
    """
    weights = Path(name).with_suffix(".safetensors").name
    source = module_source(described)
    return {name: source.encode(), **safetensors.files(described, weights)}


def module_source(described: Description) -> str:
    """The text of the file that reads the parameters beside it."""
    model, encoder, decoder = described.model, described.encoder, described.decoder
    raw = head_values(described)
    lower = decoder.only(*raw.values()).steps
    upper = [step for step in decoder.steps if step not in lower]
    used = {step.function for step in (*encoder.steps, *decoder.steps)}
    full, (loss, bound) = isinstance(model, FullVBModel), loss_of(described)
    fields = {
        "D": model.n_features, "J": model.decoder.n_in, "N": described.config["n_data"],
        "dtype": described.dtype, "heads": ", ".join(raw.values()),
        "bound": bound,
        "call": f"model.{'full_loss' if full else 'loss'}(x).backward()".ljust(34),
    }  # fmt: skip
    nll = nll_of(described, raw)
    usage = (USAGE if loss else "") + ("" if full else RETURN)
    texts = {
        "title": f"{described.config['class']} of {model.n_features} features",
        "usage": Template(usage).substitute(fields),
        "helpers": "".join(text for name, text in HELPERS.items() if name in used)
        + (CONSTANT if model.decoder.constant else ""),
        "layers": "\n".join(INDENT + line for line in layers(described)),
        "renamed": RENAMED if full else "",
        "encode": body(described, encoder.steps, encoder.outputs),
        "below": body(described, lower),
        "above": body(described, upper, decoder.outputs),
        "nll": nll,
        "imports": "from math import log, pi\n" if " log(" in nll or "(log(" in nll else "",
        "loss": loss + (Template(FULL_LOSS).substitute(fields) if full and loss else ""),
    }
    return Template(TEMPLATE).substitute(fields, **texts)


def head_values(described: Description) -> dict[str, str]:
    """The decoder's heads, and the values of its program that they are."""
    layers = {step.inputs[2]: step.output for step in described.decoder.steps
              if step.function == "linear"}  # fmt: skip
    return {head: layers[f"decoder.{head}.bias"] for head in described.model.decoder.heads}


def layers(described: Description) -> Iterable[str]:
    """Lines of the constructor."""
    model, arrays = described.model, described.arrays
    assert isinstance(model, VAEModel | AutoencoderModel)  # what has an encoder
    for mlp in (model.encoder, model.decoder):
        widths = [mlp.n_in, *mlp.hidden]
        heads = [
            f"{name}=Constant({width})" if name in mlp.constant
            else f"{name}=nn.Linear({widths[-1]}, {width})"
            for name, width in mlp.heads.items()
        ]  # fmt: skip
        line = f"self.{mlp.name} = Network({', '.join([str(widths), *heads])})"
        if len(line) <= 100 - len(INDENT):
            yield line
        else:
            yield f"self.{mlp.name} = Network("
            yield from (f"    {part}," for part in [str(widths), *heads])
            yield ")"
    own = {name: array.shape for name, array in arrays.items() if name.startswith("prior.")}
    if own:
        zeros = (f'"{name[6:]}": torch.zeros{tuple(shape)}' for name, shape in own.items())
        yield f"self.prior = nn.ParameterDict({{{', '.join(zeros)}}})"
    if isinstance(model, FullVBModel):
        yield "self.log_variances = nn.ParameterDict({"
        yield '    name.replace(".", "_"): torch.zeros_like(mu)'
        yield "    for name, mu in self.decoder.named_parameters()"
        yield "})"
    yield "self.to(self.dtype)"
    if NAMES[0] in arrays:
        yield "self.standardization = nn.Module()  # the data's units"
        yield 'for name in ("shift", "scale"):'
        ones = f"torch.ones({model.n_features}, dtype=torch.float64)"
        yield f"    self.standardization.register_buffer(name, {ones})"


def body(described: Description, steps: Iterable[Step], outputs: tuple[str, ...] = ()) -> str:
    """Steps as lines, and the return of outputs by name if there are any."""
    p = described.model.likelihood
    constants = dict(UNITS)
    if isinstance(p, LearnedScale):
        power = f"{p.exponent} * " if p.exponent != 1 else ""
        constants["likelihood.log_scale"] = (
            f"({power}self.standardization.scale.log()).to(self.dtype)"
        )
    lines = [statement(step, constants) for step in steps]
    if outputs:
        pairs = [f"{name!r}: {name}" for name in outputs]
        several = ["return {", *(f"    {pair}," for pair in pairs), "}"]
        lines += several if len(pairs) > 3 else [f"return {{{', '.join(pairs)}}}"]
    return "\n".join(INDENT + line.replace("'", '"') for line in lines)


def statement(step: Step, constants: dict[str, str]) -> str:
    """One step as a line of Python."""
    if step.function == "linear":
        x, _, bias = map(str, step.inputs)
        layer = re.sub(r"\.(\d+)", r"[\1]", bias.removesuffix(".bias"))
        return f"{step.output} = self.{layer}({x})"
    inputs = (constants.get(str(name), name) for name in step.inputs)
    return f"{step.output} = {EXPRESSIONS[step.function].format(*inputs)}"


def nll_of(described: Description, raw: dict[str, str]) -> str:
    """The lines that make −log p(x|z) of the heads."""
    p: Any = described.model.likelihood
    name, fields = LIKELIHOODS[type(p)], {}
    if name in ("normal", "fixed-normal", "laplace"):
        mean = raw["mean"]
        fields["mean"] = f"torch.sigmoid({mean})" if name != "laplace" and p.sigmoid_mean else mean
        fields["log_volume"] = f" + {p.log_scale!r}" if p.log_scale else ""
    if name in ("normal", "laplace"):
        limit = p.limit if isfinite(p.limit) else FAR
        fields["scale"] = f"soft_clip({raw[p.scale_head]}, {limit})"
    if name == "fixed-normal":
        fields["std"] = repr(p.std)
    if name == "poisson":
        fields["largest"] = repr(largest_exponent(np, described.dtype))
    if name in ("categorical", "discretized-logistic"):
        fields["K"] = str(p.n_levels)
    units = EXPRESSIONS["standardize"].format("x", *UNITS.values())
    first = f"{INDENT}x = {units}\n" if NAMES[0] in described.arrays else ""
    return first + NLL[name].format(**fields)


def loss_of(described: Description) -> tuple[str, str]:
    """The loss as a method, and what it is; empty, with a warning, where it is not written."""
    model, config = described.model, described.config
    D, J = model.n_features, model.decoder.n_in
    if isinstance(model, AutoencoderModel):
        return Template(CODE_LOSS).substitute(D=D), "the mean of −log p(x|z)"
    q, p = model.posterior, model.prior
    named = str(q.name) if q is not None else ""
    if named not in PRIORS or not isinstance(p, FamilyPrior) or p.variables.name != PRIORS[named]:
        pair = "posterior={posterior!r} from prior={prior!r}".format(**config["params"])
        warn(f"the loss is left out, for the KL of {pair} is not written for PyTorch; encode, "
             "decode and nll are there", stacklevel=2)  # fmt: skip
        return "", ""
    weight = config["params"].get("kl_weight", 1)
    fields = {
        "D": D, "J": J, "posterior": POSTERIOR[named],
        "weight": "" if weight == 1 else f"{weight!r} * ",
        "weighted": "" if weight == 1 else f", its KL times {weight!r}",
    }  # fmt: skip
    return Template(LOSS).substitute(fields), "minus the lower bound"


def open_module(path: Path) -> Runner:
    """The module that a source defines, with its parameters.

    Raises
    ------
    MissingExtraError
        If torch is not installed.
    """
    torch = optional_import("torch", "bench")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.Model.load()

    def run(method: Any, rows: np.ndarray) -> Outputs:
        with torch.inference_mode():
            found = method(torch.from_numpy(np.ascontiguousarray(rows)))
        return {name: value.numpy() for name, value in found.items()}

    return Runner(partial(run, model.encode), partial(run, model.decode))


FORMAT = Format(
    "torch", "source of a PyTorch module, to train on, and its parameters as safetensors", (".py",),
    files, open_module,
)  # fmt: skip
