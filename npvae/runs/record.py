"""What a run was trained on, kept beside it: ``data.json``.

A run has the path of its data, and what lies there may be moved, changed, or become longer. So the
fingerprint of its content is kept, and which rows were held out: those are the same for ever,
whatever rule chooses them in another version, and however many rows are added.
"""
import json
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from npvae.data import Dataset
from npvae.data.fingerprint import fingerprint
from npvae.errors import DataError, ModelFileError
from npvae.io import to_json
from npvae.io.atomic import atomic_write, reading


@dataclass(frozen=True)
class DataRecord:
    """Data, known again by what they hold.

    Attributes
    ----------
    rows, columns : int
        N and D.
    sha256 : str
        Their :func:`~npvae.data.fingerprint.fingerprint`.
    held_out : tuple of int
        Rows that are not trained on, ascending.
    """

    rows: int
    columns: int
    sha256: str
    held_out: tuple[int, ...] = ()

    @classmethod
    def of(cls, dataset: Dataset, held_out: tuple[int, ...] = ()) -> "DataRecord":
        """The record of some data."""
        rows, columns = dataset.pixels.shape
        return cls(rows, columns, fingerprint(dataset), held_out)

    def difference(self, dataset: Dataset) -> str | None:
        """What tells other data from those of the record; None if nothing does."""
        rows, columns = dataset.pixels.shape
        if (rows, columns) != (self.rows, self.columns):
            return (
                f"it has {rows:,} rows of {columns:,}, and had {self.rows:,} of {self.columns:,}"
            )
        return None if fingerprint(dataset) == self.sha256 else "it has other values now"

    def split(self, dataset: Dataset) -> tuple[Dataset, Dataset | None]:
        """The rows to train on, and those held out, if any are."""
        return dataset.set_aside(np.array(self.held_out)) if self.held_out else (dataset, None)

    def for_new(self, dataset: Dataset) -> "DataRecord":
        """The record of data that take the place of these, with the same rows held out.

        Raises
        ------
        DataError
            If there are fewer rows, or columns are others.
        """
        rows, columns = dataset.pixels.shape
        if rows < self.rows or columns != self.columns:
            raise DataError(
                f"{dataset.name} cannot take the place of the run's data: "
                f"{self.difference(dataset)}; start a new run"
            )
        return DataRecord.of(dataset, self.held_out)


def write_record(path: Path, record: DataRecord) -> None:
    """Keep a record as one JSON object.

    Raises
    ------
    ModelFileError
        If it cannot be written.
    """
    with atomic_write(path) as file:
        file.write(to_json(asdict(record)).encode() + b"\n")


def read_record(path: Path) -> DataRecord | None:
    """The record of a run; None if there is none, as before a run and in those of npvae 0.1.

    Raises
    ------
    ModelFileError
        If it is damaged.
    """
    if not path.exists():
        return None
    with reading(path) as file:
        content = file.read()
    try:
        return _checked(json.loads(content))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ModelFileError(
            f"{path} is damaged; delete it if you are sure that the run's data are as they were"
        ) from error


def _checked(found: dict[str, Any]) -> DataRecord:
    """The record of a JSON object; a TypeError or ValueError if it is none."""
    record = DataRecord(**found | {"held_out": tuple(found["held_out"])})
    numbers = [record.rows, record.columns, *record.held_out]
    if type(record.sha256) is not str or any(type(number) is not int for number in numbers):
        raise TypeError("a value is of the wrong type")
    ascending = [-1, *record.held_out, record.rows]
    if any(i >= j for i, j in pairwise(ascending)):
        raise ValueError("held_out are no rows")
    return record
