"""The multilayer perceptrons of appendix C: dimensions and wiring, no arrays.

    h_0 = x,   h_i = f(h_{i−1} W_iᵀ + b_i),   a = h_n [W_μ; W_σ]ᵀ

The last product is handed on without its bias: bias and whatever follows it (sampling, a
likelihood) are one op. All heads read the same h_n, their weights lie next to one another,
and one product computes them together.
"""
from collections.abc import Mapping
from functools import cached_property
from typing import NamedTuple

from npvae.backend import Array
from npvae.memory import Context, Layout, Shape
from npvae.ops import ACTIVATIONS
from npvae.records import dataclass


class HiddenCache(NamedTuple):
    """What a hidden layer leaves for its backward pass, B rows of it."""

    a: Array  # the pre-activation, where the activation's derivative reads it   (B, H)
    h: Array  # the output                                                       (B, H)


class MLPCache(NamedTuple):
    """What a forward pass of a network leaves for its backward pass."""

    x: Array  # its input                    (B, n_in)
    hidden: tuple[HiddenCache, ...]  # from the input on


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
    constant : tuple of str
        The last heads, if they do not depend on the input: a bias each, no weights, products 0.
    """

    name: str
    n_in: int
    hidden: tuple[int, ...]
    heads: Mapping[str, int]
    activation: str
    constant: tuple[str, ...] = ()

    def shapes(self) -> dict[str, Shape]:
        """``{layer: (out, in)}`` from input to heads."""
        widths = (self.n_in, *self.hidden)
        layers: dict[str, Shape] = {
            f"{self.name}.hidden.{i}": (widths[i + 1], widths[i]) for i in range(len(self.hidden))
        }
        return layers | {f"{self.name}.{head}": (n, widths[-1]) for head, n in self.heads.items()}

    @cached_property
    def _names(self) -> list[tuple[str, str, str, str]]:
        """Of each hidden layer's weights, biases, a and h; made once, as a datapoint is quick."""
        layers = [f"{self.name}.hidden.{i}." for i in range(len(self.hidden))]
        return [(s + "weight", s + "bias", s + "a", s + "h") for s in layers]

    @cached_property
    def _backward(self) -> str:
        """Name of the op that undoes the activation; made once, not a new string a step."""
        return self.activation + "_backward"

    def forward(self, ctx: Context, x: Array, head: str = "heads") -> tuple[Array, MLPCache]:
        """x (…, n_in) → the products of all heads, without bias, (…, Σ heads); and the cache.

        Or of one ``head`` alone, where the others would go to waste.
        """
        ops, P, work = ctx.ops, ctx.P, ctx.work
        activation, hidden = getattr(ops, self.activation), []
        batch, x = x.shape[:-1], x.reshape(-1, self.n_in)
        h, B = x, len(x)
        for H, (weight, bias, a_name, h_name) in zip(self.hidden, self._names, strict=True):
            a = ops.gemm(h, P[weight].T, work(a_name, B, H))  # (B, H)
            h = work(h_name, B, H)
            activation(a, P[bias], h)
            hidden.append(HiddenCache(a, h))
        W = P[f"{self.name}.{head}.weight"]
        a = ops.gemm(h, W.T, work(f"{self.name}.{head}.a", B, len(W)))  # (B, Σ heads)
        if self.constant and head == "heads":
            a = self._widened(ctx, a)
        return a.reshape(*batch, -1), MLPCache(x, tuple(hidden))

    def backward(self, ctx: Context, d_a: Array, cache: MLPCache, d_x: Array | None = None) -> None:
        """d_a (…, Σ heads) → the gradients of all weights and hidden biases in G, and d_x.

        The forward pass read upside down; it uses up the buffers that it reads. The head's bias
        gradient was written, with d_a, by the op that follows the heads. ``d_x`` (…, n_in) is
        written if it is given, and weights that are not in G are passed by: what remains is the
        way to d_x.
        """
        ops, P, G, work = ctx.ops, ctx.P, ctx.G, ctx.work
        activation_backward = getattr(ops, self._backward)
        reads_output = ACTIVATIONS[self.activation].reads == "output"
        x, hidden = cache
        B = len(x)
        d_a = d_a.reshape(B, -1)  # (B, Σ heads)
        if self.constant:
            d_a = self._narrowed(ctx, d_a)
        above = f"{self.name}.heads"  # the layer that d_a belongs to
        for i in reversed(range(len(hidden))):
            layer, (a, h) = f"{self.name}.hidden.{i}", hidden[i]
            if (weight := above + ".weight") in G:
                ops.gemm(d_a.T, h, G[weight])  # d_W (out, H)
            d_h = ops.gemm(d_a, P[weight], work(layer + ".d_h", *h.shape))  # (B, H)
            saved, d_a = (h, a) if reads_output else (a, h)  # one is free by now
            activation_backward(d_h, saved, d_a, G[layer + ".bias"])
            above = layer
        if (weight := above + ".weight") in G:
            ops.gemm(d_a.T, x, G[weight])  # d_W (out, n_in)
        if d_x is not None:
            ops.gemm(d_a, P[weight], d_x.reshape(B, self.n_in))

    def _widened(self, ctx: Context, a: Array) -> Array:
        """Products, and beside them zeros for the constant heads.   (B, n) → (B, Σ heads)"""
        wide, n = ctx.work(f"{self.name}.heads.wide", len(a), sum(self.heads.values())), a.shape[1]
        wide[:, :n], wide[:, n:] = a, 0
        return wide

    def _narrowed(self, ctx: Context, d_a: Array) -> Array:
        """The reverse of :meth:`_widened`: the constant heads have no way on."""
        n = sum(width for head, width in self.heads.items() if head not in self.constant)
        d = ctx.work(f"{self.name}.heads.d_a", len(d_a), n)
        d[...] = d_a[:, :n]
        return d


def layout(*networks: MLP) -> Layout:
    """All parameters of some networks: weights first, then biases; heads adjacent."""
    layers = {layer: shape for net in networks for layer, shape in net.shapes().items()}
    constant = {f"{net.name}.{head}" for net in networks for head in net.constant}
    weights = {f"{layer}.weight": layers[layer] for layer in layers if layer not in constant}
    biases = {layer + ".bias": shape[:1] for layer, shape in layers.items()}
    stacked_views = {
        f"{net.name}.heads.{kind}": tuple(
            name for head in net.heads if (name := f"{net.name}.{head}.{kind}") in weights | biases
        )
        for net in networks
        for kind in ("weight", "bias")
    }
    return Layout(weights | biases, stacked_views)


def initialize(
    layout: Layout, normal: Array, std: float | None = None, random_init: tuple[str, ...] = (),
    zero_init: tuple[str, ...] = (),
) -> Array:  # fmt: skip
    """First values: weights N(0, std²), biases 0.

    With 1 / √in every layer passes on the variance of its input (LeCun et al. 1998). The paper
    draws from N(0, 0.01), and does not say whether that is a variance or a deviation.

    Parameters
    ----------
    normal : array (P,)
        Standard normal noise, scaled in place.
    std : float, optional
        1 / √in of each layer if None.
    random_init : tuple of str
        Names of other parameters initialized at random, N(0, 1), for equal ones would stay equal.
    zero_init : tuple of str
        Names of weights that are 0 at first all the same.
    """
    for name, view in layout.named(normal).items():
        if name in zero_init:
            view *= 0.0
        elif name.endswith(".weight"):
            view *= layout.shapes[name][-1] ** -0.5 if std is None else std
        elif name not in random_init:
            view *= 0.0
    return normal
