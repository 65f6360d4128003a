"""Arrays by name as other programs keep them: a ``state_dict`` in a safetensors or npz file.

PyTorch's own ``.pt`` is a pickle, which may run any code when it is read, and is not read here.
"""
import zipfile
from pathlib import Path

import numpy as np

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
    package = optional_import("safetensors.numpy", "safetensors") if suffix != ".npz" else None
    with reading(path) as file:
        try:
            if package:
                return package.load(file.read())
            archive = zipfile.ZipFile(file)
            check_container(file, archive)
            names = [member.removesuffix(".npy") for member in archive.namelist()]
            return {name: read_member(archive, name) for name in names}
        except Exception as error:
            if not package and not isinstance(error, UNREADABLE):
                raise
            reason = " ".join(str(error).split())[:200] or type(error).__name__  # one line
            raise ModelFileError(f"{path}: cannot be read: {reason}; {HOW}") from error
