"""What every loader gives: datapoints as rows, and what is known about them.

Pixels stay as they are stored, a byte each for most images, and are scaled on their way into
the model: 60,000 MNIST images are 47 MB as bytes and 188 MB as float32. A byte may be a grey
value, one of K levels or a count, and which of them the likelihood says: it sees byte/255,
byte/(K − 1), or the byte itself.
"""
from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from math import isfinite, prod
from typing import TYPE_CHECKING

import numpy as np

from npvae.backend import is_device_array
from npvae.data.disk_rows import DiskRows
from npvae.errors import DataError, ParameterError
from npvae.records import dataclass

if TYPE_CHECKING:
    from npvae.distributions.support import Support


@dataclass(frozen=True, eq=False)
class Dataset:
    """N datapoints of D features.

    Parameters
    ----------
    pixels : array or DiskRows (N, D)
        The values as stored: uint8, or any other numbers. May be memory-mapped, or rows on the
        disk (:mod:`npvae.data.disk_rows`).
    labels : array (N,), optional
        One label a datapoint: numbers, names, or the position on a manifold.
    image_shape : (int, int) or (int, int, 3), optional
        Height and width of the image that a row is, and 3 where it has colours; ``D`` is their
        product. None for other data.
    name : str
        What to call it in messages and run folders.
    scale : float
        ``pixels * scale`` are the values the model sees. 0 stands for "not given": it is then 1,
        or for bytes of which one exceeds 1, 1/255 and ``grey_levels``.
    grey_levels : bool
        Whether ``scale`` is that of grey values alone: a likelihood of counts or of K levels
        then has a scale of its own, as :meth:`scaled_for` says.
    notes : str
        How a file was read: what was understood and what left out, in a line.

    Raises
    ------
    DataError
        If the arrays do not fit together, are empty or hold no numbers.

    Examples
    --------
    >>> import numpy as np
    >>> data = Dataset(np.array([[0, 51, 102, 255]], np.uint8), image_shape=(2, 2),
    ...                name="tiny", scale=1 / 255)
    >>> data
    Dataset(tiny: 1 images of 2 x 2, uint8, no labels)
    >>> data.images.round(6)
    array([[0. , 0.2, 0.4, 1. ]], dtype=float32)
    """

    pixels: np.ndarray
    labels: np.ndarray | None = None
    image_shape: tuple[int, ...] | None = None
    name: str = "data"
    scale: float = 0.0
    grey_levels: bool = False
    notes: str = ""

    def __post_init__(self) -> None:
        if not (isinstance(self.pixels, (np.ndarray, DiskRows)) or is_device_array(self.pixels)):
            raise DataError(f"{self.name} is of type {type(self.pixels).__name__}: give an array; "
                            "a table or a sparse matrix is for fit as it is")
        shape, dtype = self.pixels.shape, self.pixels.dtype
        if len(shape) != 2 or 0 in shape:
            raise DataError(f"{self.name} has shape {shape}: it needs N rows of D numbers, (N, D)")
        if dtype.kind not in "buif":
            raise DataError(f"{self.name} holds {dtype}: save it as real numbers")
        if self.labels is not None and np.shape(self.labels) != shape[:1]:
            raise DataError(f"{self.name} has labels of shape {np.shape(self.labels)} "
                            f"for {shape[0]} datapoints: give one label each, or none")
        if self.image_shape is not None and prod(self.image_shape) != shape[1]:
            raise DataError(f"{self.name} has rows of {shape[1]} pixels, "
                            f"which do not make an image of {self.image_shape}")
        if not isfinite(self.scale):
            raise ParameterError(f"scale = {self.scale} leaves no values: give a number")
        if self.scale == 0:
            grey = dtype == np.uint8 and self.pixels.max() > 1  # else a binary image, 0 and 1
            object.__setattr__(self, "scale", 1 / 255 if grey else 1.0)
            object.__setattr__(self, "grey_levels", bool(grey))

    def __len__(self) -> int:
        return len(self.pixels)

    @cached_property
    def images(self) -> np.ndarray:
        """The values that the model sees, in [0, 1] for images.   (N, D) float32

        Pixels that are floats already, with nothing to scale, are given as they are. A likelihood
        of counts or levels sees those of :meth:`scaled_for`.
        """
        if self.pixels.dtype.kind == "f" and self.scale == 1.0:
            return self.pixels
        return np.multiply(self.pixels, self.scale, dtype=np.float32)

    def scaled_for(self, support: Support) -> Dataset:
        """The same data, as a likelihood with this support sees them.

        Stored grey levels are whole numbers, and a likelihood that has a step from one value to
        the next is of such: 1 for counts, 1/(K − 1) for K levels. All others see grey values.

        Examples
        --------
        >>> import numpy as np
        >>> from npvae.distributions.support import COUNTS, REALS, levels
        >>> data = Dataset(np.array([[0, 1, 2, 3]], np.uint8))
        >>> for support in (COUNTS, levels(4, "categorical")):
        ...     print(data.scaled_for(support).images.round(3))
        [[0. 1. 2. 3.]]
        [[0.    0.333 0.667 1.   ]]
        >>> data.scaled_for(REALS).scale == 1 / 255
        True
        """
        if not self.grey_levels:
            return self
        return replace(self, scale=float(support.step or self.scale), grey_levels=False)

    def split(
        self, n_validation: int, seed: int | np.random.Generator | None = None
    ) -> tuple[Dataset, Dataset]:
        """Set ``n_validation`` datapoints aside, chosen at random.

        Parameters
        ----------
        n_validation : int
            At least 1, and fewer than there are datapoints.
        seed : int, numpy.random.Generator or None
            The same seed sets the same datapoints aside.

        Returns
        -------
        (Dataset, Dataset)
            For training and for validation; both are copies, and keep the order of the data.

        Raises
        ------
        ParameterError
            If either part would be empty.
        """
        if not 0 < n_validation < len(self):
            raise ParameterError(f"n_validation = {n_validation} leaves a part of {self.name} "
                                 f"empty: choose from 1 to {len(self) - 1}")
        return self.set_aside(np.random.default_rng(seed).permutation(len(self))[-n_validation:])

    def set_aside(self, rows: np.ndarray) -> tuple[Dataset, Dataset]:
        """All other datapoints, and those of these numbers; copies, in the order of the data.

        Of rows on the disk the others stay there.
        """
        if isinstance(self.pixels, DiskRows):
            others = replace(self, pixels=self.pixels.without(rows), labels=None)
            return others, replace(self, pixels=self.pixels[np.sort(rows)], labels=None)
        others = np.ones(len(self), bool)
        others[rows] = False
        return self._rows(np.flatnonzero(others)), self._rows(rows)

    def first(self, n: int | None) -> Dataset:
        """The first ``n`` datapoints, a view; all of them for None.

        Raises
        ------
        ParameterError
            If there are not so many, or ``n`` is less than 1.
        """
        if n is None:
            return self
        if not 0 < n <= len(self):
            raise ParameterError(f"n = {n} datapoints of {self.name} cannot be taken: "
                                 f"choose from 1 to {len(self)}")
        labels, pixels = None if self.labels is None else self.labels[:n], self.pixels
        some = pixels.first(n) if isinstance(pixels, DiskRows) else pixels[:n]
        return replace(self, pixels=some, labels=labels)

    def _rows(self, rows: np.ndarray) -> Dataset:
        rows = np.sort(rows)  # a memory-mapped file is then read from front to back
        labels = None if self.labels is None else self.labels[rows]
        return replace(self, pixels=self.pixels[rows], labels=labels)

    def __repr__(self) -> str:
        n, d = self.pixels.shape
        if self.image_shape is None:
            what = f"{n:,} datapoints of {d}"
        else:
            what = f"{n:,} images of {' x '.join(map(str, self.image_shape))}"
        labels = "no labels" if self.labels is None else "labels"
        return f"Dataset({self.name}: {what}, {self.pixels.dtype}, {labels})"
