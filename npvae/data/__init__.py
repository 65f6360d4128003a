"""Data: the bundled digits, MNIST, Frey Face, the swiss roll, and files of one's own.

Every loader gives a `Dataset`. Importing this package costs NumPy's import and no more: what
else a loader needs (scipy, pooch, Pillow) is loaded where it is used.
"""
from npvae.data.catalogue import available, load
from npvae.data.dataset import Dataset
from npvae.data.digits import load_digits
from npvae.data.files import load_file
from npvae.data.freyfaces import load_frey_faces
from npvae.data.mnist import load_mnist
from npvae.data.swiss_roll import make_swiss_roll
from npvae.data.validation import check_data

__all__ = [
    "Dataset",
    "available",
    "check_data",
    "load",
    "load_digits",
    "load_file",
    "load_frey_faces",
    "load_mnist",
    "make_swiss_roll",
]
