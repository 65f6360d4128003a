"""What a reader of files gives back: arrays, and in words how they were read.

A file leaves much to be understood: which column counts the rows, which array holds the labels,
what lies behind a transparent pixel. A reader that decides such a thing says so in a note.
"""
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


def count(n: int, what: str) -> str:
    """``n`` of them.

    Examples
    --------
    >>> count(1, "row"), count(1797, "row")
    ('1 row', '1,797 rows')
    """
    return f"{n:,} {what}{'s' * (n != 1)}"


@dataclass(frozen=True)
class Contents:
    """Datapoints along the first axis of ``values``, and what is known of them.

    Attributes
    ----------
    values : array (N, D), (N, H, W) or (N, H, W, 3), or DiskRows
    labels : array (N,), optional
    notes : sequence of str
        What was decided, for a person to read.
    may_be_images : bool
        Whether rows of a square number of values are images, as pixels in a table are.
    scale, grey_levels
        Of the :class:`~npvae.data.Dataset`.
    """

    values: Any
    labels: np.ndarray | None = None
    notes: Sequence[str] = ()
    may_be_images: bool = True
    scale: float = 0.0
    grey_levels: bool = False
