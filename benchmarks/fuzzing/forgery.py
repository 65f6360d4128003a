"""Forgeries: sound containers, with good checksums, around a value that is wrong."""
import gzip
import io
import json
import struct
import tomllib
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from random import Random
from typing import Any

from fuzzing import damage

HUGE = 10**30
DEEP = "[" * 3000 + "]" * 3000


@cache
def zeros(packed: Callable[[bytes], bytes], n: int) -> bytes:
    """So many zero bytes, packed; once, for it takes a second."""
    return packed(bytes(n))


class Raw(str):
    """Text that stands in JSON or TOML as it is."""


def values(rng: Random) -> Any:
    """Of another type, or where it cannot be."""
    return rng.choice((
        None, True, False, 0, -1, 1, 3, 2**31, 2**63, HUGE, 0.5, -0.0, 1e300, 4.0, float("inf"),
        float("nan"), "", "x", "3", "normal", "..", "nan", "\0", "é" * 1000, [], [[]], {}, [1],
        [3], [3, "4"], [-1, True], [2.5], [None], {"name": "x"}, {"name": 3}, {"a": [1]},
        [1] * rng.choice((10, 3000)), "x" * rng.choice((10, 50_000)), Raw(DEEP), Raw("1e400"),
        Raw("9" * 5000), [10**rng.randint(1, 25)], 10**rng.randint(1, 25),
    ))  # fmt: skip


def places(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """Every place in nested dicts and lists."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield (*path, key)
        if isinstance(inner, (dict, list)):
            yield from places(inner, (*path, key))


def tamper(rng: Random, value: Any) -> Any:
    """A copy of nested dicts and lists in which one thing is changed."""
    changed = json.loads(json.dumps(value))
    path = rng.choice(list(places(changed)) or [()])
    if not path:
        return values(rng)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    match rng.randrange(6):
        case 0:
            del inner[path[-1]]
        case 1 if isinstance(inner, dict):
            inner[rng.choice(("new_option", "", "é", "__class__", "x" * 5000))] = values(rng)
        case 1:
            inner *= rng.choice((2, 1000))
        case 2:
            other = rng.choice(list(inner) if isinstance(inner, dict) else range(len(inner)))
            inner[path[-1]], inner[other] = inner[other], inner[path[-1]]
        case 3 if isinstance(inner[path[-1]], (int, float)):
            inner[path[-1]] += rng.choice((1, -1, 0.5, 1000))
        case _:
            inner[path[-1]] = values(rng)
    return changed


def dumps(value: Any) -> str:
    """JSON, with NaN, and Raw as it is."""
    match value:
        case Raw():
            return str(value)
        case dict():
            return "{" + ", ".join(f"{json.dumps(k)}: {dumps(v)}" for k, v in value.items()) + "}"
        case list():
            return f"[{', '.join(map(dumps, value))}]"
    return json.dumps(value)


def forge_json(rng: Random, text: str) -> str:
    """One value changed; now and then a key twice, or the text damaged."""
    if rng.random() < 0.1:
        return damage.renumber(rng, text.encode()).decode(errors="replace")
    forged = dumps(tamper(rng, json.loads(text)))
    if rng.random() < 0.05:
        forged = forged.replace("{", '{"class": "VAE", "class": 3, ', 1)
    return forged


# ---- npy


def npy(descr: Any, shape: Any, data: bytes, fortran: Any = False, version: int = 1) -> bytes:
    """A ``.npy`` whose header says what it likes."""
    header = f"{{'descr': {descr!r}, 'fortran_order': {fortran}, 'shape': {shape}, }}".encode()
    width = 2 if version == 1 else 4
    header += b" " * (-(8 + width + len(header) + 1) % 64) + b"\n"
    length = len(header).to_bytes(width, "little")
    return b"\x93NUMPY" + bytes((version, 0)) + length + header + data


def npy_parts(data: bytes) -> tuple[str, tuple, bytes]:
    """What a good ``.npy`` of version 1 says, and the bytes behind it."""
    end = 10 + int.from_bytes(data[8:10], "little")
    header = eval(data[10:end])  # of a file that this process has made
    return header["descr"], header["shape"], data[end:]


def forge_npy(rng: Random, data: bytes) -> bytes:
    """Another dtype, shape, order, version or length; or other numbers."""
    descr, shape, numbers = npy_parts(data)
    match rng.randrange(6):
        case 0:
            descr = rng.choice((
                "<f4", "<f8", ">f8", "|u1", "|b1", "<i8", "<c16", "|O", "<U4", "|S8", "<M8[s]",
                "|V8", "<f2", "<f16", "<f99", "", [("a", "<f8")],
            ))  # fmt: skip
        case 1:
            shape = rng.choice((
                (), (-1,), (2**40,), (2**62, 4), (0,), shape[::-1], (*shape, 1), (0, 2**62),
                tuple(n + 1 for n in shape), "(1,", "((" * 1000, (1,) * 70,
            ))  # fmt: skip
        case 2:
            return npy(descr, shape, numbers, rng.choice((True, 1, None, "'x'")))
        case 3:
            return npy(descr, shape, numbers, version=rng.choice((2, 3, 4, 0)))
        case 4:
            numbers = damage.flip(rng, numbers) if numbers else b"x"
        case 5:
            special = struct.pack("<d", rng.choice((float("nan"), float("inf"), 1e300, -1.0)))
            at = rng.randrange(0, max(len(numbers) - 7, 1))
            numbers = numbers[:at] + special + numbers[at + 8 :]
    return npy(descr, shape, numbers)


# ---- zip


def members(data: bytes) -> dict[str, bytes]:
    """Name → bytes of each."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(parts: list[tuple[str, bytes]], compressed: bool = False, comment: bytes = b"") -> bytes:
    """A zip, in which a name may stand twice."""
    file = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, part in parts:
            if name in archive.NameToInfo:
                archive.NameToInfo.pop(name)  # else zipfile warns
            archive.writestr(name, part)
        archive.comment = comment
    return file.getvalue()


def text_of(member: bytes) -> str:
    """The string in a ``.npy`` of one."""
    return npy_parts(member)[2].decode("utf-32-le")


def text_npy(text: str) -> bytes:
    """A ``.npy`` of one string."""
    return npy(f"<U{len(text)}", (), text.encode("utf-32-le", "surrogatepass"))


def forge_npz(rng: Random, data: bytes) -> bytes:
    """Members changed, renamed, lost, doubled, compressed, or a bomb among them."""
    parts = list(members(data).items())
    i = rng.randrange(len(parts))
    name, member = parts[i]
    match rng.randrange(9):
        case 0:
            del parts[i]
        case 1:
            more = ((name, member), ("extra.npy", member), ("readme.txt", b"hello"))
            parts.append(rng.choice(more))
        case 2:
            parts[i] = rng.choice(("../x.npy", "x", "a b.npy", name.upper(), name[:-4])), member
        case 3:
            return pack(parts, compressed=True)
        case 4:
            n = rng.choice((10**4, 10**5, 10**6, 10**7) if rng.random() < 0.1 else (10**4, 10**5))
            return pack([*parts, ("zeros.npy", npy("<f8", (n,), bytes(8 * n)))], compressed=True)
        case 5:
            return pack(parts, comment=b"a comment")
        case 6:
            other = rng.choice(parts)[1]
            parts[i] = name, other
        case _:
            parts[i] = name, forge_npy(rng, member)
    return pack(parts)


def forge_config(rng: Random, data: bytes) -> bytes:
    """The JSON of a model file or a checkpoint, one value changed."""
    parts = members(data)
    config = forge_json(rng, text_of(parts["config.npy"]))
    return pack(list((parts | {"config.npy": text_npy(config)}).items()))


# ---- TOML


def toml(value: Any) -> str:
    """One value as TOML, Raw as it is."""
    match value:
        case Raw() | None:
            return str(value)
        case bool():
            return str(value).lower()
        case dict():
            return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + "}"
        case list():
            return f"[{', '.join(map(toml, value))}]"
        case str():
            return json.dumps(value)
    return repr(value)


def forge_toml(rng: Random, data: bytes) -> bytes:
    """One value changed, or a construction that a parser is slow or greedy with."""
    settings = tomllib.loads(data.decode())
    lines = [f"{json.dumps(k)} = {toml(v)}" for k, v in tamper(rng, settings).items()]
    n = rng.choice((10, 1000, 20_000))
    match rng.randrange(12):
        case 0:
            lines.append(".".join("a" * n) + " = 1")
        case 1:
            lines.append(f"[{'.'.join('a' * n)}]")
        case 2:
            lines.append("a = " + "[" * n + "]" * n)
        case 3:
            lines.append("a = " + "{b = " * n + "1" + "}" * n)
        case 4:
            lines.append(f"epochs = {'9' * n}")
        case 5:
            lines.append('a = """' + "\\\n" * n + '"""')
        case 6:
            lines.append(rng.choice(lines))
        case 7:
            lines += [f"a.b{i}.c = {i}" for i in range(n // 10)]
        case 8:
            lines += ["[[a]]"] * (n // 10)
        case 9:
            lines.append("when = 1979-05-27T07:32:00Z")
    return "\n".join(lines).encode(errors="replace")


# ---- lines of JSON, tables, pictures


def forge_jsonl(rng: Random, data: bytes) -> bytes:
    """One line changed."""
    lines = data.decode().splitlines()
    i = rng.randrange(len(lines))
    match rng.randrange(4):
        case 0:
            lines[i] = dumps(values(rng))
        case 1:
            lines.insert(i, lines[i])
        case _:
            lines[i] = dumps(tamper(rng, json.loads(lines[i])))
    return "\n".join(lines).encode(errors="replace")


FIELDS = (
    "nan", "NaN", "inf", "-inf", "1e400", "", " ", '"2"', "'2'", "1_000", "0x10", "1,5", "1;5",
    "\u0661", "#DIV/0!", "#", "x", "+1", "1.", ".5", "1e5", "1d5", "- 1", "1 2", "True", "NA", "1j",
    "\0", "1e-400", "9" * 400, "\t1", "\u2212" + "1", '"', "\r", "=1+1", "1%",
)  # fmt: skip


def forge_csv(rng: Random, data: bytes) -> bytes:
    """A field, a line or the separator changed."""
    table = [line.split(",") for line in data.decode().splitlines()]
    row = rng.randrange(len(table))
    column = rng.randrange(len(table[row]))
    end, comma = "\n", ","
    match rng.randrange(10):
        case 0:
            end = rng.choice(("\r\n", "\r", "\n\n", "\n ", ",\n"))
        case 1:
            comma = rng.choice((";", "\t", " ", ", ", "|", ",,"))
        case 2:
            del table[row][column]
        case 3:
            table[row].insert(column, table[row][column])
        case 4:
            table.insert(row, rng.choice((table[row], [""], ["# 1"], ["a", "b"])))
        case 5:
            table = table * rng.choice((2, 100))
        case _:
            table[row][column] = rng.choice(FIELDS)
    text = end.join(comma.join(line) for line in table)
    mark = rng.choice(("", "", "", "\ufeff")).encode()
    return mark + text.encode(rng.choice(("utf-8",) * 9 + ("utf-16",)))


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def forge_png(rng: Random, data: bytes) -> bytes:
    """A chunk changed, lost, doubled or a bomb, with good checksums."""
    chunks, at = [], 8
    while at < len(data):
        n = int.from_bytes(data[at : at + 4], "big")
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + n]))
        at += n + 12
    i = rng.randrange(len(chunks))
    kind, content = chunks[i]
    match rng.randrange(6):
        case 0:
            side = rng.choice((0, 1, 100, 2000, 15_000, 2**31 - 1))
            head = side.to_bytes(4, "big") * 2 + bytes((8, rng.choice((0, 2, 3, 4, 6)), 0, 0, 0))
            chunks[0] = b"IHDR", head
            if side in (2000, 15_000) and rng.random() < 0.2:
                chunks[1] = b"IDAT", zeros(zlib.compress, side * side)
        case 1:
            chunks[i] = kind, damage.flip(rng, content) if content else b"x"
        case 2:
            del chunks[i]
        case 3:
            chunks.insert(i, chunks[i])
        case 4:
            text = zeros(zlib.compress, rng.choice((9, 2**20, 2**26)))
            chunks.insert(1, (b"zTXt", b"a\0\0" + text))
        case 5:
            kind = rng.choice((b"iCCP", b"eXIf", b"tRNS", b"gAMA", b"acTL"))
            chunks.insert(1, (kind, rng.randbytes(30)))
    return data[:8] + b"".join(png_chunk(*chunk) for chunk in chunks)


def forge_gzip(rng: Random, data: bytes) -> bytes:
    """Other contents, well packed: damaged, or a bomb."""
    contents = rng.choice(damage.ALL)(rng, gzip.decompress(data))
    bomb = zeros(gzip.compress, rng.choice((10**7, 3 * 10**8))) if rng.random() < 0.05 else b""
    return gzip.compress(contents, 1) + bomb
