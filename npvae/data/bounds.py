"""How much a file may claim to hold, before a byte of it is unpacked.

Compressed data and headers can claim anything: 300 MB of zeros are a gzip of 292 kB, and a picture
of 15,000 x 15,000 pixels one of 200 kB. A reader therefore asks here first. What a file claims is
believed up to ``RATIO`` times its size, which real data hardly reach, and a small file's up to
``room`` bytes, whatever its size.
"""
import gzip
from pathlib import Path
from typing import Any

from npvae.errors import DataError

RATIO = 64
ROOM = 32 * 2**20  # bytes
TEXT_ROOM = 4 * 2**20  # bytes; "0,": eight bytes of a number for two of a text, and parsers copy


def check_claim(path: Path, claimed: int, room: int = ROOM) -> None:
    """Raise a DataError if ``path`` is too small a file to be believed that it holds so much.

    Parameters
    ----------
    path : Path
    claimed : int
        Bytes that would be unpacked.
    room : int
        Bytes that any file may claim.

    Examples
    --------
    >>> from tempfile import NamedTemporaryFile
    >>> with NamedTemporaryFile() as file:
    ...     check_claim(Path(file.name), 10**9)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    npvae.errors.DataError: ... unpacks to 1,000,000,000 bytes or more, from a file of 0: ...
    """
    size = path.stat().st_size
    if claimed > max(room, RATIO * size):
        raise DataError(
            f"{path} unpacks to {claimed:,} bytes or more, from a file of {size:,}: "
            "if you trust it, unpack it yourself and save it uncompressed"
        )


def check_image(path: Path, image: Any) -> None:
    """Raise a DataError if a Pillow image that is open, not yet decoded, is too large."""
    check_claim(path, 4 * image.width * image.height)  # Pillow has four bytes for a colour


def decompress(path: Path, room: int = ROOM) -> bytes:
    """The contents of a file, which may be a gzip.

    Parameters
    ----------
    path : Path
    room : int
        Bytes that any file may unpack to; ``TEXT_ROOM`` for a table.

    Raises
    ------
    DataError
        If it unpacks to too much.
    OSError, EOFError, zlib.error
        If it is damaged.
    """
    with path.open("rb") as file:
        if file.read(2) != b"\x1f\x8b":
            return path.read_bytes()
    length = 0
    with gzip.open(path) as file:  # once to count, which takes no memory
        while chunk := file.read(2**18):
            length += len(chunk)
            check_claim(path, length, room)
        file.seek(0)
        return file.read(length)
