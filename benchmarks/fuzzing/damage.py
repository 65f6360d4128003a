"""Damage that knows nothing of the format: a function of a generator and the bytes of a file."""
import re
from collections.abc import Callable
from random import Random

Damage = Callable[[Random, bytes], bytes]

CLAIMS = (0, 1, 127, 128, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
NUMBERS = (b"nan", b"inf", b"-inf", b"1e400", b"-1", b"0", b"1.5", b"9" * 30, b"9" * 5000, b"0x10",
           b"1_0", b"", b"true", b"null", b'"1"', b"\xd9\xa1", b"#", b"[1]", b"1e-400")  # fmt: skip


def flip(rng: Random, data: bytes) -> bytes:
    """One to eight bits."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(rng: Random, data: bytes) -> bytes:
    """The beginning alone."""
    return data[: rng.randrange(len(data))]


def overwrite(rng: Random, data: bytes) -> bytes:
    """Up to forty bytes of noise, zeros or ones."""
    at, n = rng.randrange(len(data)), rng.randint(1, 40)
    return data[:at] + rng.choice((rng.randbytes(n), bytes(n), b"\xff" * n)) + data[at + n :]


def splice(rng: Random, data: bytes) -> bytes:
    """A part of the file at another place, over what stood there or before it."""
    start, at, n = rng.randrange(len(data)), rng.randrange(len(data)), rng.randint(1, 200)
    part = data[start : start + n]
    return data[:at] + part * rng.choice((1, 1, 1, 50)) + data[at + rng.choice((0, len(part))) :]


def remove(rng: Random, data: bytes) -> bytes:
    """A part out of the middle."""
    at = rng.randrange(len(data))
    return data[:at] + data[at + rng.randint(1, 60) :]


def surround(rng: Random, data: bytes) -> bytes:
    """Something before, or after."""
    more = rng.choice((rng.randbytes(rng.randint(1, 100)), bytes(100), data, b"\n", b"PK\x03\x04"))
    return rng.choice((data + more, more + data))


def claim(rng: Random, data: bytes) -> bytes:
    """An integer of two to eight bytes that says how much, where a header may have one."""
    n = rng.choice((2, 4, 8))
    number = (rng.choice(CLAIMS) % 2 ** (8 * n)).to_bytes(n, rng.choice(("little", "big")))
    at = rng.randrange(min(len(data), rng.choice((64, len(data)))))
    return data[:at] + number + data[at + n :]


def renumber(rng: Random, data: bytes) -> bytes:
    """Something else in the place of a number that is written out."""
    places = list(re.finditer(rb"-?\d[\d.e+-]*", data))
    if not places:
        return flip(rng, data)
    place = rng.choice(places)
    return data[: place.start()] + rng.choice(NUMBERS) + data[place.end() :]


ALL: tuple[Damage, ...] = (flip, cut, overwrite, splice, remove, surround, claim, renumber)
