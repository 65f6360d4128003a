"""``npvae doctor``: what this machine offers npvae, and what to do about what it lacks."""
import os
import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from npvae import __version__, data, install
from npvae.backend import get_backend, why_no_gpu

EXTRAS = {
    "matplotlib": "plot", "scipy": "science", "tqdm": "progress", "pooch": "download",
    "threadpoolctl": "blas",
}  # fmt: skip


def report() -> Iterator[str]:
    """The lines that ``npvae doctor`` prints."""
    yield f"npvae {__version__}, Python {sys.version.split()[0]}, {platform.platform()}"
    yield f"  numpy {version('numpy')}"
    for package, extra in EXTRAS.items():
        try:
            yield f"  {package} {version(package)}"
        except PackageNotFoundError:
            yield f"  {package}: not installed  →  {install.command(extra)}"
    yield "matrix products"
    yield from _blas()
    yield "GPU"
    yield from _gpu()
    yield "data"
    for name, found, where in data.available():
        yield f"  {name}: {where if found else 'not here  →  ' + where}"


def _blas() -> Iterator[str]:
    """BLAS, its threads, and which of its kernels it has taken."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        yield f"  which BLAS and kernels: unknown  →  {install.command('blas')}"
        return
    for blas in (lib for lib in threadpool_info() if lib["user_api"] == "blas"):
        kernel_set = blas.get("architecture", "unknown")
        yield (
            f"  {blas['internal_api']} {blas['version']}, {blas['num_threads']} threads "
            f"of {os.cpu_count()} processors, {kernel_set} kernels"
        )


def _gpu() -> Iterator[str]:
    reason = why_no_gpu()
    if reason:
        yield f"  none usable: {reason}"
        return
    cupy = get_backend("cupy").xp
    for number in range(cupy.cuda.runtime.getDeviceCount()):
        name = cupy.cuda.runtime.getDeviceProperties(number)["name"].decode()
        free, total = cupy.cuda.Device(number).mem_info
        memory = f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
        yield f"  {name}: {memory}, CuPy {cupy.__version__}"
