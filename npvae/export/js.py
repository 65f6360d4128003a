"""A model as one module of JavaScript without dependencies, for a page or for Node.

    import { encode, decode } from "./model.mjs";
    encode(x)    x (D,) → the parameters of q(z|x) by name
    decode(z)    z (J,) → E[x|z] (D,)

For one datapoint, an array of numbers. The weights are inside as base64 and keep their dtype;
numbers in between are float64, as JavaScript has no others.
"""
import json
import subprocess
from base64 import b64encode
from pathlib import Path
from shutil import which
from textwrap import indent

import numpy as np

from npvae.errors import MissingExtraError
from npvae.export.description import Description
from npvae.export.format import Files, Format, Outputs, Runner
from npvae.export.paragraphs import needed
from npvae.export.program import Program, Step

ELEMENTWISE = {  # function → its expression of numbers; of others there is a function
    "tanh": "Math.tanh({0})", "relu": "Math.max({0}, 0)",
    "elu": "{0} > 0 ? {0} : Math.expm1({0})", "leaky_relu": "Math.max({0}, {0} / 100)",
    "standardize": "({0} - {1}) / {2}", "restore": "{0} * {2} + {1}",
    "exp": "Math.exp({0})", "add": "{0} + {1}", "multiply": "{0} * {1}",
    "minimum": "Math.min({0}, {1})", "maximum": "Math.max({0}, {1})",
}  # fmt: skip

MODULE = """/* The encoder and the decoder of a {kind}.

     encode(x)    x ({D},) -> {heads}
     decode(z)    z ({J},) -> the mean of x ({D},)

   of one datapoint, an array of numbers in the data's own units. Written by npvae. */

/* x (D,) -> {{{names}}} */
export function encode(x) {{
{encoder}
}}

/* z (J,) -> the mean of x (D,) */
export function decode(z) {{
{decoder}
}}

{functions}

/* A constant by its name, flat. */
function read(type, base64) {{
  return new type(Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)).buffer);
}}

function check(array, width) {{
  if (array.length !== width) throw new RangeError(`${{array.length}} numbers are not ${{width}}`);
}}

const P = {{
{arrays}
}};
"""


def files(described: Description, name: str) -> Files:
    """The module."""
    encoder, decoder = described.encoder, described.decoder.only("mean")
    steps, constants = (*encoder.steps, *decoder.steps), {**encoder.constants, **decoder.constants}
    functions = ["each", *(step.function for step in steps)]
    text = MODULE.format(
        kind=described.config["class"], D=encoder.width, J=decoder.width,
        names=", ".join(encoder.outputs),
        heads=", ".join(f"{head} ({encoder.widths[head]},)" for head in encoder.outputs),
        encoder=indent(_body(encoder), "  "), decoder=indent(_body(decoder), "  "),
        functions=needed("functions.js", functions),
        arrays="\n".join(_constant(k, array) for k, array in constants.items()),
    )  # fmt: skip
    return {name: text.encode()}


def _constant(name: str, array: np.ndarray) -> str:
    little = array.astype(array.dtype.newbyteorder("<"))
    kind = {4: "Float32Array", 8: "Float64Array"}[array.itemsize]
    return f'  "{name}": read({kind}, "{b64encode(little.tobytes()).decode()}"),'


def _body(program: Program) -> str:
    """A function's lines: the steps, and what is returned."""
    result = "mean" if program.input == "z" else f"{{ {', '.join(program.outputs)} }}"
    lines = [_statement(step, program) for step in program.steps]
    return "\n".join([f"check({program.input}, {program.width});", *lines, f"return {result};"])


def _statement(step: Step, program: Program) -> str:
    output, function, inputs, width = step
    if function in ("linear", "softmax"):
        given = [f'P["{v}"]' if v in program.constants else str(v) for v in inputs]
        return f"const {output} = {function}({', '.join(given)});"
    if function == "categorical_mean":
        value = f"categorical_mean({inputs[0]}, i, {inputs[1]})"
    else:
        given = [_operand(v, program) for v in inputs]
        value = ELEMENTWISE.get(function, f"{function}({', '.join(given)})").format(*given)
    return f"const {output} = each({width}, (i) => {value});"


def _operand(value: str | float, program: Program) -> str:
    if isinstance(value, str):
        return f'P["{value}"][i]' if value in program.constants else f"{value}[i]"
    return repr(value)


RUN = """import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
const [path, name] = process.argv.slice(1), rows = JSON.parse(readFileSync(0, "utf8"));
const run = (await import(pathToFileURL(path)))[name];
const plain = (y) => y.length === undefined
  ? Object.fromEntries(Object.entries(y).map(([k, v]) => [k, [...v]])) : { mean: [...y] };
console.log(JSON.stringify(rows.map((row) => plain(run(row)))));
"""


def open_module(path: Path) -> Runner:
    """The module, run by Node anew at every call.

    Raises
    ------
    MissingExtraError
        If there is no Node.
    """
    node = which("node")
    if node is None:
        raise MissingExtraError("a module of JavaScript is run by Node, and none is on PATH: "
                                "install nodejs")  # fmt: skip

    def run(name: str, rows: np.ndarray) -> Outputs:
        done = subprocess.run(
            [node, "--input-type=module", "-e", RUN, path.resolve(), name],
            input=json.dumps(rows.tolist()), capture_output=True, text=True, check=True,
        )  # fmt: skip
        found = json.loads(done.stdout)
        return {k: np.array([row[k] for row in found], rows.dtype) for k in found[0]}

    return Runner(lambda x: run("encode", x), lambda z: run("decode", z))


FORMAT = Format("js", "one module of JavaScript without dependencies, for pages and Node",
                (".mjs", ".js"), files, open_module, resident=False)  # fmt: skip
