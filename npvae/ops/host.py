"""What NumPy needs to be told to be fast on a processor. The formulas stay where they are.

Rows are gathered with ``mode="clip"``, without which ``take`` fills a copy and copies that;
the loop's rows are always in range.

A layer's product x Wᵀ for few rows is computed as (W xᵀ)ᵀ, which OpenBLAS does in half the time.

Parameter updates go in blocks that stay in the cache. An update is ten or so passes over
vectors of all P parameters. Taken one after the other, each pass fetches its vectors from
memory anew; block by block, a parameter's numbers are fetched once and all passes find them in
the second-level cache. The working space is the same for every block and never leaves it. Long
vectors are shared out among threads, each with its own run of blocks. Each parameter is updated
by itself, so the bits do not depend on where the vectors are cut.
"""
import inspect
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from npvae.ops import Ops
from npvae.ops.hands import shares, side_by_side

FEW = 32  # rows: with more of them, turning the result round costs what it saves
BLOCK = 2**16  # parameters: five float32 vectors of these are 1.3 MB
UPDATES = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "flush")


def on_host(ops: Ops, size: int = BLOCK) -> Ops:
    """``ops`` as a processor likes them: updates go ``size`` parameters at a time."""
    updates = {name: in_blocks(getattr(ops, name), size) for name in UPDATES}
    gather = partial(ops.gather, mode="clip")
    return replace(ops, gemm=few_rows_turned(ops.gemm), gather=gather, **updates)


def few_rows_turned(gemm: Callable[..., Any]) -> Callable[..., Any]:
    """``gemm``, for a few rows times a transposed matrix by way of the transposed product."""

    def run(a: Any, b: Any, out: Any) -> Any:
        if 1 < len(a) <= FEW and b.flags.f_contiguous:
            out[...] = gemm(b.T, a.T, None).T  # b.T (n, k) is the weights as they lie
            return out
        return gemm(a, b, out)

    return run


def in_blocks(op: Callable[..., Any], size: int) -> Callable[..., None]:
    """``op`` on consecutive blocks of its vectors (P,), on several threads where they are long.

    Its scalars go to every block.
    """
    names = tuple(inspect.signature(op).parameters)
    scratch = names.index("scratch")

    def run(*arguments: Any) -> None:
        vectors = [i for i, a in enumerate(arguments) if getattr(a, "ndim", 0) and i != scratch]

        def share(first: int, last: int) -> None:
            block = list(arguments)
            for start in range(first, last, size):
                stop = min(start + size, last)
                for i in vectors:
                    block[i] = arguments[i][start:stop]
                block[scratch] = arguments[scratch][first : first + stop - start]
                op(*block)

        side_by_side(share, [[part] for part in shares(len(arguments[0]), 2 * size)])

    return run
