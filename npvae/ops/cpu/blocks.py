"""Passes over long vectors in blocks that stay in the cache, on several threads.

A parameter update is ten or so passes over vectors of all P parameters. Taken one after the
other, each pass fetches its vectors from memory anew; block by block, a parameter's numbers are
fetched once and all passes find them in the second-level cache. The working space is the same for
every block and never leaves it. Long vectors are split among threads, each with its own run of
blocks. Each parameter is updated by itself, so the bits do not depend on where the vectors are cut.
"""
from collections.abc import Callable
from typing import Any

from npvae.ops.cpu.threads import parallel_for, split_ranges
from npvae.ops.declare import Op

BLOCK = 2**16  # elements: five float32 vectors of these are 1.3 MB


def cache_blocked(run: Callable[..., Any], op: Op, size: int) -> Callable[..., None]:
    """``run``, the op that ``op`` declares, on consecutive blocks of its vectors (P,).

    Its scalars go to every block.
    """
    scratch = op.arguments.index(op.scratch[0])

    def blocked(*arguments: Any) -> None:
        vectors = [i for i, a in enumerate(arguments) if getattr(a, "ndim", 0) and i != scratch]

        def each_block(first: int, last: int) -> None:
            block = list(arguments)
            for start in range(first, last, size):
                stop = min(start + size, last)
                for i in vectors:
                    block[i] = arguments[i][start:stop]
                block[scratch] = arguments[scratch][first : first + stop - start]
                run(*block)

        ranges = split_ranges(len(arguments[0]), 2 * size)
        parallel_for(each_block, [[one] for one in ranges])

    return blocked
