"""Compiled twins of the ops for a processor: one pass over memory where NumPy makes ten.

The kernels are those of the GPU, the ``.cu`` file beside each op's body, compiled by the C++
compiler of the machine that npvae is installed on (``setup.py``) with loops in place of blocks of
threads (``common.h``). Matrix products have a file of their own (``products.h``), and all of it
one pool of threads (``pool.h``): BLAS's threads wait for work with all their might, and would
compete with it.

None is needed: without a compiler, and for arrays that no kernel takes (complex, not contiguous, of
mixed dtypes), the NumPy body does the work. A build of other sources than those that are here is
not used.
"""
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from importlib import import_module
from math import prod
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any
from warnings import warn

from npvae.errors import ParameterError
from npvae.ops import DECLARED, Ops
from npvae.ops.cpu import build
from npvae.ops.cpu.threads import count
from npvae.ops.declare import Op

OFF, MOST = "NPVAE_PURE_PYTHON", "NPVAE_TWINS"  # variables: 1, and the highest level to use
# Instruction sets that there are builds for, the best first, and what NumPy calls what they need.
LEVELS = {"v4": ("AVX512_SKX",), "v3": ("AVX2", "FMA3")}
DTYPES = ("float32", "float64")


@cache
def library() -> tuple[ModuleType | None, str]:
    """The build for this processor, and its instruction set; None and "" if there is none.

    Raises
    ------
    ParameterError
        If an environment variable has a value that means nothing.
    """
    module, level = built()
    return (None, "") if module is None or is_stale(module) else (module, level)


def built() -> tuple[ModuleType | None, str]:
    """The best build that runs here, of whatever sources."""
    for level in [] if turned_off() else supported():
        try:
            return import_module(f"npvae.ops.cpu._twins_{level}"), f"x86-64-{level}"
        except ImportError:
            continue
    return None, ""


def is_stale(module: ModuleType) -> bool:
    """Whether a build is of other sources than those that are here, where they are kept."""
    here = build.checksum(str(Path(__file__).parents[1]))
    return here != 0 and vars(module).get("CHECKSUM") != here


def why_none() -> str:
    """Why there is none, in a few words."""
    if turned_off():
        return f"{OFF} is set"
    if not supported():
        return "they are for x86-64 processors with AVX2; below that NumPy is as fast"
    if built()[0] is not None:
        return (
            "their build is of other sources than are here now; "
            "`python setup.py build_ext --inplace --force` builds anew"
        )
    return (
        "none were built: the install found no C++ compiler, or this is a clone without "
        "`python setup.py build_ext --inplace`"
    )


def turned_off() -> bool:
    """Whether the environment says that NumPy shall do all."""
    try:
        return build.is_set(OFF)
    except ValueError as error:
        raise ParameterError(str(error)) from None


def supported() -> list[str]:
    """The levels whose instructions this processor has, the best first."""
    found = import_module("numpy._core._multiarray_umath").__cpu_features__  # what NumPy goes by
    most = os.environ.get(MOST) or max(LEVELS)
    if most not in LEVELS:
        levels = " or ".join(LEVELS)
        raise ParameterError(f"{MOST} is {most!r}; set it to {levels}, the highest level to use")
    return [level for level, needed in LEVELS.items()
            if level <= most and all(found.get(feature) for feature in needed)]  # fmt: skip


def with_twins(
    ops: Ops, runner: Callable[[ModuleType], Callable[..., bool]] = attrgetter("run")
) -> Ops:
    """``ops``, overridden by the kernels that there are; ``runner`` is how one is called."""
    module, _ = library()
    if module is None:
        if built()[0] is not None:
            warn(f"compiled ops are not used: {why_none()}", stacklevel=2)
        return ops
    module.threads(count())
    run = runner(module)
    twins = {
        name: launcher(module, run, op, name, getattr(ops, name))
        for name, op in DECLARED.items() if op.layout and serves(module, op, name)
    }  # fmt: skip
    return replace(ops, gemm=product(module, run, ops.gemm), **twins)


@contextmanager
def on_threads(n: int) -> Iterator[None]:
    """Inside, kernels are shared by so many threads, in the whole process."""
    module, _ = library()
    if module is None:
        yield
        return
    module.threads(n)
    try:
        yield
    finally:
        module.threads(count())


@contextmanager
def on_own_thread() -> Iterator[None]:
    """Inside, kernels stay on the thread that calls them, for there are several that do."""
    module, _ = library()
    if module is None:
        yield
        return
    module.alone(True)
    try:
        yield
    finally:
        module.alone(False)


def serves(module: ModuleType, op: Op, name: str) -> bool:
    """Whether there is a kernel of an op for every dtype."""
    kinds = ["uint8", *DTYPES] if op.multi_dtype else [""]
    names = [f"{name}_{kind}" if kind else name for kind in kinds]
    return all(module.find(f"{one} {dtype}") for one in names for dtype in DTYPES)


def launcher(
    module: ModuleType, run: Callable[..., bool], op: Op, name: str, body: Callable[..., Any]
) -> Callable[..., Any]:
    """The kernel of an op, called as the op is.

    Which kernel, and its sizes, depend on the shapes and dtypes of a few arguments: they are found
    once for each.
    """
    layout = op.layout
    assert layout is not None
    shaped = [op.arguments.index(word) for word in op.shapes]  # the last has the kernel's dtype
    data = [op.arguments.index(op.multi_dtype)] if op.multi_dtype else []
    taken = [i for i, word in enumerate(op.arguments) if word not in op.scratch]
    found: dict[Any, tuple[Any, int, tuple[int, ...]]] = {}

    def find(values: tuple[Any, ...]) -> tuple[Any, int, tuple[int, ...]]:
        launch = layout(*(n for i in shaped for n in values[i].shape))
        stored = [values[i].dtype.name for i in data]
        kernel = module.find(f"{'_'.join([name, *stored])} {values[shaped[-1]].dtype.name}")
        return kernel, prod(launch.grid), launch.sizes

    def call(*values: Any, **options: Any) -> None:
        key = tuple([(values[i].shape, values[i].dtype.char) for i in shaped])
        if data:
            key = (*key, values[data[0]].dtype)
        known = found.get(key) or found.setdefault(key, find(values))
        kernel, blocks, sizes = known
        given = [values[i] for i in taken] if op.scratch else values
        if kernel is None or not run(kernel, blocks, *given, *sizes):
            body(*values, **options)

    return call


def product(
    module: ModuleType, run: Callable[..., bool], body: Callable[..., Any]
) -> Callable[..., Any]:
    """The matrix product of ``products.h``, on threads of its own."""
    kernels = {char: module.find(f"gemm {name}") for char, name in zip("fd", DTYPES, strict=True)}

    def gemm(a: Any, b: Any, out: Any) -> Any:
        kernel = kernels.get(a.dtype.char)
        if kernel is None or not run(kernel, 1, a, b, out):
            return body(a, b, out)
        return out

    return gemm
