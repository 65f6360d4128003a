"""Atomic writes, and errors of the operating system as one line.

A program may be killed between any two instructions, so a file is never changed in place: the
new bytes go to a temporary neighbour, are forced to the disk, and take the name in one atomic
step. Whoever reads at any moment finds the old file or the new one, complete. The temporary file
is locked while it is written: one that is not was left by a process that was killed, and the next
process that writes into the folder removes it.
"""
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from npvae.errors import ModelFileError
from npvae.io.locks import open_locked, remove_locked

StrPath = str | os.PathLike[str]
TEMPORARY = ".npvae-*.tmp"


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

    If the block fails, for whatever reason, ``path`` is as it was and nothing else is left. The
    file has the permissions of the one it replaces, and those of the umask if it is new. A
    symbolic link goes on being one: what it points at is replaced.

    Raises
    ------
    ModelFileError
        If the folder is missing or refuses, the disk is full, or ``path`` is no regular file.
    """
    with writing(path) as target:
        clear_temporaries(target.parent)
        temporary, file = _new_file(target.parent)
        try:
            with file:
                yield file
                file.flush()
                _take_permissions(temporary, target)
                os.fsync(file.fileno())
                if os.name == "nt":
                    file.close()  # Windows renames no open file; elsewhere it is locked to the end
                os.replace(temporary, target)
        finally:
            with suppress(OSError):  # replaced: nothing is there to remove
                temporary.unlink()
        _sync_folder(target.parent)


def _new_file(folder: Path) -> tuple[Path, BinaryIO]:
    """A temporary file beside the target, since ``os.replace`` needs one disk, and locked."""
    while True:
        path = folder / TEMPORARY.replace("*", os.urandom(8).hex())
        if file := open_locked(path, "xb"):  # with the user's umask, unlike mkstemp's
            return path, file


@lru_cache(64)  # once a process: those that are alive now clear up after themselves
def clear_temporaries(folder: Path) -> None:
    """Remove the temporary files in ``folder`` that no process is writing any more."""
    for path in folder.glob(TEMPORARY):
        with suppress(OSError):
            if file := open_locked(path, "rb"):
                with file:
                    remove_locked(path, file)


def _take_permissions(temporary: Path, target: Path) -> None:
    """Give the new file the owner, the group and the mode of the old one, as far as one may."""
    if target.exists():
        old = target.stat()
        if os.name == "posix":
            with suppress(PermissionError):
                os.chown(temporary, old.st_uid, old.st_gid)
        temporary.chmod(old.st_mode & 0o7777)


def _sync_folder(folder: Path) -> None:
    """Make the new name last through a power cut, where the system can sync a folder."""
    with suppress(OSError):  # Windows and some network disks cannot; the file itself is safe
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
