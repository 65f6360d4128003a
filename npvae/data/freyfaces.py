"""Frey Face: 1,965 frames of one face in video order (B. Frey, S. Roweis), the paper's other data.

A MATLAB file with one matrix ``ff``, (560, 1965) bytes, an image a column.
"""
from pathlib import Path

import numpy as np

from npvae.data.dataset import Dataset
from npvae.data.matlab import check_mat
from npvae.data.sources import Source, read
from npvae.errors import optional_import

SOURCE = Source(
    "freyfaces", "frey_rawface.mat",
    "2438ba4f0d2a6bd8bac43de756141eaa33c8d248dd613d464bdb1210d9b7af78", 1_100_400,
    (
        "https://cs.nyu.edu/~roweis/data/frey_rawface.mat",
        "https://www.cs.nyu.edu/~roweis/data/frey_rawface.mat",
        "https://web.archive.org/web/2020id_/https://cs.nyu.edu/~roweis/data/frey_rawface.mat",
    ),
)  # fmt: skip


def load_frey_faces() -> Dataset:
    """Frey Face, from ``$NPVAE_DATA``, the user's cache or the network, in that order.

    Returns
    -------
    Dataset
        pixels (1965, 560) uint8, images of 28 x 20 in [0, 1] (pixels / 255), no labels.

    Raises
    ------
    MissingExtraError
        Without scipy, which reads the file.
    DataError
        If the file is damaged, or is neither on this machine nor to be had.
    """
    matlab = optional_import("scipy.io", "science")

    def decode(path: Path) -> bytes:
        check_mat(path)
        return matlab.loadmat(path)["ff"].T.tobytes()  # in C order: image after image

    pixels = np.frombuffer(read(SOURCE, decode), np.uint8).reshape(-1, 28 * 20)  # (1965, 560)
    return Dataset(pixels, None, (28, 20), "freyfaces", scale=1 / 255, grey_levels=True)
