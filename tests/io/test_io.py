"""Files come back bit for bit or are refused in one line; a failed write loses nothing."""
import io
import json
import os
import pickle
import random
import struct
import tomllib
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from npvae.errors import ModelFileError, ParameterError
from npvae.io import (
    check_arrays,
    read_archive,
    read_toml,
    write_archive,
    write_jsonl,
    write_toml,
)

CONFIG = {"model": "VAE", "latent_dim": 2, "hidden": [5], "beta": None, "note": 'μ "quoted"\n'}
DTYPES = ["?", "i1", "u1", "<i2", "<u4", "<i8", ">i4", "<f2", "<f4", ">f4", "<f8", ">f8",
          "<c8", "<c16", "g"]  # fmt: skip


def arrays():
    rng = np.random.default_rng(0)
    return {
        "encoder.hidden.0.weight": rng.standard_normal((5, 3), np.float32),
        "encoder.hidden.0.bias": rng.standard_normal(5, np.float32),
        "step": np.array(7),
    }


def short(value):
    """A readable test id."""
    return ascii(value)[-60:]


def assert_same(a, b):
    """Equal names, dtypes, shapes and bits: -0.0 is not 0.0, and NaN equals itself."""
    assert list(a) == list(b)
    for name in a:
        assert (a[name].dtype, a[name].shape) == (b[name].dtype, b[name].shape)
        assert a[name].tobytes() == b[name].tobytes()


def message(call, *args, error=ModelFileError):
    """The text of the error that the call raises, which must be one line."""
    with pytest.raises(error) as caught:
        call(*args)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 500
    return text


def refusal(path, kind="model"):
    text = message(read_archive, path, kind)
    assert text.startswith(f"{path}: ")
    assert ";" in text  # what was wrong; what to do
    return text


@pytest.fixture
def model(tmp_path):
    return write_archive(tmp_path / "model.npz", "model", CONFIG, arrays())


# The archive: what goes in comes out


@pytest.mark.parametrize("dtype", DTYPES)
def test_round_trip_is_bit_equal(tmp_path, dtype):
    bits = np.random.default_rng(1).integers(0, 256, 4 * 6 * 32, np.uint8)  # any bits, NaNs too
    a = (bits % 2 == 1 if dtype == "?" else bits.view(dtype))[: 4 * 6].reshape(4, 6)
    written = {
        "c": a,
        "fortran": np.asfortranarray(a),
        "strided": a[::2, 1::3],
        "reversed": a[::-1, ::-1],
        "transposed": a.reshape(2, 3, 4).transpose(2, 0, 1),
        "broadcast": np.broadcast_to(a[0], (3, 6)),
        "scalar": a[0, 0, ...],
        "empty": a[:0],
        "one": a[:1, 0],
    }
    path = write_archive(tmp_path / "a.npz", "checkpoint", CONFIG, written)
    config, back = read_archive(path, "checkpoint")
    assert config == CONFIG
    assert_same(back, written)
    assert not any(b.flags.writeable for b in back.values())


def test_numpy_alone_reads_the_file(model):
    with np.load(model, allow_pickle=False) as file:
        assert json.loads(str(file["config"])) == CONFIG
        assert int(file["format_version"]) == 2
        assert str(file["kind"]) == "model"
        assert_same({name: file[name] for name in arrays()}, arrays())
    with zipfile.ZipFile(model) as archive:
        assert {m.compress_type for m in archive.infolist()} == {zipfile.ZIP_STORED}


def test_a_file_that_numpy_wrote_is_read(tmp_path):
    np.savez(tmp_path / "m.npz", config=json.dumps(CONFIG), format_version=1, kind="model",
             **arrays())  # fmt: skip
    config, back = read_archive(tmp_path / "m.npz", "model")
    assert config == CONFIG
    assert_same(back, arrays())


def test_equal_contents_give_equal_bytes(tmp_path, model):
    again = write_archive(tmp_path / "again.npz", "model", CONFIG, arrays())
    assert again.read_bytes() == model.read_bytes()


# The archive: what cannot be believed


def test_every_truncation_is_refused(tmp_path, model):
    whole = model.read_bytes()
    path = tmp_path / "cut.npz"
    for end in [*range(64), *range(64, len(whole), 7), *range(len(whole) - 64, len(whole))]:
        path.write_bytes(whole[:end])
        assert "damaged or truncated" in refusal(path)


def test_no_flipped_bit_changes_what_is_loaded(tmp_path, model):
    """A flip is refused, or it hit a field that carries no value (a date, a permission)."""
    whole = model.read_bytes()
    path = tmp_path / "flipped.npz"
    rng = random.Random(0)
    directory = whole.index(b"PK\x01\x02")
    bits = [rng.randrange(8 * len(whole)) for _ in range(600)]
    bits += [rng.randrange(8 * directory, 8 * len(whole)) for _ in range(1000)]  # zip's own fields
    refused = 0
    for bit in bits:
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        try:
            config, back = read_archive(path, "model")
        except ModelFileError as error:
            assert "\n" not in str(error)
            refused += 1
        else:
            assert config == CONFIG
            assert_same(back, arrays())
    assert refused > len(bits) / 2


def test_random_damage_is_one_line(tmp_path, model):
    """Bytes overwritten in bulk: nothing but a ModelFileError, or the same values."""
    whole = model.read_bytes()
    path = tmp_path / "damaged.npz"
    rng = random.Random(1)
    for _ in range(600):
        damaged = bytearray(whole)
        start, length = rng.randrange(len(whole)), rng.randrange(1, 40)
        damaged[start : start + length] = rng.randbytes(length)
        path.write_bytes(damaged)
        try:
            _, back = read_archive(path, "model")
        except ModelFileError as error:
            assert "\n" not in str(error)
        else:
            assert_same(back, arrays())


def npy(value, allow_pickle=False):
    member = io.BytesIO()
    np.lib.format.write_array(member, np.asarray(value), allow_pickle=allow_pickle)
    return member.getvalue()


def npy_of(descr, shape, data, fortran=False):
    """A member whose header claims what it likes."""
    header = f"{{'descr': {descr!r}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def forge(path, compression=zipfile.ZIP_STORED, **members):
    """A zip with valid checksums around any bytes; a value of None leaves a member out."""
    good = {"format_version": npy(1), "kind": npy("model"), "config": npy('{"J": 2}')}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in (good | members).items():
            if data is not None:
                archive.writestr(f"{name}.npy", data)
    return path


def test_a_forged_file_without_a_lie_is_read(tmp_path):
    """So what the tests below change is what is refused."""
    path = forge(tmp_path / "f.npz", a=npy_of("<f4", (2, 1), bytes(8)))
    assert_same(read_archive(path, "model")[1], {"a": np.zeros((2, 1), np.float32)})


@pytest.mark.parametrize(
    "member",
    [
        npy_of("<f4", (2**38,), bytes(8)),
        npy_of("<f4", (2**62, 4), bytes(0)),  # 2⁶⁶ bytes, which is 0 in 64 bits
        npy_of("<f4", (2**32, 2**32), bytes(0)),
        npy_of("<f4", (2**70,), bytes(8)),
        npy_of("<f4", (1,), bytes(8)),
        npy_of("<f4", (3,), bytes(8)),
        npy_of("<f4", (-1,), bytes(8)),
        npy_of("<f4", (-1, -2), bytes(8)),
        npy_of("<f4", (True, 2), bytes(8)),
        npy_of("<f4", (2,), bytes(9)),
        npy_of("<f4", "(" + "1, " * 100 + "2)", bytes(8)),
        npy_of("<f4", "(" + "9" * 5000 + ",)", bytes(8)),
        npy_of("<f4", "(" * 3000 + ")" * 3000, bytes(8)),
        npy_of("<f4", "2**3", bytes(8)),
        npy_of("<f7", (1,), bytes(7)),
        npy_of("<f" + "9" * 50, (1,), bytes(7)),
        npy_of("<U0", (), b""),
        npy_of("<U1", (2,), bytes(8)),
        npy_of("<M8", (1,), bytes(8)),
        npy_of("|V8", (1,), bytes(8)),
        npy_of("|O", (1,), pickle.dumps([1])),
        npy_of([("a", "<f4"), ("b", "|O")], (1,), bytes(12)),
        npy([None, {}], allow_pickle=True),
        b"\x93NUMPY\x02\x00" + npy(1.0)[8:],
        b"\x93NUMPY\x01\x00\x05\x00" + npy(1.0)[10:],
        npy(1.0)[:40],
        b"not an array",
        b"",
    ],
    ids=lambda member: short(member[:80]),
)
def test_lying_or_foreign_members_are_refused(tmp_path, member):
    assert "damaged or truncated" in refusal(forge(tmp_path / "f.npz", a=member))


@pytest.mark.parametrize("shape", [(2**38, 0), (0, 2**38), (2**62, 4, 0)])
def test_an_empty_array_has_no_bytes_whatever_its_shape(tmp_path, shape):
    """NumPy itself decides which empty shapes exist; either way nothing is allocated."""
    path = forge(tmp_path / "f.npz", a=npy_of("<f4", shape, b""))
    try:
        assert read_archive(path, "model")[1]["a"].nbytes == 0
    except ModelFileError:
        refusal(path)


class Bomb:
    """Unpickling this makes a folder."""

    def __reduce__(self):
        return os.mkdir, ("exploded",)


def test_a_pickle_is_never_loaded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bomb = np.array([Bomb()], dtype=object)
    np.savez("bomb.npz", config="{}", format_version=1, kind="model", a=bomb)
    assert "not a plain array" in refusal(Path("bomb.npz"))
    np.savez("bomb.npz", config=bomb, format_version=1, kind="model")
    refusal(Path("bomb.npz"))
    assert not Path("exploded").exists()


@pytest.mark.parametrize(
    "metadata",
    [
        {"format_version": npy([1, 1])},
        {"format_version": npy(1.5)},
        {"format_version": npy("1")},
        {"format_version": npy(0)},
        {"format_version": npy(-3)},
        {"kind": npy("recipe")},
        {"kind": npy(["model"] * 2)},
        {"kind": npy(3)},
        {"config": npy("{")},
        {"config": npy("[]")},
        {"config": npy("[" * 100_000)},
        {"config": npy(["{}", "{}"])},
        {"config": npy(b"{}")},
        {"config": npy_of("<U2", (), b"\xff" * 8)},
    ],
    ids=short,
)
def test_bad_metadata_is_refused(tmp_path, metadata):
    assert "damaged or truncated" in refusal(forge(tmp_path / "f.npz", **metadata))


@pytest.mark.parametrize("name", ["format_version", "kind", "config"])
def test_an_npz_without_npvae_metadata_is_foreign(tmp_path, name):
    text = refusal(forge(tmp_path / "f.npz", **{name: None}))
    assert "not an npvae model" in text
    assert name in text


def test_a_newer_format_asks_for_an_upgrade(tmp_path):
    path = forge(tmp_path / "f.npz", format_version=npy(3), kind=npy("recipe"))
    assert "made by a newer npvae (format 3); update npvae: " in refusal(path)


def test_compressed_members_are_refused(tmp_path):
    bomb = npy(np.zeros(10**6))
    assert "compressed" in refusal(forge(tmp_path / "f.npz", zipfile.ZIP_DEFLATED, a=bomb))


@pytest.mark.parametrize("name", ["../a", "/a", "a b", "é", "a\n"])
def test_strange_member_names_are_refused(tmp_path, name):
    assert "not a member" in refusal(forge(tmp_path / "f.npz", **{name: npy(1.0)}))


def test_other_content_in_the_zip_is_refused(model):
    with zipfile.ZipFile(model, "a") as archive:
        archive.writestr("readme.txt", "hello")
    assert "readme.txt" in refusal(model)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_doubled_names_are_refused(model):
    with zipfile.ZipFile(model, "a") as archive:
        archive.writestr("step.npy", npy(8))
    assert "one name" in refusal(model)


def test_overlapping_members_are_refused(tmp_path):
    """Many names for the bytes of one member would unpack to many times the file."""
    path = forge(tmp_path / "f.npz", a=npy(np.zeros(1000)))
    with zipfile.ZipFile(path, "a") as archive:
        archive._didModify = True
        for member in ("b", "c"):
            twin = zipfile.ZipInfo(f"{member}.npy")
            source = archive.getinfo("a.npy")
            for field in ("CRC", "file_size", "compress_size", "header_offset"):
                setattr(twin, field, getattr(source, field))
            archive.filelist.append(twin)
    assert "claim more bytes" in refusal(path)


@pytest.mark.parametrize("tail", [b"\0", b"x", b"PK\x05\x06", bytes(100)])
def test_bytes_after_the_end_are_refused(model, tail):
    model.write_bytes(model.read_bytes() + tail)
    assert "damaged or truncated" in refusal(model)


def test_bytes_before_the_start_are_refused(model):
    model.write_bytes(b"PK\x03\x04" + model.read_bytes())
    assert "before its first member" in refusal(model)


@pytest.mark.parametrize(
    "content",
    [
        b"\x89PNG\r\n\x1a\n" + bytes(99),
        npy(np.zeros(9)),
        pickle.dumps({"state": [1]}),
        b"config = 1\n",
        struct.pack("<Q", 16) + b'{"a":{}}        ',
    ],
    ids=["png", "npy", "pickle", "text", "safetensors"],
)
def test_foreign_files_are_named_so(tmp_path, content):
    path = tmp_path / "foreign"
    path.write_bytes(content)
    assert "not an npvae model" in refusal(path)
    assert "not an npvae checkpoint" in refusal(path, "checkpoint")


def test_foreign_zips_are_named_so(tmp_path):
    torch_like = tmp_path / "model.pt"
    with zipfile.ZipFile(torch_like, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps([1]))
        archive.writestr("config", "no .npy, so no config of ours")
    np.savez(tmp_path / "data.npz", x=np.zeros(3))
    zipfile.ZipFile(tmp_path / "empty.zip", "w").close()
    for name in ("model.pt", "data.npz"):
        assert "not an npvae model" in refusal(tmp_path / name)
    assert "not an npvae model" in refusal(tmp_path / "empty.zip")


def test_a_checkpoint_is_no_model_and_the_error_says_how_to_go_on(tmp_path, model):
    assert "is a model, not a checkpoint" in refusal(model, "checkpoint")
    checkpoint = write_archive(tmp_path / "checkpoint.npz", "checkpoint", {}, {})
    text = refusal(checkpoint)
    assert "is a checkpoint, not a model" in text
    assert "--resume" in text


def test_missing_files_and_folders(tmp_path):
    assert "no such file" in refusal(tmp_path / "absent.npz")
    assert "is a folder" in refusal(tmp_path)


def test_check_arrays_names_the_first_misfit():
    good = {"w": np.zeros((2, 3)), "b": np.zeros(2), "step": np.array(3)}
    shapes = {"w": (2, 3), "b": (2,), "step": ()}
    check_arrays("m.npz", good, shapes)
    bad = [
        ({k: v for k, v in good.items() if k != "b"}, "b, which its config calls for, is missing"),
        (good | {"extra": np.zeros(1)}, "extra has no place"),
        (good | {"w": np.zeros((3, 2))}, "w has shape (3, 2), its config says (2, 3)"),
        (good | {"b": np.array([1, np.nan])}, "b holds NaN or infinity"),
        (good | {"b": np.array([1, -np.inf])}, "b holds NaN or infinity"),
    ]
    for found, text in bad:
        assert f"m.npz: {text}" in message(check_arrays, "m.npz", found, shapes)


# Writing: all or nothing


def test_what_cannot_be_stored_is_refused_before_the_disk_is_touched(tmp_path):
    path = tmp_path / "m.npz"
    one = np.zeros(1)
    for config, named in [
        ({}, {"a": np.array([None])}),
        ({}, {"a": np.array(["text"])}),
        ({}, {"a": np.zeros(1, "M8[s]")}),
        ({}, {"a": np.zeros(1, [("x", "f4")])}),
        ({}, {"config": one}),
        ({}, {"a/b": one}),
        ({}, {"": one}),
        ({}, {"ü": one}),
        ({"loss": float("nan")}, {"a": one}),
        ({"loss": one}, {"a": one}),
        ({"x": {1, 2}}, {"a": one}),
    ]:
        message(write_archive, path, "model", config, named, error=ParameterError)
    assert list(tmp_path.iterdir()) == []


def writers(path):
    """Each writer that replaces a whole file, with more than one disk block to write."""
    return [
        lambda: write_archive(path, "model", CONFIG, {"a": np.ones(100_000)}),
        lambda: write_toml(path, {"a": "x" * 100_000}),
    ]


@pytest.mark.parametrize("which", [0, 1], ids=["archive", "toml"])
@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    model, monkeypatch, which, call, error
):
    before = model.read_bytes()

    def fail(*args):
        raise error

    monkeypatch.setattr(os, call, fail)
    if isinstance(error, OSError):
        text = message(writers(model)[which])
        assert text.startswith(f"{model}: cannot be written: Permission denied; choose a folder")
    else:
        with pytest.raises(KeyboardInterrupt):
            writers(model)[which]()
    assert model.read_bytes() == before
    assert list(model.parent.iterdir()) == [model]


def test_an_array_that_fails_half_way_leaves_the_old_file(model, monkeypatch):
    before = model.read_bytes()
    write_array = np.lib.format.write_array
    calls = iter(range(99))

    def fail_at_the_fifth(file, array, **options):
        if next(calls) == 4:
            file.write(b"half an ar")
            raise KeyboardInterrupt
        write_array(file, array, **options)

    monkeypatch.setattr(np.lib.format, "write_array", fail_at_the_fifth)
    with pytest.raises(KeyboardInterrupt):
        write_archive(model, "model", CONFIG, arrays())
    assert model.read_bytes() == before
    assert list(model.parent.iterdir()) == [model]


@pytest.mark.parametrize("which", [0, 1], ids=["archive", "toml"])
def test_a_disk_that_is_full_half_way_leaves_the_old_file(model, which):
    """The kernel's own limit on the size of a file stands in for a full disk."""
    resource = pytest.importorskip("resource")
    before = model.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        text = message(writers(model)[which])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "File too large" in text
    assert "with room" in text
    assert model.read_bytes() == before
    assert list(model.parent.iterdir()) == [model]


@pytest.mark.skipif(os.geteuid() == 0 if hasattr(os, "geteuid") else True, reason="root may write")
def test_a_folder_without_permission_to_write(tmp_path):
    tmp_path.chmod(0o500)
    try:
        assert "Permission denied" in message(write_archive, tmp_path / "m.npz", "model", {}, {})
        assert list(tmp_path.iterdir()) == []
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("which", [0, 1], ids=["archive", "toml"])
def test_paths_that_cannot_be_written(tmp_path, model, which):
    before = model.read_bytes()
    folder = tmp_path / "folder"
    folder.mkdir()
    for path, text in [
        (tmp_path / "absent" / "m.npz", f"there is no folder {tmp_path / 'absent'}; make it"),
        (model / "m.npz", "Not a directory"),
        (folder, "is a folder"),
        (tmp_path / ("n" * 300), "name too long"),
        (os.devnull, "device"),
    ]:
        line = message(writers(path)[which])
        assert line.startswith(f"{path}: ")
        assert text in line
    assert model.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == [folder, model]
    assert list(folder.iterdir()) == []
    assert not Path(os.devnull).is_file()


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_the_umask_decides_who_may_read(tmp_path, umask):
    old = os.umask(umask)
    try:
        path = write_archive(tmp_path / "m.npz", "model", {}, {})
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_link_is_written_through(tmp_path, model):
    link = tmp_path / "latest.npz"
    link.symlink_to(model)
    write_archive(link, "model", {"new": True}, {})
    assert link.is_symlink()
    assert read_archive(model, "model")[0] == {"new": True}


# JSON lines


ROWS = [{"epoch": 1, "elbo": -123.25, "validation": None}, {"epoch": 2, "note": "a\nb\u2028μ"}]


def test_rows_come_back(tmp_path):
    path = tmp_path / "history.jsonl"
    write_jsonl(path, ROWS[:1])
    write_jsonl(path, ROWS)
    assert [json.loads(line) for line in path.read_text().splitlines()] == ROWS


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), np.float32(1), np.zeros(2), {1}], ids=short
)
def test_a_value_that_json_lacks_is_named_and_the_old_file_stays(tmp_path, value):
    path = tmp_path / "history.jsonl"
    write_jsonl(path, ROWS)
    row = {"epoch": 1, "elbo": value}
    assert message(write_jsonl, path, [row], error=ParameterError).startswith("'elbo' cannot")
    assert len(path.read_text().splitlines()) == len(ROWS)


def test_history_errors_are_one_line(tmp_path):
    assert "is a folder" in message(write_jsonl, tmp_path, [{}])
    assert "there is no folder" in message(write_jsonl, tmp_path / "absent" / "h.jsonl", [{}])


# TOML


def test_toml_gives_the_mapping_back(tmp_path):
    options = {
        "latent_dim": 2,
        "hidden": [500, 250],
        "learning_rate": 1e-3,
        "tiny": 1e-300,
        "huge": 1e22,
        "minus": -0.0,
        "clip": float("inf"),
        "big": -(2**70),
        "verbose": True,
        "resume": False,
        "lists": [[1, 2], ["a"], []],
        "two words": "key",
        "": "empty",
        "a.b": "dotted, not nested",
    }
    path = tmp_path / "config.toml"
    extra = {"activation": None, "sizes": (1, 2), "rate": np.float64(0.5)}
    assert write_toml(path, options | extra) == path
    back = tomllib.loads(path.read_text(encoding="utf-8"))  # the oracle: Python's own reader
    assert back == options | {"sizes": [1, 2], "rate": 0.5}
    assert list(back) == [*options, "sizes", "rate"]
    assert [type(back[key]) for key in options] == [type(value) for value in options.values()]
    assert str(back["minus"]) == "-0.0"
    assert read_toml(path) == back
    assert path.read_text().splitlines()[:3] == [
        "latent_dim = 2", "hidden = [500, 250]", "learning_rate = 0.001"]  # fmt: skip


def test_any_string_survives_toml(tmp_path):
    rng = random.Random(0)
    nasty = [*map(chr, range(0xA0)), *"\"'\\=[]{}#\r\n", "\r\n", "\\u0041", '"""', "\u2028",
             "\ufeff", "\ud7ff", "\ue000", "\U0001f600", "\U0010ffff", "μ"]  # fmt: skip
    texts = ["".join(rng.choices(nasty, k=rng.randrange(12))) for _ in range(500)]
    mapping = dict(zip(texts, reversed(texts), strict=True)) | {"all": nasty}
    path = write_toml(tmp_path / "t.toml", mapping)
    assert read_toml(path) == mapping


def test_a_table_is_written_inline(tmp_path):
    """As an optimiser with constants of its own: what is None is left out."""
    table = {"name": "adam", "beta 1": 0.8, "then": {"name": "step", "at": [0.5]}}
    path = write_toml(tmp_path / "t.toml", {"optimizer": table | {"none": None}})
    assert read_toml(path) == {"optimizer": table}


def test_any_float_survives_toml(tmp_path):
    bits = np.random.default_rng(0).integers(0, 2**64, 1000, np.uint64)
    values = [value for value in bits.view(np.float64).tolist() if value == value]
    path = write_toml(tmp_path / "t.toml", {"values": values})
    assert read_toml(path)["values"] == values


@pytest.mark.parametrize(
    "value", [[None], {1}, np.zeros(2), np.int64(3), "\ud800", {"a": {1}}], ids=short
)
def test_what_toml_cannot_hold_is_named(tmp_path, value):
    path = tmp_path / "t.toml"
    text = message(write_toml, path, {"fine": 1, "bad": value}, error=ParameterError)
    assert text.startswith("'bad' cannot be written as TOML")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content", [b"a = ", b"a = 1\na = 2", b"\xff", b"a = " + b"[" * 5000], ids=short
)
def test_bad_toml_is_one_line(tmp_path, content):
    path = tmp_path / "t.toml"
    path.write_bytes(content)
    assert message(read_toml, path, error=ParameterError).startswith(f"{path}: not valid TOML")


def test_toml_files_that_cannot_be_read(tmp_path):
    assert "no such file" in message(read_toml, tmp_path / "absent.toml")
    assert "is a folder" in message(read_toml, tmp_path)


@pytest.mark.parametrize("line", [
    ".".join("a" * 20_000) + " = 1",  # 1.4 GB and six seconds, by the square of the parts
    " . ".join("a" * 20_000) + " = 1",
    '"a b".' * 10_000 + "c = 1",
    "'a'.b." * 10_000 + "c = 1",
    f"[{'.'.join('a' * 20_000)}]",
    "x = {" + ".".join("a" * 20_000) + " = 1}",
    f"x = {'9' * 20_000}",
    f"{'a' * 40_000} . {'b' * 10}",
    "x = " + "[" * 20 + "]" * 20,
    "x = " + "{a = " * 500 + "1" + "}" * 500,
    "# " + "x" * 70_000,
], ids=short)  # fmt: skip
def test_greedy_toml_is_refused_at_little_cost(tmp_path, line):
    path = tmp_path / "t.toml"
    path.write_text(f"epochs = 3\n{line}\n", encoding="utf-8")
    tracemalloc.start()
    message(read_toml, path, error=ParameterError)
    assert tracemalloc.get_traced_memory()[1] < 16e6
    tracemalloc.stop()


@pytest.mark.parametrize("line", [
    'data = "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t.u.v.w.x.y.z"',
    f"hidden = [{', '.join(['0.5'] * 200)}]",
    "a.b.c.d = 1",
    f"# {'a.' * 15}",
])  # fmt: skip
def test_toml_with_many_dots_is_read(tmp_path, line):
    path = tmp_path / "t.toml"
    path.write_text(line, encoding="utf-8")
    assert read_toml(path) == tomllib.loads(line)
