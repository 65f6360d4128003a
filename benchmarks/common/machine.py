"""The machine that a number was measured on."""
import os
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy  # noqa: F401  its BLAS must be loaded to be described


def describe(packages: tuple[str, ...]) -> dict[str, Any]:
    """Processor, BLAS, and versions of those packages that are installed."""
    versions = {"python": platform.python_version()}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "threads": threads(),
        "blas": blas() or "unknown: pip install 'npvae[blas]'",
        "system": platform.platform(),
        "versions": versions,
    }


@cache
def blas() -> dict[str, Any]:
    """What threadpoolctl knows of NumPy's BLAS; nothing without it.

    Asked once, before other libraries bring a BLAS of their own into the process.
    """
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return {}
    libraries = [lib for lib in threadpool_info() if lib["user_api"] == "blas"]
    library = libraries[0] if libraries else {}
    wanted = ("internal_api", "version", "architecture", "num_threads")
    return {key: library[key] for key in wanted if key in library}


def threads() -> int:
    """Threads of NumPy's BLAS: what every other side is given, too."""
    return blas().get("num_threads") or os.cpu_count() or 1


def cpu_model() -> str:
    """The processor's name."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or "unknown"
    return text.partition("model name\t: ")[2].partition("\n")[0] or platform.processor()
