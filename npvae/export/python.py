"""A model as one Python module that NumPy alone runs, its forward pass written out.

    encode(x)    x (n, D) → the parameters of q(z|x) by name
    decode(z)    z (n, J) → E[x|z] (n, D)

The weights lie beside it in a ``.bin`` file, which is mapped, so that processes share its memory;
or inside as base64, where they are few.
"""
from base64 import b64encode
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from textwrap import indent, wrap

from npvae.export.description import Description
from npvae.export.format import Files, Format, Runner
from npvae.export.paragraphs import needed
from npvae.export.program import Program

FEW = 2**16  # bytes of weights that a module may hold inside

CODE = {  # function → its expression; of others there is a function in functions.py
    "linear": "{0} @ {1}.T + {2}", "tanh": "np.tanh({0})", "relu": "np.maximum({0}, 0)",
    "leaky_relu": "np.maximum({0}, {0} / 100)",
    "standardize": "(({0} - {1}) / {2}).astype(DTYPE)",
    "restore": "({0} * {2} + {1}).astype(DTYPE)",
    "exp": "np.exp({0})", "add": "{0} + {1}", "multiply": "{0} * {1}",
    "minimum": "np.minimum({0}, {1})", "maximum": "np.maximum({0}, {1})",
}  # fmt: skip

MODULE = '''"""{about}

    encode(x)    x (n, {D}) → {heads}
    decode(z)    z (n, {J}) → the mean of x (n, {D})

Written by npvae; nothing but NumPy is needed. Data are in their own units, results {dtype}.
"""
{imports}
import numpy as np

DTYPE = np.dtype("{dtype}")
{weights}
ARRAYS = {{  # name: (dtype, shape), as they follow one another in DATA
{arrays}
}}
P, start = {{}}, 0
for name, (dtype, shape) in ARRAYS.items():
    flat = np.frombuffer(DATA, dtype, int(np.prod(shape)), start)
    P[name], start = flat.reshape(shape), start + flat.nbytes


def rows(x, width, dtype):
    """x as rows (n, width) of numbers."""
    x = np.asarray(x, dtype)
    if x.ndim != 2 or x.shape[1] != width:
        raise ValueError(f"an array of shape {{x.shape}} does not have rows of {{width}} numbers")
    return x


def encode(x):
    """x (n, {D}) → {heads}, each by its name."""
{encoder}


def decode(z):
    """z (n, {J}) → the mean of x (n, {D})"""
{decoder}
{functions}'''


BESIDE = 'DATA = np.memmap(Path(__file__).with_name({!r}), mode="r")  # shared by processes'


def files(described: Description, name: str, inside: bool | None = None) -> Files:
    """The module, and its weights beside it.

    Parameters
    ----------
    inside : bool, optional
        Whether the weights are in the module itself; where they are at most 64 kB, if None.
    """
    encoder, decoder = described.encoder, described.decoder.only("mean")
    constants = {**encoder.constants, **decoder.constants}
    order = sorted(constants, key=lambda name: -constants[name].itemsize)  # aligned, each of them
    arrays = {k: constants[k].astype(constants[k].dtype.newbyteorder("<")) for k in order}
    data, beside = b"".join(a.tobytes() for a in arrays.values()), f"{Path(name).stem}.bin"
    inside = len(data) <= FEW if inside is None else inside
    functions = needed("functions.py", (s.function for s in (*encoder.steps, *decoder.steps)))
    text = MODULE.format(
        about=f"The forward pass of a {described.config['class']} in NumPy.",
        D=encoder.width, J=decoder.width, dtype=described.dtype.name,
        heads=", ".join(f"{name} (n, {encoder.widths[name]})" for name in encoder.outputs),
        imports="from base64 import b64decode\n" if inside else "from pathlib import Path\n",
        weights=_inside(data) if inside else BESIDE.format(beside),
        arrays="\n".join(f'    "{k}": ("{a.dtype.str}", {a.shape}),' for k, a in arrays.items()),
        encoder=indent(_body(encoder), "    "), decoder=indent(_body(decoder), "    "),
        functions=f"\n\n{functions}\n" if functions else "",
    )  # fmt: skip
    return {name: text.encode()} | ({} if inside else {beside: data})


def _inside(data: bytes) -> str:
    lines = "\n".join(f'    "{line}"' for line in wrap(b64encode(data).decode(), 92))
    return f"DATA = b64decode(\n{lines}\n)"


def _body(program: Program) -> str:
    """A function's lines: the input, the steps, and what is returned."""
    first = "np.float64" if program.steps[0].function == "standardize" else "DTYPE"
    lines = [f"{program.input} = rows({program.input}, {program.width}, {first})"]
    for output, function, inputs, _ in program.steps:
        given = [f'P["{v}"]' if v in program.constants else str(v) for v in inputs]
        known = CODE.get(function, f"{function}({', '.join(given)})")
        lines.append(f"{output} = {known.format(*given)}  # (n, {program.widths[output]})")
    results = ", ".join(f'"{name}": {name}' for name in program.outputs)
    return "\n".join([*lines, "return mean" if program.input == "z" else f"return {{{results}}}"])


def open_module(path: Path) -> Runner:
    """The module, imported."""
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return Runner(module.encode, lambda z: {"mean": module.decode(z)})


FORMAT = Format("python", "one readable module that NumPy alone runs", (".py",), files, open_module)
