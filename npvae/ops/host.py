"""What NumPy needs to be told to be fast on a processor. The formulas stay where they are.

Rows are gathered with ``mode="clip"``, without which ``take`` fills a copy and copies that;
the loop's rows are always in range.

Parameter updates go in blocks that stay in the cache. An update is ten or so passes over
vectors of all P parameters. Taken one after the other, each pass fetches its vectors from
memory anew; block by block, a parameter's numbers are fetched once and all passes find them in
the second-level cache. The working space is the same for every block and never leaves it. Each
parameter is updated by itself, so the bits do not depend on where the vectors are cut.
"""
import inspect
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from npvae.ops import Ops

BLOCK = 2**16  # parameters: five float32 vectors of these are 1.3 MB
UPDATES = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "flush")


def on_host(ops: Ops, size: int = BLOCK) -> Ops:
    """``ops`` as a processor likes them: updates go ``size`` parameters at a time."""
    updates = {name: in_blocks(getattr(ops, name), size) for name in UPDATES}
    return replace(ops, gather=partial(ops.gather, mode="clip"), **updates)


def in_blocks(op: Callable[..., Any], size: int) -> Callable[..., None]:
    """``op`` on consecutive blocks of its vectors (P,); its scalars go to every block."""
    names = tuple(inspect.signature(op).parameters)
    scratch = names.index("scratch")

    def run(*arguments: Any) -> None:
        vectors = [i for i, a in enumerate(arguments) if getattr(a, "ndim", 0) and i != scratch]
        block = list(arguments)
        for start in range(0, len(arguments[0]), size):
            for i in vectors:
                block[i] = arguments[i][start : start + size]
            block[scratch] = arguments[scratch][: len(block[0])]
            op(*block)

    return run
