"""Arrays: ``.npy``, ``.npz``, IDX, MATLAB's ``.mat``, HDF5 and Zarr.

A file of several arrays is read where their names say what they are, as ``x_train`` and ``y_train``
do; else the names are listed. Nothing is ever unpickled, so a file from a stranger can do no harm.
"""
import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from npvae.data import disk_rows, idx
from npvae.data.bounds import check_claim, decompress
from npvae.data.contents import Contents
from npvae.data.disk_rows import DiskRows, array_rows, npy_rows
from npvae.data.matlab import check_mat
from npvae.errors import DataError, optional_import

# Names of datapoints in the order in which they are looked for, each with those of its labels.
USUAL = {
    "images": ("labels", "y", "target"), "X": ("y", "labels"), "pixels": ("labels", "y"),
    "x": ("y", "labels"), "data": ("target", "labels", "y"),
    "x_train": ("y_train",), "X_train": ("y_train",), "train_images": ("train_labels",),
}  # fmt: skip
LABELS = ("labels", "y", "target")


def choose(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> tuple[str, str | None, list[str]]:
    """The array to use, that of its labels if there is one, and in words what else there is."""
    data = next((name for name in USUAL if name in shapes), None)
    others = [name for name in shapes if name not in LABELS]
    if data is None and len(others) == 1:
        data = others[0]
    if data is None:
        held = ", ".join(f"{name} {shape}" for name, shape in list(shapes.items())[:20])
        raise DataError(f"{path} holds {held or 'nothing'}: call the array of numbers to use one "
                        f"of {', '.join(USUAL)}")
    label = next((name for name in USUAL.get(data, LABELS) if name in shapes), None)
    notes = [f"array {data!r}"] if len(shapes) > 1 else []
    if label is not None:
        notes.append(f"labels {label!r}")
    left_out = [name for name in shapes if name not in (data, label)]
    if left_out:
        notes.append(f"{', '.join(map(repr, left_out[:9]))} left out")
    return data, label, notes


def contents_of(
    path: Path, shapes: Mapping[str, tuple[int, ...]], read: Callable[[str], Any]
) -> Contents:
    """The array to use of several, and its labels."""
    data, label, notes = choose(path, shapes)
    values, labels = read(data), None if label is None else read(label)
    if isinstance(values, DiskRows) or isinstance(labels, DiskRows):
        return Contents(values, None, [*notes, "labels not read"] if label else notes)
    return Contents(values, None if labels is None else labels.squeeze(), notes)


def read_numpy(path: Path) -> Contents:
    """One array, which is memory-mapped where the file is not compressed; or an archive of them."""
    if zipfile.is_zipfile(path) and path.suffix.lower() != ".zip":
        return read_npz(path)
    if path.suffix.lower() in (".npy", ".npz"):
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        return Contents(npy_rows(path) if mapped.nbytes > disk_rows.LARGE else mapped)
    return Contents(np.load(io.BytesIO(decompress(path)), allow_pickle=False))


def read_npz(path: Path) -> Contents:
    """NumPy's archive of arrays, or SciPy's of one sparse matrix, which is made dense."""
    shapes = dict[str, tuple[int, ...]]()
    with zipfile.ZipFile(path) as archive:
        check_claim(path, sum(member.file_size for member in archive.infolist()))
        for member in archive.infolist():
            name = member.filename.removesuffix(".npy")
            if name in shapes:
                raise ValueError(f"two of its arrays are called {name!r:.60}")
            with archive.open(member) as file:
                shapes[name] = _npy_shape(file, member.file_size)
    if {"indptr", "format", "shape"} <= shapes.keys():
        return _dense(path, optional_import("scipy.sparse", "science").load_npz(path))
    with np.load(path, allow_pickle=False) as arrays:
        return contents_of(path, shapes, arrays.__getitem__)


def _npy_shape(file: Any, size: int) -> tuple[int, ...]:
    """The shape in the header of a .npy file, which must be as long as that says."""
    version = np.lib.format.read_magic(file)
    read = {(1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0}[version]  # fmt: skip
    shape, _, dtype = read(file)
    length = file.tell() + np.prod(shape, dtype=float) * dtype.itemsize
    if not dtype.hasobject and length != size:  # one read to its end is held to its checksum
        raise ValueError(f"its header says {shape}, which is not its length")
    return shape


def _dense(path: Path, matrix: Any) -> Contents:
    check_claim(path, matrix.shape[0] * matrix.shape[1] * matrix.dtype.itemsize)
    return Contents(matrix.toarray(), notes=["sparse, made dense"])


def read_idx(path: Path) -> Contents:
    """An IDX file as MNIST's, compressed or not, with the labels in the file beside it, if any."""
    values = idx.decode(decompress(path))
    beside = path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1"))
    if beside == path or not beside.exists():
        return Contents(values)
    return Contents(values, idx.decode(decompress(beside)), [f"labels of {beside.name}"])


def read_mat(path: Path) -> Contents:
    """A MATLAB file: to version 7 by SciPy, of version 7.3, which is HDF5, by h5py."""
    with path.open("rb") as file:
        if b"MATLAB 7.3" in file.read(128):
            return _samples_first(read_hdf5(path, transposed=True))
    matlab = optional_import("scipy.io", "science")
    check_mat(path)
    others = ("cell", "struct", "char", "object", "function", "opaque")
    shapes = {name: shape for name, shape, kind in matlab.whosmat(path) if kind not in others}
    data, label, notes = choose(path, shapes)
    for name in (data, label) if label else (data,):
        check_claim(path, 8 * int(np.prod(shapes[name], dtype=object)))
    found = matlab.loadmat(path, variable_names=[data, label] if label else [data])
    if not isinstance(found[data], np.ndarray):
        return _dense(path, found[data])
    labels = None if label is None else found[label].squeeze()
    return _samples_first(Contents(found[data], labels, notes))


def _samples_first(found: Contents) -> Contents:
    """With the last axis first, if it and not the first has an entry a label."""
    values, labels = found.values, found.labels
    if labels is None or len(labels) == len(values) or len(labels) != values.shape[-1]:
        return found
    notes = [*found.notes, f"datapoints along the last axis of {values.shape}"]
    return Contents(np.moveaxis(values, -1, 0), labels, notes)


def read_hdf5(path: Path, transposed: bool = False) -> Contents:
    """A data set of an HDF5 file; ``transposed`` as MATLAB writes them."""
    h5py = optional_import("h5py", "hdf5")
    with h5py.File(path, "r") as file:
        found = dict[str, Any]()

        def visit(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset) and item.dtype.kind in "buif" and item.ndim:
                found[name] = item

        file.visititems(visit)
        found = {name: item for name, item in found.items() if not name.startswith("#refs#")}

        def read(name: str) -> Any:
            item = found[name]
            if item.nbytes > disk_rows.LARGE and not transposed:
                chunk = item.chunks[0] if item.chunks else 1
                return array_rows(item, str(path), chunk, opened=lambda: h5py.File(path, "r")[name])
            check_claim(path, item.nbytes)
            return item[()].T if transposed else item[()]

        return contents_of(path, {name: item.shape for name, item in found.items()}, read)


def read_zarr(path: Path) -> Contents:
    """An array of Zarr, or one of a group's."""
    zarr = optional_import("zarr", "zarr")
    top = zarr.open(path, mode="r")
    found = dict(top.arrays()) if isinstance(top, zarr.Group) else {"array": top}

    def read(name: str) -> Any:
        item = found[name]
        if item.nbytes > disk_rows.LARGE:
            return array_rows(item, str(path), item.chunks[0])
        return np.asarray(item[:])

    return contents_of(path, {name: item.shape for name, item in found.items()}, read)
