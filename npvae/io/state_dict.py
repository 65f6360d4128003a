"""Arrays by name as other programs keep them: a ``state_dict`` in a safetensors or npz file.

PyTorch's own ``.pt`` is a pickle, which may run any code when it is read, and is not read here.
"""
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from npvae.backend import to_numpy
from npvae.errors import ModelFileError, optional_import
from npvae.io.archive import UNREADABLE, check_container, read_member
from npvae.io.atomic import StrPath, reading

HOW = (
    "save it with safetensors.torch.save_file(model.state_dict(), 'model.safetensors'), or with "
    "numpy.savez('model.npz', **{k: v.numpy() for k, v in model.state_dict().items()})"
)


def read_state_dict(path: StrPath) -> dict[str, np.ndarray]:
    """All arrays of a ``.safetensors`` file, or of a ``.npz`` that is not compressed.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, or of another kind.
    MissingExtraError
        If it is a safetensors file and that package is not installed.
    """
    suffix = Path(path).suffix
    if suffix not in (".safetensors", ".npz"):
        raise ModelFileError(f"{path}: neither .safetensors nor .npz; {HOW}")
    package = optional_import("safetensors", "safetensors") if suffix != ".npz" else None
    with reading(path) as file:
        try:
            if package:
                return {k: from_bytes(**v) for k, v in package.deserialize(file.read())}
            archive = zipfile.ZipFile(file)
            check_container(file, archive)
            names = [member.removesuffix(".npy") for member in archive.namelist()]
            return {name: read_member(archive, name) for name in names}
        except Exception as error:
            if not package and not isinstance(error, UNREADABLE):
                raise
            reason = " ".join(str(error).split())[:200] or type(error).__name__  # one line
            raise ModelFileError(f"{path}: cannot be read: {reason}; {HOW}") from error


def from_bytes(dtype: str, shape: list[int], data: bytes) -> np.ndarray:
    """A tensor of a safetensors file; bfloat16, which NumPy lacks, as float32."""
    if dtype == "BF16":  # the upper half of a float32
        flat = (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
    elif dtype == "BOOL":
        flat = np.frombuffer(data, bool)
    elif dtype[0] in "FIU" and dtype[1:] in ("8", "16", "32", "64"):
        flat = np.frombuffer(data, f"<{dtype[0].lower()}{int(dtype[1:]) // 8}")
    else:
        raise ValueError(f"it holds {dtype}, which NumPy lacks")
    return flat.reshape(shape)


def as_numpy(value: Any) -> np.ndarray:
    """An array or tensor on the host: detached, and what NumPy lacks (bfloat16) as float32.

    Raises
    ------
    TypeError, ValueError, RuntimeError
        If it cannot be one: sparse, quantized, or without data.
    """
    if hasattr(value, "detach"):  # PyTorch's, which is not imported here
        value = value.detach().cpu()
        if value.is_floating_point() and value.element_size() < 4:
            value = value.float()
        return np.asarray(value.numpy())
    array = to_numpy(value)
    not_numpys = array.dtype.kind == "V" and "float" in array.dtype.name  # as JAX has bfloat16
    return array.astype(np.float32) if not_numpys else array
