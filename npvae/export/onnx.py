"""A model as a folder of ONNX graphs, for ONNX Runtime and whatever else reads them.

=================  ============================================================================
``encoder.onnx``   x (n, D) in the data's units → the parameters of q(z|x) by name
``decoder.onnx``   z (n, J) → ``mean`` (n, D), E[x|z] in the data's units
``sample.onnx``    noise → ``x`` (n, D), E[x|z] of z ~ p(z); where there is a prior
=================  ============================================================================

Nothing random is in a graph: noise comes in, and what each of its columns is, standard normal or
uniform on (0, 1), the graph's metadata say. There the config is too, as one JSON string, and each
parameter is an initializer under its own name, so :func:`npvae.load` makes the model again.
"""
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any
from warnings import warn

import numpy as np

from npvae.distributions.compatibility import LEARNED
from npvae.errors import ModelFileError, ParameterError, optional_import
from npvae.export.description import Description
from npvae.export.format import Files, Format, Outputs, Runner
from npvae.export.onnx_graph import Graph
from npvae.export.program import Program
from npvae.export.safetensors import checksum
from npvae.io import to_json
from npvae.io.atomic import reading
from npvae.io.strict_json import parse_json
from npvae.options import whole_number

VERSION = "1"
OPSET = 17  # of 2022: every runtime since has it
LEAST_OPSET = 13  # where ReduceSum took its axes as an input
LARGEST = 2**31 - 2**20  # bytes of a protobuf message, less what is not parameters
PARAMETERS = ("encoder.", "decoder.", "standardization.")


def files(
    described: Description, name: str, opset: int = OPSET, ir_version: int | None = None
) -> Files:
    """The three graphs, checked by ``onnx.checker``.

    Parameters
    ----------
    opset : int
        Version of the operators, from 13 on.
    ir_version : int, optional
        Version of the file's own fields; the first that had the opset if None.

    Raises
    ------
    ParameterError
        If this onnx has no such version.
    MissingExtraError
        If onnx is not installed.
    """
    onnx = optional_import("onnx", "onnx")
    whole_number("opset", opset, LEAST_OPSET)
    if opset > (last := onnx.defs.onnx_opset_version()):
        raise ParameterError(f"opset={opset} is not known to this onnx, whose last is {last}; "
                             "choose a lower one")  # fmt: skip
    least = onnx.helper.find_min_ir_version_for([onnx.helper.make_opsetid("", opset)])
    ir_version = least if ir_version is None else ir_version
    whole_number("ir_version", ir_version, least)
    if ir_version > onnx.IR_VERSION:
        raise ParameterError(f"ir_version={ir_version} is not known to this onnx, whose last is "
                             f"{onnx.IR_VERSION}; choose a lower one")  # fmt: skip
    programs = {"encoder": described.encoder, "decoder": described.decoder}
    for part, program in programs.items():
        if (size := sum(array.nbytes for array in program.constants.values())) > LARGEST:
            raise ParameterError(f"the {part} has {size / 1e9:.1f} GB, and a graph in one file no "
                                 "more than 2; take format='safetensors'")  # fmt: skip
    try:
        if (sampler := described.sampler) is not None:
            programs["sample"] = sampler
    except ParameterError as error:
        warn(f"sample.onnx is left out: {error}", stacklevel=2)
    if described.dtype == np.float32:
        described.warn_of_float32()
    config = {"config": to_json(described.config)}
    fields = {"npvae": VERSION, "model": checksum(config, described.arrays)} | config
    kinds = ((kind, len(list(columns))) for kind, columns in groupby(described.noise))
    noise = {"noise": ", then ".join(f"{n} {kind}" for kind, n in kinds)}
    return {
        f"{name}/{part}.onnx": _model(
            onnx, part, program, fields | (noise if part == "sample" else {}), opset, ir_version
        )
        for part, program in programs.items()
    }  # fmt: skip


def _model(
    onnx: Any, name: str, program: Program, fields: dict[str, str], opset: int, ir_version: int
) -> bytes:
    """One file, with fields as its metadata."""
    helper, graph = onnx.helper, Graph(onnx, program.dtype)
    for constant, array in program.constants.items():
        graph.constant(array, constant)
    for step in program.steps:
        graph.add(step)
    dtype = helper.np_dtype_to_tensor_dtype(program.dtype)
    inputs, outputs = (
        [helper.make_tensor_value_info(value, dtype, ["n", program.widths[value]])
         for value in values]
        for values in ((program.input,), program.outputs)
    )  # fmt: skip
    model = helper.make_model(
        helper.make_graph(graph.nodes, name, inputs, outputs, graph.initializers),
        opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version,
        producer_name="npvae",
    )  # fmt: skip
    helper.set_model_props(model, fields | {"sha256": checksum(fields, program.constants)})
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def read(folder: str | Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Config and arrays of a folder that npvae has written.

    Raises
    ------
    ModelFileError
        If a graph is missing, damaged or another program's; if the two are not of one model; or
        if the model has parameters that no graph reads.
    MissingExtraError
        If onnx is not installed.
    """
    arrays: dict[str, np.ndarray] = {}
    models = set()
    for part in ("encoder", "decoder"):
        path = Path(folder) / f"{part}.onnx"
        model = load_graph(path)
        fields, own = metadata(model), initializers(model)
        if "npvae" not in fields:
            raise ModelFileError(f"{path}: not npvae's: it has no config; npvae.load_onnx takes "
                                 "the graphs of another program")  # fmt: skip
        if fields.pop("sha256", "") != checksum(fields, {k: v for k, v in own.items() if "." in k}):
            raise ModelFileError(f"{path}: damaged, or changed since npvae wrote it: its checksum "
                                 "does not fit; export it anew")  # fmt: skip
        models.add(fields["model"])
        arrays |= {k: v for k, v in own.items() if k.startswith(PARAMETERS)}
    if len(models) > 1:
        raise ModelFileError(f"{folder}: its graphs are not of one model; export it anew")
    config = parse_json(fields["config"])
    prior = config["params"].get("prior")
    prior = prior["name"] if isinstance(prior, dict) else prior
    if config["class"] == "FullVB" or prior in LEARNED:
        raise ModelFileError(
            f"{folder}: no graph reads the variances of a FullVB's decoder, nor the parameters of "
            "a prior that learns, so they are not there; load the model.npz or a .safetensors"
        )
    return config, arrays


def load_graph(path: Path) -> Any:
    """A file as ``onnx.ModelProto``.

    Raises
    ------
    ModelFileError
        If it is missing or none.
    MissingExtraError
        If onnx is not installed.
    """
    onnx = optional_import("onnx", "onnx")
    try:
        with reading(path):  # whose errors are of one line
            model = onnx.load(path)  # and what lies beside it, of a large one
        onnx.checker.check_model(model)
    except ModelFileError:
        raise
    except Exception as error:  # protobuf's own, of a package that is not imported here
        reason = " ".join(str(error).split())[:200]
        raise ModelFileError(f"{path}: no ONNX graph: {reason}") from error
    return model


def metadata(model: Any) -> dict[str, str]:
    """The fields that a graph's writer has left in it."""
    return {entry.key: entry.value for entry in model.metadata_props}


def initializers(model: Any) -> dict[str, np.ndarray]:
    """The constants of a graph by name."""
    onnx = optional_import("onnx", "onnx")
    return {i.name: onnx.numpy_helper.to_array(i) for i in model.graph.initializer}


def open_folder(path: Path) -> Runner:
    """What ONNX Runtime makes of a folder.

    Raises
    ------
    MissingExtraError
        If onnxruntime is not installed.
    """
    runtime = optional_import("onnxruntime", "onnx")
    encode, decode = (_runs(runtime, path / f"{part}.onnx") for part in ("encoder", "decoder"))
    sample = path / "sample.onnx"
    return Runner(encode, decode, _runs(runtime, sample) if sample.exists() else None)


def _runs(runtime: Any, path: Path) -> Callable[[np.ndarray], Outputs]:
    """A graph as a function: its input (n, ·) → its outputs by name."""
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (name,) = (i.name for i in session.get_inputs())
    outputs = [o.name for o in session.get_outputs()]
    return lambda rows: dict(zip(outputs, session.run(None, {name: rows}), strict=True))


FORMAT = Format(
    "onnx", "a folder of graphs for ONNX Runtime: encoder, decoder, sample", ("",), files,
    open_folder,
)  # fmt: skip
