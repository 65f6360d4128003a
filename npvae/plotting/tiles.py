"""Many images as one."""
from math import prod

import numpy as np

from npvae.errors import ParameterError


def tile(
    images: np.ndarray, image_shape: tuple[int, int], rows: int, cols: int, gap: int = 0
) -> np.ndarray:
    """Lay images out in reading order.

    Parameters
    ----------
    images : array (N, h·w)
        Grey values in [0, 1], an image a row, N ≤ rows · cols; cells left over stay white.
        Where some exceed 1, as counts do, the largest of them is white.
    image_shape : (int, int)
        Height h and width w of an image.
    rows, cols : int
        Of the grid.
    gap : int
        White pixels between neighbours.

    Returns
    -------
    array (rows·(h + gap) − gap, cols·(w + gap) − gap)
        Of the images' dtype.

    Raises
    ------
    ParameterError
        If the images are not of that shape or do not fit the grid.

    Examples
    --------
    >>> import numpy as np
    >>> tile(np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]), (1, 2), rows=2, cols=2, gap=1)
    array([[0.1, 0.2, 1. , 0.3, 0.4],
           [1. , 1. , 1. , 1. , 1. ],
           [0.5, 0.6, 1. , 1. , 1. ]])
    """
    h, w = image_shape
    if images.ndim != 2 or images.shape[1] != prod(image_shape):
        raise ParameterError(f"images of shape {images.shape} are not N images of {h} x {w}: "
                             f"give an array (N, {h * w})")
    if len(images) > rows * cols:
        raise ParameterError(f"{len(images)} images do not fit {rows} rows of {cols}: "
                             "show fewer, or make the grid larger")
    cells = np.ones((rows * cols, h, w), images.dtype)
    cells[:len(images)] = images.reshape(-1, h, w) / max(1, images.max(initial=0))
    canvas = np.ones((rows, h + gap, cols, w + gap), images.dtype)
    canvas[:, :h, :, :w] = cells.reshape(rows, cols, h, w).swapaxes(1, 2)
    return canvas.reshape(rows * (h + gap), -1)[:rows * (h + gap) - gap, :cols * (w + gap) - gap]
