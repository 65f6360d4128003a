"""What the build of the compiled twins and its users agree on. setup.py runs this file by itself.

A module has the checksum of the sources that it was compiled from. Where these have changed since,
it computes formulas that stand nowhere any more, so it is not used.
"""
import os
import zlib

FOLDERS = ("", "cpu", "likelihoods")  # of npvae/ops
ENDS = (".cu", ".cuh", ".h", ".cpp")


def sources(ops: str) -> list[str]:
    """The files that a twin is compiled from, in the folder ``ops``; empty where none are kept."""
    folders = [os.path.join(ops, name) for name in FOLDERS]
    return [
        os.path.join(folder, name) for folder in folders if os.path.isdir(folder)
        for name in sorted(os.listdir(folder)) if name.endswith(ENDS)
    ]  # fmt: skip


def checksum(ops: str) -> int:
    """CRC-32 of the names and contents of :func:`sources`."""
    total = 0
    for path in sources(ops):
        with open(path, "rb") as file:
            total = zlib.crc32(file.read(), zlib.crc32(os.path.basename(path).encode(), total))
    return total


def is_set(variable: str) -> bool:
    """Whether an environment variable is 1; it may be 0, empty or not there.

    Raises
    ------
    ValueError
        If it is anything else: ``false`` may be meant either way.
    """
    value = os.environ.get(variable, "")
    if value not in ("", "0", "1"):
        raise ValueError(f"{variable} is {value!r}; set it to 1 or 0")
    return value == "1"
