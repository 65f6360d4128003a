"""Least squares: a polynomial of m coefficients fitted to the sign of n points of [−1, 1]."""
from typing import Any

import numpy as np


def prepare(given: dict[str, Any]) -> tuple[np.ndarray, int]:
    return np.array(given["x"]), given["n"]


def forward(x: np.ndarray, n: int) -> tuple[float, tuple[np.ndarray, np.ndarray]]:
    """½ Σ_i r_i²,  r = s − T x,  T_ij = t_iʲ,  s = sign t.   x (m,) → the sum; T (n, m), r (n,)"""
    t = np.linspace(-1, 1, n)
    T = np.vander(t, len(x), increasing=True)
    r = np.sign(t) - T @ x
    return 0.5 * (r @ r), (T, r)


def backward(cache: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """d_x = −Tᵀ r.   → (m,)"""
    T, r = cache
    return -(T.T @ r)


FUNCTIONS = {
    "primal": lambda x, n: forward(x, n)[0],
    "gradient": lambda x, n: backward(forward(x, n)[1]),
}
