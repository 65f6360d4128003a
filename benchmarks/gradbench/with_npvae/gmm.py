"""The log-posterior of a mixture of normals, with a Wishart prior on its precision matrices.

Component k has the weight softmax(α)_k, the mean μ_k and the precision Q_kᵀ Q_k, where Q_k is
lower triangular: its diagonal is e^q_k, and below it stands l_k, column by column. With
β_ki = α_k − ½ |Q_k (x_i − μ_k)|² + Σ_j q_kj, the log-posterior is

    Σ_i lse_k β_ki − N (lse α + ½ D log 2π)                      the likelihood
    + Σ_k m Σ_j q_kj − ½ γ² |Q_k|² + K · constant                the prior
"""
from math import lgamma, log, pi
from typing import Any, NamedTuple

import numpy as np


class Parameters(NamedTuple):
    """What the gradient is by, or the gradient."""

    alpha: np.ndarray  # (K,)
    mu: np.ndarray  # (K, D)
    q: np.ndarray  # (K, D)
    l: np.ndarray  # (K, D (D − 1) / 2)


class Cache(NamedTuple):
    """What the forward pass leaves for the backward pass."""

    Q: np.ndarray  # (K, D, D)
    c: np.ndarray  # x − μ             (K, N, D)
    u: np.ndarray  # Q (x − μ)         (K, N, D)
    beta: np.ndarray  # (K, N)


def prepare(given: dict[str, Any]) -> tuple[Parameters, np.ndarray, int, float]:
    parameters = Parameters(*(np.array(given[name], float) for name in Parameters._fields))
    return parameters, np.array(given["x"], float), given["m"], given["gamma"]


def forward(p: Parameters, x: np.ndarray, m: int, gamma: float) -> tuple[float, Cache]:
    """The log-posterior in nats, and what the backward pass reads.   x (N, D)"""
    (N, D), K = x.shape, len(p.alpha)
    Q = np.zeros((K, D, D))
    Q[:, range(D), range(D)] = np.exp(p.q)
    Q[:, *below(D)] = p.l
    c = x - p.mu[:, None]  # (K, N, D)
    u = c @ Q.mT
    log_det = p.q.sum(axis=1)  # (K,)
    beta = (p.alpha + log_det)[:, None] - 0.5 * np.einsum("knd,knd->kn", u, u)
    likelihood = lse(beta).sum() - N * (lse(p.alpha) + 0.5 * D * log(2 * pi))
    prior = m * log_det.sum() - 0.5 * gamma**2 * np.vdot(Q, Q) + K * log_wishart(D, m, gamma)
    return likelihood + prior, Cache(Q, c, u, beta)


def backward(p: Parameters, m: int, gamma: float, cache: Cache) -> Parameters:
    """∂/∂ each parameter of the log-posterior.

    With the responsibilities w = softmax_k β, d_u = −w u; and u = Q (x − μ) passes it on to Q and
    μ as a layer of a network does.
    """
    Q, c, u, beta = cache
    N, D = beta.shape[1], Q.shape[-1]
    w = softmax(beta)  # (K, N)
    members = w.sum(axis=1)  # (K,)
    d_u = -w[..., None] * u  # (K, N, D)
    d_mu = -(d_u.sum(axis=1)[:, None] @ Q)[:, 0]  # (K, D)
    d_Q = d_u.mT @ c - gamma**2 * Q  # (K, D, D)
    d_q = d_Q[:, range(D), range(D)] * np.exp(p.q) + members[:, None] + m
    return Parameters(members - N * softmax(p.alpha), d_mu, d_q, d_Q[:, *below(D)])


def lse(v: np.ndarray) -> np.ndarray:
    """log Σ_k e^v_k, over the first axis."""
    a = v.max(axis=0)
    return a + np.log(np.exp(v - a).sum(axis=0))


def softmax(v: np.ndarray) -> np.ndarray:
    """Its derivative: e^v_k / Σ_k e^v_k, over the first axis."""
    e = np.exp(v - v.max(axis=0))
    return e / e.sum(axis=0)


def below(D: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of what lies below a diagonal, column by column."""
    columns, rows = np.triu_indices(D, 1)
    return rows, columns


def log_wishart(D: int, m: int, gamma: float) -> float:
    """What does not depend on the parameters: n D log(γ/√2) − log Γ_D(n/2),  n = D + m + 1."""
    n = D + m + 1
    log_gamma = 0.25 * D * (D - 1) * log(pi) + sum(lgamma(0.5 * (n - j)) for j in range(D))
    return n * D * (log(gamma) - 0.5 * log(2)) - log_gamma


def jacobian(p: Parameters, x: np.ndarray, m: int, gamma: float) -> dict[str, np.ndarray]:
    """The gradient, by name."""
    return backward(p, m, gamma, forward(p, x, m, gamma)[1])._asdict()


FUNCTIONS = {"objective": lambda *given: forward(*given)[0], "jacobian": jacobian}
