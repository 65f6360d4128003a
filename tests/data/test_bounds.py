"""A small file is not believed to hold a lot; what real data hold is read."""
import gzip
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest

from npvae.data.bounds import RATIO, ROOM, TEXT_ROOM, check_claim, check_image, decompress
from npvae.errors import DataError

MB = 10**6
NOISE = np.random.default_rng(0).bytes(MB)  # no packer makes it smaller


def put(path, contents):
    path.write_bytes(contents)
    return path


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("contents", [b"", b"plain", bytes(ROOM), NOISE], ids=len)
def test_contents_come_back(tmp_path, contents, pack):
    assert decompress(put(tmp_path / "a", pack(contents))) == contents


def test_a_gzip_may_have_several_members(tmp_path):
    path = put(tmp_path / "a", gzip.compress(b"one") + gzip.compress(b"two"))
    assert decompress(path) == b"onetwo"


@pytest.mark.parametrize(("room", "length"), [(ROOM, 300 * MB), (TEXT_ROOM, 20 * MB)])
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, room, length):
    path = put(tmp_path / "bomb.gz", gzip.compress(bytes(length)))
    tracemalloc.start()
    with pytest.raises(DataError, match=r"bomb\.gz unpacks to .* or more"):
        decompress(path, room)
    assert tracemalloc.get_traced_memory()[1] < 4 * MB
    tracemalloc.stop()


def test_a_claim_is_held_against_the_size(tmp_path):
    path = put(tmp_path / "a", bytes(MB))
    check_claim(path, RATIO * MB)
    with pytest.raises(DataError, match="64,000,001 bytes or more, from a file of 1,000,000"):
        check_claim(path, RATIO * MB + 1)


def test_pixels_are_counted_before_they_are_decoded(tmp_path):
    path = put(tmp_path / "a.png", bytes(1000))
    check_image(path, SimpleNamespace(width=2048, height=2048))
    with pytest.raises(DataError, match=r"a\.png"):
        check_image(path, SimpleNamespace(width=15_000, height=15_000))


def test_damage_is_the_callers_to_name(tmp_path):
    with pytest.raises(EOFError):
        decompress(put(tmp_path / "a", gzip.compress(bytes(1000))[:20]))
