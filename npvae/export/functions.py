"""The functions of a program in NumPy: what ``format="python"`` copies into the module it writes.

One paragraph each, as :mod:`npvae.export.paragraphs` takes them apart. They work on rows, in the
dtype of what they are given, and overflow for no finite input.
"""
import numpy as np


def sigmoid(u):
    """1/(1 + e⁻ᵘ)"""
    return 0.5 + 0.5 * np.tanh(0.5 * u)


def silu(u):
    """u sigmoid(u)"""
    return u * sigmoid(u)


def softplus(u):
    """log(1 + eᵘ)"""
    return np.maximum(u, 0) + np.log1p(np.exp(-np.abs(u)))


def elu(u):
    """u where u > 0, else eᵘ − 1"""
    return np.maximum(u, 0) + np.expm1(np.minimum(u, 0))


def gelu(u):
    """u Φ(u) = max(u, 0) − |u| Q(|u|), Q = 1 − Φ by a rational fit"""
    v = np.minimum(np.abs(u), 12)
    s, q = (4 - v) / (4 + v), 0
    for c in NORMAL_TAIL[::-1]:
        q = q * s + c
    return np.maximum(u, 0) - v * q * np.exp(-0.5 * v * v)


NORMAL_TAIL = (
    0.09441064130191903, 0.17039772155007682, 0.12437925533792367, 0.07170740688983145,
    0.030864811241379315, 0.008492038967261048, 0.0005078402883748355, -0.000639733612885388,
    -0.000185082688243601, 4.2252393039757175e-05, 3.202450035344936e-05, -6.407154048438924e-06,
    -4.681497972173991e-06, 2.21146104626991e-06, -2.9897805606501823e-07,
)  # fmt: skip


def soft_clip(u, limit):
    """c + e/(1 + |e|), with c = u clipped to ±limit and e = u − c"""
    c = np.clip(u, -limit, limit)
    return c + (u - c) / (1 + np.abs(u - c))


def softmax(u, axis=-1):
    """eᵘ over its sum along an axis"""
    p = np.exp(u - u.max(axis, keepdims=True))
    return p / p.sum(axis, keepdims=True)


def categorical_mean(u, K):
    """Σ_k p_k k/(K − 1), p = softmax(u) over K levels.   u (n, K D), level by level → (n, D)"""
    p = softmax(u.reshape(len(u), K, u.shape[1] // K), 1)
    return np.einsum("nkd,k->nd", p, np.arange(K, dtype=u.dtype) / (K - 1))


def continuous_bernoulli_mean(u):
    """1/(1 − e⁻ᵘ) − 1/u = ½ ± (1/(1 − e⁻ᵗ) − 1/t − ½), t = |u|; near 0 by its Taylor series"""
    t, small = np.maximum(np.abs(u), 0.5), np.clip(u, -0.5, 0.5)
    near = small / 12
    for n, c in enumerate(KAPPA, 1):
        near = near + c * small ** (2 * n + 1)
    far = np.sign(u) * (-1 / np.expm1(-t) - 1 / t - 0.5)
    return 0.5 + np.where(np.abs(u) < 0.5, near, far)


KAPPA = (-1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000)


def discretized_logistic_mean(mu, log_s, K):
    """Σ_k sigmoid((μ − (k − ½)/(K − 1))/s)/(K − 1), k = 1 … K − 1; −log s ≤ 30"""
    inv_s, mean = np.exp(np.minimum(-log_s, 30)), 0
    for k in range(1, K):
        mean = mean + sigmoid((mu - (k - 0.5) / (K - 1)) * inv_s) / (K - 1)
    return mean
