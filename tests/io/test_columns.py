"""Columns are read back as they were, by NumPy and Python's csv as by ourselves."""
import csv

import numpy as np
import pytest

from npvae.errors import DataError, ModelFileError, ParameterError
from npvae.io import read_column, write_columns, write_images

RNG = np.random.default_rng(0)
COLUMNS = {
    "mean": RNG.standard_normal((5, 2)).astype(np.float32), "std": np.exp(RNG.normal(size=(5, 2))),
    "elbo": np.array([-1.5, -np.inf, 0.1, np.nan, 1e-300]),
    "label": np.array(["a", 'b,"c"', "ß", "", "two\nlines"]),
}  # fmt: skip


def test_a_csv_has_names_and_all_digits(tmp_path):
    path = write_columns(tmp_path / "codes.csv", COLUMNS)
    with path.open(newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    assert head == ["mean_1", "mean_2", "std_1", "std_2", "elbo", "label"]
    columns = list(zip(*rows, strict=True))
    assert np.array_equal(np.array(columns[:2], np.float32).T, COLUMNS["mean"])
    assert np.array_equal(np.array(columns[2:4], np.float64).T, COLUMNS["std"])
    assert np.array_equal(np.array(columns[4], np.float64), COLUMNS["elbo"], equal_nan=True)
    assert list(columns[5]) == COLUMNS["label"].tolist()


def test_a_npy_is_an_array_with_fields(tmp_path):
    array = np.load(write_columns(tmp_path / "codes.npy", COLUMNS), allow_pickle=False)
    for name, column in COLUMNS.items():
        assert array[name].dtype == column.dtype
        assert np.array_equal(array[name], column, equal_nan=column.dtype.kind == "f")


@pytest.mark.parametrize("suffix", [".csv", ".npy", ".CSV"])
def test_one_column_is_read_of_many(suffix, tmp_path):
    columns = {name: COLUMNS[name] for name in ("label", "std", "mean")}
    path = write_columns(tmp_path / f"codes{suffix}", columns)
    assert np.array_equal(read_column(path, "mean").astype(np.float32), COLUMNS["mean"])


def test_a_table_without_that_column_is_read_whole(tmp_path):
    np.save(tmp_path / "z.npy", COLUMNS["std"])
    np.savetxt(tmp_path / "z.csv", COLUMNS["std"], delimiter=",")
    for name in ("z.npy", "z.csv"):
        assert np.array_equal(read_column(tmp_path / name, "mean"), COLUMNS["std"]), name


def test_what_cannot_be_written_or_read_is_refused(tmp_path):
    with pytest.raises(ParameterError, match=r"'\.xlsx'; end the name in \.csv or \.npy"):
        write_columns(tmp_path / "codes.xlsx", COLUMNS)
    with pytest.raises(DataError, match="no such file; npvae encode"):
        read_column(tmp_path / "nowhere.npy", "mean")
    (tmp_path / "bad.npy").write_text("not an array")
    with pytest.raises(ModelFileError, match="is no array of NumPy"):
        read_column(tmp_path / "bad.npy", "mean")
    (tmp_path / "text.csv").write_text("name\nJane\n")
    with pytest.raises(DataError):
        read_column(tmp_path / "text.csv", "mean")
    (tmp_path / "half.csv").write_text("mean_1,mean_2\n1,2\n3,\n")
    with pytest.raises(DataError, match=r"half\.csv"):
        read_column(tmp_path / "half.csv", "mean")


def test_images_are_shades_by_eight_bits(tmp_path):
    from PIL import Image

    images = np.array([[0, 0.5, 1, 0.25], [-0.1, 1.1, 1 / 255, 0]])
    write_images(tmp_path / "out", images, (2, 2))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0001.png", "0002.png"]
    first, second = (np.asarray(Image.open(tmp_path / "out" / f"000{i}.png")) for i in (1, 2))
    assert first.tolist() == [[0, 128], [255, 64]] and second.tolist() == [[0, 255], [1, 0]]
    write_images(tmp_path / "colour", np.array([[1.0, 0, 0]]), (1, 1, 3))
    assert Image.open(tmp_path / "colour" / "0001.png").getpixel((0, 0)) == (255, 0, 0)
    with pytest.raises(ParameterError, match="no shades"):
        write_images(tmp_path / "counts", 16 * images, (2, 2))
    assert not (tmp_path / "counts").exists()
