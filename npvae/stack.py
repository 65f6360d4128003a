"""S models as one: each array stands for one model's, and holds those of all.

The pages of a model are written for one. A :class:`Stack` holds S arrays of one shape, one a
model, and passes for one of them: its shape, length, indices and transpose are those of one
model's array. So a page that is given Stacks trains S models at once, and nothing in it says so.
What JAX's ``vmap`` does by tracing a program, is done here where arrays are used:

    products    one batched ``xp.matmul`` of (S, m, k) and (S, k, n)
    other ops   model by model: by one call where there is a compiled twin, else by S

An argument that is no Stack is the same for all. Nothing is ever added or compared across models,
so what one of them computes does not depend on the others, and each product and each op is that
of a model alone: so are the bits.
"""
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from math import prod
from types import ModuleType
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from npvae.backend import Array, Backend
from npvae.memory import CACHE_LINE_BYTES, aligned
from npvae.ops import DECLARED, Ops
from npvae.ops.cpu import twins

MAKERS = ("empty", "zeros", "ones", "full")  # what makes an array of a shape


class Stack(NDArrayOperatorsMixin):
    """S arrays of one shape, one a model, that pass for one.

    Parameters
    ----------
    whole : array (S, ...)
        All of them.

    Examples
    --------
    >>> h = Stack(np.arange(12.0).reshape(2, 3, 2))     # two models, (3, 2) each
    >>> h.shape, len(h), h.T.shape, h[1:].shape
    ((3, 2), 3, (2, 3), (2, 2))
    >>> h += Stack(np.array([100.0, 200.0]))            # a number each
    >>> h.whole[:, 0]
    array([[100., 101.],
           [206., 207.]])
    """

    def __init__(self, whole: Any):
        self.whole, self.dtype = whole, whole.dtype
        self.shape: tuple[int, ...] = whole.shape[1:]  # of one model's, as all that follows

    @cached_property
    def rows(self) -> list[Any]:
        """A view of each model's own."""
        return [self.whole[s, ...] for s in range(len(self.whole))]

    @cached_property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @cached_property
    def T(self) -> "Stack":
        return Stack(self.whole.transpose(0, *range(self.ndim, 0, -1)))

    def __len__(self) -> int:
        return self.shape[0]

    def reshape(self, *shape: Any) -> "Stack":
        shape = shape[0] if isinstance(shape[0], tuple) else shape
        return Stack(self.whole.reshape(len(self.whole), *shape))

    def __getitem__(self, key: Any) -> "Stack":
        return Stack(self.whole[(slice(None), *(key if isinstance(key, tuple) else (key,)))])

    def __setitem__(self, key: Any, value: Any) -> None:
        key = key if isinstance(key, tuple) else (key,)
        for s in range(len(self.whole)):
            self.whole[(s, *key)] = of_model(value, s)

    def __array_ufunc__(self, ufunc: Any, method: str, *values: Any, **options: Any) -> Any:
        if "out" in options:  # a tuple of one, as NumPy hands it on
            options["out"] = options["out"][0]
        return each(getattr(ufunc, method))(*values, **options)

    def __array__(self, *_: Any, **options: Any) -> Any:
        raise TypeError("a Stack is the arrays of several models, and no array itself")


def of_model(value: Any, s: int) -> Any:
    """What model number s is given: its own of a Stack, and anything else as it is."""
    return value.rows[s] if isinstance(value, Stack) else value


def no_stack(function: Any) -> TypeError:
    """What to raise where nothing is a Stack: what is written would be one array for all models."""
    return TypeError(f"{function} is given no Stack")


def each(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` of one model's arrays, as one of Stacks: it is called for each in turn."""

    def run(*values: Any, **options: Any) -> Any:
        stacks = [v for v in (*values, *options.values()) if isinstance(v, Stack)]
        if not stacks:
            raise no_stack(function)
        results = [
            function(*[of_model(v, s) for v in values],
                     **{k: of_model(v, s) for k, v in options.items()})
            for s in range(len(stacks[0].whole))
        ]  # fmt: skip
        if "out" in options or results[0] is None:
            return options.get("out")
        return Stack(np.stack(results))

    return run


class Stacks:
    """The array module of S models: what makes an array makes a Stack, and functions take Stacks.

    Parameters
    ----------
    xp : module
        That of one model's arrays.
    S : int
        How many models.
    """

    def __init__(self, xp: Any, S: int):
        self.xp, self.S = xp, S

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.xp, name)
        if name in MAKERS:
            return lambda shape, *rest: self._make(found, shape, *rest)
        return each(found) if callable(found) and not isinstance(found, type) else found

    def asarray(self, array: Any, dtype: Any = None) -> Array:
        """An array on the device, the same for all models."""
        return self.xp.asarray(array, dtype=dtype)

    def _make(self, make: Any, shape: Any, *rest: Any) -> Stack:
        """Each model's begins at a cache line, as it would alone."""
        shape = shape if isinstance(shape, tuple) else (shape,)
        dtype = self.xp.dtype(rest[-1] if rest else float)
        size = prod(shape)
        line = CACHE_LINE_BYTES // dtype.itemsize
        pitch = -(-size // line) * line
        flat = aligned(lambda n, t: make(n, *rest[:-1], t), self.S * pitch, dtype)
        return Stack(flat.reshape(self.S, pitch)[:, :size].reshape(self.S, *shape))


def stacked(backend: Backend, S: int) -> Backend:
    """The same device, for S models at once."""
    gemm = backend.ops.gemm  # of (S, m, k) and (S, k, n) as well

    def batched_gemm(a: Any, b: Any, out: Stack) -> Stack:
        gemm(whole(a), whole(b), out.whole)
        return out

    ops = Ops(**{name: each(getattr(backend.ops, name)) for name in DECLARED})
    ops = replace(ops, gemm=batched_gemm)
    if backend.name == "numpy":
        ops = twins.with_twins(ops, run_each)
    return replace(backend, xp=Stacks(backend.xp, S), ops=ops)


def whole(value: Any) -> Any:
    """All that a Stack holds, and anything else as it is."""
    return value.whole if isinstance(value, Stack) else value


def run_each(module: ModuleType) -> Callable[..., bool]:
    """How a kernel is called with Stacks among its arguments."""

    def run(kernel: Any, blocks: int, *values: Any) -> bool:
        S, stacks, given = 1, 0, []
        for i, value in enumerate(values):
            if isinstance(value, Stack):
                S, stacks, value = len(value.whole), stacks | 1 << i, value.whole
            given.append(value)
        if not stacks:
            raise no_stack(kernel)
        return module.run_each(kernel, blocks, S, stacks, *given)

    return run
