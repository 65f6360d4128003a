"""IDX, the format of MNIST's files: a header of big-endian integers, then numbers in C order.

The header is two zeros, a byte for the type, a byte for the number of axes, and four bytes for the
length of each axis: http://yann.lecun.com/exdb/mnist.
"""
from math import prod

import numpy as np

DTYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def looks_like_idx(head: bytes) -> bool:
    """Whether a file that begins so is an IDX file."""
    return len(head) >= 4 and head[:2] == b"\0\0" and head[2] in DTYPES and 1 <= head[3] <= 4


def decode(contents: bytes) -> np.ndarray:
    """The array of an IDX file, read-only.

    Raises
    ------
    ValueError
        If it is no IDX file, or of another length than its header says.

    Examples
    --------
    >>> decode(bytes([0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 3, 7, 8, 9]))
    array([[7, 8, 9]], dtype=uint8)
    """
    if not looks_like_idx(contents):
        raise ValueError("it does not begin as an IDX file does")
    n_axes, dtype = contents[3], np.dtype(DTYPES[contents[2]])
    begin = 4 + 4 * n_axes
    shape = tuple(np.frombuffer(contents[4:begin], ">u4").tolist())
    if len(contents) != begin + prod(shape) * dtype.itemsize:
        raise ValueError(f"its header says {shape} of {dtype.name}, which is another length")
    return np.frombuffer(contents, dtype, offset=begin).reshape(shape)
