"""MATLAB's files of version 5 to 7, looked through before SciPy reads them.

SciPy looks types up by number without asking whether there is such a type: a damaged byte ends the
whole process with a segmentation fault (SciPy 1.17). A file is a header of 128 bytes and elements
one after the other, each a type, a length and so many bytes; an array is an element of elements:
https://www.mathworks.com/help/pdf_doc/matlab/matfile_format.pdf.
"""
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from npvae.data.bounds import check_claim

MATRIX, COMPRESSED = 14, 15  # types of elements
NUMBERS = (*range(1, 8), 9, 12, 13)  # those of numbers, int8 to uint64
SPARSE, LAST_NUMERIC = 5, 15  # classes of arrays of numbers: sparse, double, …, uint64


def check_mat(path: Path) -> None:
    """Raise a ValueError if the file is damaged where SciPy would not notice.

    Raises
    ------
    ValueError, zlib.error
        If an array of numbers holds elements of another type, or a checksum is wrong.
    DataError
        If it unpacks to too much.
    """
    raw = path.read_bytes()
    order: Literal["little", "big"] | None
    order = {b"IM": "little", b"MI": "big"}.get(raw[126:128])  # type: ignore[assignment]
    if order is None:
        return  # version 4, which has no such types
    unpacked = 0
    for kind, data in elements(memoryview(raw)[128:], order, padded=False):
        if kind == COMPRESSED:
            inner = bytearray()
            for chunk in decompressed(data):
                inner += chunk
                check_claim(path, unpacked + len(inner))
            unpacked += len(inner)
            kind, data = next(elements(memoryview(inner), order), (0, data))
        if kind != MATRIX:
            raise ValueError(f"it has an element of type {kind}, and not an array")
        check_array(data, order)


def decompressed(packed: bytes | memoryview) -> Iterator[bytes]:
    """In chunks, to the end, where zlib verifies the checksum."""
    stream = zlib.decompressobj()
    while not stream.eof:
        chunk = stream.decompress(packed, 2**20)
        packed = stream.unconsumed_tail
        if not (chunk or packed or stream.eof):
            raise ValueError("a compressed element is cut off")
        yield chunk


def check_array(data: memoryview, order: Literal["little", "big"]) -> None:
    """Raise a ValueError if an array of numbers has parts of other types."""
    parts = list(elements(data, order))
    if not parts or len(parts[0][1]) != 8:
        raise ValueError("it has an array without flags")
    array_class = int.from_bytes(parts[0][1][:4], order) & 0xFF
    if array_class > 17 or array_class == 0:
        raise ValueError(f"it has an array of class {array_class}, which there is not")
    if SPARSE <= array_class <= LAST_NUMERIC and any(kind not in NUMBERS for kind, _ in parts):
        raise ValueError("an array of numbers has a part that is none")


def elements(
    data: memoryview, order: Literal["little", "big"], padded: bool = True
) -> Iterator[tuple[int, memoryview]]:
    """Type and bytes of each element; those of an array are padded to multiples of 8."""
    at = 0
    while at < len(data):
        kind, length, begin = int.from_bytes(data[at : at + 4], order), 0, at + 8
        if kind >> 16:  # at most four bytes, in the tag itself
            kind, length, begin = kind & 0xFFFF, kind >> 16, at + 4
            if length > 4:
                raise ValueError("a small element is too long")
            at += 8
        else:
            length = int.from_bytes(data[at + 4 : at + 8], order)
            at += 8 + (length + 7 & ~7 if padded else length)
        if begin + length > len(data):
            raise ValueError("it is cut off")
        yield kind, data[begin : begin + length]
