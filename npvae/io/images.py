"""A folder of images, one file a datapoint, as other programs look at them."""
from pathlib import Path

import numpy as np

from npvae.errors import ModelFileError, ParameterError, optional_import
from npvae.io.atomic import StrPath, atomic_write


def write_images(folder: StrPath, images: np.ndarray, image_shape: tuple[int, ...]) -> Path:
    """Write ``0001.png`` and so on, 8 bits a pixel, black for 0 and white for 1.

    Parameters
    ----------
    folder : str or path-like
        Made if it is not there.
    images : array (N, D)
        Values in [0, 1]; what a normal likelihood puts a little outside is clipped.
    image_shape : (int, int) or (int, int, 3)
        Of an image, with three for colours.

    Raises
    ------
    ParameterError
        If values lie so far outside [0, 1] that they are no shades.
    MissingExtraError
        Without Pillow.
    ModelFileError
        If the folder cannot be made or written to.
    """
    if images.min() < -1 or images.max() > 2:
        raise ParameterError(
            f"values from {images.min():.3g} to {images.max():.3g} are no shades of [0, 1], which "
            "images have; write .npy or .csv"
        )
    module, folder = optional_import("PIL.Image", "plot"), Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelFileError(f"{folder}: cannot be made: {error.strerror or error}; "
                             "choose a folder that you may write to") from error
    pixels = np.rint(255 * images.clip(0, 1)).astype(np.uint8).reshape(-1, *image_shape)
    digits = max(4, len(str(len(pixels))))
    for i, image in enumerate(pixels, start=1):
        with atomic_write(folder / f"{i:0{digits}}.png") as file:
            module.fromarray(image).save(file, format="png")
    return folder
