"""Locks of the operating system: one process a file, one process a folder.

Such a lock (``flock``; on Windows a locked byte) belongs to an open file and ends with the process
that opened it, however that ends. So nothing has to be believed: not a file that a killed process
left, nor the number of a process, which another may have by now. Within a machine they hold,
between containers too. Between machines that share a disk they hold as far as that disk's do: do
not count on it over NFS.
"""
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Literal

from npvae.errors import ModelFileError

LOCK = ".lock"  # name of the file in a folder that stands for the folder

if sys.platform == "win32":
    import msvcrt

    def _lock(file: BinaryIO) -> None:
        os.lseek(file.fileno(), 1 << 30, os.SEEK_SET)  # a byte that nobody reads or writes
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        os.lseek(file.fileno(), 0, os.SEEK_SET)
else:
    import fcntl

    def _lock(file: BinaryIO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def open_locked(path: Path, mode: Literal["rb", "xb", "a+b"]) -> BinaryIO | None:
    """Open a file that is nobody else's until it is closed; None if another process has it.

    Raises
    ------
    OSError
        If it cannot be opened.
    """
    while True:
        file = path.open(mode)
        try:
            _lock(file)
        except (BlockingIOError, PermissionError):
            file.close()
            return None
        except OSError:
            return file  # a disk without locks, where there is nothing to go by
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()  # whoever had it has removed it since: open what is there now


def remove_locked(path: Path, file: BinaryIO) -> None:
    """Remove a file that :func:`open_locked` has opened."""
    if os.name == "nt":
        file.close()  # Windows removes no open file; elsewhere it goes while it is locked
    with suppress(OSError):
        path.unlink()


class FolderInUse(ModelFileError):
    """Another process is writing into the folder."""


@contextmanager
def exclusive_folder(folder: Path) -> Iterator[None]:
    """Keep every other process that asks the same out of ``folder`` until the block ends.

    Raises
    ------
    FolderInUse
        Naming the other process.
    ModelFileError
        If nothing can be written there.
    """
    path, who = folder / LOCK, ""
    try:
        file = open_locked(path, "a+b")
    except OSError as error:
        raise ModelFileError(
            f"{folder}: nothing can be written there: {error.strerror}; "
            "choose a folder that you may write to, on a disk with room"
        ) from error
    if file is None:
        with suppress(OSError):  # it has just ended
            who = path.read_text("utf-8")
        raise FolderInUse(
            f"{folder} is in use by {who or 'another process'}; wait for it or end it, "
            "or use another folder"
        )
    with file:
        try:
            with suppress(OSError):  # a full disk; whoever needs room there will say so
                file.truncate(0)  # what a killed process left
                os.write(file.fileno(), f"process {os.getpid()} on {platform.node()}".encode())
            yield
        finally:
            remove_locked(path, file)
