"""Folders for new runs: empty, and one process's own while it is at work in them."""
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from npvae.errors import ModelFileError
from npvae.io.atomic import TEMPORARY
from npvae.io.locks import LOCK, FolderInUse, exclusive_folder


class FolderNotEmpty(ModelFileError):
    """The folder for a new run holds something already."""


def first_vacant(stem: Path, stack: ExitStack) -> Path:
    """``<stem>-<number>`` of the first number that nobody has, entered on ``stack``."""
    number = 1
    while True:
        with suppress(FolderNotEmpty, FolderInUse):
            return stack.enter_context(vacant_folder(Path(f"{stem}-{number}")))
        number += 1


@contextmanager
def vacant_folder(folder: Path) -> Iterator[Path]:
    """A new folder, or one that holds nothing, to oneself; not left behind if it stays so."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        check_vacant(folder)  # before a lock is put into what is somebody's
    except OSError as error:
        raise ModelFileError(
            f"{folder} cannot be made a run folder: {error.strerror}; name another with --out"
        ) from error
    try:
        with exclusive_folder(folder):
            check_vacant(folder)  # whoever had it until now may have made it a run
            yield folder
    finally:
        with suppress(OSError):  # it holds something
            folder.rmdir()


def check_vacant(folder: Path) -> None:
    """Raise FolderNotEmpty if the folder holds something."""
    if contents(folder):
        raise FolderNotEmpty(
            f"{folder} is not empty; name another folder with --out, or --resume {folder}"
        )


def contents(folder: Path) -> set[str]:
    """What a folder holds beside its lock, and beside what a killed process was writing."""
    return {p.name for p in folder.iterdir() if p.name != LOCK and not p.match(TEMPORARY)}
