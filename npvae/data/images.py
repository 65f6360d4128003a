"""Images: a folder of them, read by Pillow, the extra ``images``.

A picture is read as it is seen: turned as its EXIF orientation says, and laid on white where it is
transparent. 16 bits of grey stay 16 bits, and colour stays colour, (H, W, 3), unless red, green and
blue are alike in every pixel of every picture. Sub-folders are the labels. Files that are no
pictures are passed over, and said to be.
"""
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from npvae.data.bounds import check_image
from npvae.data.contents import Contents
from npvae.errors import DataError, optional_import

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm",
            ".pbm", ".pnm")  # fmt: skip
OF_A_SYSTEM = ("thumbs.db", "desktop.ini", "__macosx")  # beside names that begin with a point


def read_folder(folder: Path) -> Contents:
    """All images of a folder, in the order of their names.

    Returns
    -------
    Contents
        values (N, H, W, 1) of grey or (N, H, W, 3) of colour; uint8, or uint16 where the files
        have 16 bits of grey.
    """
    optional_import("PIL.Image", "images")
    names, notes = _list(folder)
    labels = _labels(folder, names)
    first = read_image(folder / names[0])
    images = np.empty((len(names), *first.shape[:2], 1), first.dtype)
    for i, name in enumerate(names):
        pixels = read_image(folder / name) if i else first
        if pixels.shape[:2] != first.shape[:2]:
            raise DataError(f"{folder / name} is {_size(pixels)} but {names[0]} is {_size(first)}: "
                            "bring all images to one size")
        if pixels.dtype != first.dtype:
            raise DataError(f"{folder / name} has {_bits(pixels)} but {names[0]} has "
                            f"{_bits(first)}: bring all images to one depth")
        if images.shape[3] == 1 and (pixels != pixels[..., :1]).any():
            images = np.repeat(images, 3, axis=3)  # (N, H, W, 3)
            notes.append("in colour")
        images[i] = pixels[..., : images.shape[3]]
    deep = images.dtype == np.uint16
    return Contents(images, labels, notes, scale=1 / 65535 if deep else 0.0, grey_levels=deep)


def read_image(path: Path) -> np.ndarray:
    """One picture as it is seen.   (H, W, 1) or (H, W, 3) uint8, or (H, W, 1) uint16

    Raises
    ------
    DataError
        If it cannot be read without changing it.
    """
    image_module = optional_import("PIL.Image", "images")
    try:
        with image_module.open(path) as image:
            check_image(path, image)
            image.verify()  # a PNG's checksums, which decoding leaves out
        with image_module.open(path) as image:
            if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":  # a JPEG of a telephone
                raise ValueError(f"it holds {image.n_frames} pictures")
            if _is_deep_colour(image):
                raise ValueError("it has 16 bits a colour, of which 8 would be lost")
            size = image.size  # of a TIFF, as its orientation turns it
            image.load()
            if image.size != size:  # Pillow 13 mixes up the pixels of uncompressed ones
                raise ValueError("it is a turned TIFF that Pillow misreads")
            optional_import("PIL.ImageOps", "images").exif_transpose(image, in_place=True)
            seen = _on_white(image) if image.has_transparency_data else image
            if seen.mode[0] == "I":
                return _deep_grey(np.asarray(seen))
            if seen.mode not in ("1", "L", "P", "RGB", "YCbCr"):
                raise ValueError(f"its mode is {seen.mode}")
            if seen.mode not in ("L", "RGB"):
                seen = seen.convert("L" if seen.mode == "1" else "RGB")
            return np.atleast_3d(np.asarray(seen))
    except DataError:
        raise
    except Exception as error:  # parsers raise whatever they stumble on
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path} is no image that can be used ({reason}): save it again as one "
                        "opaque picture of 8 bits a colour or 16 of grey, or remove it") from error


def _is_deep_colour(image: Any) -> bool:
    """Whether Pillow would take 16 bits a channel for 8, by what its decoder is told."""
    if image.mode[0] == "I" or not image.tile:
        return False
    codec, *_, told = image.tile[0]
    raw, *rest = (told,) if isinstance(told, str) else told or ("",)
    return ";16" in str(raw) or (codec.startswith("ppm") and rest != [] and rest[0] > 255)


def _deep_grey(pixels: np.ndarray) -> np.ndarray:
    """(H, W) of whole numbers as uint16.   (H, W, 1)"""
    if pixels.min() < 0 or pixels.max() > 65535:
        raise ValueError(f"its pixels go from {pixels.min()} to {pixels.max()}")
    return pixels.astype(np.uint16)[..., None]


def _on_white(image: Any) -> Any:
    """Laid on white; refused if nothing can be seen there."""
    module = optional_import("PIL.Image", "images")
    drawn = image.convert("RGBA")
    seen = module.alpha_composite(module.new("RGBA", drawn.size, "white"), drawn).convert("RGB")
    varies = [low < high for low, high in drawn.getextrema()]
    if any(varies) and not any(low < high for low, high in seen.getextrema()):
        raise ValueError("it is transparent, and on white nothing of it is seen")
    return seen


def _list(folder: Path) -> tuple[list[Path], list[str]]:
    """The images below a folder, and in words what else is there."""
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    files = [file for file in files
             if not any(p[0] == "." or p.lower() in OF_A_SYSTEM for p in file.parts)]  # fmt: skip
    images = [file for file in files if file.suffix.lower() in SUFFIXES]
    others = [file for file in files if file.suffix.lower() not in SUFFIXES]
    if not images:
        raise DataError(f"{folder} holds no image: it needs {', '.join(SUFFIXES)} files")
    kinds = ", ".join(sorted({file.suffix.lower() or file.name for file in others}))
    return images, [f"{len(others)} other files passed over ({kinds})"] if others else []


def _labels(folder: Path, names: Sequence[Path]) -> np.ndarray | None:
    """The sub-folder of each image; None if there are none."""
    alone = [name for name in names if len(name.parts) == 1]
    if len(alone) == len(names):
        return None
    if alone:
        raise DataError(f"{folder / alone[0]} lies beside sub-folders of images, which are their "
                        "labels: move it into one of them, or away")
    deep = [name for name in names if len(name.parts) > 2]
    if deep:
        raise DataError(f"{folder / deep[0]} lies in a sub-folder of a sub-folder: name a folder "
                        f"whose sub-folders are the labels, as {folder / deep[0].parts[0]}")
    return np.array([name.parts[0] for name in names])


def _size(pixels: np.ndarray) -> str:
    return f"{pixels.shape[0]} x {pixels.shape[1]}"


def _bits(pixels: np.ndarray) -> str:
    return f"{8 * pixels.dtype.itemsize} bits"
