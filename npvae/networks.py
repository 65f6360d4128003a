"""The multilayer perceptrons of appendix C: dimensions and wiring, no arrays.

    h_0 = x,   h_i = f(h_{i−1} W_iᵀ + b_i),   a = h_n [W_μ; W_σ]ᵀ

The last product is handed on without its bias: bias and whatever follows it (sampling, a
likelihood) are one op. All heads read the same h_n, their weights lie next to one another,
and one product computes them together.
"""
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from npvae.memory import Layout, Shape, Views, Workspace
from npvae.ops import Ops


@dataclass(frozen=True)
class MLP:
    """A fully connected network with one or more heads.

    Attributes
    ----------
    name : str
        Prefix of its parameters: ``"encoder"`` or ``"decoder"``.
    n_in : int
        Width of its input.
    hidden : tuple of int
        Width of each hidden layer; may be empty.
    heads : mapping of str to int
        Width of each head, e.g. ``{"mean": J, "logvar": J}``.
    activation : str
        One of :data:`npvae.ops.ACTIVATIONS`.
    """

    name: str
    n_in: int
    hidden: tuple[int, ...]
    heads: Mapping[str, int]
    activation: str

    def shapes(self) -> dict[str, Shape]:
        """``{layer: (out, in)}`` from input to heads."""
        widths = (self.n_in, *self.hidden)
        layers: dict[str, Shape] = {
            f"{self.name}.hidden.{i}": (widths[i + 1], widths[i]) for i in range(len(self.hidden))
        }
        return layers | {f"{self.name}.{head}": (n, widths[-1]) for head, n in self.heads.items()}

    @cached_property
    def _backward(self) -> str:
        """Name of the op that undoes the activation; made once, not a new string a step."""
        return self.activation + "_backward"

    def forward(self, ops: Ops, P: Views, x: Any, work: Workspace, head: str = "heads") -> Any:
        """x (…, n_in) → the products of all heads, without bias, (…, Σ heads).

        Or of one ``head`` alone, where the others would go to waste.
        """
        batch = x.shape[:-1]
        h = x.reshape(-1, self.n_in)  # (B, n_in)
        B = h.shape[0]
        activation = getattr(ops, self.activation)
        for i, H in enumerate(self.hidden):
            layer = f"{self.name}.hidden.{i}"
            a = ops.gemm(h, P[layer + ".weight"].T, work(layer + ".a", B, H))  # (B, H)
            h = work(layer + ".h", B, H)
            activation(a, P[layer + ".bias"], h)
        W = P[f"{self.name}.{head}.weight"]
        a = ops.gemm(h, W.T, work(f"{self.name}.{head}.a", B, W.shape[0]))  # (B, Σ heads)
        return a.reshape(*batch, -1)

    def backward(
        self, ops: Ops, P: Views, G: Views, x: Any, d_a: Any, work: Workspace, d_x: Any = None
    ) -> None:
        """d_a (…, Σ heads) → the gradients of all weights and hidden biases in G, and d_x.

        The forward pass read upside down. The head's bias gradient was written, with d_a, by
        the op that follows the heads. ``d_x`` (…, n_in) is written if it is given, and weights
        that are not in G are passed by: what remains is the way to d_x.
        """
        x = x.reshape(-1, self.n_in)  # (B, n_in)
        B = x.shape[0]
        d_a = d_a.reshape(B, -1)  # (B, Σ heads)
        activation_backward = getattr(ops, self._backward)
        above = f"{self.name}.heads"  # the layer that d_a belongs to
        for i in reversed(range(len(self.hidden))):
            layer, H = f"{self.name}.hidden.{i}", self.hidden[i]
            h = work(layer + ".h", B, H)  # as the forward pass left it
            if (weight := above + ".weight") in G:
                ops.gemm(d_a.T, h, G[weight])  # (out, H)
            d_h = ops.gemm(d_a, P[weight], work(layer + ".d_h", B, H))  # (B, H)
            d_a = work(layer + ".a", B, H)  # a was used up: its buffer is free
            activation_backward(d_h, h, d_a, G[layer + ".bias"])
            above = layer
        if (weight := above + ".weight") in G:
            ops.gemm(d_a.T, x, G[weight])  # (out, n_in)
        if d_x is not None:
            ops.gemm(d_a, P[weight], d_x.reshape(B, self.n_in))


def layout(*networks: MLP) -> Layout:
    """All parameters of some networks: weights first, then biases; heads adjacent."""
    layers = {layer: shape for net in networks for layer, shape in net.shapes().items()}
    weights = {layer + ".weight": shape for layer, shape in layers.items()}
    biases = {layer + ".bias": shape[:1] for layer, shape in layers.items()}
    joints = {
        f"{net.name}.heads.{kind}": tuple(f"{net.name}.{head}.{kind}" for head in net.heads)
        for net in networks
        for kind in ("weight", "bias")
    }
    return Layout(weights | biases, joints)


def initialize(
    layout: Layout, normal: Any, std: float | None = None, spread: tuple[str, ...] = ()
) -> Any:
    """First values: weights N(0, std²), biases 0.

    With 1 / √in every layer passes on the variance of its input (LeCun et al. 1998). The paper
    draws from N(0, 0.01), and does not say whether that is a variance or a deviation.

    Parameters
    ----------
    normal : array (P,)
        Standard normal noise, scaled in place.
    std : float, optional
        1 / √in of each layer if None.
    spread : tuple of str
        Names of parameters that are N(0, 1), for they would learn nothing if they began alike.
    """
    for name, view in layout.named(normal).items():
        if name.endswith(".weight"):
            view *= layout.shapes[name][-1] ** -0.5 if std is None else std
        elif name not in spread:
            view *= 0.0
    return normal
