"""The elementary functions of a program as nodes of an ONNX graph.

ONNX Runtime lacks Softplus, Elu and Erf of float64, and its earlier releases fail where they fuse
nodes of float64 into operators that they have for float32 alone; no operator is a log1p. All of
these are put together from what every runtime has.
"""
from collections.abc import Callable
from math import expm1
from typing import Any

import numpy as np

from npvae.export.program import Step
from npvae.ops.activations import FAR, LEAK, TAIL
from npvae.ops.likelihoods.continuous_bernoulli import AT_NEAR, NEAR, SERIES

OPERATORS = {  # functions that are one operator each
    "tanh": "Tanh", "relu": "Relu", "sigmoid": "Sigmoid", "exp": "Exp", "log": "Log",
    "sqrt": "Sqrt", "sign": "Sign", "sin": "Sin", "cos": "Cos", "add": "Add", "multiply": "Mul",
    "divide": "Div", "minimum": "Min", "maximum": "Max",
}  # fmt: skip
STEEPEST = 30.0  # of −log s of a discretized logistic variable


class Graph:
    """Nodes and initializers, in the order in which they were written.

    Parameters
    ----------
    onnx : module
        onnx.
    dtype : dtype
        Of numbers and of values.
    """

    def __init__(self, onnx: Any, dtype: np.dtype):
        self.onnx, self.dtype = onnx, dtype
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []

    def node(self, operator: str, *inputs: Any, output: str = "", **attributes: Any) -> str:
        """The output of an operator; of its inputs, numbers and arrays become initializers."""
        output = output or f"value_{len(self.nodes)}"
        names = [i if isinstance(i, str) else self.constant(i) for i in inputs]
        self.nodes.append(self.onnx.helper.make_node(operator, names, [output], **attributes))
        return output

    def constant(self, value: Any, name: str = "") -> str:
        """An initializer; a number is in the graph's dtype."""
        array = np.asarray(value, None if isinstance(value, np.ndarray) else self.dtype)
        name = name or f"constant_{len(self.initializers)}"
        self.initializers.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    def cast(self, value: str, dtype: Any, output: str = "") -> str:
        """The value in another dtype."""
        kind = self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self.node("Cast", value, output=output, to=kind)

    def add(self, step: Step) -> None:
        """What a step of a program says."""
        if operator := OPERATORS.get(step.function):
            self.node(operator, *step.inputs, output=step.output)
        else:
            COMPOSED[step.function](self, step)


def linear(g: Graph, step: Step) -> None:
    """x Wᵀ + b; in float64 the bias is apart, lest Gemm be fused with a function after it."""
    if g.dtype == np.float32:
        g.node("Gemm", *step.inputs, output=step.output, transB=1)
    else:
        x, weight, bias = step.inputs
        g.node("Add", g.node("Gemm", x, weight, transB=1), bias, output=step.output)


def softplus(g: Graph, step: Step) -> None:
    """max(u, 0) + log(1 + e^−|u|)."""
    (u,) = step.inputs
    e = g.node("Exp", g.node("Neg", g.node("Abs", u)))
    rest = g.node("Log", g.node("Add", e, 1.0))
    g.node("Add", g.node("Relu", u), rest, output=step.output)


def elu(g: Graph, step: Step) -> None:
    """max(u, 0) + e^min(u, 0) − 1."""
    (u,) = step.inputs
    e = g.node("Exp", g.node("Min", u, 0.0))
    g.node("Add", g.node("Relu", u), g.node("Sub", e, 1.0), output=step.output)


def leaky_relu(g: Graph, step: Step) -> None:
    """max(u, u/100), for LeakyRelu has its factor in float32 whatever u is."""
    (u,) = step.inputs
    g.node("Max", u, g.node("Mul", u, LEAK), output=step.output)


def silu(g: Graph, step: Step) -> None:
    """u sigmoid(u); in float64 u/(1 + e⁻ᵘ), as npvae's own op has it."""
    (u,) = step.inputs
    if g.dtype == np.float32:
        g.node("Mul", u, g.node("Sigmoid", u), output=step.output)
    else:
        e = g.node("Exp", g.node("Min", g.node("Neg", u), 80.0))
        g.node("Div", u, g.node("Add", e, 1.0), output=step.output)


def gelu(g: Graph, step: Step) -> None:
    """½ u (1 + erf(u/√2)); in float64 max(u, 0) − |u| Q(|u|), with Q as npvae's own op has it."""
    (u,) = step.inputs
    if g.dtype == np.float32:
        erf = g.node("Erf", g.node("Mul", u, 0.5**0.5))
        g.node("Mul", g.node("Mul", u, 0.5), g.node("Add", erf, 1.0), output=step.output)
        return
    v = g.node("Min", g.node("Abs", u), FAR)
    s = g.node("Div", g.node("Sub", 4.0, v), g.node("Add", v, 4.0))
    bell = g.node("Exp", g.node("Mul", g.node("Mul", v, v), -0.5))
    q = g.node("Mul", polynomial(g, s, TAIL), bell)
    g.node("Sub", g.node("Relu", u), g.node("Mul", v, q), output=step.output)


def standardize(g: Graph, step: Step) -> None:
    """In float64, for an offset may be far larger than what is left of x after it."""
    x, shift, scale = step.inputs
    centred = g.node("Sub", g.cast(str(x), "f8"), shift)
    g.cast(g.node("Div", centred, scale), g.dtype, step.output)


def restore(g: Graph, step: Step) -> None:
    x, shift, scale = step.inputs
    moved = g.node("Add", g.node("Mul", g.cast(str(x), "f8"), scale), shift)
    g.cast(moved, g.dtype, step.output)


def soft_clip(g: Graph, step: Step) -> None:
    u, limit = step.inputs
    assert isinstance(limit, float)
    c = clip(g, str(u), limit)
    e = g.node("Sub", u, c)
    rest = g.node("Div", e, g.node("Add", g.node("Abs", e), 1.0))
    g.node("Add", c, rest, output=step.output)


def softmax(g: Graph, step: Step) -> None:
    g.node("Softmax", *step.inputs, output=step.output, axis=-1)


def categorical_mean(g: Graph, step: Step) -> None:
    u, K = step.inputs
    K = int(K)
    levels = (np.arange(K) / (K - 1)).astype(g.dtype)[:, None]  # (K, 1)
    by_level = g.node("Reshape", u, np.array([0, K, step.width]))  # (n, K, D)
    p = g.node("Softmax", by_level, axis=1)
    g.node("ReduceSum", g.node("Mul", p, levels), np.array([1]), output=step.output, keepdims=0)


def continuous_bernoulli_mean(g: Graph, step: Step) -> None:
    """½ + l Σ_n c_n l²ⁿ of l cut off at ±½, and beyond that what 1/(1 − e⁻ᵗ) − 1/t has more."""
    l = str(step.inputs[0])
    t = g.node("Max", g.node("Abs", l), NEAR)
    w = g.node("Max", g.node("Sub", 1.0, g.node("Exp", g.node("Neg", t))), -expm1(-NEAR))
    far = g.node("Sub", g.node("Reciprocal", w), g.node("Reciprocal", t))
    far = g.node("Mul", g.node("Sub", far, 0.5 + AT_NEAR), 1 / NEAR)
    near = clip(g, l, NEAR)
    series = polynomial(g, g.node("Mul", near, near), SERIES)
    g.node("Add", g.node("Mul", g.node("Add", far, series), near), 0.5, output=step.output)


def discretized_logistic_mean(g: Graph, step: Step) -> None:
    """½ + Σ_k ½ tanh(½ (μ − e_k)/s)/(K − 1), at all edges e_k at once."""
    mu, logscale, K = step.inputs
    K, D = int(K), step.width
    edges = ((np.arange(1, K) - 0.5) / (K - 1)).astype(g.dtype)[:, None]  # (K − 1, 1)
    half_rate = g.node("Mul", g.node("Exp", g.node("Min", g.node("Neg", logscale), STEEPEST)), 0.5)
    one_level = np.array([0, 1, D])
    beyond = g.node("Sub", g.node("Reshape", mu, one_level), edges)  # (n, K − 1, D)
    t = g.node("Tanh", g.node("Mul", beyond, g.node("Reshape", half_rate, one_level)))
    total = g.node("ReduceSum", t, np.array([1]), keepdims=0)  # (n, D)
    g.node("Add", g.node("Mul", total, 0.5 / (K - 1)), 0.5, output=step.output)


def log1p(g: Graph, step: Step) -> None:
    """log(w) u/(w − 1) with w = 1 + u rounded, which loses no digit; u itself where w is 1."""
    (u,) = step.inputs
    w = g.node("Add", u, 1.0)
    none = g.node("Equal", w, 1.0)
    ratio = g.node("Div", g.node("Log", w), g.node("Where", none, 1.0, g.node("Sub", w, 1.0)))
    g.node("Mul", u, g.node("Where", none, 1.0, ratio), output=step.output)


def columns(g: Graph, step: Step) -> None:
    u, first, last = step.inputs
    ends = (np.array([int(end)]) for end in (first, last))
    g.node("Slice", u, *ends, np.array([1]), output=step.output)


def choose(g: Graph, step: Step) -> None:
    u, levels, rows = step.inputs
    below = g.cast(g.node("Less", levels, u), np.int64)  # (n, K − 1)
    g.node("Gather", rows, g.node("ReduceSum", below, np.array([1]), keepdims=0),
           output=step.output, axis=0)  # fmt: skip


def polynomial(g: Graph, x: str, coefficients: tuple[float, ...]) -> str:
    """Σ_k c_k xᵏ, by Horner's rule."""
    p = g.constant(coefficients[-1])
    for c in coefficients[-2::-1]:
        p = g.node("Add", g.node("Mul", x, p), c)
    return p


def clip(g: Graph, u: str, limit: float) -> str:
    """u within ±limit."""
    return g.node("Min", g.node("Max", u, -limit), limit)


COMPOSED: dict[str, Callable[[Graph, Step], None]] = {
    function.__name__: function
    for function in (
        linear, softplus, elu, leaky_relu, silu, gelu, standardize, restore, soft_clip, softmax,
        categorical_mean, continuous_bernoulli_mean, discretized_logistic_mean, log1p, columns,
        choose,
    )
}  # fmt: skip
