"""Folders of images: read as they are seen, or refused by name."""
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from npvae.data import load_file
from npvae.errors import DataError

Image = pytest.importorskip("PIL.Image")
RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (6, 9), np.uint8)  # higher than wide is told from wider than high
COLOUR = RNG.integers(0, 256, (6, 9, 3), np.uint8)


def save(path, array, mode=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array) if mode is None else Image.fromarray(array).convert(mode)
    image.save(path, **options)


def png16(path, array, kind):
    """A PNG of 16 bits a channel, by its specification: kind 0 grey, 2 RGB, 4 grey with opacity."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    chunks = [(b"IHDR", struct.pack(">II5B", array.shape[1], array.shape[0], 16, kind, 0, 0, 0)),
              (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks))


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".tiff", ".pgm", ".PNG", ".gif"])
def test_grey_without_loss(suffix, tmp_path):
    save(tmp_path / f"a{suffix}", GREY)
    loaded = load_file(tmp_path)
    np.testing.assert_array_equal(loaded.pixels, GREY.reshape(1, -1))
    assert loaded.image_shape == (6, 9) and loaded.scale == 1 / 255
    assert loaded.notes == "1 image of 6 x 9"


@pytest.mark.parametrize(("suffix", "options"), [
    (".png", {}), (".bmp", {}), (".tif", {}), (".ppm", {}), (".webp", {"lossless": True}),
])
def test_colour_without_loss(suffix, options, tmp_path):
    save(tmp_path / f"a{suffix}", COLOUR, **options)
    save(tmp_path / "b.png", GREY)  # among colours grey is a colour
    loaded = load_file(tmp_path)
    expected = np.stack([COLOUR, np.stack([GREY] * 3, axis=2)]).reshape(2, -1)
    np.testing.assert_array_equal(loaded.pixels, expected)
    assert loaded.image_shape == (6, 9, 3) and loaded.scale == 1 / 255
    assert loaded.notes == "2 images of 6 x 9 x 3, in colour"


def test_an_image_of_one_row_has_its_colours(tmp_path):
    save(tmp_path / "a.png", COLOUR[:1])
    assert load_file(tmp_path).image_shape == (1, 9, 3)


def test_palettes_one_bit_and_grey_as_colour(tmp_path):
    save(tmp_path / "a.png", COLOUR // 64 * 64, "P")
    shown = np.asarray(Image.open(tmp_path / "a.png").convert("RGB"))
    np.testing.assert_array_equal(load_file(tmp_path).pixels, shown.reshape(1, -1))
    (tmp_path / "a.png").unlink()
    save(tmp_path / "b.png", GREY > 99)
    save(tmp_path / "c.png", np.stack([GREY] * 3, axis=2))
    loaded = load_file(tmp_path)
    np.testing.assert_array_equal(loaded.pixels, np.stack([255 * (GREY > 99), GREY]).reshape(2, -1))
    assert loaded.image_shape == (6, 9)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm"])
def test_sixteen_bits_of_grey_are_kept(suffix, tmp_path):
    deep = RNG.integers(0, 65536, (6, 9)).astype(np.uint16)
    save(tmp_path / f"a{suffix}", deep)
    loaded = load_file(tmp_path)
    np.testing.assert_array_equal(loaded.pixels, deep.reshape(1, -1))
    assert loaded.scale == 1 / 65535 and loaded.grey_levels
    save(tmp_path / "b.png", GREY)
    message = refusal(tmp_path)
    assert "8 bits" in message and "16 bits" in message and "one depth" in message


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".tif", ".png", ".webp"])
def test_an_orientation_is_obeyed(suffix, orientation, tmp_path):
    """The eight of EXIF, by what each says of the first row and column that are stored."""
    seen = np.array([[250, 128], [10, 60], [180, 0]], np.uint8).repeat(16, 0).repeat(16, 1)
    stored = {1: seen, 2: seen[:, ::-1], 3: seen[::-1, ::-1], 4: seen[::-1], 5: seen.T,
              6: seen.T[::-1], 7: seen.T[::-1, ::-1], 8: seen.T[:, ::-1]}[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[274] = orientation
    image = Image.fromarray(np.ascontiguousarray(stored))
    options = {"compression": "tiff_lzw"} if suffix == ".tif" else {"quality": 100}
    image.save(tmp_path / f"a{suffix}", exif=exif, **options)
    loaded = load_file(tmp_path)
    assert loaded.image_shape == (48, 32)
    difference = loaded.pixels.reshape(48, 32).astype(int) - seen
    assert np.abs(difference).max() <= (0 if suffix in (".tif", ".png") else 4)  # lossy formats


def test_a_turned_tiff_without_compression_is_read_right_or_refused(tmp_path):
    """Some versions of Pillow mix up the pixels of those whose rows are stored as columns."""
    exif = Image.Exif()
    exif[274] = 6
    image = Image.fromarray(np.ascontiguousarray(GREY.T[::-1]))
    image.save(tmp_path / "a.tif", exif=exif)
    try:
        np.testing.assert_array_equal(load_file(tmp_path).pixels, GREY.reshape(1, -1))
    except DataError as error:
        assert "a.tif" in str(error) and "misreads" in str(error)


def test_opacity_is_laid_on_white(tmp_path):
    glyph = np.zeros((6, 9, 4), np.uint8)  # black, drawn by its opacity alone
    glyph[..., 3] = GREY
    save(tmp_path / "a.png", glyph)
    loaded = load_file(tmp_path)
    expected = 255 - GREY.astype(int)  # 255 (1 − opacity), rounded either way
    assert np.abs(loaded.pixels.reshape(6, 9) - expected).max() <= 1
    opaque = np.concatenate([COLOUR, np.full((6, 9, 1), 255, np.uint8)], axis=2)
    save(tmp_path / "a.png", opaque)
    np.testing.assert_array_equal(load_file(tmp_path).pixels, COLOUR.reshape(1, -1))
    save(tmp_path / "a.png", GREY % 8, "L", transparency=3)  # one grey that is transparent
    shown = np.where(GREY % 8 == 3, 255, GREY % 8)
    np.testing.assert_array_equal(load_file(tmp_path).pixels, shown.reshape(1, -1))
    glyph[..., :3] = 255
    save(tmp_path / "a.png", glyph)
    assert "a.png" in (message := refusal(tmp_path)) and "on white nothing of it" in message


def refusal(folder):
    with pytest.raises(DataError) as error:
        load_file(folder)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_would_be_changed_is_refused(tmp_path):
    path = tmp_path / "a.png"
    for kind, channels in ((2, 3), (4, 2), (6, 4)):
        png16(path, RNG.integers(0, 65536, (6, 9, channels)), kind)
        assert str(path) in (message := refusal(tmp_path)) and "16 bits a colour" in message
    path.unlink()
    deep = RNG.integers(0, 65536, (6, 9, 3)).astype(">u2")
    (tmp_path / "a.ppm").write_bytes(b"P6\n9 6\n65535\n" + deep.tobytes())
    assert "16 bits a colour" in refusal(tmp_path)
    (tmp_path / "a.ppm").unlink()
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    for name in ("a.tif", "a.gif", "a.webp"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        assert name in (message := refusal(tmp_path)) and "it holds 2 pictures" in message
        (tmp_path / name).unlink()
    Image.fromarray(COLOUR).convert("CMYK").save(tmp_path / "a.tif")
    assert "its mode is CMYK" in refusal(tmp_path)
    Image.fromarray(GREY.astype(np.float32)).save(tmp_path / "a.tif")
    assert "its mode is F" in refusal(tmp_path)
    Image.fromarray(GREY.astype(np.int32) - 9).save(tmp_path / "a.tif")
    assert "its pixels go from" in refusal(tmp_path)


def test_sub_folders_are_labels_or_the_question_is_asked(tmp_path):
    for label in ("dog", "cat", ".cache", "__MACOSX"):
        save(tmp_path / label / "1.png", GREY)
    for name in ("Thumbs.db", ".DS_Store", "cat/desktop.ini", "cat/._1.png"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "readme.txt").write_text("who took them")
    (tmp_path / "cat" / "2.svg").write_text("")
    loaded = load_file(tmp_path)
    assert list(loaded.labels) == ["cat", "dog"]
    assert loaded.notes == "2 images of 6 x 9, 2 other files passed over (.svg, .txt)"
    save(tmp_path / "stray.png", GREY)
    assert "stray.png lies beside sub-folders" in refusal(tmp_path)
    (tmp_path / "stray.png").unlink()
    save(tmp_path / "train" / "cat" / "1.png", GREY)
    assert f"as {tmp_path / 'train'}" in refusal(tmp_path)
    assert list(load_file(tmp_path / "train").labels) == ["cat"]


def test_sizes_must_agree(tmp_path):
    save(tmp_path / "a.png", GREY)
    save(tmp_path / "b.png", GREY.T)
    assert "b.png is 9 x 6 but a.png is 6 x 9" in refusal(tmp_path)


def test_the_formats_are_listed_where_none_is_there(tmp_path):
    (tmp_path / "a.heic").write_bytes(b"")
    message = refusal(tmp_path)
    for suffix in (".png", ".jpeg", ".tif", ".webp", ".pgm", ".gif"):
        assert suffix in message


def test_a_png_whose_data_are_not_those_of_its_checksum_is_refused(tmp_path):
    save(tmp_path / "a.png", GREY, compress_level=0)
    contents = bytearray((tmp_path / "a.png").read_bytes())
    contents[contents.index(b"IDAT") + 15] ^= 1
    (tmp_path / "a.png").write_bytes(contents)
    assert "a.png" in refusal(tmp_path)


def test_a_picture_that_claims_to_be_huge_is_refused_before_it_is_decoded(tmp_path):
    png16(tmp_path / "a.png", np.zeros((1, 1)), 0)
    contents = bytearray((tmp_path / "a.png").read_bytes())
    contents[16:24] = struct.pack(">II", 9000, 9000)
    contents[29:33] = struct.pack(">I", zlib.crc32(bytes(contents[12:29])))
    Path(tmp_path / "a.png").write_bytes(contents)
    assert "unpacks to 324,000,000 bytes" in refusal(tmp_path)
