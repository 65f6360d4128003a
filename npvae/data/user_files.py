"""A user's own data: tables, arrays, or a folder of images.

Each kind of file has its reader (``tables.py``, ``arrays.py``, ``images.py``); here one is chosen
by the suffix, and what it found becomes a data set. What a reader decided is told in a line, and
what it cannot decide is refused: data never change in silence between a file and the model.
"""
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np

from npvae.data import arrays, disk_rows, tables
from npvae.data.bounds import sole_member
from npvae.data.columns import Asked, Column
from npvae.data.contents import Contents, count
from npvae.data.dataset import Dataset
from npvae.data.disk_rows import DiskRows, npy_rows, shard_rows
from npvae.data.idx import looks_like_idx
from npvae.data.images import SUFFIXES as IMAGE_SUFFIXES
from npvae.data.images import read_folder
from npvae.errors import DataError, MissingExtraError, ParameterError

COMPRESSED = (".gz", ".bz2", ".xz", ".zip")
READERS: dict[str, Callable[[Path], Contents]] = {
    ".npy": arrays.read_numpy, ".npz": arrays.read_numpy, ".mat": arrays.read_mat,
    ".h5": arrays.read_hdf5, ".hdf5": arrays.read_hdf5, ".hdf": arrays.read_hdf5,
}  # fmt: skip
SHARDS = (".npy", ".parquet", ".pq")  # of which a folder may hold several
KINDS = (f"{', '.join(tables.TEXT_SUFFIXES)}, {', '.join(tables.ARROW_SUFFIXES)}, "
         f"{', '.join(READERS)}, IDX or a folder of images")  # fmt: skip


def load_file(
    path: str | Path, *, label_column: Column | None = None, index_column: Column | None = None,
    drop: Column | Sequence[Column] | None = None, header: bool | None = None,
    scale: float | None = None,
) -> Dataset:  # fmt: skip
    """Data of one's own, from a file or a folder.

    ===============================  ===========================================================
    ``.csv .tsv .txt .dat .data``    a row a line; delimiter, decimal mark, encoding, header,
                                     index and labels are found out
    ``.parquet .feather``            tables; pyarrow, the extra ``tables``
    ``.npy``                         (N, D), (N, H, W) or (N, H, W, 3), memory-mapped
    ``.npz``                         its only array, or by usual names: images and labels, X and
                                     y, data and target, x_train and y_train; or one sparse
                                     matrix of SciPy
    IDX                              as MNIST's files, with the labels in the file beside it
    ``.mat``, ``.h5 .hdf5``          as ``.npz``; SciPy, the extra ``science``, and h5py, the
                                     extra ``hdf5``
    ``.zarr``                        a folder, as ``.npz``; zarr, the extra ``zarr``
    a folder of ``.npy .parquet``    of one width, one after the other in the order of their names;
                                     labels are not read
    a folder                         of images of one size, in the order of their names; its
                                     sub-folders, if any, are the labels; Pillow, ``images``
    ===============================  ===========================================================

    Arrays and Parquet tables of more than 1 GiB stay on the disk: :mod:`npvae.training.windows`
    says how they are read and shuffled. Texts, ``.npy`` and IDX may be compressed: ``.gz .bz2 .xz
    .zip``. Bytes are pixels from 0 to 255
    and are scaled as the likelihood needs, unless none exceeds 1; other numbers are taken as they
    are. A row of 16 or more whose length is a square is an image, where columns have no names.

    Parameters
    ----------
    path : str or Path
    label_column, index_column : str or int, optional
        Of a table: the column of the labels, and one that numbers or names the rows; by name, or
        by place from 0.
    drop : str, int or sequence of them, optional
        Columns of a table to leave out.
    header : bool, optional
        Whether the first row of a text names the columns, if that is not to be found out.
    scale : float, optional
        Factor of every value, in place of what bytes are scaled by.

    Returns
    -------
    Dataset
        Its ``notes`` say in a line how the file was read.

    Raises
    ------
    DataError
        If there is no such file, or it cannot be understood; the message says why.
    MissingExtraError
        If a package that reads this kind of file is not installed.
    ParameterError
        If columns are named of what is no table.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"there is no file or folder {str(path)!r}: correct the path")
    dropped = (drop,) if isinstance(drop, str | int) else tuple(drop or ())
    asked = Asked(label_column, index_column, dropped, header)
    try:
        found = _reader(path, asked)(path)
    except (DataError, MissingExtraError, ParameterError):
        raise
    except MemoryError as error:
        raise DataError(f"{path} takes more memory than there is, or is damaged "
                        f"({_reason(error)}): use fewer rows, or write it again") from error
    except Exception as error:  # parsers raise whatever they stumble on
        raise DataError(f"{path} is damaged or holds no plain numbers ({_reason(error)}): "
                        "correct it, or write it again") from error
    name = path.resolve().name if path.is_dir() else path.name
    dataset = _dataset(name, found)
    return dataset if scale is None else replace(dataset, scale=scale, grey_levels=False)


def _reader(path: Path, asked: Asked) -> Callable[[Path], Contents]:
    """What reads a file of this name."""
    if path.suffix.lower() == ".zarr":
        return arrays.read_zarr
    if not path.is_dir():
        suffix = path.suffix.lower()
        inner = Path(sole_member(path) if suffix == ".zip" else path.stem)
        inner_suffix = inner.suffix.lower() if suffix in COMPRESSED else suffix
        if inner_suffix in tables.TEXT_SUFFIXES:
            return lambda path: tables.read_text(path, asked)
        if suffix in tables.ARROW_SUFFIXES:
            return lambda path: tables.read_arrow(path, asked)
    if path.is_dir() and (shards := shards_in(path)):
        return lambda path: _read_shards(path, shards, asked)
    if asked:
        raise ParameterError(f"{path} is no table, and has no columns to name: leave out "
                             "label_column, index_column, drop and header")
    if path.is_dir():
        return read_folder
    if suffix in READERS:
        return READERS[suffix]
    if inner_suffix == ".npy":
        return arrays.read_numpy
    with path.open("rb") as file:
        is_idx = looks_like_idx(file.read(4))
    if is_idx or (suffix in COMPRESSED and "idx" in inner.name):
        return arrays.read_idx
    if suffix in IMAGE_SUFFIXES:
        raise DataError(f"{path} is one image: name the folder that it lies in")
    raise DataError(f"{path} is none of {KINDS}: save it as one")


def shards_in(folder: Path) -> list[Path]:
    """Files of arrays or tables in a folder, in the order of their names."""
    found = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(path for path in found if path.suffix.lower() in SHARDS)


def _read_shards(folder: Path, shards: Sequence[Path], asked: Asked) -> Contents:
    """All files of a folder as one, in memory if they are not large."""
    arrays_only = all(path.suffix.lower() == ".npy" for path in shards)
    if arrays_only and asked:
        raise ParameterError(f"{folder} holds no tables, and has no columns to name")
    parts = [
        Contents(npy_rows(path)) if path.suffix.lower() == ".npy" else
        tables.leave_parquet(path, asked) for path in shards
    ]  # fmt: skip
    rows, notes = shard_rows([part.values for part in parts], folder), list(parts[0].notes)
    values = rows if rows.nbytes > disk_rows.LARGE else np.asarray(rows).reshape(
        len(rows), *rows.item_shape
    )  # fmt: skip
    notes = [count(len(shards), "file"), *notes]
    return Contents(values, None, notes, parts[0].may_be_images)


def _dataset(name: str, found: Contents) -> Dataset:
    """The data set of what a reader found: rows, and what shape of image a row is."""
    values, notes = found.values, list(found.notes)
    rows: Any = None
    if isinstance(values, DiskRows):
        rows, notes = values, [*notes, "left on the disk"]
        values = np.broadcast_to(np.zeros((), rows.dtype), (len(rows), *rows.item_shape))
    if values.ndim not in (2, 3, 4) or values.size == 0:
        raise DataError(f"{name} has shape {values.shape}: it needs rows (N, D), grey images "
                        "(N, H, W) or images in colour (N, H, W, 3), one at least")
    if values.dtype.kind == "f" and values.dtype.itemsize > 8:
        values = values.astype(np.float64)
    if not values.dtype.isnative:
        values = values.astype(values.dtype.newbyteorder("="))
    shape = _image_shape(name, values, found.may_be_images)
    pixels = values.reshape(len(values), -1) if rows is None else rows  # (N, D)
    N, D = pixels.shape
    what = f"{count(N, 'row')} x {count(D, 'column')}"
    if shape is not None:
        what = f"{count(N, 'image')} of {' x '.join(map(str, shape))}"
    line = ", ".join([what, *notes])
    return Dataset(pixels, found.labels, shape, name, found.scale, found.grey_levels, line)


def _image_shape(name: str, values: np.ndarray, may_be_images: bool) -> tuple[int, ...] | None:
    """(H, W), (H, W, 3) in colour, or None for what is no image."""
    if values.ndim == 2:
        side = isqrt(values.shape[1])
        square = side >= 4 and side * side == values.shape[1]
        return (side, side) if square and may_be_images else None
    if values.ndim == 3:
        return values.shape[1:]
    if values.shape[3] == 3:
        return values.shape[1:]
    if values.shape[3] == 1:
        return values.shape[1:3]
    if values.shape[1] == 1:  # one channel, which comes first in PyTorch
        return values.shape[2:]
    cure = "np.moveaxis(x, 1, -1)" if values.shape[1] == 3 else "np.moveaxis"
    raise DataError(f"{name} has shape {values.shape}: images in colour are (N, H, W, 3); "
                    f"bring the axes into this order with {cure}")


def _reason(error: Exception) -> str:
    """What a library says, without its advice on arguments that are not ours."""
    words = " ".join(str(error).split()) or type(error).__name__
    return re.split(r"\. |; use ", words)[0].removesuffix(".")
