"""CuPy's ``RawModule`` where there is no GPU: the same source, compiled by g++, run on the CPU.

NumPy arrays stand for device arrays. What CuPy would pass on unseen, and a kernel misread, is a
TypeError here: the C signature of each kernel is read from the preprocessed source, and every
argument has to match it in number, dtype, contiguity and constness.
"""
import ctypes
import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

COMPILER = shutil.which("g++")
HEADER = Path(__file__).with_name("cuda_shim.h")
FLAGS = ("-O2", "-fPIC", "-shared", "-ffp-contract=off", "-Wall", "-U_FORTIFY_SOURCE")
DTYPES = {
    "float": "float32", "double": "float64", "bool": "bool", "unsigned char": "uint8",
    "int": "int32", "long long": "int64", "unsigned long long": "uint64",
}  # fmt: skip
FAULTS = {
    1: "some threads of a block ended while others waited at __syncthreads()",
    2: "a __syncthreads() that the first block did not meet",
}


class Parameter(NamedTuple):
    """One parameter of a kernel, as its C declaration has it."""

    name: str
    dtype: str
    pointer: bool
    const: bool

    def storage(self, value: Any) -> Any:
        """``value`` as the bytes that the kernel receives; TypeError if it would misread them."""
        if self.pointer and isinstance(value, np.ndarray):
            if value.dtype != self.dtype:
                raise TypeError(f"{self.name} points to {self.dtype}, not {value.dtype}")
            if not value.flags.c_contiguous:
                raise TypeError(f"{self.name} is not C-contiguous")
            if not (self.const or value.flags.writeable):
                raise TypeError(f"{self.name} is written, and read-only")
            return np.array(value.__array_interface__["data"][0], np.uintp)
        value = as_cupy_passes(value)
        if self.pointer and value.dtype == np.uintp and value == 0:
            return value
        if self.pointer or value.dtype != self.dtype:
            kind = "a pointer to " * self.pointer + self.dtype
            raise TypeError(f"{self.name} is {kind}, not {value.dtype} {value}")
        return value


class Signature(NamedTuple):
    """The most threads of a block of a kernel, and its parameters."""

    most_threads: int
    parameters: list[Parameter]


def as_cupy_passes(value: Any) -> Any:
    """A number as CuPy hands it to a kernel: int is long long, float is double.   0-d array"""
    if isinstance(value, np.generic):
        return np.array(value)
    for kind, dtype in ((bool, np.bool_), (int, np.int64), (float, np.float64)):
        if isinstance(value, kind):
            return np.array(value, dtype)
    raise TypeError(f"CuPy cannot pass {type(value).__name__} to a kernel")


class RawModule:
    """``cupy.RawModule``, compiled once a machine for each source and options.

    Examples
    --------
    >>> module = RawModule(code='''
    ... extern "C" __global__ void twice(const float* x, float* y, long long n) {
    ...     long long i = blockIdx.x * blockDim.x + threadIdx.x;
    ...     if (i < n) y[i] = 2 * x[i];
    ... }''')
    >>> x, y = np.ones(3, np.float32), np.empty(3, np.float32)
    >>> if COMPILER: module.get_function("twice")((1,), (32,), (x, y, np.int64(3)))
    >>> if COMPILER: assert (y == 2).all()
    """

    def __init__(self, *, code: str, options: tuple[str, ...] = ()):
        self.code, self.options = code, options

    @cached_property
    def signatures(self) -> dict[str, Signature]:
        """What every kernel takes, by its name."""
        text = compiled(self.code, "-E", "-P", *self.options).decode()
        types = {alias: known for known, alias in re.findall(r"typedef ([\w ]+) (\w+);", text)}
        constants = dict(re.findall(r"constexpr int (\w+) = (\d+);", text))
        bounds = r"(?:__launch_bounds__\((\w+)[^)]*\)\s*)?"
        kernel = rf"__global__\s+void\s+{bounds}(\w+)\s*\(([^)]*)\)"
        return {
            name: Signature(
                int(constants.get(most, most or 1024)),
                [declared(parameter, types) for parameter in parameters.split(",")],
            )
            for most, name, parameters in re.findall(kernel, text)
        }

    @cached_property
    def library(self) -> ctypes.PyDLL:
        """The compiled source. PyDLL keeps Python's lock: a launch is no place for two threads."""
        entries = "".join(f"SHIM_ENTRY({name})\n" for name in self.signatures)
        text = f'{HEADER.read_text()}\n#line 1 "kernels.cu"\n{self.code}\n{entries}'
        key = "\0".join((text, *self.options, *FLAGS, platform.platform()))
        folder = Path(tempfile.gettempdir()) / f"npvae-shim-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / (hashlib.sha256(key.encode()).hexdigest()[:24] + ".so")
        if not path.exists():
            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                out = Path(scratch) / path.name
                compiled(text, *self.options, *FLAGS, "-o", str(out))
                out.replace(path)  # at once: another process may be doing the same
        return ctypes.PyDLL(str(path))

    def get_function(self, name: str) -> Callable[..., None]:
        """The kernel: ``kernel(grid, block, arguments)``."""
        most_threads, parameters = self.signatures[name]
        entry = self.library["shim_" + name]

        def kernel(grid: tuple[int, ...], block: tuple[int, ...], arguments: Any) -> None:
            if len(arguments) != len(parameters):
                raise TypeError(f"{name} takes {len(parameters)} arguments, not {len(arguments)}")
            if len(block) != 1 or not 1 <= block[0] <= most_threads or min(grid) < 1:
                raise ValueError(f"{name}: no GPU runs blocks {block} of {most_threads}, {grid}")
            kept = [p.storage(a) for p, a in zip(parameters, arguments, strict=True)]
            pointers = [k.__array_interface__["data"][0] for k in kept]
            fault = entry(
                (ctypes.c_uint * 3)(*(*grid, 1, 1)[:3]),
                ctypes.c_uint(block[0]),
                (ctypes.c_void_p * len(pointers))(*pointers),
            )
            if fault:
                raise RuntimeError(f"{name}: {FAULTS[fault]}")

        return kernel

    def reverse(self, reverse: bool) -> None:
        """Whether blocks, and threads between two barriers, run last to first."""
        self.library["shim_reverse"](int(reverse))


def compiled(text: str, *options: str) -> bytes:
    """What g++ makes of a source."""
    assert COMPILER
    command = [COMPILER, *options, "-x", "c++", "-"]
    done = subprocess.run(command, input=text.encode(), capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.decode())
    return done.stdout


def declared(text: str, types: dict[str, str]) -> Parameter:
    """What ``const float* __restrict__ x`` says."""
    *words, name = text.replace("__restrict__", " ").replace("*", " * ").split()
    const, pointer = "const" in words, "*" in words
    c_type = " ".join(word for word in words if word not in ("const", "*"))
    return Parameter(name, DTYPES[types.get(c_type, c_type)], pointer, const)
