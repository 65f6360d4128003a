"""Densities fitted to samples, for M datapoints at once: a normal, and Gaussian kernels.

Samples are first whitened, u = C⁻¹(z − m) with their mean m and covariance C Cᵀ, so that one
bandwidth suits every direction:

    normal    q(z) = N(u; 0, I) / |C|
    kernel    q(z) = (1/L) Σ_l N(u; u_l, h² I) / |C|,       h = factor · L^(−1/(J+4))

The factor times Scott's bandwidth is the one of ten under which each chain's samples are the
most likely, given the kernels of all other chains.
"""
from collections.abc import Callable
from math import log, pi
from typing import Any

from numpy.linalg import LinAlgError

from npvae.backend import Array, ignore_overflow
from npvae.errors import NumericalError

Density = Callable[[Array], Array]  # z (…, M, J) → log q(z) (…, M), nats
FACTORS = tuple(0.05 * 1.6**i for i in range(10))  # 0.05 … 3.4, of Scott's bandwidth


def normal_density(xp: Any, z: Array) -> Density:
    """The normal of the mean and covariance of ``z`` (S, C, M, J)."""
    whiten, log_volume = whitening(xp, z)
    J = z.shape[-1]

    def log_q(z: Array) -> Array:
        u = whiten(z)
        return -0.5 * (u * u).sum(axis=-1) - 0.5 * J * log(2 * pi) - log_volume

    return log_q


def kernel_density(xp: Any, z: Array) -> Density:
    """Gaussian kernels on ``z`` (S, C, M, J), S samples of each of C chains."""
    S, C, M, J = z.shape
    whiten, log_volume = whitening(xp, z)
    centres = whiten(z).reshape(S * C, M, J)
    h_scott = (S * C) ** (-1 / (J + 4))
    chain = xp.arange(S * C) % C
    others = (chain[:, None] != chain[None, :])[:, :, None]  # (L, L, 1)
    between = squared_distances(xp, centres, centres)  # (L, L, M)
    best, h = xp.full(M, -xp.inf), xp.empty(M)
    for factor in FACTORS:
        width = factor * h_scott
        score = log_kernels(xp, xp.where(others, between, xp.inf), width, J).mean(axis=0)  # (M,)
        h = xp.where(score > best, width, h)
        best = xp.maximum(score, best)

    def log_q(z: Array) -> Array:
        u = whiten(z).reshape(-1, M, J)
        log_p = log_kernels(xp, squared_distances(xp, u, centres), h, J) - log_volume
        return log_p.reshape(z.shape[:-1])

    return log_q


DENSITIES = {"normal": normal_density, "kernel": kernel_density}


def whitening(xp: Any, z: Array) -> tuple[Callable[[Array], Array], Array]:
    """z ↦ u = C⁻¹(z − m), and log |C| (M,), from samples ``z`` (S, C, M, J).

    Raises
    ------
    NumericalError
        If a covariance has no C. NumPy says so; CuPy does not, and what it returns is not finite.
    """
    n = z.shape[0] * z.shape[1]
    mean = z.mean(axis=(0, 1))  # (M, J)
    d = z - mean
    covariance = xp.einsum("scmi,scmj->mij", d, d) / (n - 1)
    least = 1e-12 * xp.einsum("mjj->m", covariance) + 1e-30  # or equal samples would have no C
    j = xp.arange(z.shape[-1])
    try:
        with ignore_overflow(xp):
            factor = xp.linalg.cholesky(
                covariance + least[:, None, None] * (j[:, None] == j[None])
            )  # C
            inverse = xp.linalg.inv(factor)
            log_volume = xp.log(xp.einsum("mjj->mj", factor)).sum(axis=-1)
        found = bool(xp.isfinite(log_volume + inverse.sum(axis=(-2, -1))).all())
    except LinAlgError:
        found = False
    if not found:
        raise NumericalError(
            "no density can be fitted to samples whose covariance is not positive definite; take "
            "more samples, or annealed_log_likelihood"
        )
    return lambda z: xp.einsum("mij,scmj->scmi", inverse, z - mean), log_volume


def squared_distances(xp: Any, u: Array, centres: Array) -> Array:
    """‖u − centre‖².   u (K, M, J), centres (L, M, J) → (K, L, M)"""
    distances = (u[:, None] - centres[None]) ** 2
    return distances.sum(axis=-1)


def log_kernels(xp: Any, distances: Array, h: Array | float, J: int) -> Array:
    """log of the mean kernel over the centres that are not infinitely far.   (K, L, M) → (K, M)"""
    exponent = -0.5 * distances / (h * h)
    top = exponent.max(axis=1)
    total = xp.exp(exponent - top[:, None]).sum(axis=1)
    near = xp.isfinite(distances).sum(axis=1)
    norm = xp.log(near * 1.0) + 0.5 * J * log(2 * pi) + J * xp.log(h + 0 * top)
    return top + xp.log(total) - norm
