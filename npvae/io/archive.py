"""The model file: a config and named arrays in one ``.npz`` that NumPy alone can read.

A ``.npz`` is a zip of ``.npy`` members, each a one-line header followed by the raw numbers::

    format_version.npy   an integer: how to read the rest
    kind.npy             "model", "checkpoint" or "comparison"
    config.npy           JSON: json.loads(str(np.load(path)["config"]))
    encoder.hidden.0.weight.npy, ...

A file may come from anywhere, so nothing in it is unpickled, evaluated, decompressed or taken
at its word: a member's bytes are read first, which verifies the zip's checksum, and its header
is then held against them. So no file makes the reader allocate more than a few times its size.
"""
import os
import re
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from npvae import install
from npvae.errors import ModelFileError, ParameterError
from npvae.io.atomic import StrPath, atomic_write, reading
from npvae.io.jsonl import to_json
from npvae.io.strict_json import parse_json

Kind = Literal["model", "checkpoint", "comparison"]
FORMAT_VERSION = 2  # 2: a model may have golden vectors

_METADATA = {"format_version": "iu", "kind": "U", "config": "U"}  # name: its kinds of dtype
_NUMBERS = "biufc"  # bool, int, uint, float, complex

_NAME = re.compile(r"[\w.-]+", re.ASCII)  # ASCII: the zip's encoding flag cannot change it
_HEADER = re.compile(  # exactly what NumPy writes for an array of these kinds
    rb"\x93NUMPY\x01\x00(?P<length>..)\{'descr': '(?P<descr>[<>|][biufcU]\d+)', "
    rb"'fortran_order': (?P<fortran>True|False), 'shape': \((?P<shape>[\d, ]*)\), \} *\n",
    re.DOTALL,
)
# What zipfile, NumPy and json raise for bytes that they cannot make sense of.
UNREADABLE = (zipfile.BadZipFile, struct.error, EOFError, ValueError, TypeError, OverflowError,
               RuntimeError)

_REMEDY = "restore it from a copy, or save it anew"
_USE_INSTEAD = {
    "model": "load it with npvae.load, or resume from the checkpoint.npz of a run",
    "checkpoint": "resume it with npvae train --resume and its folder, "
                  "or load the model.npz beside it",
    "comparison": "go on with it by npvae.lab.compare or npvae lab compare, with resume",
}  # fmt: skip


def write_archive(
    path: StrPath, kind: Kind, config: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> Path:
    """Write config and arrays as one uncompressed, pickle-free ``.npz``, atomically.

    Equal contents give equal bytes: no time and no machine is recorded.

    Parameters
    ----------
    path : path
        Replaced atomically; its folder must exist. Its name ends in ``.npz``, or has no suffix
        at all: then it is written under that very name, where ``numpy.savez`` would add one.
    kind : {"model", "checkpoint", "comparison"}
        What :func:`read_archive` must ask for.
    config : dict
        Whatever JSON can hold. Tuples come back as lists.
    arrays : dict of str to ndarray
        bool, integer, float or complex, of any shape, byte order and strides. Names are letters,
        digits, ``.``, ``_`` and ``-``.

    Returns
    -------
    Path
        ``path``.

    Raises
    ------
    ParameterError
        If a name, a dtype or a value of the config cannot be stored, or the file's name promises
        another format; nothing is written.
    ModelFileError
        If the file cannot be written; what stood there is untouched.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = write_archive(f"{folder}/m.npz", "model", {"J": 2}, {"bias": np.zeros(2)})
    ...     with np.load(path) as file:
    ...         print(file["config"], file["bias"])
    {"J": 2} [0. 0.]
    """
    check_suffix(path)
    for name, array in arrays.items():
        if not _NAME.fullmatch(name) or name in _METADATA:
            raise ParameterError(
                f"{name!r} cannot name an array in {path}; use letters, digits and . _ -, "
                f"and none of {', '.join(_METADATA)}"
            )
        if array.dtype.kind not in _NUMBERS:
            raise ParameterError(
                f"{name}: dtype {array.dtype} cannot be stored in {path}; "
                "use bool, integer, float or complex"
            )
    metadata = {"format_version": FORMAT_VERSION, "kind": kind, "config": to_json(config)}
    with atomic_write(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, value in {**metadata, **arrays}.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:  # size not yet known
                np.lib.format.write_array(member, np.asarray(value), allow_pickle=False)
    return Path(path)


def check_suffix(path: StrPath) -> None:
    """Raise a ParameterError if the name of a file promises another format than it would have.

    Examples
    --------
    >>> check_suffix("model.npz")
    >>> check_suffix("model")
    >>> check_suffix("model.safetensors")
    Traceback (most recent call last):
    npvae.errors.ParameterError: model.safetensors: npvae writes .npz and not .safetensors; let \
its name end in .npz, or write another format by model.export(path, format)
    """
    suffix = Path(path).suffix
    if suffix.casefold() not in (".npz", ""):
        raise ParameterError(
            f"{path}: npvae writes .npz and not {suffix}; let its name end in .npz, "
            "or write another format by model.export(path, format)"
        )


def read_archive(path: StrPath, kind: Kind) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read what :func:`write_archive` wrote: the config, and the arrays by name, bit for bit.

    Arrays are read-only and keep their dtype, byte order and C or Fortran order.

    Raises
    ------
    ModelFileError
        If the file is missing, is not npvae's, is damaged, was written by a newer npvae, or is
        of another kind. Nothing in it is ever executed.
    """
    with reading(path) as file:
        if not b"PK\x03\x04".startswith(file.read(4)):  # nor a part of it, where cut that short
            raise _foreign(path, kind, "it is not a zip file")
        try:
            return _read(path, file, kind)
        except ModelFileError:
            raise
        except UNREADABLE as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__  # one line
            raise ModelFileError(
                f"{path}: damaged or truncated: {reason}; {_REMEDY}"
            ) from error


def check_arrays(
    path: StrPath,
    arrays: Mapping[str, np.ndarray],
    expected: Mapping[str, tuple[int, ...]],
) -> None:
    """Hold the arrays of a file against the names and shapes that its config calls for.

    Raises
    ------
    ModelFileError
        Naming the first array that is missing, not expected, of another shape, or not finite.

    Examples
    --------
    >>> check_arrays("m.npz", {"bias": np.zeros(2)}, {"bias": (3,)})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    npvae.errors.ModelFileError: m.npz: bias has shape (2,), ...
    """
    def problem() -> str | None:
        for name, shape in expected.items():
            if name not in arrays:
                return f"{name}, which its config calls for, is missing"
            if arrays[name].shape != tuple(shape):
                return f"{name} has shape {arrays[name].shape}, its config says {tuple(shape)}"
            if not np.isfinite(arrays[name]).all():
                return f"{name} holds NaN or infinity"
        for name in arrays:
            if name not in expected:
                return f"{name} has no place in what its config describes"
        return None

    if what := problem():
        raise ModelFileError(f"{path}: {what}; {_REMEDY}")


def newer_file(path: StrPath, name: str) -> ModelFileError:
    """The error for a file that says ``name``, of which this npvae knows nothing."""
    return ModelFileError(
        f"{path}: made by a newer npvae: this one does not know its {name!r:.60}; "
        f"update npvae: {install.update()}"
    )


def _foreign(path: StrPath, kind: Kind, why: str) -> ModelFileError:
    return ModelFileError(
        f"{path}: not an npvae {kind}: {why}; give a file that npvae has written"
    )


def _read(
    path: StrPath, file: BinaryIO, kind: Kind
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    archive = zipfile.ZipFile(file)
    members = archive.namelist()
    for name in _METADATA:
        if f"{name}.npy" not in members:
            raise _foreign(path, kind, f"it has no member {name}")
    check_container(file, archive)

    version = read_member(archive, "format_version").item()
    if version > FORMAT_VERSION:
        raise ModelFileError(
            f"{path}: made by a newer npvae (format {version}); update npvae: {install.update()}"
        )
    if version < 1:
        raise ValueError(f"format {version} never was")
    found = read_member(archive, "kind").item()
    if found not in _USE_INSTEAD:
        raise ValueError(f"it is of an unknown kind {found[:40]!r}")
    if found != kind:
        raise ModelFileError(f"{path}: is a {found}, not a {kind}; {_USE_INSTEAD[found]}")
    config = parse_json(read_member(archive, "config").item())
    if not isinstance(config, dict):
        raise ValueError("its config is not a JSON object")
    names = [member.removesuffix(".npy") for member in members]
    return config, {name: read_member(archive, name) for name in names if name not in _METADATA}


def check_container(file: BinaryIO, archive: zipfile.ZipFile) -> None:
    """Refuse what zipfile lets pass: bytes around the zip; lost, doubled or overlapping members.

    A zip is read from its end and may hide anything before its first member and after its end
    record. Its directory has no checksum: one flipped bit in the length of an entry's comment
    makes the entries after it part of that comment.
    """
    members = archive.infolist()
    names = archive.namelist()
    size = file.seek(0, os.SEEK_END)
    file.seek(size - 22)  # the end record, which has no comment
    end = file.read()
    if not (end.startswith(b"PK\x05\x06") and end.endswith(b"\0\0")):
        raise ValueError("foreign bytes follow its end")
    if int.from_bytes(end[10:12], "little") != len(names):
        raise ValueError(f"its directory has lost some of its members, {len(names)} are left")
    if members[0].header_offset != 0:
        raise ValueError("foreign bytes stand before its first member")
    if len(set(names)) != len(names):
        raise ValueError("two members have one name")
    for name in names:
        if not (name.endswith(".npy") and _NAME.fullmatch(name)):
            raise ValueError(f"{name[:80]!r} is not a member that npvae writes")
    if sum(member.file_size for member in members) > size:
        raise ValueError("its members claim more bytes than it has")


def read_member(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """One array. Its header is believed only if it describes exactly the bytes behind it."""
    info = archive.getinfo(f"{name}.npy")
    if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
        raise ValueError(f"member {name} is compressed")
    data = archive.read(info)  # to the end, where zipfile verifies the checksum
    header = _HEADER.match(data)
    if header is None or int.from_bytes(header["length"], "little") != header.end() - 10:
        raise ValueError(f"member {name} is not a plain array")
    dtype = np.dtype(header["descr"].decode())
    if dtype.kind not in _METADATA.get(name, _NUMBERS):
        raise ValueError(f"member {name} cannot have dtype {dtype}")
    shape = tuple(int(length) for length in re.findall(rb"\d+", header["shape"]))
    order: Literal["F", "C"] = "F" if header["fortran"] == b"True" else "C"
    values = np.frombuffer(data, dtype, offset=header.end())  # (number of values,), read-only
    return values.reshape(shape, order=order)  # which refuses any other size
