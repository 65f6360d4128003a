"""What a model becomes elsewhere: files in the formats that other programs read.

A format is a function from a :class:`~npvae.export.description.Description` to files, of its own
file here; :data:`FORMATS` lists them. None of them looks at a model: what the model computes it
finds as a list of elementary functions (:mod:`npvae.export.program`).
"""
import inspect
from contextlib import suppress
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from npvae.errors import ModelFileError, ParameterError
from npvae.export import c, js, onnx, python, safetensors, torch
from npvae.export.check import Comparison, compare
from npvae.export.description import Description
from npvae.export.format import Files, Format, Runner
from npvae.export.program import FUNCTIONS, Program, Step
from npvae.io import atomic_write
from npvae.io.atomic import reading
from npvae.options import one_of

FORMATS = {
    module.FORMAT.name: module.FORMAT for module in (c, js, onnx, python, safetensors, torch)
}

__all__ = [
    "FORMATS",
    "FUNCTIONS",
    "Comparison",
    "Description",
    "Files",
    "Format",
    "Program",
    "Runner",
    "Step",
    "compare",
    "is_own",
    "write",
]


def is_own(path: Path) -> bool:
    """Whether npvae has written a ``.safetensors`` or ``.npz`` file, or a folder of graphs."""
    if path.suffix.casefold() == ".safetensors":
        return "npvae" in safetensors.read_metadata(path)
    if path.suffix.casefold() == ".npz":
        with reading(path) as file, suppress(BadZipFile):
            return "format_version.npy" in ZipFile(file).namelist()
    return path.is_dir() and "npvae" in onnx.metadata(onnx.load_graph(path / "encoder.onnx"))


def write(
    described: Description, path: str | Path, format: str, overwrite: bool = False, **options: Any
) -> list[Path]:
    """Write a model in a format; the files that were written.

    Each file appears complete or not at all. Parameters and errors are those of
    :meth:`npvae.VAE.export`.
    """
    form, path = FORMATS[one_of("format", format, FORMATS)], Path(path)
    known = [p.name for p in inspect.signature(form.files).parameters.values()][2:]
    for name in options:
        if name not in known:
            raise ParameterError(f"format={form.name!r} has no option {name!r}; "
                                 f"it has {', '.join(known) or 'none'}")  # fmt: skip
    if path.suffix.lower() not in form.suffixes:
        wanted = " or ".join(suffix or "nothing, for a folder" for suffix in form.suffixes)
        raise ParameterError(f"{path}: format={form.name!r} writes names that end in {wanted}")
    files = form.files(described, path.name, **options)
    paths = [path.parent / name for name in files]
    for one in () if overwrite else {path, *paths}:
        if one.exists() and not (one == path and one.is_dir() and not any(one.iterdir())):
            raise ModelFileError(
                f"{one} exists and is not overwritten; name another, or pass overwrite=True"
            )
    strange = {*path.iterdir()} - {*paths} if path.is_dir() else ()
    if strange:
        raise ModelFileError(f"{path} holds {min(strange).name}, which is no part of this export; "
                             "name a folder of its own")  # fmt: skip
    for one, content in zip(paths, files.values(), strict=True):
        if one.parent != path.parent:
            make_folder(one.parent)
        with atomic_write(one) as file:
            file.write(content)
    return paths


def make_folder(folder: Path) -> None:
    """Make a folder if there is none; an ``OSError`` becomes a one-line ``ModelFileError``."""
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise ModelFileError(f"{folder}: cannot be made: {error.strerror}; name a new folder in "
                             "one that you may write to") from error  # fmt: skip
