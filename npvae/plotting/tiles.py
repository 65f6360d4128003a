"""Many images as one."""
from math import prod

import numpy as np

from npvae.errors import ParameterError


def tile(
    images: np.ndarray, image_shape: tuple[int, ...], rows: int, cols: int, gap: int = 0
) -> np.ndarray:
    """Lay images out in reading order.

    Parameters
    ----------
    images : array (N, h·w) or (N, h·w·3)
        Values in [0, 1], an image a row, N ≤ rows · cols; cells left over stay white.
        Where some exceed 1, as counts do, the largest of them is white.
    image_shape : (int, int) or (int, int, 3)
        Height h and width w of an image, and 3 where it has colours.
    rows, cols : int
        Of the grid.
    gap : int
        White pixels between neighbours.

    Returns
    -------
    array (rows·(h + gap) − gap, cols·(w + gap) − gap) or (…, …, 3)
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
    h, w, *colours = image_shape
    if images.ndim != 2 or images.shape[1] != prod(image_shape):
        raise ParameterError(f"images of shape {images.shape} are not N images of "
                             f"{' x '.join(map(str, image_shape))}: "
                             f"give an array (N, {prod(image_shape)})")
    if len(images) > rows * cols:
        raise ParameterError(f"{len(images)} images do not fit {rows} rows of {cols}: "
                             "show fewer, or make the grid larger")
    cells = np.ones((rows * cols, *image_shape), images.dtype)
    cells[:len(images)] = images.reshape(-1, *image_shape) / max(1, images.max(initial=0))
    canvas = np.ones((rows, h + gap, cols, w + gap, *colours), images.dtype)
    canvas[:, :h, :, :w] = cells.reshape(rows, cols, *image_shape).swapaxes(1, 2)
    canvas = canvas.reshape(rows * (h + gap), cols * (w + gap), *colours)
    return canvas[:rows * (h + gap) - gap, :cols * (w + gap) - gap]
