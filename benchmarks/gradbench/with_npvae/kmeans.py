"""k-means: the sum of squared distances to the nearest centroid, and Newton's direction."""
from typing import Any, NamedTuple

import numpy as np


class Cache(NamedTuple):
    """What the forward pass leaves for the backward pass."""

    nearest: np.ndarray  # of each point, its centroid     (n,)
    r: np.ndarray  # from the point to that centroid       (n, d)
    k: int


def prepare(given: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(given["points"]), np.array(given["centroids"])


def forward(P: np.ndarray, C: np.ndarray) -> tuple[float, Cache]:
    """Σ_i min_j |C_j − P_i|².   P (n, d), C (k, d)

    Which is the least is told by |C_j|² − 2 P_i·C_j, one product for all pairs; its value is then
    summed from differences, where nothing large cancels.
    """
    distance = P @ (-2 * C.T)  # (n, k)
    distance += (C * C).sum(axis=1)
    nearest = distance.argmin(axis=1)
    r = C[nearest] - P
    return np.vdot(r, r), Cache(nearest, r, len(C))


def backward(cache: Cache) -> tuple[np.ndarray, np.ndarray]:
    """d_C_j = 2 Σ_i r_i over the points of j, and the Hessian's diagonal, 2 a point.

    → d_C (k, d), H (k, 1)
    """
    nearest, r, k = cache
    d_C = np.stack([np.bincount(nearest, column, k) for column in r.T], axis=1)
    return 2 * d_C, 2 * np.bincount(nearest, minlength=k)[:, None]


def direction(P: np.ndarray, C: np.ndarray) -> np.ndarray:
    """d_C / H.   → (k, d)"""
    d_C, H = backward(forward(P, C)[1])
    return d_C / H


FUNCTIONS = {"cost": lambda P, C: forward(P, C)[0], "dir": direction}
