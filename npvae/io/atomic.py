"""Atomic writes, and errors of the operating system as one line.

A program may be killed between any two instructions, so a file is never changed in place: the
new bytes go to a temporary neighbour, are forced to the disk, and take the name in one atomic
step. Whoever reads at any moment finds the old file or the new one, complete.
"""
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from npvae.errors import ModelFileError

StrPath = str | os.PathLike[str]


@contextmanager
def reading(path: StrPath) -> Iterator[BinaryIO]:
    """Open ``path`` to read its bytes; an ``OSError`` becomes a one-line ``ModelFileError``."""
    try:
        with open(path, "rb") as file:
            yield file
    except FileNotFoundError as error:
        raise ModelFileError(
            f"{path}: no such file; check the path, or write one with npvae train"
        ) from error
    except IsADirectoryError as error:
        raise ModelFileError(f"{path}: is a folder; name the file in it") from error
    except OSError as error:
        raise ModelFileError(
            f"{path}: cannot be read: {error.strerror or error}; check that you may read it"
        ) from error


@contextmanager
def writing(path: StrPath) -> Iterator[Path]:
    """The file behind ``path``, links followed; an ``OSError`` becomes a ``ModelFileError``."""
    target = Path(os.path.realpath(path))
    try:
        if target.exists() and not target.is_file():  # replacing a device would destroy it
            raise ModelFileError(
                f"{path}: is a folder or a device; name a file, e.g. {target / 'model.npz'}"
            )
        yield target
    except FileNotFoundError as error:
        raise ModelFileError(
            f"{path}: cannot be written: there is no folder {target.parent}; make it first"
        ) from error
    except OSError as error:
        raise ModelFileError(
            f"{path}: cannot be written: {error.strerror or error}; "
            "choose a folder that you may write to, on a disk with room"
        ) from error


@contextmanager
def atomic_write(path: StrPath) -> Iterator[BinaryIO]:
    """Write a file that appears, complete and on the disk, when the block ends.

    If the block fails, for whatever reason, ``path`` is as it was and nothing else is left.

    Raises
    ------
    ModelFileError
        If the folder is missing or refuses, the disk is full, or ``path`` is no regular file.
    """
    with writing(path) as target:
        temporary = target.with_name(f".{os.urandom(8).hex()}.tmp")  # os.replace needs one disk
        try:
            with temporary.open("xb") as file:  # a new file of the user's umask, unlike mkstemp's
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        finally:
            with suppress(OSError):  # replaced or never made: nothing is there to remove
                temporary.unlink()
        _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """Make the new name last through a power cut, where the system can sync a folder."""
    with suppress(OSError):  # Windows and some network disks cannot; the file itself is safe
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
