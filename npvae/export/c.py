"""A model as one C header: C99, float32, no allocation, every weight a constant.

    void npvae_encode(const float *x, float *mean, float *logvar);   the heads of q(z|x) in order
    void npvae_decode(const float *z, float *x);                      E[x|z]

The header says in its first lines how many bytes of constants and of stack that takes, and has a
program to try it with. Its functions are ``static inline``: whoever includes it has them.
"""
import ctypes
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import indent, wrap
from typing import Any

import numpy as np

from npvae.errors import MissingExtraError
from npvae.export.description import Description
from npvae.export.format import Files, Format, Outputs, Runner
from npvae.export.paragraphs import needed
from npvae.export.program import Program, Step
from npvae.standardization import NAMES

ELEMENTWISE = {  # function → its expression of numbers
    "tanh": "tanhf({0})", "relu": "fmaxf({0}, 0)", "sigmoid": "1 / (1 + expf(-{0}))",
    "softplus": "fmaxf({0}, 0) + log1pf(expf(-fabsf({0})))",
    "elu": "{0} > 0 ? {0} : expm1f({0})", "leaky_relu": "fmaxf({0}, {0} / 100)",
    "gelu": "0.5f * {0} * erfcf(-0.70710678f * {0})", "silu": "{0} / (1 + expf(-{0}))",
    "standardize": "(float)(((double){0} - {1}) / {2})",
    "restore": "(float)((double){0} * {2} + {1})",
    "exp": "expf({0})", "add": "{0} + {1}", "multiply": "{0} * {1}",
    "minimum": "fminf({0}, {1})", "maximum": "fmaxf({0}, {1})",
    "soft_clip": "npvae_soft_clip({0}, {1})",
    "continuous_bernoulli_mean": "npvae_continuous_bernoulli_mean({0})",
    "discretized_logistic_mean": "npvae_discretized_logistic_mean({0}, {1}, {2})",
}  # fmt: skip

HEADER = """/* The encoder and the decoder of a {kind}. Written by npvae.

   x has {D} numbers, in the data's own units, z has {J}. Constants take {data} bytes; the stack
   {encoder_stack} bytes in npvae_encode and {decoder_stack} in npvae_decode. Nothing is allocated.

   A program to try it with:   cc -std=c99 -O2 example.c -lm

   #include <stdio.h>
   #include "{name}"

   int main(void)
   {{
       float z[{J}] = {{0}}, x[{D}];
       npvae_decode(z, x);
       for (int i = 0; i < {D}; i++)
           printf("%g\\n", x[i]);
       return 0;
   }}
*/
#ifndef NPVAE_MODEL_H
#define NPVAE_MODEL_H

#include <math.h>

{constants}

{functions}

/* x ({D},) -> {heads} */
static inline void npvae_encode(const float *x, {arguments})
{{
{encoder}
}}

/* z ({J},) -> x ({D},) */
static inline void npvae_decode(const float *z, float *x)
{{
{decoder}
}}

#endif
"""


def files(described: Description, name: str) -> Files:
    """The header."""
    described.warn_of_float32()
    encoder, decoder = described.encoder, described.decoder.only("mean")
    steps = (*encoder.steps, *decoder.steps)
    both = {**encoder.constants, **decoder.constants}
    constants = {name: _typed(name, array) for name, array in both.items()}
    text = HEADER.format(
        kind=described.config["class"], name=name, D=encoder.width, J=decoder.width,
        data=sum(array.nbytes for array in constants.values()),
        encoder_stack=_stack(encoder), decoder_stack=_stack(decoder),
        constants="\n".join(_constant(k, array) for k, array in constants.items()),
        functions=needed("functions.h", (f"npvae_{step.function}" for step in steps)),
        heads=", ".join(f"{head} ({encoder.widths[head]},)" for head in encoder.outputs),
        arguments=", ".join(f"float *{head}" for head in encoder.outputs),
        encoder=indent(_body(encoder, {}), "    "),
        decoder=indent(_body(decoder, {"mean": "x"}), "    "),
    )  # fmt: skip
    return {name: text.encode()}


def _typed(name: str, array: np.ndarray) -> np.ndarray:
    """A constant as it is in C: units of the data float64, parameters float32."""
    return array.astype(np.float64 if name in NAMES else np.float32)


def _identifier(name: str) -> str:
    return "npvae_" + name.replace(".", "_")


def _constant(name: str, array: np.ndarray) -> str:
    double = array.dtype == np.float64
    numbers = ", ".join(_number(v, double) for v in array.ravel())
    kind, body = "double" if double else "float", "\n    ".join(wrap(numbers, 92))
    return f"static const {kind} {_identifier(name)}[{array.size}] = {{\n    {body}\n}};"


def _number(value: float, double: bool = False) -> str:
    """A literal that has every bit of a number."""
    text = f"{value:.17g}" if double else f"{np.float32(value):.9g}"
    text = text if set(text) & set(".e") else text + ".0"
    return text if double else text + "f"


def _stack(program: Program) -> int:
    """Bytes of the values between input and outputs."""
    return 4 * sum(step.width for step in program.steps if step.output not in program.outputs)


def _body(program: Program, renamed: dict[str, str]) -> str:
    """The steps, each value an array of its own or an argument."""
    widths, lines = program.widths, list[str]()
    for step in program.steps:
        output = renamed.get(step.output, step.output)
        if step.output not in program.outputs:
            lines.append(f"float {output}[{step.width}];")
        lines.append(_statement(step, output, widths))
    return "\n".join(lines)


def _statement(step: Step, output: str, widths: dict[str, int]) -> str:
    _, function, inputs, width = step
    if function == "linear":
        x, W, b = inputs
        n, W, b = widths[str(x)], _identifier(str(W)), _identifier(str(b))
        return f"npvae_linear({n}, {x}, {W}, {b}, {width}, {output});"
    if function == "softmax":
        return f"npvae_softmax({width}, {inputs[0]}, {output});"
    if function == "categorical_mean":
        u, K = inputs
        value = f"npvae_categorical_mean({u} + i, {width}, {K})"
    else:
        value = ELEMENTWISE[function].format(*(_operand(v, widths) for v in inputs))
    return f"for (int i = 0; i < {width}; i++)\n    {output}[i] = {value};"


def _operand(value: str | float, widths: dict[str, int]) -> str:
    if isinstance(value, str):
        return f"{value if value in widths else _identifier(value)}[i]"
    return f"{value:.0f}" if value == int(value) else _number(value)


# ---- run here, for a check

SIGNATURE = re.compile(r"/\* (\w+) \((\d+),\) -> (.*) \*/\nstatic inline void npvae_(\w+)\(")
OUTPUT = re.compile(r"(\w+) \((\d+),\)")
LIBRARY = """#include "{header}"
void encode(const float *x, {declared}) {{ npvae_encode(x, {given}); }}
void decode(const float *z, float *x) {{ npvae_decode(z, x); }}
"""


def open_header(path: Path) -> Runner:
    """The header, compiled by the C compiler of this machine.

    Raises
    ------
    MissingExtraError
        If there is none.
    """
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        raise MissingExtraError("a C header is run by a C compiler, and none is on PATH: install "
                                "gcc or clang")  # fmt: skip
    found = {name: OUTPUT.findall(outputs)
             for _, _, outputs, name in SIGNATURE.findall(path.read_text())}  # fmt: skip
    heads = [head for head, _ in found["encode"]]
    with TemporaryDirectory() as folder:
        source, library = Path(folder, "model.c"), Path(folder, "model.so")
        source.write_text(LIBRARY.format(
            header=path.resolve(), declared=", ".join(f"float *{head}" for head in heads),
            given=", ".join(heads),
        ))  # fmt: skip
        flags = ["-std=c99", "-O2", "-shared", "-fPIC"]
        subprocess.run([compiler, *flags, source, "-o", library, "-lm"], check=True)
        module = ctypes.CDLL(str(library))
    ((_, width),) = found["decode"]
    return Runner(_rows(module.encode, found["encode"]), _rows(module.decode, [("mean", width)]))


def _rows(function: Any, outputs: Sequence[tuple[str, str]]) -> Callable[[np.ndarray], Outputs]:
    """A function of one row as one of many."""
    pointer = ctypes.POINTER(ctypes.c_float)

    def run(rows: np.ndarray) -> Outputs:
        rows = np.ascontiguousarray(rows, np.float32)
        found = {name: np.empty((len(rows), int(width)), np.float32) for name, width in outputs}
        for arrays in zip(rows, *found.values(), strict=True):
            function(*(array.ctypes.data_as(pointer) for array in arrays))
        return found

    return run


FORMAT = Format("c", "one C99 header without allocation, for whatever has a C compiler",
                (".h",), files, open_header)  # fmt: skip
