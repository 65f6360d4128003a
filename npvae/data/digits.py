"""The 1,797 handwritten digits that come with npvae; see DIGITS.md beside this file."""
from pathlib import Path

import numpy as np

from npvae.data.dataset import Dataset


def load_digits() -> Dataset:
    """The UCI optical digits, as scikit-learn distributes them: the data that needs no network.

    Returns
    -------
    Dataset
        pixels (1797, 64) uint8 from 0 to 16, images of 8 x 8 in [0, 1], labels 0 to 9.

    Examples
    --------
    >>> load_digits()
    Dataset(digits: 1,797 images of 8 x 8, uint8, labels)
    """
    with np.load(Path(__file__).with_name("digits.npz")) as bundled:
        pixels, labels = bundled["pixels"], bundled["labels"]  # (1797, 64), (1797,)
    return Dataset(pixels, labels, (8, 8), "digits", 1 / 16, grey_levels=True)
