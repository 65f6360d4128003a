"""Where numbers live: parameters in one flat vector, the arrays of a step in one workspace.

A :class:`Layout` maps names to shapes to views of a flat vector. Parameters, gradients and
each optimiser moment are one such vector, so an update is a handful of long passes whatever
the network, and a checkpoint is a few arrays. Weights come first and biases after them:
what concerns weights alone (a prior on θ, weight decay) is one slice.

A :class:`Workspace` hands out the buffers of a training step by name and keeps them, so that
no step after the first allocates anything large.

A :class:`Context` holds both beside the operations: it is the one argument by which a formula
reaches every array that it does not get from its caller.
"""
from collections.abc import Callable, Mapping
from functools import cached_property
from math import prod
from typing import Any

from npvae.backend import Array
from npvae.ops import Ops
from npvae.records import dataclass

Shape = tuple[int, ...]
Views = dict[str, Array]
CACHE_LINE_BYTES = 64  # bytes of a cache line, and of the widest load


def aligned(create: Callable[..., Any], size: int, dtype: Any) -> Any:
    """``create(size, dtype)``, be it ``xp.empty`` or ``xp.zeros``, from a cache line's start.

    NumPy's own arrays begin a quarter into one, so that every wide load would touch two lines:
    a sixth more time for a pass. CuPy's, and Stacks, are aligned as they come.
    """
    step = CACHE_LINE_BYTES // dtype.itemsize
    array = create(size + step, dtype)
    if not hasattr(array, "__array_interface__"):
        return array[:size]
    start = -array.__array_interface__["data"][0] % CACHE_LINE_BYTES // dtype.itemsize
    return array[start : start + size]


def is_aligned(array: Array) -> bool:
    """Whether an array of the host begins where :func:`aligned` has it begin."""
    return array.ctypes.data % CACHE_LINE_BYTES == 0


@dataclass(frozen=True)
class Layout:
    """Names and shapes of the parameters, in the order of the flat vector.

    Attributes
    ----------
    shapes : mapping of str to tuple of int
        ``{"encoder.hidden.0.weight": (H, D), ...}``: weights (out, in), then biases (out,).
    stacked_views : mapping of str to tuple of str
        Names for neighbours viewed as one array, stacked on their first axis: heads that share
        an input are one matrix, so one product serves them all. Where their other axes differ,
        they are one vector.

    Examples
    --------
    >>> import numpy as np
    >>> layout = Layout({"mean.weight": (2, 3), "logvar.weight": (2, 3), "mean.bias": (2,)},
    ...                 {"heads.weight": ("mean.weight", "logvar.weight")})
    >>> views = layout.views(np.arange(14))
    >>> views["logvar.weight"]
    array([[ 6,  7,  8],
           [ 9, 10, 11]])
    >>> views["heads.weight"].shape, layout.n_weights
    ((4, 3), 12)
    """

    shapes: Mapping[str, Shape]
    stacked_views: Mapping[str, tuple[str, ...]]

    @property
    def size(self) -> int:
        """How many numbers the flat vector holds, P."""
        return sum(map(prod, self.shapes.values()))

    @cached_property
    def max_width(self) -> int:
        """The maximal width: the longest axis of any parameter, of a layer or of the data."""
        return max(map(max, self.shapes.values()))

    @property
    def n_weights(self) -> int:
        """How many of them are weights: the first ones."""
        return sum(prod(s) for name, s in self.shapes.items() if name.endswith(".weight"))

    def named(self, flat: Any) -> Views:
        """One view of ``flat`` (P,) a parameter, under its public name."""
        views, start = {}, 0
        for name, shape in self.shapes.items():
            stop = start + prod(shape)
            views[name] = flat[start:stop].reshape(shape)
            start = stop
        return views

    def views(self, flat: Any) -> Views:
        """What :meth:`named` gives, and the stacked views of neighbours beside it."""
        views = self.named(flat)
        starts, start = {}, 0
        for name, shape in self.shapes.items():
            starts[name] = start
            start += prod(shape)
        for stack, names in self.stacked_views.items():
            first, size = starts[names[0]], sum(prod(self.shapes[n]) for n in names)
            tails = {self.shapes[n][1:] for n in names}
            tail = tails.pop() if len(tails) == 1 else ()
            views[stack] = flat[first : first + size].reshape(-1, *tail)
        return views


class Workspace:
    """The buffers of a step, by name; allocated when first asked for, and kept.

    Parameters
    ----------
    xp : module
        The array module.
    dtype : dtype
        Of every buffer, unless one asks for its own.

    Examples
    --------
    >>> import numpy as np
    >>> work = Workspace(np, np.float32)
    >>> h = work("h", 100, 500)
    >>> work("h", 100, 500) is h        # the same buffer again
    True
    >>> np.shares_memory(work("h", 60, 500), h)     # a ragged last batch uses its front
    True
    """

    def __init__(self, xp: Any, dtype: Any):
        self.xp, self.dtype = xp, xp.dtype(dtype)
        self._memory: dict[str, Any] = {}  # name → flat buffer, as large as was ever needed
        self._views: dict[tuple, Any] = {}  # (name, shape) → view of it
        self._constants: dict[tuple, Any] = {}  # (value, shape) → array
        self.allocations = 0  # so far: whoever captured where the buffers are can see them move

    def __call__(self, name: str, *shape: int, dtype: Any = None) -> Any:
        """The buffer ``name``, of this shape. What it holds is what was last written."""
        view = self._views.get((name, shape))
        return view if view is not None else self._allocate(name, shape, dtype or self.dtype)

    def _allocate(self, name: str, shape: Shape, dtype: Any) -> Any:
        flat = self._memory.get(name)
        if flat is None or flat.size < prod(shape):
            self.allocations += 1
            # zeros: a twin leaves working space as it is, where nobody shall find chance's numbers
            flat = self._memory[name] = aligned(self.xp.zeros, prod(shape), self.xp.dtype(dtype))
            for key in [key for key in self._views if key[0] == name]:
                del self._views[key]  # views of the smaller buffer
        view = self._views[name, shape] = flat[: prod(shape)].reshape(shape)
        return view

    def constant(self, value: float, *shape: int, dtype: Any = None) -> Any:
        """An array of one value, to be read only."""
        array = self._constants.get((value, shape, dtype))
        if array is None:
            array = self.xp.full(shape, value, dtype or self.dtype)
            self._constants[value, shape, dtype] = array
        return array

    def buffers(self) -> Mapping[str, Any]:
        """Every buffer by name, flat: for looking at, poisoning and counting."""
        return self._memory


@dataclass(frozen=True)
class Context:
    """Where a formula computes: its operations, the parameters, and memory to write to.

    Attributes
    ----------
    ops : Ops
        Forward and backward passes on a device's arrays.
    P, G : dict of str to array
        Parameters, and ∂loss/∂ each of them, by name. Of a parameter that is not in G no gradient
        is wanted.
    work : Workspace
        The buffers of a step.
    """

    ops: Ops
    P: Views
    G: Views
    work: Workspace
