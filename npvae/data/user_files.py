"""A user's own data: ``.npy``, ``.npz``, ``.csv``, or a folder of images.

Nothing is ever unpickled, so a file from a stranger can do no harm.
"""
import re
import warnings
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np

from npvae.data.bounds import check_claim, check_image
from npvae.data.dataset import Dataset
from npvae.errors import DataError, optional_import

ARRAY_NAMES = ("images", "X", "pixels")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif")


def load_file(path: str | Path) -> Dataset:
    """Data of one's own, from a file or a folder.

    ======================  ==============================================================
    ``.npy``                (N, D) or (N, H, W), memory-mapped
    ``.npz``                its only array, or the one called images, X or pixels;
                            ``labels`` or ``y`` if there are any
    ``.csv``                N lines of D numbers, with or without a header line
    a folder                png, jpg, bmp and gif files of one size, in the order of their
                            names, turned to grey; sub-folders, if any, are the labels
    ======================  ==============================================================

    Bytes are pixels from 0 to 255 and are scaled as the likelihood needs, unless none exceeds 1;
    other numbers are taken as they are. A row of 16 or more whose length is a square is an image.

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        If there is no such file, or it cannot be understood; the message says why.
    MissingExtraError
        For a folder, without Pillow, which reads images.
    """
    path = Path(path)
    if path.is_dir():
        return _dataset(path.resolve().name, *_read_folder(path))
    if not path.exists():
        raise DataError(f"there is no file or folder {str(path)!r}: correct the path")
    kind = path.suffix.lower()
    if kind not in (".npy", ".npz", ".csv"):
        raise DataError(f"{path} is none of .npy, .npz, .csv or a folder of images: save it as one")
    return _dataset(path.name, *(_read_csv(path) if kind == ".csv" else _read_numpy(path)))


def _dataset(name: str, values: np.ndarray, labels: np.ndarray | None) -> Dataset:
    if values.ndim not in (2, 3) or values.size == 0:
        raise DataError(f"{name} has shape {values.shape}: "
                        "it needs rows (N, D) or grey images (N, H, W), one at least")
    pixels = values.reshape(len(values), -1)  # (N, D)
    side = isqrt(pixels.shape[1])
    image_shape = None
    if values.ndim == 3:
        image_shape = values.shape[1], values.shape[2]
    elif side >= 4 and side * side == pixels.shape[1]:
        image_shape = side, side
    return Dataset(pixels, labels, image_shape, name)


def _read_numpy(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    try:
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded, None
        with loaded as archive:
            check_claim(path, sum(member.file_size for member in archive.zip.infolist()))
            arrays = dict(archive)
    except DataError:
        raise
    except Exception as error:  # parsers raise whatever they stumble on
        raise DataError(f"{path} is damaged or holds no plain numbers ({_reason(error)}): "
                        "write it again with numpy.save or numpy.savez") from error
    held = ", ".join(arrays) or "nothing"
    labels = arrays.pop("labels", arrays.pop("y", None))
    names = [name for name in ARRAY_NAMES if name in arrays][:1] or list(arrays)
    if len(names) != 1:
        raise DataError(f"{path} holds {held}: call the array to use one of "
                        f"{', '.join(ARRAY_NAMES)}")
    return arrays[names[0]], labels


def _read_csv(path: Path) -> tuple[np.ndarray, None]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            has_header = not any(_is_number(field) for field in file.readline().split(","))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an empty table is our error, not NumPy's warning
            return np.loadtxt(path, delimiter=",", skiprows=int(has_header), ndmin=2,
                              encoding="utf-8-sig"), None  # (N, D)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is no table of numbers with commas between them "
                        f"({_reason(error)}): correct or remove that row") from error


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _read_folder(folder: Path) -> tuple[np.ndarray, np.ndarray | None]:
    pillow = optional_import("PIL.Image", "plot")
    names = sorted(path.relative_to(folder) for path in folder.rglob("*")
                   if path.suffix.lower() in IMAGE_SUFFIXES)
    names = [name for name in names if not any(part[0] == "." for part in name.parts)]  # hidden
    if not names:
        raise DataError(f"{folder} holds no image: it needs {', '.join(IMAGE_SUFFIXES)} files")
    shape = _read_grey(folder / names[0], pillow).shape
    images = np.empty((len(names), *shape), np.uint8)  # (N, H, W)
    for name, image in zip(names, images, strict=True):
        grey = _read_grey(folder / name, pillow)
        if grey.shape != shape:
            raise DataError(f"{folder / name} is {grey.shape[0]} x {grey.shape[1]} but {names[0]} "
                            f"is {shape[0]} x {shape[1]}: bring all images to one size")
        image[:] = grey
    in_classes = all(len(name.parts) > 1 for name in names)
    return images, np.array([name.parts[0] for name in names]) if in_classes else None


def _read_grey(path: Path, pillow: Any) -> np.ndarray:
    try:
        with pillow.open(path) as image:
            check_image(path, image)
            if image.mode[0] in "IF":  # Pillow would clip these, not scale them
                raise ValueError(f"its mode is {image.mode}, more than 8 bits a pixel")
            return np.asarray(image.convert("L"))  # (H, W)
    except DataError:
        raise
    except Exception as error:  # parsers raise whatever they stumble on
        raise DataError(f"{path} is no image that can be used ({_reason(error)}): "
                        "save it again with 8 bits a pixel, or remove it") from error


def _reason(error: Exception) -> str:
    """What a library says, without its advice on arguments that are not ours."""
    words = " ".join(str(error).split()) or type(error).__name__
    return re.split(r"\. |; use ", words)[0].removesuffix(".")
