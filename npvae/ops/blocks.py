"""Parameter updates in blocks that stay in a processor's cache.

An update is ten or so passes over vectors of all P parameters. Taken one after the other each
pass fetches every vector from memory anew; block by block, a parameter's numbers are fetched
once and all passes find them in the second-level cache. The working space is the same for
every block, so it never leaves the cache at all. Each parameter is updated by itself, so the
bits do not depend on where the vectors are cut.
"""
import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from npvae.ops import Ops

BLOCK = 2**16  # parameters: five float32 vectors of these are 1.3 MB
UPDATES = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "flush")


def blocked(ops: Ops, size: int = BLOCK) -> Ops:
    """``ops`` with its parameter updates taken ``size`` parameters at a time."""
    return replace(ops, **{name: in_blocks(getattr(ops, name), size) for name in UPDATES})


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
