"""What a GPU needs to be told to be fast: one launch an op. The formulas stay where they are.

Each op below is overridden by the kernel of its name in ``kernels.cu``, compiled for float32 and
for float64 when first used. A kernel takes its op's arguments in the op's order, without the
working space that it does not need, and then the sizes of one or two of them. How its work is
laid over blocks of threads depends on those sizes alone, so the same arguments give the same bits.

A kernel believes what it is told. So nothing is launched before every array has been found to be
C-contiguous and of the dtype that the kernel reads; shapes are the caller's promise.
"""
import inspect
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from npvae.ops import ACTIVATIONS, Ops

Array = Any

SOURCE = Path(__file__).with_name("kernels.cu")
THREADS = 256  # of most blocks
MOST_THREADS = 1024  # of any block
MOST_BLOCKS = 4096  # side by side; beyond that a thread takes several elements
STRIP = 8  # columns that a block sums, as kernels.cu has it


class Launch(NamedTuple):
    """Blocks, threads of a block, and the sizes that the kernel is told."""

    grid: tuple[int, ...]
    threads: int
    sizes: tuple[int, ...]


def elements(*shape: int) -> Launch:
    """A thread for each element, all in a row."""
    n = prod(shape)
    return Launch((min(-(-n // THREADS), MOST_BLOCKS),), THREADS, (n,))


def matrix(M: int, H: int) -> Launch:
    """A thread for each element: columns across the grid, rows down it."""
    threads = power_of_two(H, THREADS)
    return Launch((-(-H // threads), min(M, MOST_BLOCKS)), threads, (M, H))


def choices(heads: int, M: int, D: int) -> Launch:
    """As a matrix, the kernel being told how many heads an element has."""
    return matrix(M, D)._replace(sizes=(M, D, heads // D))


def every(*shape: int) -> Launch:
    """A thread for each element, the kernel being told the whole shape."""
    return elements(*shape)._replace(sizes=shape)


def rows(L: int, M: int, D: int) -> Launch:
    """A block for each of L · M rows."""
    return Launch((L * M,), power_of_two(D, THREADS), (L, M, D))


def datapoints(L: int, M: int, J: int) -> Launch:
    """A block for each of M datapoints, which takes all its samples."""
    return Launch((M,), power_of_two(J, THREADS), (L, M, J))


def features(L: int, M: int, _: int, D: int) -> Launch:
    """A block for each of L · M rows, a thread for each of D features and all its heads."""
    return Launch((L * M,), power_of_two(D, THREADS), (M, D))


def chosen(L: int, M: int, heads: int, _: int, D: int) -> Launch:
    """As features, the kernel being told how many heads one has."""
    return features(L, M, M, D)._replace(sizes=(M, D, heads // D))


def columns(*shape: int, heads: int = 1) -> Launch:
    """A block for every few columns, of one head or of two side by side; four rows a thread."""
    quarter = power_of_two(-(-prod(shape[:-1]) // 4), MOST_THREADS // STRIP)
    return Launch((-(-heads * shape[-1] // STRIP),), STRIP * quarter, shape)


def one_block(*shape: int) -> Launch:
    """One block for everything."""
    return Launch((1,), power_of_two(prod(shape), MOST_THREADS), shape)


def a_block_a_part(parts: int, P: int) -> Launch:
    """So many blocks, whatever there is to sum."""
    return Launch((parts,), THREADS, (P,))


def power_of_two(n: int, most: int) -> int:
    """The smallest power of two that is not below ``n``, or ``most``: a tree of sums halves it."""
    return min(1 << max(n - 1, 0).bit_length(), most)


# op → the arguments whose shapes its kernel is told, and the layout. This is all that is fused.
KERNELS: dict[str, tuple[str, Callable[..., Launch]]] = {
    "gather": ("x", matrix),
    "binarize": ("x", elements),
    "bernoulli_draw": ("x", elements),
    **dict.fromkeys(ACTIVATIONS, ("h", matrix)),
    **{name + "_backward": ("h", columns) for name in ACTIVATIONS},
    "normal_kl": ("eps", datapoints),
    "posterior_noise": ("eps", every),
    "normal_draw": ("x", matrix),
    "laplace_draw": ("x", matrix),
    "poisson_draw": ("x", matrix),
    "categorical_draw": ("bias x", choices),
    "continuous_bernoulli_draw": ("x", matrix),
    "discretized_logistic_draw": ("x", matrix),
    "draw_normal_kl": ("eps", datapoints),
    "normal_kl_backward": ("eps", partial(columns, heads=2)),
    "normal_log_ratio": ("eps", datapoints),
    "draw_normal_log_ratio": ("eps", datapoints),
    "free_bits": ("sigma", one_block),
    "free_bits_backward": ("eps", partial(columns, heads=2)),
    "weigh": ("kl", elements),
    "normal_log_ratio_backward": ("eps", partial(columns, heads=2)),
    "bernoulli_nll": ("y", rows),
    "bernoulli_nll_backward": ("y", columns),
    "normal_nll": ("residual", rows),
    "normal_nll_backward": ("residual", partial(columns, heads=2)),
    "fixed_normal_nll": ("nll x", features),
    "laplace_nll": ("nll x", features),
    "poisson_nll": ("nll x", features),
    "categorical_nll": ("slope x", chosen),
    "continuous_bernoulli_nll": ("nll x", features),
    "discretized_logistic_nll": ("nll x", features),
    "nll_backward": ("slope", columns),
    "l2": ("weights", one_block),
    "l2_backward": ("weights", elements),
    "parameter_sample": ("theta", elements),
    "parameter_sample_backward": ("d_logvar", elements),
    "parameter_kl": ("mu", one_block),
    "parameter_kl_backward": ("mu", elements),
    "squares": ("parts grad", a_block_a_part),
    "clip_factor": ("parts factor", one_block),
    "scale": ("grad", elements),
    "flush": ("moment", elements),
    "sgd": ("theta", elements),
    "momentum": ("theta", elements),
    "nesterov": ("theta", elements),
    "adagrad": ("theta", elements),
    "rmsprop": ("theta", elements),
    "adam": ("theta", elements),
    "clock": ("rows current", one_block),
    "tally": ("nll kl", one_block),
}

SPARE = ("scratch", "mask", "taken")  # working space that no kernel needs
STORED = ("uint8", "float32", "float64")  # data that gather reads; it comes as it is stored
EITHER = ("rate", "epsilon", "threshold", "weight")  # a number, or an array on the device
ARRAYS = {  # whose dtype is not the model's
    "data": STORED,
    **dict.fromkeys(("rows", "order", "step", "now", "first"), ("int64",)),
    **dict.fromkeys(("parts", "rates", "sums"), ("float64",)),
}
NUMBERS = {
    **dict.fromkeys(("seed", "stream"), "uint64"),
    **dict.fromkeys(("batch_size", "start", "levels"), "int64"),
    "sigmoid_mean": "bool_",
}


def source() -> str:
    """``kernels.cu`` in ASCII: CuPy writes it to a file in whatever encoding the locale has.

    Only comments have other letters.
    """
    return SOURCE.read_text(encoding="ascii", errors="ignore")


def options(dtype: str) -> tuple[str, ...]:
    """How ``kernels.cu`` is compiled for a model of this dtype."""
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

    def launcher(op: str, name: str, *results: str) -> Callable[..., None]:
        """``op`` by the kernel called ``name``; ``results`` follow the op's own arguments."""
        signature = inspect.signature(getattr(ops, op)).parameters.values()
        arguments = [p.name for p in signature if p.kind is p.POSITIONAL_OR_KEYWORD]
        shapes, layout = KERNELS[op]

        def run(*values: Any) -> None:
            given = dict(zip((*arguments, *results), values, strict=True))
            told = [given[word] for word in shapes.split()]
            dtype = "float32" if told[-1].dtype == xp.float32 else "float64"
            grid, threads, sizes = layout(*(n for array in told for n in array.shape))
            parameters = [p for item in given.items() for p in passed(xp, *item, dtype)]
            if 0 not in grid:  # or there is nothing to write
                kernel(name, dtype)(grid, (threads,), (*parameters, *map(xp.int64, sizes)))

        return run

    stored = {dtype: launcher("gather", "gather_" + dtype) for dtype in STORED}

    def gather(data: Array, *rest: Any) -> None:
        stored.get(name_of(data.dtype), ops.gather)(data, *rest)

    def summing(op: str) -> Callable[..., Array]:
        """``op``, which returns a number: its kernel writes one."""
        launch = launcher(op, op, "total")

        def run(vector: Array, *rest: Any) -> Array:
            total = xp.empty((), vector.dtype)
            launch(vector, *rest, total)
            return total

        return run

    fused = {op: launcher(op, op) for op in KERNELS}
    sums = {op: summing(op) for op in ("l2", "parameter_kl")}
    return replace(ops, **fused | {"gather": gather} | sums)


@cache
def name_of(dtype: Any) -> str:
    """``dtype.name``, which NumPy makes anew each time, in microseconds."""
    return dtype.name


def passed(xp: Any, name: str, value: Any, dtype: str) -> tuple[Any, ...]:
    """What a kernel is passed for the argument ``name`` of its op."""
    if name in SPARE:
        return ()
    if isinstance(value, xp.ndarray):
        known = ARRAYS.get(name, (dtype,))
        if name_of(value.dtype) not in known or not value.flags.c_contiguous:
            order = "" if value.flags.c_contiguous else ", not contiguous"
            wanted = " or ".join(known)
            raise TypeError(f"{name} is {value.dtype}{order}; pass C-contiguous {wanted}")
        return (xp.float64(0), value) if name in EITHER else (value,)
    number = getattr(xp, NUMBERS.get(name, "float64"))(value)
    if number.ndim:  # an array, but not of the device
        raise TypeError(f"{name} is a {type(value).__name__}; pass an array of {xp.__name__}")
    return (number, xp.uintp(0)) if name in EITHER else (number,)  # 0: not on the device
