"""∂/∂μ and ∂/∂σ of E[f(x)], x ~ N(μ, σ²), by three kinds of estimators (Mohamed et al. 2020).

With ε standard normal and x = μ + σ ε,

    pathwise          f′(x)                              f′(x) ε
    score function    f(x) ε/σ                           f(x) (ε² − 1)/σ
    measure-valued    (f(μ + σ W) − f(μ − σ W))/(σ√2π)   (f(μ + σ M) − f(μ + σ M U))/σ

The third writes ∂N/∂μ and ∂N/∂σ as differences of two densities, and takes that of f at a sample
of each: W is Rayleigh, the length of a normal in two dimensions; M is Maxwell, that in three, with
either sign; U is uniform, and M U standard normal. Both samples share W, or M: the coupling takes
most of the variance away. As the score function it asks for no derivative of f, but for two values
of f a parameter: so it is for few parameters, and not for training networks.
"""
from collections.abc import Callable

import numpy as np

from npvae.ops.elementary import LOG_2PI

Function = Callable[[np.ndarray], np.ndarray]
Gradients = tuple[np.ndarray, np.ndarray]  # by μ and by σ, of each draw   (n,) twice


def pathwise(
    f: Function, df: Function, mu: float, sigma: float, n: int, rng: np.random.Generator
) -> Gradients:
    """n draws; df is f′.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> by_mu, by_sigma = pathwise(np.square, lambda x: 2 * x, 1.0, 1.0, 100_000, rng)
    >>> print(f"{by_mu.mean():.1f} {by_sigma.mean():.1f}")      # of μ² + σ²
    2.0 2.0
    """
    eps = rng.standard_normal(n)
    slope = df(mu + sigma * eps)
    return slope, slope * eps


def score_function(
    f: Function, df: Function, mu: float, sigma: float, n: int, rng: np.random.Generator
) -> Gradients:
    """n draws; df is not used."""
    eps = rng.standard_normal(n)
    value = f(mu + sigma * eps)
    return value * eps / sigma, value * (eps**2 - 1) / sigma


def measure_valued(
    f: Function, df: Function, mu: float, sigma: float, n: int, rng: np.random.Generator
) -> Gradients:
    """n draws; df is not used."""
    W = np.sqrt(rng.chisquare(2, n))
    M = np.sqrt(rng.chisquare(3, n)) * rng.choice([-1.0, 1.0], n)
    U = rng.random(n)
    by_mu = (f(mu + sigma * W) - f(mu - sigma * W)) / (sigma * np.exp(LOG_2PI / 2))
    return by_mu, (f(mu + sigma * M) - f(mu + sigma * M * U)) / sigma


ESTIMATORS = {
    "pathwise": pathwise, "score function": score_function, "measure-valued": measure_valued,
}  # fmt: skip
