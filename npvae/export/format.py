"""What a format is."""
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

Files = dict[str, bytes]  # contents by name, relative to the folder that the export goes to
Outputs = dict[str, np.ndarray]  # (n, ·) by name


class Runner(NamedTuple):
    """An export that runs, as far as it can be run from here."""

    encode: Callable[[np.ndarray], Outputs]  # x (n, D) → what the program of the encoder gives
    decode: Callable[[np.ndarray], Outputs]  # z (n, J) → "mean" (n, D)
    sample: Callable[[np.ndarray], Outputs] | None = None  # noise (n, ·) → "x" (n, D)


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes
    ----------
    name : str
        What ``format=`` calls it.
    about : str
        What it is for, in a line.
    suffixes : tuple of str
        What the name of an export may end in; ``""`` of a folder.
    files : callable
        ``files(described, name, **options)`` makes the contents of each file, by a name that begins
        with the export's own.
    open : callable, optional
        ``open(path)`` runs what was written there. None where nothing but npvae reads it here.
    resident : bool
        Whether what is opened stays loaded between calls, so that timing one says something.
    """

    name: str
    about: str
    suffixes: tuple[str, ...]
    files: Callable[..., Files]
    open: Callable[[Path], Runner] | None = None
    resident: bool = True
