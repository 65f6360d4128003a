"""A model as ``.safetensors``: parameters by PyTorch's names, and the config as metadata.

Everything that rebuilds the model is there, so :func:`npvae.load` reads it, and any program that
knows safetensors reads the arrays. The format has no checksum and would hand on a flipped bit
unnoticed; so a SHA-256 of all that is there stands beside the config, and is verified on reading.

=============  ==================================================================================
``format``     ``"pt"``, as PyTorch's libraries expect it
``npvae``      ``"1"``, the version of these fields
``config``     what ``model.npz`` has in ``config``, as one JSON string
``sha256``     hexadecimal; of the fields above as JSON, and of the arrays in the order of names
=============  ==================================================================================
"""
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from npvae import install
from npvae.errors import ModelFileError, optional_import
from npvae.export.description import Description
from npvae.export.format import Files, Format
from npvae.io import read_state_dict, to_json
from npvae.io.atomic import reading
from npvae.io.strict_json import parse_json

VERSION = "1"
LARGEST_HEADER = 10**8  # bytes, as the format itself has it
Arrays = dict[str, np.ndarray]


def files(described: Description, name: str) -> Files:
    """One file.

    Raises
    ------
    MissingExtraError
        If safetensors is not installed.
    """
    package = optional_import("safetensors.numpy", "safetensors")
    # the package takes the memory of an array as it lies, whatever its strides
    arrays = {k: np.ascontiguousarray(v) for k, v in described.arrays.items()}
    metadata = {"format": "pt", "npvae": VERSION, "config": to_json(described.config)}
    return {name: package.save(arrays, metadata | {"sha256": checksum(metadata, arrays)})}


def read(path: str | Path) -> tuple[dict[str, Any], Arrays]:
    """Config and arrays of a file that npvae has written.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, another program's or a newer npvae's.
    MissingExtraError
        If safetensors is not installed.
    """
    arrays, metadata = read_state_dict(path), read_metadata(path)
    expected = metadata.pop("sha256", "")
    if not expected:
        raise ModelFileError(f"{path}: not npvae's: it has no config; npvae.load_state_dict takes "
                             "the arrays of another program")  # fmt: skip
    if expected != checksum(metadata, arrays):
        raise damaged(path)
    if metadata["npvae"] != VERSION:
        raise ModelFileError(f"{path}: made by a newer npvae (fields {metadata['npvae']!r:.20}); "
                             f"update npvae: {install.update()}")  # fmt: skip
    return parse_json(metadata["config"]), arrays


def read_metadata(path: str | Path) -> dict[str, str]:
    """What a file says beside its arrays, each a string.

    Raises
    ------
    ModelFileError
        If the file is missing or has no header.
    """
    with reading(path) as file:
        size = int.from_bytes(file.read(8), "little")
        header = file.read(min(size, LARGEST_HEADER))
    try:
        return dict(parse_json(header).get("__metadata__", {}))
    except (ValueError, AttributeError, TypeError) as error:
        raise damaged(path) from error


def damaged(path: str | Path) -> ModelFileError:
    """The error for a file whose bytes are not those that were written."""
    return ModelFileError(f"{path}: damaged: its checksum does not fit what it holds; "
                          "restore it from a copy, or export it anew")  # fmt: skip


def checksum(metadata: Mapping[str, str], arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of fields and of arrays with their names, dtypes and shapes.

    Examples
    --------
    >>> checksum({}, {"b": np.zeros(2, "f4")})[:8]
    'fef26752'
    """
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        digest.update(f"\n{name} {little.dtype.str} {little.shape}\n".encode())
        digest.update(little.tobytes())
    return digest.hexdigest()


FORMAT = Format(
    "safetensors", "parameters by PyTorch's names, for npvae and every program that reads it",
    (".safetensors",), files,
)  # fmt: skip
