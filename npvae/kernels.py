"""How OpenBLAS should run, decided before NumPy loads: which kernels, and how it waits.

OpenBLAS chooses its kernels by the processor's model and falls back to AVX2 on AMD processors
that are newer than it knows, though they have AVX-512: half the speed of a large product. The
environment variable ``OPENBLAS_CORETYPE`` overrules it, but only if set before NumPy loads, and
a set that the processor lacks would crash. So it is set for AMD processors that list every
feature it needs, and never over a choice of the user's.

Its worker threads spin for some 30 ms after each product before they sleep, at the expense of
whatever else wants the core: beside one other busy process on two cores a training step took
18 to 21 ms, and 16 ms where they spin for 2¹⁶ cycles alone. Fewer cycles gain no more there, and
on an idle machine the threads would have to be woken for each product of a small model, which
makes its products half as slow again. So 16 is set, unless the user has set it.

The command line and the benchmarks call :func:`choose`; a library does not change its user's
environment, and ``npvae doctor`` prints what to export instead.
"""
import os
import sys
from collections.abc import Mapping, MutableMapping
from pathlib import Path

chosen_here = False  # whether this process set the variable
VARIABLE, AVX512_KERNELS = "OPENBLAS_CORETYPE", "SkylakeX"
WAIT = {"OPENBLAS_THREAD_TIMEOUT": "16"}
NEEDED = {"avx512f", "avx512dq", "avx512bw", "avx512vl", "avx512cd"}


def processor(cpuinfo: str | None = None) -> tuple[str, set[str]]:
    """Vendor and feature flags of the first processor, as Linux lists them; empty elsewhere.

    Examples
    --------
    >>> processor("vendor_id : AuthenticAMD\\nflags : fpu avx2\\n")[0]
    'AuthenticAMD'
    """
    if cpuinfo is None:
        try:
            cpuinfo = Path("/proc/cpuinfo").read_text()
        except OSError:
            return "", set()
    lines = [line.partition(":") for line in cpuinfo.partition("\n\n")[0].splitlines()]
    fields = {key.strip(): value.strip() for key, _, value in lines}
    return fields.get("vendor_id", ""), set(fields.get("flags", "").split())


def advice(environ: Mapping[str, str], cpuinfo: str | None = None) -> tuple[str, str]:
    """The kernel set to ask for, or an empty string; and why."""
    vendor, flags = processor(cpuinfo)
    if environ.get(VARIABLE):
        return "", f"{VARIABLE}={environ[VARIABLE]} is set, and is left alone"
    if vendor != "AuthenticAMD":
        return "", "OpenBLAS knows this processor best"
    if missing := NEEDED - flags:
        return "", f"this processor lacks {', '.join(sorted(missing))}"
    return AVX512_KERNELS, "an AMD processor with AVX-512, which OpenBLAS may leave unused"


def choose(environ: MutableMapping[str, str] = os.environ, cpuinfo: str | None = None) -> None:
    """Set the variables that help, if NumPy has not loaded yet."""
    global chosen_here
    if "numpy" in sys.modules:
        return
    for name, value in WAIT.items():
        environ.setdefault(name, value)
    kernels, _ = advice(environ, cpuinfo)
    if kernels:
        environ[VARIABLE] = kernels
        chosen_here = True
