"""Numbers that processes share: mapped from a file, and nobody's own until they are written.

A model file has headers between its arrays and cannot be mapped as one vector. So the vector stands
once more in a file beside it, ``model.npz.map``, its bytes and nothing else: a copy that may be
deleted at any time. It is believed only where it is equal, byte for byte, to what was read and
verified, and is written anew where it is not.
"""
import numpy as np

from npvae.io.atomic import StrPath, atomic_write


def shared(path: StrPath, vector: np.ndarray) -> np.ndarray:
    """``vector`` (P,) mapped from the file ``path`` + ``.map``, and copied where it is written.

    Raises
    ------
    ModelFileError
        If the file is not there, or is of other numbers, and cannot be written.
    """
    place, content = f"{path}.map", vector.view(np.uint8)
    if not np.array_equal(mapped(place), content):
        with atomic_write(place) as file:  # who has mapped the old one keeps it
            file.write(content.tobytes())
    return mapped(place).view(vector.dtype)


def mapped(place: str) -> np.ndarray:
    """The bytes of a file, copied on writing; none if there is no file."""
    try:
        return np.memmap(place, mode="c").view(np.ndarray)
    except (OSError, ValueError):  # ValueError: it is empty
        return np.empty(0, np.uint8)
