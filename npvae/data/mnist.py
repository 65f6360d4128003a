"""MNIST: 70,000 handwritten digits (LeCun, Cortes, Burges), in four IDX files.

An IDX file is a header of big-endian integers, a magic number and the length of each axis, and
then the bytes in C order. The checksum vouches for the header, so it is stepped over.
"""
import numpy as np

from npvae.data.bounds import decompress
from npvae.data.dataset import Dataset
from npvae.data.sources import Source, read
from npvae.errors import ParameterError

_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "http://yann.lecun.com/exdb/mnist/",
)


def _source(file: str, md5: str) -> Source:
    return Source("mnist", file, md5, tuple(mirror + file for mirror in _MIRRORS))


# split -> images, labels
SOURCES = {
    "train": (_source("train-images-idx3-ubyte.gz", "6bbc9ace898e44ae57da46a324031adb"),
              _source("train-labels-idx1-ubyte.gz", "a25bea736e30d166cdddb491f175f624")),
    "test": (_source("t10k-images-idx3-ubyte.gz", "2646ac647ad5339dbf082846283269ea"),
             _source("t10k-labels-idx1-ubyte.gz", "27ae3e4e09519cfbb04c329615203637")),
}


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
    images, labels = (read(source, decompress) for source in SOURCES[split])
    return Dataset(
        pixels=np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28 * 28),  # (N, 784)
        labels=np.frombuffer(labels, np.uint8, offset=8),  # (N,)
        image_shape=(28, 28), name=f"mnist-{split}", scale=1 / 255, grey_levels=True,
    )  # fmt: skip
