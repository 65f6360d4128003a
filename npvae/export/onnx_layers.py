"""A plain multilayer perceptron in an ONNX graph of another program.

Every value of a graph is followed back to the input, as the row of linear layers (Gemm, or MatMul
and Add) and activations that make it. Whatever else is on the way would be lost, so it is refused
by the name of its operator.
"""
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from npvae.errors import ModelFileError, optional_import
from npvae.export.onnx import initializers, load_graph
from npvae.ops.activations import LEAK

ACTIVATIONS = {
    "Tanh": "tanh", "Relu": "relu", "Sigmoid": "sigmoid", "Softplus": "softplus", "Elu": "elu",
    "LeakyRelu": "leaky_relu", "Gelu": "gelu",
}  # fmt: skip
# What attributes have to be where they are set, as they are by default, for an operator to be one
# of a perceptron.
ATTRIBUTES: dict[str, dict[str, Any]] = {
    "Gemm": {"alpha": 1, "beta": 1, "transA": 0}, "Flatten": {"axis": 1}, "Elu": {"alpha": 1},
    "LeakyRelu": {"alpha": np.float32(LEAK)}, "Gelu": {"approximate": b"none"},
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Layer:
    """A linear layer, and the activation after it."""

    name: str
    weight: np.ndarray  # (out, in)
    bias: np.ndarray | None = None  # (out,)
    activation: str = ""


Chain = tuple[Layer, ...]  # from the input on


def read_chains(path: Path) -> dict[str, Chain]:
    """What makes each output of a graph.

    Raises
    ------
    ModelFileError
        If it is no plain multilayer perceptron, naming what it is not; or as ``load_graph``.
    """
    model = load_graph(path)
    graph, constants = model.graph, initializers(model)
    inputs = [i.name for i in graph.input if i.name not in constants]
    if len(inputs) != 1:
        raise refused(path, f"it has {len(inputs)} inputs, and a perceptron has one")
    chains: dict[str, Chain] = {inputs[0]: ()}
    for node in graph.node:
        read_constant(node, constants)
        if node.output[0] not in constants:
            chain = extended(node, chains, constants)
            if chain is None:
                raise refused(path, f"its {node.op_type} is of no plain perceptron")
            chains[node.output[0]] = chain
    return {output.name: chains[output.name] for output in graph.output}


def refused(path: Path, why: str) -> ModelFileError:
    """The error for a graph that is something else."""
    return ModelFileError(
        f"{path}: {why}; export linear layers and activations alone, the sampling left out"
    )


def attributes_of(node: Any) -> dict[str, Any]:
    """By name, those that are set."""
    onnx = optional_import("onnx", "onnx")
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


def read_constant(node: Any, constants: dict[str, np.ndarray]) -> None:
    """Add what the node makes, if it is made of constants."""
    onnx, (made, *_) = optional_import("onnx", "onnx"), node.output
    if node.op_type == "Constant" and (value := attributes_of(node).get("value")) is not None:
        constants[made] = onnx.numpy_helper.to_array(value)
    elif node.op_type in ("Transpose", "Identity") and node.input[0] in constants:
        array = constants[node.input[0]]
        constants[made] = array.T if node.op_type == "Transpose" and array.ndim == 2 else array


def extended(
    node: Any, chains: dict[str, Chain], constants: dict[str, np.ndarray]
) -> Chain | None:
    """What makes the output of a node; None if no chain does."""
    first, *rest = (name for name in node.input if name)
    if node.op_type == "Add" and first in constants:
        first, rest = rest[0], [first]  # either may be the bias
    if first not in chains or not all(name in constants for name in rest):
        return None
    chain, attributes = chains[first], attributes_of(node)
    wanted = ATTRIBUTES.get(node.op_type, {})
    if any(attributes.get(name, value) != value for name, value in wanted.items()):
        return None
    match node.op_type, [constants[name] for name in rest]:
        case ("Identity" | "Flatten"), []:
            return chain
        case "Dropout", arrays if not (len(arrays) == 2 and arrays[1]):  # training_mode
            return chain
        case ("Gemm" | "MatMul"), [weight, *biases] if weight.ndim == 2:
            weight = weight if attributes.get("transB") else weight.T
            bias = biases[0].reshape(-1) if biases else None
            own = rest[0].endswith(".weight")
            name = rest[0].removesuffix(".weight") if own else node.output[0]
            return (*chain, Layer(name, weight, bias)) if fits(weight, bias) else None
        case "Add", [bias] if chain and chain[-1].bias is None and not chain[-1].activation:
            last = replace(chain[-1], bias=bias.reshape(-1))
            return (*chain[:-1], last) if fits(last.weight, last.bias) else None
        case operator, [] if operator in ACTIVATIONS and chain and not chain[-1].activation:
            return (*chain[:-1], replace(chain[-1], activation=ACTIVATIONS[operator]))
    return None


def fits(weight: np.ndarray, bias: np.ndarray | None) -> bool:
    """Whether a bias (out,) is one of a weight (out, in)."""
    return bias is None or bias.shape == weight.shape[:1]
