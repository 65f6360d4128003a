"""Rows on the disk are those of the array that was written, however they are asked for."""
import re

import numpy as np
import pytest

from npvae.data import disk_rows, load_file
from npvae.data.disk_rows import DiskRows, array_rows, npy_rows, shard_rows
from npvae.data.validation import check_data
from npvae.errors import DataError, ParameterError

X = np.random.default_rng(0).normal(size=(103, 7)).astype(np.float32)


@pytest.fixture(autouse=True)
def small_is_large(monkeypatch):
    """More than 200 bytes stay on the disk, which are read 100 at a time."""
    monkeypatch.setattr(disk_rows, "LARGE", 200)
    monkeypatch.setattr(disk_rows, "BLOCK", 100)


def write_npy(folder):
    np.save(folder / "x.npy", X)
    return folder / "x.npy"


def write_hdf5(folder):
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "x.h5", "w") as file:
        file.create_dataset("x", data=X, chunks=(10, 7), compression="gzip")
    return folder / "x.h5"


def write_zarr(folder):
    zarr = pytest.importorskip("zarr")
    array = zarr.create_array(folder / "x.zarr", shape=X.shape, chunks=(10, 7), dtype=X.dtype)
    array[:] = X
    return folder / "x.zarr"


def table():
    return pytest.importorskip("pyarrow").table({f"c{j}": X[:, j] for j in range(7)})


def write_parquet(folder):
    whole = table()
    from pyarrow import parquet

    parquet.write_table(whole, folder / "x.parquet", row_group_size=10)
    return folder / "x.parquet"


def write_shards(folder):
    for k, rows in enumerate(np.split(X, [3, 50, 51])):
        np.save(folder / f"part-{k}.npy", rows)
    return folder


def write_parquet_shards(folder):
    whole = table()
    from pyarrow import parquet

    for k, (start, n) in enumerate([(0, 60), (60, 43)]):
        parquet.write_table(whole.slice(start, n), folder / f"part-{k}.parquet", row_group_size=25)
    return folder


KINDS = [write_npy, write_hdf5, write_zarr, write_parquet, write_shards, write_parquet_shards]


@pytest.fixture(params=KINDS, ids=[kind.__name__.removeprefix("write_") for kind in KINDS])
def rows(request, tmp_path):
    dataset = load_file(request.param(tmp_path))
    assert isinstance(dataset.pixels, DiskRows) and "left on the disk" in dataset.notes
    return dataset.pixels


def test_rows_are_those_that_were_written(rows):
    assert (rows.shape, rows.dtype, len(rows), rows.nbytes) == (X.shape, X.dtype, 103, X.nbytes)
    for start in range(0, 103, 9):
        for stop in range(start, 104, 13):
            np.testing.assert_array_equal(rows[start:stop], X[start:stop])
    for index in (slice(None, None, 10), slice(90, 5, -3), [5, 102, 5, 0], np.array([], int)):
        np.testing.assert_array_equal(rows[index], X[index])
    np.testing.assert_array_equal(np.asarray(rows), X)
    assert (rows.min(), rows.max()) == (X.min(), X.max())
    assert check_data(rows) is rows


def test_rows_that_are_left_out_are_those_of_numpy(rows):
    rng = np.random.default_rng(1)
    for n in (0, 1, 5, 90):
        out = rng.choice(103, n, replace=False)
        kept, expected = rows.without(out), np.delete(X, out, axis=0)
        np.testing.assert_array_equal(np.asarray(kept), expected)
        np.testing.assert_array_equal(np.asarray(kept.first(12)), expected[:12])
        np.testing.assert_array_equal(kept.first(12).without(np.array([3]))[3:7], expected[4:8])
        np.testing.assert_array_equal(kept.clip(-0.5, 0.5)[2:9], expected[2:9].clip(-0.5, 0.5))


def test_images_labels_and_a_small_file_are_as_ever(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", np.zeros((50, 4, 4), np.uint8))
    dataset = load_file(tmp_path / "x.npy")
    assert dataset.image_shape == (4, 4) and dataset.pixels.shape == (50, 16)
    monkeypatch.setattr(disk_rows, "LARGE", 1000)
    assert isinstance(load_file(tmp_path).pixels, np.ndarray)  # as a folder of one


def test_a_large_array_that_is_mapped_or_of_a_library_stays_on_the_disk(tmp_path):
    h5py, zarr = pytest.importorskip("h5py"), pytest.importorskip("zarr")
    mapped = np.load(write_npy(tmp_path), mmap_mode="r")
    with h5py.File(write_hdf5(tmp_path)) as file:
        for array in (mapped, mapped[5:], file["x"], zarr.open(write_zarr(tmp_path), mode="r")):
            found = check_data(array)
            assert isinstance(found, DiskRows)
            np.testing.assert_array_equal(np.asarray(found), np.asarray(array[:]))


def test_nan_outside_and_what_rounding_left_outside_are_as_in_memory(tmp_path):
    from npvae.distributions import BernoulliLikelihood

    support = BernoulliLikelihood.support
    good = np.random.default_rng(0).random((60, 3))
    good[50, 1] = 1 + 1e-13
    for value, message in ((np.nan, "X[33, 2] is NaN"), (1.5, "X[33, 2] = 1.5 lies outside")):
        bad = good.copy()
        bad[33, 2] = value
        np.save(tmp_path / "bad.npy", bad)
        with pytest.raises(DataError, match=re.escape(message)):
            check_data(npy_rows(tmp_path / "bad.npy"), support=support)
    np.save(tmp_path / "good.npy", good)
    clipped = check_data(npy_rows(tmp_path / "good.npy"), support=support)
    np.testing.assert_array_equal(np.asarray(clipped), good.clip(0, 1))


def test_a_file_that_is_lost_or_cut_short_is_one_line(tmp_path):
    path = write_npy(tmp_path)
    rows = npy_rows(path)
    content = path.read_bytes()
    path.write_bytes(content[:1000])
    with pytest.raises(DataError, match=r"x\.npy: rows 50 to 59 cannot be read: .* back as it was"):
        rows[50:60]
    path.unlink()
    with pytest.raises(DataError, match=r"x\.npy: rows 0 to 0 cannot be read: .*No such file"):
        rows[:1]
    path.write_bytes(content)
    np.testing.assert_array_equal(rows[50:60], X[50:60])


def test_shards_of_other_widths_and_columns_of_no_table_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", X)
    np.save(tmp_path / "b.npy", X[:, :3])
    with pytest.raises(DataError, match=r"b\.npy has rows of \(3,\) float32, and .* of \(7,\)"):
        load_file(tmp_path)
    with pytest.raises(ParameterError, match="no columns to name"):
        load_file(tmp_path, drop="a")
    with pytest.raises(DataError, match="column by column"):
        np.save(tmp_path / "f.npy", np.asfortranarray(X))
        npy_rows(tmp_path / "f.npy")


def test_a_chunk_is_unpacked_once_when_rows_are_gone_through():
    read = []

    class Chunked:
        shape, dtype = X.shape, X.dtype

        def __getitem__(self, index):
            read.append((index.start, index.stop))
            return X[index]

    rows = shard_rows([array_rows(Chunked(), "x", chunk=20)], "folder")
    for start in range(0, 103, 5):
        np.testing.assert_array_equal(rows[start : start + 5], X[start : start + 5])
    assert read == [(i, min(i + 20, 103)) for i in range(0, 103, 20)]
