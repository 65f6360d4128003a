"""``npvae doctor``: what this machine offers npvae, and what to do about what it lacks."""
import os
import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from npvae import __version__, data, install
from npvae.backend import get_backend, why_no_gpu
from npvae.errors import ParameterError
from npvae.ops.cpu import blas, twins
from npvae.ops.cpu.threads import count

EXTRAS = {
    "matplotlib": "plot", "scipy": "science", "tqdm": "progress", "pooch": "download",
    "threadpoolctl": "blas", "pillow": "images", "pyarrow": "tables", "h5py": "hdf5",
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
    yield "matrix products, and what lies between them"
    yield f"  {_twins()}"
    yield "BLAS, for products that are not compiled"
    yield from _blas()
    yield from _threads()
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
    for library in (lib for lib in threadpool_info() if lib["user_api"] == "blas"):
        kernel_set = library.get("architecture", "unknown")
        yield (
            f"  {library['internal_api']} {library['version']}, {library['num_threads']} threads "
            f"of {os.cpu_count()} processors, {kernel_set} kernels"
        )


def _threads() -> Iterator[str]:
    """How many of BLAS's threads a training uses, and who says so."""
    if setting := blas.user_setting():
        yield f"  training takes the threads that you have set, {setting}"
    elif not blas.libraries():
        yield f"  training takes as many threads as BLAS does  →  {install.command('blas')}"
    elif count() > 1:
        yield (
            f"  training takes 1 thread where all products have fewer than {blas.SMALL:,} "
            f"multiply-adds, else {count()}; OPENBLAS_NUM_THREADS overrules it"
        )


def _twins() -> str:
    """Which compiled twins run on this processor."""
    try:
        _, level = twins.library()
    except ParameterError as error:
        return str(error)
    if not level:
        return f"NumPy; not compiled: {twins.why_none()}"
    return f"compiled for {level}, threads: {count()}; OPENBLAS_NUM_THREADS overrules it"


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
