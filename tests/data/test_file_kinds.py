"""One array written as files of every kind, and read back: equal, or refused in one line."""
import bz2
import gzip
import io
import lzma
import struct
import sys
import zipfile

import numpy as np
import pytest

from npvae.data import load_file
from npvae.errors import DataError, MissingExtraError

N, SIDE = 12, 8
X = np.random.default_rng(0).integers(2, 256, (N, SIDE, SIDE), np.uint8)
X[0, 0, :2] = 0, 255
LABELS = np.arange(N) % 3
ROWS = X.reshape(N, -1)


def csv(rows=ROWS, delimiter=",", names=None, line="\n", index=False):
    """A table as text."""
    lines = [] if names is None else [delimiter.join(["i"] * index + names)]
    lines += [delimiter.join([*[str(i)] * index, *map(str, row)]) for i, row in enumerate(rows)]
    return line.join([*lines, ""])


def zipped(name, contents):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, contents)
    return file.getvalue()


def numpy_file(save, **arrays):
    file = io.BytesIO()
    save(file, **arrays)
    return file.getvalue()


def npy(array):
    return numpy_file(np.save, arr=array)


def idx(array, code=8):
    big = array.astype(array.dtype.newbyteorder(">"))
    return struct.pack(f">4B{array.ndim}I", 0, 0, code, array.ndim, *array.shape) + big.tobytes()


def frame(**columns):
    pandas = pytest.importorskip("pandas")
    names = [f"pixel{j}" for j in range(SIDE * SIDE)]
    return pandas.DataFrame(ROWS, columns=names).assign(**columns)


def arrow(write):
    pytest.importorskip("pyarrow")

    def contents():
        file = io.BytesIO()
        write(frame(label=LABELS), file)
        return file.getvalue()

    return contents


def matlab(**arrays):
    def contents():
        file = io.BytesIO()
        pytest.importorskip("scipy.io").savemat(file, arrays, do_compression=True)
        return file.getvalue()

    return contents


def hdf5(**arrays):
    def contents():
        file = io.BytesIO()
        with pytest.importorskip("h5py").File(file, "w") as h5:
            for name, array in arrays.items():
                h5.create_dataset(name, data=array, compression="gzip")
        return file.getvalue()

    return contents


def sparse():
    file = io.BytesIO()
    scipy_sparse = pytest.importorskip("scipy.sparse")
    scipy_sparse.save_npz(file, scipy_sparse.csr_array(ROWS))
    return file.getvalue()


NAMES = [f"pixel{j}" for j in range(SIDE * SIDE)]
LABELLED = csv(np.c_[ROWS, LABELS], names=[*NAMES, "label"])
FILES = {  # name of the file: its contents, and whether the labels are in it
    "plain.csv": (csv(), False),
    "header.csv": (csv(names=NAMES), False),
    "numbers.csv": (csv(names=[str(j) for j in range(64)]), False),
    "pandas.csv": (lambda: frame().to_csv(), False),
    "no-index.csv": (lambda: frame(label=LABELS).to_csv(index=False), True),
    "unnamed.csv": (lambda: frame().T.reset_index(drop=True).T.to_csv(index=False), False),
    "label.csv": (LABELLED, True),
    "class-first.csv": (csv(np.c_[LABELS, ROWS], names=["class", *NAMES]), True),
    "id.csv": (csv(np.c_[np.arange(N) + 500, ROWS], names=["id", *NAMES]), False),
    "words.csv": (csv([[*row, "abc"[k]] for row, k in zip(ROWS, LABELS, strict=True)],
                      names=[*NAMES, "label"]), True),
    "bom.csv": ("\ufeff" + LABELLED, True),
    "crlf.csv": (csv(names=NAMES, line="\r\n"), False),
    "utf16.csv": (LABELLED.encode("utf-16"), True),
    "latin1.csv": (LABELLED.replace("pixel9", "größe9").encode("latin-1"), True),
    "quoted.csv": (csv([[f'"{v}"' for v in row] for row in ROWS]), False),
    "decimals.csv": (csv(ROWS.astype(float), names=NAMES), False),
    "exponents.csv": (csv([[f"{v:.17e}" for v in row] for row in ROWS]), False),
    "semicolons.csv": (csv([[f"{v},0" for v in row] for row in ROWS], ";", NAMES), False),
    "blank-lines.csv": (LABELLED.replace("\n", "\n\n"), True),
    "savetxt.txt": (numpy_file(lambda f: np.savetxt(f, ROWS, header=" ".join(NAMES))), False),
    "uci.data": (csv(ROWS), False),
    "tabs.tsv": (csv(names=NAMES, delimiter="\t"), False),
    "x.csv.gz": (gzip.compress(LABELLED.encode()), True),
    "x.csv.bz2": (bz2.compress(LABELLED.encode()), True),
    "x.csv.xz": (lzma.compress(LABELLED.encode()), True),
    "x.csv.zip": (zipped("inside.csv", LABELLED), True),
    "x.parquet": (arrow(lambda frame, file: frame.to_parquet(file)), True),
    "x.feather": (arrow(lambda frame, file: frame.to_feather(file)), True),
    "bytes.npy": (npy(X), False),
    "fortran.npy": (npy(np.asfortranarray(ROWS)), False),
    "big-endian.npy": (npy(ROWS.astype(">i4")), False),
    "half.npy": (npy(ROWS.astype(np.float16)), False),  # whole numbers to 2048 are exact
    "int64.npy": (npy(ROWS.astype(np.int64)), False),
    "long-double.npy": (npy(ROWS.astype(np.longdouble)), False),
    "channel-first.npy": (npy(X[:, None]), False),
    "channel-last.npy": (npy(X[..., None]), False),
    "x.npy.gz": (gzip.compress(npy(X)), False),
    "keras.npz": (numpy_file(np.savez_compressed, x_train=X, y_train=LABELS, x_test=X[:2],
                             y_test=LABELS[:2]), True),
    "sklearn.npz": (numpy_file(np.savez, data=ROWS, target=LABELS), True),
    "images.npz": (numpy_file(np.savez, images=X, labels=LABELS[:, None]), True),
    "alone.npz": (numpy_file(np.savez, anything=X), False),
    "sparse.npz": (sparse, False),
    "my-images-idx3-ubyte": (idx(X), False),
    "my.idx3-ubyte.gz": (gzip.compress(idx(X)), False),
    "floats.idx": (idx(X.astype(np.float32), 13), False),
    "x.mat": (matlab(X=ROWS, y=LABELS), True),
    "samples-last.mat": (matlab(X=np.moveaxis(X, 0, -1), y=LABELS[:, None]), True),
    "x.h5": (hdf5(images=X, labels=LABELS), True),
    "alone.hdf5": (hdf5(whatever=X), False),
}  # fmt: skip


def written(folder, name, contents):
    contents = contents() if callable(contents) else contents
    path = folder / name
    path.write_bytes(contents.encode() if isinstance(contents, str) else contents)
    return path


@pytest.mark.parametrize("name", FILES)
def test_what_was_written_is_read(name, tmp_path):
    contents, labelled = FILES[name]
    loaded = load_file(written(tmp_path, name, contents))
    np.testing.assert_array_equal(loaded.pixels, ROWS)
    assert loaded.image_shape == (SIDE, SIDE)
    if labelled:
        expected = np.array(list("abc"))[LABELS] if name == "words.csv" else LABELS
        np.testing.assert_array_equal(loaded.labels, expected)
    else:
        assert loaded.labels is None
    assert "12 images of 8 x 8" in loaded.notes and "\n" not in loaded.notes


def test_idx_labels_lie_beside_the_images(tmp_path):
    written(tmp_path, "train-images-idx3-ubyte", idx(X))
    written(tmp_path, "train-labels-idx1-ubyte", idx(LABELS.astype(np.uint8)))
    loaded = load_file(tmp_path / "train-images-idx3-ubyte")
    np.testing.assert_array_equal(loaded.labels, LABELS)
    assert "labels of train-labels-idx1-ubyte" in loaded.notes


def test_matlab_7_3_has_its_axes_in_the_other_order(tmp_path):
    """As MATLAB writes it: HDF5 behind a block of 512 bytes that names the version."""
    path = tmp_path / "x.mat"
    with pytest.importorskip("h5py").File(path, "w", userblock_size=512) as file:
        file["X"] = ROWS.T  # C order of what MATLAB has in Fortran's
        file["y"] = LABELS[None]
    contents = bytearray(path.read_bytes())
    contents[:19] = b"MATLAB 7.3 MAT-file"
    path.write_bytes(contents)
    loaded = load_file(path)
    np.testing.assert_array_equal(loaded.pixels, ROWS)
    np.testing.assert_array_equal(loaded.labels, LABELS)


REFUSED = {
    "objects.npy": (lambda: numpy_file(np.save, arr=ROWS.astype(object)), ["no plain numbers"]),
    "complex.npy": (npy(ROWS.astype(complex)), ["complex128", "real numbers"]),
    "records.npy": (npy(np.zeros(3, [("a", float)])), ["(3,)", "(N, D)"]),
    "unnamed.npz": (numpy_file(np.savez, a=X, b=LABELS), ["a (12, 8, 8), b (12,)", "call the"]),
    "channels.npy": (npy(np.zeros((4, 3, 8, 8))), ["(4, 3, 8, 8)", "np.moveaxis(x, 1, -1)"]),
    "opacity.npy": (npy(np.zeros((4, 8, 8, 4))), ["(4, 8, 8, 4)", "(N, H, W, 3)"]),
    "several.h5": (hdf5(one=X, two=X), ["one (12, 8, 8), two (12, 8, 8)"]),
    "damaged.csv.zip": (b"PK\3\4 and no more", ["damaged"]),
    "labels.idx": (idx(LABELS.astype(np.uint8)), ["shape (12,)"]),
    "short.idx": (idx(X)[:-1], ["header says (12, 8, 8)"]),
    "long.idx": (idx(X) + b"0", ["header says (12, 8, 8)"]),
    "x.png": (b"\x89PNG", ["name the folder"]),
    "x.xlsx": (b"PK\3\4", ["none of .csv", ".parquet", ".npz", ".mat", "IDX", "folder of images"]),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_right_is_refused(name, tmp_path):
    contents, parts = REFUSED[name]
    with pytest.raises(DataError) as error:
        load_file(written(tmp_path, name, contents))
    message = str(error.value)
    assert "\n" not in message and name in message
    assert all(part in message for part in parts), message


def test_two_arrays_of_one_name_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive, pytest.warns(UserWarning):
        for array in (X, 255 - X):
            archive.writestr("X.npy", npy(array))
    with pytest.raises(DataError, match="two of its arrays are called 'X'"):
        load_file(tmp_path / "x.npz")


def test_a_zip_of_several_files_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.csv.zip", "w") as archive:
        archive.writestr("a.csv", csv())
        archive.writestr("b.csv", csv())
    with pytest.raises(DataError, match="holds 2 files: unpack it"):
        load_file(tmp_path / "x.csv.zip")


@pytest.mark.parametrize(("module", "name", "extra"), [
    ("pyarrow", "x.parquet", "tables"), ("pyarrow", "x.feather", "tables"),
    ("h5py", "x.h5", "hdf5"), ("scipy", "x.mat", "science"), ("scipy", "sparse.npz", "science"),
])  # fmt: skip
def test_a_reader_that_is_missing_is_a_line_with_the_command(
        module, name, extra, tmp_path, monkeypatch):
    path = written(tmp_path, name, FILES[name][0])
    for known in list(sys.modules):
        if known.partition(".")[0] == module:
            monkeypatch.setitem(sys.modules, known, None)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError) as error:
        load_file(path)
    assert f"[{extra}]" in str(error.value) and "\n" not in str(error.value)
