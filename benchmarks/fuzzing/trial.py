"""One mutant: made from its number alone, read, and judged."""
import ctypes
import sys
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import process_time
from typing import Any

from fuzzing import damage
from fuzzing.targets import Target
from npvae.errors import NpvaeError

SECONDS, ROOM, RATIO = 1.0, 64e6, 6  # that a mutant may take; bytes, and so many times its own


FAULTS = ("wrong", "foreign", "slow", "greedy")


@dataclass(frozen=True)
class Verdict:
    """What came of a mutant.

    Attributes
    ----------
    outcome : str
        ``refused``, ``same`` or ``legal``; or a fault, one of ``FAULTS``.
    what : str
        The error, or why it is a fault.
    seconds, memory : float
        Processor time; bytes that resident memory rose by, 0 where Linux does not say.
    """

    target: str
    mutation: str
    outcome: str
    what: str
    seconds: float
    memory: float


def mutant(target: Target, seed: int, number: int) -> tuple[str, bytes]:
    """What was done, and the bytes: a function of the target, the seed and the number."""
    rng = Random(f"{target.name} {seed} {number}")
    mutate = rng.choice((*damage.ALL, *target.forgeries * 4))
    content = mutate(rng, target.content)
    if mutate in damage.ALL and rng.random() < 0.2:  # twice
        content = rng.choice(damage.ALL)(rng, content or b"x")
    return mutate.__name__, content


def trial(target: Target, folder: Path, seed: int, number: int) -> Verdict:
    """Read the mutant of that number."""
    mutation, content = mutant(target, seed, number)
    path = folder / target.file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    outcome, what, result = "", "", None
    before = peak(reset=True)
    began = process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = target.read(path)
        except NpvaeError as error:
            outcome, what = "refused", str(error)
            if "\n" in what:
                outcome = "wrong"
        except BaseException as error:
            outcome, what = "foreign", f"{type(error).__name__}: {error}"[:300]
            if isinstance(error, KeyboardInterrupt):
                raise
    seconds, memory = process_time() - began, max(peak() - before, 0)
    if not outcome:
        outcome, what = judge(target, path, content, result)
    path.write_bytes(target.content)  # others read it too
    if seconds > SECONDS and outcome not in FAULTS:
        outcome, what = "slow", f"{seconds:.2f} s; {what}"
    if memory > ROOM + RATIO * len(content) and outcome not in FAULTS:
        outcome, what = "greedy", f"{memory / 1e6:.0f} MB for {len(content):,} bytes; {what}"
    return Verdict(target.name, mutation, outcome, what[:300], seconds, memory)


def judge(target: Target, path: Path, content: bytes, result: Any) -> tuple[str, str]:
    """Whether what was read is right."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            why = target.wrong(path, result)
        except Exception as error:
            why = f"another reader fails: {type(error).__name__}: {error}"
    if why:
        return "wrong", why
    return ("same" if content == target.content else "legal"), ""


def peak(reset: bool = False) -> float:
    """The largest resident memory, in bytes, since it was last reset; 0 where not Linux."""
    if sys.platform != "linux":
        return 0.0
    if reset:
        with suppress(AttributeError):  # not every C library has it
            ctypes.CDLL(None).malloc_trim(0)  # else freed memory hides what is taken anew
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024.0
