"""MNIST: 70,000 handwritten digits (LeCun, Cortes, Burges), in four IDX files.

An IDX file is a header of big-endian integers, a magic number and the length of each axis, and
then the bytes in C order. The checksum vouches for the header, so it is stepped over.
"""
from functools import partial

import numpy as np

from npvae.data.bounds import decompress
from npvae.data.dataset import Dataset
from npvae.data.sources import Source, read
from npvae.errors import ParameterError

_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://yann.lecun.com/exdb/mnist/",
)


def _source(file: str, sha256: str, size: int) -> Source:
    return Source("mnist", file, sha256, size, tuple(mirror + file for mirror in _MIRRORS))


# split -> images, labels
SOURCES = {
    "train": (
        _source("train-images-idx3-ubyte.gz",
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db", 47_040_016),
        _source("train-labels-idx1-ubyte.gz",
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5", 60_008),
    ),
    "test": (
        _source("t10k-images-idx3-ubyte.gz",
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7", 7_840_016),
        _source("t10k-labels-idx1-ubyte.gz",
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2", 10_008),
    ),
}  # fmt: skip


def load_mnist(split: str = "train") -> Dataset:
    """MNIST, from ``$NPVAE_DATA``, the user's cache or the network, in that order.

    Parameters
    ----------
    split : {"train", "test"}

    Returns
    -------
    Dataset
        pixels (60000, 784) or (10000, 784) uint8, images of 28 x 28 in [0, 1], labels 0 to 9.

    Raises
    ------
    ParameterError
        If there is no such split.
    DataError
        If a file is damaged, or is neither on this machine nor to be had.
    """
    if split not in SOURCES:
        raise ParameterError(f"MNIST has no split {split!r}: choose 'train' or 'test'")
    images, labels = (
        read(source, partial(decompress, room=source.size, ratio=0)) for source in SOURCES[split]
    )
    return Dataset(
        pixels=np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28 * 28),  # (N, 784)
        labels=np.frombuffer(labels, np.uint8, offset=8),  # (N,)
        image_shape=(28, 28), name=f"mnist-{split}", scale=1 / 255, grey_levels=True,
    )  # fmt: skip
