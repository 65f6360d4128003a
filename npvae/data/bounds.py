"""How much a file may claim to hold, before a byte of it is unpacked.

Compressed data and headers can claim anything: 300 MB of zeros are a gzip of 292 kB, and a picture
of 15,000 x 15,000 pixels one of 200 kB. A reader therefore asks here first. What a file claims is
believed up to ``RATIO`` times its size, which real data hardly reach, and a small file's up to
``room`` bytes, whatever its size.
"""
import zipfile
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from npvae.errors import DataError

COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\0": "lzma"}  # how they begin
RATIO = 64
ROOM = 32 * 2**20  # bytes
TEXT_ROOM = 4 * 2**20  # bytes; "0,": eight bytes of a number for two of a text, and parsers copy


def check_claim(path: Path, claimed: int, room: int = ROOM, ratio: int = RATIO) -> None:
    """Raise a DataError if ``path`` is too small a file to be believed that it holds so much.

    Parameters
    ----------
    path : Path
    claimed : int
        Bytes that would be unpacked.
    room : int
        Bytes that any file may claim.
    ratio : int
        And how many times its own size.

    Examples
    --------
    >>> from tempfile import NamedTemporaryFile
    >>> with NamedTemporaryFile() as file:
    ...     check_claim(Path(file.name), 10**9)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    npvae.errors.DataError: ... unpacks to 1,000,000,000 bytes or more, from a file of 0: ...
    """
    size = path.stat().st_size
    if claimed > max(room, ratio * size):
        raise DataError(
            f"{path} unpacks to {claimed:,} bytes or more, from a file of {size:,}: "
            "if you trust it, unpack it yourself and save it uncompressed"
        )


def check_image(path: Path, image: Any) -> None:
    """Raise a DataError if a Pillow image that is open, not yet decoded, is too large."""
    check_claim(path, 4 * image.width * image.height)  # Pillow has four bytes for a colour


def decompress(path: Path, room: int = ROOM, ratio: int = RATIO) -> bytes:
    """The contents of a file, which may be a gzip, bzip2 or xz, or a zip of one file.

    Parameters
    ----------
    path : Path
    room, ratio : int
        As for :func:`check_claim`; ``room=TEXT_ROOM`` for a table.

    Raises
    ------
    DataError
        If it unpacks to too much, or is a zip of several files.
    OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile
        If it is damaged.
    """
    with path.open("rb") as file:
        head = file.read(6)
    module = next((name for magic, name in COMPRESSED.items() if head.startswith(magic)), None)
    if head.startswith(b"PK\3\4"):
        with zipfile.ZipFile(path) as archive:
            return _counted(path, archive.open(sole_member(path)), room, ratio)
    if module is None:
        return path.read_bytes()
    return _counted(path, import_module(module).open(path), room, ratio)


def sole_member(path: Path) -> str:
    """The name of the one file in a zip, less those that a file manager hides there."""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist()
                 if not name.endswith("/") and not name.startswith("__MACOSX")]  # fmt: skip
    if len(names) != 1:
        raise DataError(f"{path} holds {len(names)} files: unpack it and name one, or the folder")
    return names[0]


def _counted(path: Path, unpacked: IO[bytes], room: int, ratio: int) -> bytes:
    """All that there is to read, if it is not too much."""
    length = 0
    with unpacked as file:
        while chunk := file.read(2**18):  # once to count, which takes no memory
            length += len(chunk)
            check_claim(path, length, room, ratio)
        file.seek(0)
        return file.read(length)
