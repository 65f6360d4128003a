"""A forward pass as a list of elementary functions, which any language can write out.

A :class:`Program` makes values of rows, one function at a time, each of values before it and of
constants. What a format has to know is how each function of :data:`FUNCTIONS` is written in its
language, and nothing of models.
"""
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

FUNCTIONS = {
    # of the networks
    "linear": "x, W (out, in), b (out,): x Wᵀ + b",
    "tanh": "u", "relu": "u: max(u, 0)", "sigmoid": "u: 1/(1 + e⁻ᵘ)",
    "softplus": "u: log(1 + eᵘ)", "elu": "u: u where u > 0, else eᵘ − 1",
    "leaky_relu": "u: max(u, u/100)", "gelu": "u: u Φ(u), Φ(u) = ½ (1 + erf(u/√2))",
    "silu": "u: u sigmoid(u)",
    # of the data's units: in float64, whatever x is, and rounded once
    "standardize": "x, shift (D,), scale (D,): (x − shift)/scale",
    "restore": "x, shift (D,), scale (D,): x scale + shift",
    # of likelihoods and families
    "exp": "u", "add": "u, v", "multiply": "u, v", "minimum": "u, v", "maximum": "u, v",
    "soft_clip": "u, limit: c + e/(1 + |e|), c = u clipped to ±limit, e = u − c",
    "softmax": "u, over the row",
    "categorical_mean": "u (n, K D) level by level, K: Σ_k p_k k/(K − 1), p = softmax over k",
    "continuous_bernoulli_mean": "u: 1/(1 − e⁻ᵘ) − 1/u, and ½ + u/12 − u³/720 + … near 0",
    "discretized_logistic_mean":
        "μ, log s, K: Σ_k sigmoid((μ − (k − ½)/(K − 1))/s)/(K − 1), k = 1 … K − 1; −log s ≤ 30",
    # of the priors alone, for samples
    "log": "u", "log1p": "u: log(1 + u)", "sqrt": "u", "sign": "u", "sin": "u", "cos": "u",
    "divide": "u, v", "columns": "u, first, last: columns first ≤ i < last",
    "choose": "u (n, 1), levels (K − 1,), rows (K, J): row k, of how many levels are below u",
}  # fmt: skip


class Step(NamedTuple):
    """One value: ``output = function(*inputs)``, element by element where not said otherwise."""

    output: str  # an identifier in any language
    function: str  # of FUNCTIONS
    inputs: tuple[str | float, ...]  # values before it, constants, and numbers as they are
    width: int  # of a row of the output


@dataclass(frozen=True, eq=False)
class Program:
    """Outputs (n, width) of one input (n, width), row by row.

    Attributes
    ----------
    input : str
        Name of the input: ``"x"``, ``"z"`` or ``"noise"``.
    width : int
        Of a row of it.
    steps : tuple of Step
        In an order in which they can be done.
    outputs : tuple of str
        Those values that are results.
    constants : mapping of str to array
        What steps read beside values, by the parameters' names: in the model's dtype, but shift and
        scale of a standardization in float64.
    dtype : dtype
        float32 or float64, of values.
    """

    input: str
    width: int
    steps: tuple[Step, ...]
    outputs: tuple[str, ...]
    constants: Mapping[str, np.ndarray]
    dtype: np.dtype

    @property
    def widths(self) -> dict[str, int]:
        """Of a row of each value, the input's too."""
        return {self.input: self.width} | {step.output: step.width for step in self.steps}

    def only(self, *outputs: str) -> "Program":
        """The program without the steps that these outputs can do without."""
        needed, kept = set(outputs), []
        for step in reversed(self.steps):
            if step.output in needed:
                needed |= {name for name in step.inputs if isinstance(name, str)}
                kept.append(step)
        constants = {name: array for name, array in self.constants.items() if name in needed}
        return replace(self, steps=tuple(reversed(kept)), outputs=outputs, constants=constants)
