"""Processes that do the measuring, one a library and precision, so that none spoils another.

A worker is asked to call a function of a module, one call at a time, and answers with the result
or with one line on why there is none. Any failure ends the process, and the next question starts
another: CUDA's errors are sticky, so that after one illegal address every later call of the same
process fails, whatever it is. A library that is missing or hangs costs its own numbers alone.
"""
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import Any
from unittest.mock import patch

stand_in = ExitStack()  # for CuPy, in rehearsal; open as long as the process lives


class Failed(Exception):
    """What was asked for could not be had; one line on why."""


class Deadline:
    """So many seconds from now, or when the one that it lies within is over."""

    def __init__(self, seconds: float, within: "Deadline | None" = None):
        self.at = perf_counter() + seconds
        if within is not None:
            self.at = min(self.at, within.at)

    def left(self, most: float = float("inf")) -> float:
        """Seconds until then, no more than ``most`` and no fewer than none."""
        return min(most, max(self.at - perf_counter(), 0.0))


@dataclass(frozen=True)
class Place:
    """Where a side runs.

    Attributes
    ----------
    package : str
        What the process loads: its name begins with ``"npvae"``, ``"jax"`` or ``"torch"``.
    precision : str
        ``"float32"``, or ``"tf32"``: products that round their factors to ten bits of fraction.
    rehearse : bool
        Without a GPU: npvae on the stand-in for CuPy, the others on the CPU.
    """

    package: str
    precision: str
    rehearse: bool

    @property
    def tf32(self) -> bool:
        return self.precision == "tf32"

    @property
    def device(self) -> str:
        return "cpu" if self.rehearse else "cuda"


class Worker:
    """A process in its place; started when first asked, and anew after every failure."""

    def __init__(self, place: Place):
        self.place = place
        self.process: Any = None

    def ask(self, seconds: float, task: Callable[..., Any], *args: Any) -> Any:
        """``task(place, *args)``, done there, the start of the process included.

        Raises
        ------
        Failed
            If it raised, or took longer, or the process died over it.
        """
        deadline = Deadline(seconds)
        if self.process is None:
            self.start(seconds)
        return self._call(deadline.left(), task, *args)

    def start(self, seconds: float) -> None:
        """Begin a process and load its library."""
        if not seconds:
            raise Failed("no time left")
        context = get_context("spawn")
        self.line, other = context.Pipe()
        self.process = context.Process(target=serve, args=(other, self.place), daemon=True)
        self.process.start()
        other.close()
        self._call(seconds, load_library)

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        if self.process is not None:
            self.process.kill()
            self.process.join(5)
            self.process = None

    def _call(self, seconds: float, task: Callable[..., Any], *args: Any) -> Any:
        if not seconds:
            raise Failed("no time left")
        try:
            self.line.send((task, args))
            if not self.line.poll(seconds):
                raise Failed(f"no answer within {seconds:.0f} s")
            done, result = self.line.recv()
            if not done:
                raise Failed(result)
            return result
        except Failed:
            self.stop()
            raise
        except (EOFError, OSError) as error:
            self.process.join(5)
            code = self.process.exitcode
            self.stop()
            raise Failed(f"its process died with exit code {code}") from error


def serve(line: Any, place: Place) -> None:
    """A worker's life: call what comes down the line."""
    while True:
        try:
            task, args = line.recv()
        except EOFError:
            return
        try:
            answer = (True, task(place, *args))
        except Exception as error:
            answer = (False, in_one_line(error))
        line.send(answer)


def in_one_line(error: BaseException) -> str:
    """The kind of an error, and the first line that says something."""
    if isinstance(error, Failed):
        return str(error)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no reason given'}"[:300]


def load_library(place: Place) -> None:
    """Load the library, on its device, its precision pinned."""
    if place.package.startswith("npvae"):
        if place.rehearse:
            install_stand_in()
    elif place.package == "jax":
        os.environ["JAX_PLATFORMS"] = place.device
        os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # others need memory, too
        import jax

        # its default is TF32 wherever there is TF32
        jax.config.update("jax_default_matmul_precision", "default" if place.tf32 else "highest")
        jax.devices()
    else:
        os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # a process each is enough
        import torch

        if place.device == "cuda" and not torch.cuda.is_available():
            raise Failed(f"PyTorch {torch.__version__} finds no GPU")
        torch.set_float32_matmul_precision("high" if place.tf32 else "highest")


def install_stand_in() -> None:
    """The strict CuPy of the tests, and its cuBLAS, from now on."""
    sys.path[:0] = [str(Path(__file__).parents[2] / "tests" / "helpers")]
    import strict_cupy
    from strict_cupy.cublas import Cublas

    stand_in.enter_context(strict_cupy.installed())
    stand_in.enter_context(patch("npvae.ops.gpu.cublas.library", lambda xp: Cublas()))
