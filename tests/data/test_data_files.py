"""Published files and files of one's own: found, checked, downloaded, or refused in one line."""
import gzip
import os
import struct
import sys
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest

from npvae import data, install
from npvae.data import freyfaces, load_file, load_frey_faces, load_mnist, mnist
from npvae.errors import DataError, MissingExtraError

DATA = os.environ.get("NPVAE_DATA")  # read before any test changes it
needs_data = pytest.mark.skipif(not DATA, reason="NPVAE_DATA names no folder of real data")


def refusal(function, *arguments) -> str:
    """The one line with which a call is refused."""
    with pytest.raises(DataError) as error:
        function(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


# --- the real files -----------------------------------------------------------------------


@needs_data
@pytest.mark.parametrize(("split", "n", "first", "counts"), [
    # The first labels and the number of zeros, ones, ... as the MNIST page and papers list them.
    ("train", 60000, [5, 0, 4, 1, 9], [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]),
    ("test", 10000, [7, 2, 1, 0, 4], [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]),
])
def test_mnist_is_mnist(split, n, first, counts):
    digits = data.load("mnist", split)
    assert digits.pixels.shape == (n, 784) and digits.pixels.dtype == np.uint8
    assert digits.image_shape == (28, 28) and digits.scale * 255 == 1.0
    np.testing.assert_array_equal(digits.labels[:5], first)
    np.testing.assert_array_equal(np.bincount(digits.labels), counts)
    # Every digit was centred by its mass in the 28 x 28 field: rows and columns are the right way.
    image = digits.pixels.mean(axis=0).reshape(28, 28)
    centre = [np.average(np.arange(28), weights=image.sum(axis=axis)) for axis in (1, 0)]
    np.testing.assert_allclose(centre, 14, atol=0.5)


@needs_data
def test_frey_face_is_frey_face():
    pytest.importorskip("scipy")
    faces = load_frey_faces()
    assert faces.pixels.shape == (1965, 560) and faces.image_shape == (28, 20)
    assert faces.images.min() > 0 and faces.images.max() < 1 and faces.labels is None
    # Rows run along the width: pixels below one another are 20 apart, and much alike. A
    # transposed image would make 28 the more alike.
    image = faces.images.mean(axis=0)
    assert np.corrcoef(image[20:], image[:-20])[0, 1] > np.corrcoef(image[28:], image[:-28])[0, 1]
    # Video order: a frame resembles the one before more than one far away.
    step = np.abs(np.diff(faces.images, axis=0)).mean()
    assert step < 0.5 * np.abs(faces.images[1000:] - faces.images[:-1000]).mean()


# --- the same paths on small stand-ins -----------------------------------------------------


IMAGES = np.arange(3 * 784).astype(np.uint8).reshape(3, 28, 28)
LABELS = np.array([4, 0, 9], np.uint8)


def idx(array: np.ndarray) -> bytes:
    """The IDX format as the MNIST page defines it: 0, 0, 8 (bytes), number of axes, lengths."""
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def home(tmp_path, monkeypatch):
    """NPVAE_DATA and the cache as two empty folders, small sources, and no network at all."""
    pooch = pytest.importorskip("pooch")

    def no_network(url, *arguments, **options):
        raise OSError(f"no network:\n{url}")

    monkeypatch.setattr(pooch, "retrieve", no_network)
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("NPVAE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    small = tuple(replace(source, sha256=sha256(idx(array)).hexdigest(), size=len(idx(array)))
                  for source, array in zip(mnist.SOURCES["train"], (IMAGES, LABELS), strict=True))
    monkeypatch.setitem(mnist.SOURCES, "train", small)
    return tmp_path


def put(folder, compress=gzip.compress, suffix=".gz"):
    folder.mkdir(parents=True, exist_ok=True)
    for source, array in zip(mnist.SOURCES["train"], (IMAGES, LABELS), strict=True):
        (folder / source.file.replace(".gz", suffix)).write_bytes(compress(idx(array)))


@pytest.mark.parametrize("where", ["data/mnist", "data", "cache/npvae/mnist"])
@pytest.mark.parametrize(("compress", "suffix"), [
    (gzip.compress, ".gz"), (bytes, ""), (bytes, ".gz")])  # the last as some browsers save it
def test_mnist_is_found_wherever_and_however_it_lies(home, where, compress, suffix):
    put(home / where, compress, suffix)
    digits = load_mnist()
    np.testing.assert_array_equal(digits.pixels.reshape(IMAGES.shape), IMAGES)
    np.testing.assert_array_equal(digits.labels, LABELS)


def test_frey_face_is_read_column_by_column(home, monkeypatch):
    scipy_io = pytest.importorskip("scipy.io")
    ff = np.random.default_rng(0).integers(0, 256, (560, 3), np.uint8)
    scipy_io.savemat(home / "data" / "frey_rawface.mat", {"ff": ff})
    message = refusal(load_frey_faces)  # not the published faces
    assert "SHA-256" in message and freyfaces.SOURCE.sha256 in message
    digest = sha256(ff.T.copy()).hexdigest()
    monkeypatch.setattr(freyfaces, "SOURCE", replace(freyfaces.SOURCE, sha256=digest))
    np.testing.assert_array_equal(load_frey_faces().pixels, ff.T)


def test_without_a_network_the_message_says_what_to_put_where(home):
    message = refusal(load_mnist)
    assert "train-images-idx3-ubyte.gz" in message and str(home / "data" / "mnist") in message
    for mirror in ("ossci-datasets.s3.amazonaws.com", "storage.googleapis.com", "yann.lecun.com"):
        assert mirror in message
    pytest.importorskip("scipy")
    message = refusal(load_frey_faces)
    assert "frey_rawface.mat" in message and "cs.nyu.edu" in message
    assert str(home / "data" / "freyfaces") in message


def test_without_npvae_data_the_cache_is_the_place(home, monkeypatch):
    monkeypatch.delenv("NPVAE_DATA")
    assert str(home / "cache" / "npvae" / "mnist") in refusal(load_mnist)


def test_without_pooch_the_message_names_the_extra(home, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    message = refusal(load_mnist)
    assert install.command("download") in message and "yann.lecun.com" in message


def test_a_download_is_taken_from_the_first_mirror_that_has_the_contents(home, monkeypatch):
    pooch = pytest.importorskip("pooch")
    asked = []

    def retrieve(url, known_hash, fname, path, **options):
        asked.append(url)
        if "ossci" in url:
            raise OSError("unreachable")
        page = b"<html>Please log in</html>"  # a mirror that is one no more
        array = IMAGES if "images" in url else LABELS
        with open(os.path.join(path, fname), "wb") as file:
            file.write(page if "google" in url else gzip.compress(idx(array)))
        return file.name

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    for _ in range(2):
        np.testing.assert_array_equal(load_mnist().labels, LABELS)
    assert len(asked) == 6, "three mirrors for each of two files, and the second time none"
    cached = sorted(path.name for path in (home / "cache/npvae/mnist").iterdir())
    assert cached == ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"]
    assert not list((home / "data").iterdir()), "the user's own folder is only read"


def test_wrong_contents_from_every_mirror_leave_the_cache_empty(home, monkeypatch):
    pooch = pytest.importorskip("pooch")

    def retrieve(url, known_hash, fname, path, **options):
        with open(os.path.join(path, fname), "wb") as file:
            file.write(b"")
        return file.name

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    assert "no mirror gave it" in refusal(load_mnist)
    assert not list((home / "cache/npvae/mnist").iterdir())


@pytest.mark.parametrize("damage", [
    lambda stored: stored[: len(stored) // 2],
    lambda stored: stored[:-8] + b"12345678",  # checksum of the container
    lambda stored: gzip.compress(b"something else"),
    lambda stored: b"",
], ids=["truncated", "checksum", "other", "empty"])
def test_a_damaged_file_is_named_and_kept(home, damage):
    put(home / "data" / "mnist")
    path = home / "data" / "mnist" / "train-images-idx3-ubyte.gz"
    path.write_bytes(damage(path.read_bytes()))
    before = path.read_bytes()
    message = refusal(load_mnist)
    assert str(path) in message and "delete it" in message and "ossci-datasets" in message
    assert path.read_bytes() == before


def test_a_damaged_matlab_file_is_named(home):
    pytest.importorskip("scipy")
    path = home / "data" / "frey_rawface.mat"
    path.write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    message = refusal(load_frey_faces)
    assert str(path) in message and "delete it" in message


def test_npvae_data_must_be_a_folder(home, monkeypatch):
    monkeypatch.setenv("NPVAE_DATA", str(home / "nowhere"))
    message = refusal(load_mnist)
    assert "NPVAE_DATA" in message and repr(str(home / "nowhere")) in message
    found = {name: (here, hint) for name, here, hint in data.available()}
    assert found["mnist"] == (False, message)


def test_what_is_available_says_where_or_what_to_do(home):
    put(home / "data")
    for source in mnist.SOURCES["test"]:
        (home / "data" / source.file).touch()
    found = {name: (here, hint) for name, here, hint in data.available()}
    assert found["mnist"] == (True, str(home / "data"))
    assert found["freyfaces"][0] is False
    assert "frey_rawface.mat" in found["freyfaces"][1] and str(home) in found["freyfaces"][1]


# --- a user's own files -------------------------------------------------------------------


BYTES = np.arange(5 * 64, dtype=np.int64).reshape(5, 8, 8).astype(np.uint8)


def test_npy_stays_on_disk_and_bytes_are_scaled(tmp_path):
    np.save(tmp_path / "faces.npy", BYTES)
    faces = load_file(tmp_path / "faces.npy")
    assert isinstance(faces.pixels, np.memmap) and not faces.pixels.flags.writeable
    assert (faces.image_shape, faces.name, faces.labels) == ((8, 8), "faces.npy", None)
    np.testing.assert_array_equal(faces.pixels, BYTES.reshape(5, 64))
    np.testing.assert_allclose(faces.images, BYTES.reshape(5, 64) / 255, rtol=2.0**-23)


@pytest.mark.parametrize(("array", "image_shape", "scale"), [
    (np.full((3, 4, 6), 200, np.uint8), (4, 6), 1 / 255),
    (np.full((3, 16), 0.5), (4, 4), 1.0),  # a square of 16 or more is an image
    (np.full((3, 9), 0.5), None, 1.0),
    (np.full((3, 20), 0.5, np.float32), None, 1.0),
    (np.ones((3, 20), np.uint8), None, 1.0),  # a binary image
    (np.ones((3, 20), bool), None, 1.0),
    (np.full((3, 20), 200), None, 1.0),  # integers other than bytes may mean anything
])
def test_shape_and_scale_follow_from_the_array(tmp_path, array, image_shape, scale):
    np.save(tmp_path / "x.npy", array)
    loaded = load_file(tmp_path / "x.npy")
    assert (loaded.image_shape, loaded.scale) == (image_shape, scale)
    assert loaded.pixels.dtype == array.dtype and len(loaded) == 3


@pytest.mark.parametrize("key", ["images", "X", "pixels", "anything"])
@pytest.mark.parametrize("labels_key", ["labels", "y", None])
def test_npz(tmp_path, key, labels_key):
    labels = {labels_key: np.array(list("abcde"))} if labels_key else {}
    np.savez(tmp_path / "x.npz", **{key: BYTES} | labels)
    loaded = load_file(tmp_path / "x.npz")
    np.testing.assert_array_equal(loaded.pixels, BYTES.reshape(5, 64))
    assert loaded.image_shape == (8, 8)
    if labels_key:
        np.testing.assert_array_equal(loaded.labels, labels[labels_key])
    else:
        assert loaded.labels is None


@pytest.mark.parametrize("header", [
    "", "width, height\n", "# made by hand\n", "\ufeff", "\ufeffa,b\n"])
def test_csv_with_or_without_a_header(tmp_path, header):
    (tmp_path / "x.csv").write_text(header + "1,2.5\n-3,4e-1\n5,6\n", encoding="utf-8")
    loaded = data.load(tmp_path / "x.csv")
    np.testing.assert_array_equal(loaded.pixels, [[1, 2.5], [-3, 0.4], [5, 6]])
    assert loaded.image_shape is None and loaded.scale == 1.0


def save_image(path, array, **options):
    image = pytest.importorskip("PIL.Image")
    path.parent.mkdir(parents=True, exist_ok=True)
    image.fromarray(array).save(path, **options)


def test_a_folder_of_images(tmp_path):
    colour = np.stack([BYTES[1]] * 3, axis=-1)  # grey as colour: any weighting gives it back
    for name, array in [("b.png", BYTES[0]), ("c.bmp", colour), ("a.gif", BYTES[2]),
                        ("d.PNG", BYTES[3] > 127)]:
        save_image(tmp_path / "mine" / name, array)
    (tmp_path / "mine" / "notes.txt").write_text("not an image")
    (tmp_path / "mine" / "._b.png").write_text("left by a file manager")
    loaded = load_file(tmp_path / "mine")
    expected = np.stack([BYTES[2], BYTES[0], BYTES[1], 255 * (BYTES[3] > 127)])
    np.testing.assert_array_equal(loaded.pixels, expected.reshape(4, 64))
    assert (loaded.image_shape, loaded.labels, loaded.name) == ((8, 8), None, "mine")
    assert loaded.scale * 255 == 1.0


def test_jpegs_come_back_nearly(tmp_path):
    save_image(tmp_path / "a.jpg", np.full((8, 12), 77, np.uint8), quality=95)
    loaded = load_file(tmp_path)
    assert loaded.image_shape == (8, 12)
    np.testing.assert_allclose(loaded.pixels, 77, atol=2)  # a lossy format


def test_sub_folders_are_labels(tmp_path):
    for label, array in [("dog", BYTES[0]), ("cat", BYTES[1])]:
        save_image(tmp_path / label / "1.png", array)
        save_image(tmp_path / label / "2.png", array)
    loaded = load_file(tmp_path)
    assert list(loaded.labels) == ["cat", "cat", "dog", "dog"]
    np.testing.assert_array_equal(loaded.pixels[[0, 2]], BYTES[[1, 0]].reshape(2, 64))


def test_a_folder_needs_pillow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError, match=r"\[images\]"):
        load_file(tmp_path)


# --- and what is wrong with them ----------------------------------------------------------


@pytest.mark.parametrize(("array", "parts"), [
    (np.ones(5), ("shape (5,)", "(N, D)")),
    (np.float64(3), ("shape ()",)),
    (np.ones((2, 8, 8, 5)), ("shape (2, 8, 8, 5)", "(N, H, W, 3)")),
    (np.ones((0, 5)), ("shape (0, 5)", "one at least")),
    (np.array([["a", "b"]]), ("<U1", "numbers")),
    (np.ones((2, 2), complex), ("complex128", "numbers")),
])
def test_npy_that_holds_no_rows_of_numbers(tmp_path, array, parts):
    np.save(tmp_path / "x.npy", array)
    message = refusal(load_file, tmp_path / "x.npy")
    assert "x.npy" in message and all(part in message for part in parts)


class Bomb:
    """Unpickling this would create a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("save", [np.save, lambda path, array: np.savez(path, images=array)])
@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
def test_pickles_are_never_opened(tmp_path, save, name):
    with open(tmp_path / name, "wb") as file:
        save(file, np.array([[Bomb(tmp_path / "bang")]], object))
    message = refusal(load_file, tmp_path / name)
    assert name in message and "no plain numbers" in message
    assert not (tmp_path / "bang").exists()


@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
@pytest.mark.parametrize("keep", [0, 4, 60, 0.5])
def test_truncated_arrays(tmp_path, name, keep):
    with open(tmp_path / name, "wb") as file:
        (np.save if name == "x.npy" else np.savez)(file, BYTES)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: keep if keep >= 1 else int(keep * len(whole))])
    message = refusal(load_file, tmp_path / name)
    assert name in message and "write it again" in message


def test_foreign_files(tmp_path):
    (tmp_path / "x.npy").write_text("hello, this is a letter")
    assert "x.npy" in refusal(load_file, tmp_path / "x.npy")
    (tmp_path / "x.pkl").write_text("")
    assert ".npz, .mat, .h5, .hdf5, .hdf, IDX or a folder of images" in refusal(
        load_file, tmp_path / "x.pkl")
    message = refusal(load_file, tmp_path / "none.npy")
    assert "there is no file" in message and "none.npy" in message


@pytest.mark.parametrize(("arrays", "parts"), [
    ({"train": BYTES, "test": BYTES}, ("train (5, 8, 8), test (5, 8, 8)", "images, X, pixels")),
    ({"y": np.ones(5)}, ("holds y", "images, X, pixels")),
    ({}, ("nothing",)),
    ({"X": BYTES, "y": np.ones(4)}, ("(4,)", "5 datapoints")),
])
def test_npz_that_leaves_a_question(tmp_path, arrays, parts):
    np.savez(tmp_path / "x.npz", **arrays)
    message = refusal(load_file, tmp_path / "x.npz")
    assert "x.npz" in message and all(part in message for part in parts)


@pytest.mark.parametrize(("text", "part"), [
    ("1,2\n3,four\n", "'four'"),
    ("1,two\n3,4\n", "'two'"),  # not taken for a header: that would lose a row
    ("1,2\n3\n", "line 2, has 1 field, and others 2"),
    ("1,,2\n", "''"),
    ("", "holds no rows"),
    ("width,height\n", "no rows"),
    ("\x00\x01", "x.csv"),
])
def test_csv_that_is_no_table(tmp_path, text, part):
    (tmp_path / "x.csv").write_text(text)
    message = refusal(load_file, tmp_path / "x.csv")
    assert "x.csv" in message and part in message and "usecols" not in message


def test_csv_that_is_no_text(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"\xff\xfe1\x002\x00\x00")  # half a character is left
    assert "x.csv" in refusal(load_file, tmp_path / "x.csv")


def test_folders_that_cannot_be_used(tmp_path):
    pytest.importorskip("PIL")
    (tmp_path / "empty").mkdir()
    assert "holds no image" in refusal(load_file, tmp_path / "empty")
    save_image(tmp_path / "sizes" / "a.png", np.zeros((8, 8), np.uint8))
    save_image(tmp_path / "sizes" / "b.png", np.zeros((8, 9), np.uint8))
    message = refusal(load_file, tmp_path / "sizes")
    assert "b.png is 8 x 9 but a.png is 8 x 8" in message and "one size" in message


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".gif"])
@pytest.mark.parametrize("keep", [0, 5, 0.5])
def test_damaged_images(tmp_path, suffix, keep):
    path = tmp_path / f"a{suffix}"
    rng = np.random.default_rng(0)
    save_image(path, rng.integers(0, 256, (40, 40), np.uint8))
    whole = path.read_bytes()
    path.write_bytes(whole[: keep if keep >= 1 else int(keep * len(whole))])
    message = refusal(load_file, tmp_path)
    assert str(path) in message and "remove it" in message
