"""What NumPy needs to be fast on a processor. The formulas stay where they are.

    blas        how many threads BLAS takes
    threads     several of them for long passes over vectors, at the times when BLAS is idle
    blocks      parameter updates a cacheful at a time
    products    a matrix product of few rows by way of its transpose
    twins       products and what lies between them compiled, where there was a compiler
    build       what setup.py and twins agree on: which sources make a build

Rows are gathered with ``mode="clip"``, without which ``take`` fills a copy and copies that; the
loop's rows are always in range.
"""
from dataclasses import replace
from functools import partial
from typing import Any

from npvae.ops import DECLARED, Ops
from npvae.ops.cpu.blocks import BLOCK, cache_blocked
from npvae.ops.cpu.products import gemm_transposed


def on_host(ops: Ops, size: int = BLOCK) -> Ops:
    """``ops`` as a processor likes them: passes over vectors go ``size`` elements at a time."""
    overrides: dict[str, Any] = {
        name: cache_blocked(getattr(ops, name), op, size)
        for name, op in DECLARED.items() if op.blockable
    }  # fmt: skip
    overrides["gemm"] = gemm_transposed(ops.gemm)
    overrides["gather"] = partial(ops.gather, mode="clip")
    return replace(ops, **overrides)
