"""What pictures are given: data as an array or a Dataset, and the shape of an image."""
from typing import Any

import numpy as np

from npvae.data import Dataset
from npvae.estimators.base import GenerativeModel

Shape = tuple[int, ...] | None


def values_of(model: Any, data: Any) -> np.ndarray:
    """Data as the model sees them, a Dataset on the likelihood's scale.   (N, D)"""
    if not isinstance(data, Dataset):
        return data
    if isinstance(model, GenerativeModel):
        data = data.scaled_for(model._likelihood().support)
    return data.images


def shape_of(model: Any, image_shape: Shape, data: Any = None) -> Shape:
    """Height and width of an image: as given, of the data, or of what the model was fitted on."""
    if image_shape is None and isinstance(data, Dataset):
        image_shape = data.image_shape
    return model.image_shape_ if image_shape is None else image_shape


def read_labels(labels: np.ndarray | None, N: int) -> tuple[list[str], np.ndarray]:
    """Names and each datapoint's index into them; or no names and a value each."""
    if labels is not None:
        labels = np.asarray(labels)
        try:
            names, index = np.unique(labels, return_inverse=True)
        except TypeError:  # words and None, which have no order
            names, index = np.unique(labels.astype(str), return_inverse=True)
        if len(names) <= 20 and labels.dtype.kind != "f":
            return [str(name) for name in names], index
        if labels.dtype.kind in "uif":
            return [], labels
    return [""], np.zeros(N, int)  # no labels, or more names than can be told apart
