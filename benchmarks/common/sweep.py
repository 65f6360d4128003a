"""One size of model P varied, all others kept; and the picture of cost against work."""
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from peers import SIDES

from common.workload import Workload

PEERS = ("npvae", "products", "torch", "jax-scan")
SWEEPS = {
    "batch": (1, 4, 16, 64, 256, 1024, 8192),
    "width": (64, 128, 256, 512, 1024, 2048, 4096),
    "depth": (0, 1, 2, 3, 4, 6, 8),
    "latent": (2, 8, 32, 128, 512),
}
AXES = {"batch": "datapoints a minibatch, M", "width": "hidden units",
        "depth": "hidden layers of 500", "latent": "latent variables, J"}  # fmt: skip


def workloads(name: str, base: Workload) -> Iterator[tuple[int, Workload]]:
    """Every size, and the workload that has it."""
    for value in SWEEPS[name]:
        changes: dict[str, dict[str, Any]] = {
            "batch": {"M": value}, "width": {"hidden": (value,)},
            "depth": {"hidden": base.hidden * value}, "latent": {"J": value},
        }  # fmt: skip
        yield value, replace(base, **changes[name])


def plot(name: str, results: list[dict[str, Any]], path: Path) -> Path:
    """Milliseconds against floating-point operations, and multiples of the products' time."""
    from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

    from npvae.plotting import style as look

    fig = look.new_figure(9, 3.6, layout="constrained")
    cost = look.chart(fig, 121, title="Cost of a training step against its work",
                      x="floating-point operations of its matrix products", y="ms")  # fmt: skip
    share = look.chart(fig, 122, title="The same, relative to the products alone",
                       x=AXES[name], y="× the matrix products")  # fmt: skip
    work, values = [r["flops"] for r in results], [r["value"] for r in results]
    for side, colour in zip(results[0]["sides"], look.COLOURS, strict=False):
        style: Any = {"color": colour, "label": SIDES[side][1], "marker": "o", "markersize": 3}
        cost.plot(work, [r["sides"][side]["median_ms"] for r in results], **style)
        sides = [r["sides"] for r in results]
        share.plot(values, [s[side]["ratio"] / s["products"]["ratio"] for s in sides], **style)
    cost.loglog()
    for axis, form in ((cost.xaxis, EngFormatter()), (cost.yaxis, "{x:g}")):
        # a sweep may stay within one decade
        decades = np.ptp(np.log10(axis.get_view_interval()))
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 2 else (1,)))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(form)
    share.set_yscale("log", base=2)
    share.yaxis.set_minor_locator(NullLocator())
    if 0 not in values:
        share.set_xscale("log", base=2)
    share.set_xticks(values)
    for axis in (share.xaxis, share.yaxis):
        axis.set_major_formatter("{x:g}")
    cost.legend(frameon=False, fontsize=8)
    return look.save(fig, path)
