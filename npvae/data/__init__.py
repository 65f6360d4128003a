"""Data: the bundled digits, MNIST, Frey Face, the swiss roll, and files of one's own.

Every loader gives a `Dataset`. Importing this package costs NumPy's import and no more: a loader
and what it needs (scipy, pooch, Pillow) are imported where they are used.
"""
from typing import TYPE_CHECKING

from npvae import lazy
from npvae.data.dataset import Dataset
from npvae.data.validation import check_data

if TYPE_CHECKING:
    from npvae.data.catalogue import available, load
    from npvae.data.digits import load_digits
    from npvae.data.freyfaces import load_frey_faces
    from npvae.data.mnist import load_mnist
    from npvae.data.swiss_roll import make_swiss_roll
    from npvae.data.user_files import load_file

_HOMES = {
    "available": "catalogue", "load": "catalogue", "load_digits": "digits",
    "load_file": "user_files", "load_frey_faces": "freyfaces",
    "load_mnist": "mnist", "make_swiss_roll": "swiss_roll",
}  # fmt: skip
__getattr__ = lazy.names(__name__, {k: f"{__name__}.{v}" for k, v in _HOMES.items()})

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


def __dir__() -> list[str]:
    return __all__
