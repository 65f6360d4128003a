"""The fingerprint of data: equal for equal values, whatever file they came from."""
from hashlib import sha256
from typing import Any

import numpy as np

from npvae.data.dataset import Dataset

BLOCK = 1 << 22  # bytes at a time, so that a memory-mapped file is read and never held


def fingerprint(dataset: Dataset) -> str:
    """SHA-256 of the shape, the scale and every value, in 64 hexadecimal digits.

    Bytes are taken as they are and other numbers as float64, so that whole numbers are those that a
    reader took for floats. Labels are no part of it, for no model sees them.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.arange(6).reshape(2, 3)
    >>> fingerprint(Dataset(X)) == fingerprint(Dataset(X.astype(np.float32), labels=X[:, 0]))
    True
    >>> fingerprint(Dataset(X))[:8], fingerprint(Dataset(X[::-1]))[:8]
    ('b63bc547', '0dc2e6e6')
    """
    pixels: Any = dataset.pixels  # (N, D)
    dtype = "u1" if pixels.dtype == np.uint8 else "<f8"
    digest = sha256(f"{pixels.shape} {dtype} {float(dataset.scale)!r}".encode())
    rows = max(1, BLOCK // (8 * pixels.shape[1]))
    for start in range(0, len(pixels), rows):
        block = np.asarray(pixels[start : start + rows])
        digest.update(np.ascontiguousarray(block, dtype).data)
    return digest.hexdigest()
