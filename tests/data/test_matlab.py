"""A damaged MATLAB file is refused, where SciPy would end the process."""
import subprocess
import sys

import numpy as np
import pytest

from npvae.data import load_file
from npvae.data.matlab import check_mat
from npvae.errors import DataError

scipy_io = pytest.importorskip("scipy.io")
sparse = pytest.importorskip("scipy.sparse")

X = np.arange(12.0).reshape(4, 3)
GOOD = {
    **{dtype: X.astype(dtype) for dtype in ("u1", "i1", "u2", "i4", "u8", "f4", "f8", "c16", "?")},
    "sparse": sparse.csc_matrix(X), "text": "a text", "texts": ["a", "text"],
    "cell": np.array([X, "a"], object), "struct": {"a": X, "b": {"c": "d"}}, "empty": X[:0],
    "a_name_of_many_letters": X,
}  # fmt: skip


def put(path, packed=False, **arrays):
    scipy_io.savemat(path, arrays, do_compression=packed)
    return path


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", GOOD)
def test_what_scipy_writes_is_taken(tmp_path, name, packed):
    check_mat(put(tmp_path / "a.mat", packed, **{f"v_{name.strip('?')}": GOOD[name], "after": X}))


def test_version_4_has_no_such_types(tmp_path):
    scipy_io.savemat(tmp_path / "a.mat", {"X": X}, format="4")
    np.testing.assert_array_equal(load_file(tmp_path / "a.mat").pixels, X)


def places(raw):
    """Where the type of the numbers of X stands, and the class of X."""
    flags = raw.index(b"\6\0\0\0\x08\0\0\0") + 8
    return raw.rindex(b"\x09\0\0\0`\0\0\0"), flags


@pytest.mark.parametrize("kind", [0, 8, 10, 14, 19, 20, 21, 200, 255])
def test_a_type_that_there_is_not_is_refused(tmp_path, kind):
    """Most of these end a process in SciPy 1.17, hence another process here."""
    path = put(tmp_path / "a.mat", X=X)
    raw = bytearray(path.read_bytes())
    raw[places(raw)[0]] = kind
    path.write_bytes(raw)
    program = f"""
import npvae
try:
    npvae.data.load_file({str(path)!r})
except npvae.DataError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0
    assert "a.mat is damaged" in done.stdout


@pytest.mark.parametrize("array_class", [0, 18, 200])
def test_a_class_that_there_is_not_is_refused(tmp_path, array_class):
    path = put(tmp_path / "a.mat", X=X)
    raw = bytearray(path.read_bytes())
    raw[places(raw)[1]] = array_class
    path.write_bytes(raw)
    with pytest.raises(DataError, match="damaged"):
        load_file(path)


def test_a_wrong_checksum_is_refused(tmp_path):
    path = put(tmp_path / "a.mat", packed=True, X=X)
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    with pytest.raises(DataError, match="damaged"):
        load_file(path)


@pytest.mark.parametrize("packed", [False, True])
def test_no_part_of_a_file_is_a_file(tmp_path, packed):
    path = put(tmp_path / "a.mat", packed, X=X)
    raw = path.read_bytes()
    for end in range(129, len(raw)):
        path.write_bytes(raw[:end])
        with pytest.raises(DataError):
            load_file(path)
