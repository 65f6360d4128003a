"""log Σ eˣ, as a + log Σ e^(x−a) with a = max x, so that nothing overflows."""
from typing import Any

import numpy as np


def prepare(given: dict[str, Any]) -> tuple[np.ndarray]:
    return (np.array(given["x"]),)


def forward(x: np.ndarray) -> tuple[float, tuple[np.ndarray, float]]:
    """x (n,) → log Σ eˣ, and what the backward pass reads."""
    a = x.max()
    e = np.exp(x - a)  # (n,)
    total = e.sum()
    return a + np.log(total), (e, total)


def backward(cache: tuple[np.ndarray, float]) -> np.ndarray:
    """d_x = e^(x−a) / Σ e^(x−a): the softmax.   → (n,)"""
    e, total = cache
    return e / total


FUNCTIONS = {
    "primal": lambda x: forward(x)[0],
    "gradient": lambda x: backward(forward(x)[1]),
}
