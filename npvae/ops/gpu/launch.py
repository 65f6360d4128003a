"""What a GPU needs to be fast: one launch an op. The formulas stay where they are.

Each op that declares a layout is overridden by the kernel of its name, in the ``.cu`` file beside
its body, compiled for float32 and for float64 when first used. A kernel takes its op's arguments
in the op's order, without the working space that it does not need, and then the sizes.

A kernel reads whatever lies at an address. So nothing is launched before every array has been
found to be C-contiguous and of the dtype that the kernel reads; shapes are the caller's promise.
"""
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from npvae.ops import DECLARED, Ops
from npvae.ops.declare import Op

COMMON = Path(__file__).with_name("common.cuh"), Path(__file__).parents[1] / "elementary.cuh"
GATHER_DTYPES = ("uint8", "float32", "float64")  # data for which there is a kernel each


def source() -> str:
    """All kernels, in ASCII: CuPy writes them to a file in whatever encoding the locale has.

    Only comments have other letters. What the files share comes first, then one after another in
    the order of their ops.
    """
    modules = dict.fromkeys(op.body.__module__ for op in DECLARED.values() if op.layout)
    beside = (Path(str(sys.modules[name].__file__)).with_suffix(".cu") for name in modules)
    files = [*COMMON, *beside]
    texts = (path.read_text(encoding="ascii", errors="ignore") for path in files)
    return "".join(
        f'#line 1 "{path.name}"\n{text}\n' for path, text in zip(files, texts, strict=True)
    )


def options(dtype: str) -> tuple[str, ...]:
    """How kernels are compiled for a model of this dtype."""
    return ("-std=c++17", "-DREAL=" + {"float32": "float", "float64": "double"}[dtype])


def on_device(ops: Ops, xp: Any) -> Ops:
    """``ops`` as a GPU likes them: one kernel each.

    Parameters
    ----------
    ops : Ops
        The readable bodies, bound to ``xp``.
    xp : module
        CuPy, or what has its ``ndarray``, ``empty``, scalar types and ``RawModule``.
    """

    @cache
    def module(dtype: str) -> Any:
        return xp.RawModule(code=source(), options=options(dtype))

    @cache
    def kernel(name: str, dtype: str) -> Any:
        return module(dtype).get_function("npvae_" + name)

    def launcher(name: str, op: Op, layout: Callable[..., Any]) -> Callable[..., Any]:
        body = getattr(ops, name)

        def run(*values: Any) -> Any:
            given = dict(zip(op.arguments, values, strict=True))
            twin = name
            if op.multi_dtype:
                given_dtype = name_of(given[op.multi_dtype].dtype)
                if given_dtype not in GATHER_DTYPES:
                    return body(*values)
                twin = f"{name}_{given_dtype}"
            shaped = [given[word] for word in op.shapes]
            dtype = "float32" if shaped[-1].dtype == xp.float32 else "float64"
            grid, threads, sizes = layout(*(n for array in shaped for n in array.shape))
            result = [xp.empty((), dtype)] if op.returns else []
            parameters = [p for item in given.items() for p in marshal(xp, op, *item, dtype)]
            if 0 not in grid:  # or there is nothing to write
                sized = (*parameters, *result, *map(xp.int64, sizes))
                kernel(twin, dtype)(grid, (threads,), sized)
            return result[0] if result else None

        return run

    twins: dict[str, Any] = {
        name: launcher(name, op, op.layout) for name, op in DECLARED.items() if op.layout
    }
    return replace(ops, **twins)


@cache
def name_of(dtype: Any) -> str:
    """``dtype.name``, which NumPy makes anew each time, in microseconds."""
    return dtype.name


def marshal(xp: Any, op: Op, name: str, value: Any, dtype: str) -> tuple[Any, ...]:
    """What a kernel receives for the argument ``name`` of its op, in a model of this dtype."""
    if name in op.scratch:
        return ()
    if isinstance(value, xp.ndarray):
        found = name_of(value.dtype)
        wanted = found if name == op.multi_dtype else op.dtypes.get(name, dtype)
        if found != wanted or not value.flags.c_contiguous:
            order = "" if value.flags.c_contiguous else ", not contiguous"
            raise TypeError(f"{name} is {found}{order}; pass C-contiguous {wanted}")
        return (xp.float64(0), value) if name in op.scalar_or_array else (value,)
    number = getattr(xp, op.dtypes.get(name, "float64"))(value)
    if number.ndim:  # an array, but not of the device
        raise TypeError(f"{name} is a {type(value).__name__}; pass an array of {xp.__name__}")
    return (number, xp.uintp(0)) if name in op.scalar_or_array else (number,)  # 0: not there
