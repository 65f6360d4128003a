"""∂/∂α of E[f(log z)], z ~ Gamma(α, 1), by two kinds of reparameterization.

    implicit              f′(y) ∂y/∂α, y = log z where the CDF is u       (Figurnov et al. 2018)
    rejection sampling    f′(y) ∂y/∂α + f(y) ∂log(q/r)/∂α                 (Naesseth et al. 2017)

Of the second, y is that of an accepted proposal of Marsaglia and Tsang's (2000) sampler,

    z = d (1 + c ε)³,  d = α − ⅓,  c = 1/(3√d),  ε standard normal        α ≥ 1

and r is the density of all proposals' z. Those accepted have ε ~ π(ε) = φ(ε) q(z)/r(z), which
depends on α: the first term, g_rep, holds them where they are, and the second, g_cor, is π's score
function. It is small, since nearly all proposals are accepted, but multiplies all of f. Shape
augmentation makes it smaller: with z̃ ~ Gamma(α + B, 1) and B uniforms

    z = z̃ Π u_i^(1/(α + i − 1))  ~  Gamma(α, 1)

and a sampler of shape α + B accepts the more, the larger B is. It also serves α < 1, and pays by
the noise of the uniforms. The implicit derivative has neither, but needs that of the CDF by α,
which is a special function; it is what npvae trains with.

f is a function of y = log z, since z of a small shape is below any float; or several functions at
the same draws, (n,) → (…, n).
"""
from collections.abc import Callable

import numpy as np

from npvae.distributions.gamma import LogGamma
from npvae.distributions.special import digamma
from npvae.errors import ParameterError
from npvae.options import number, whole_number

Function = Callable[[np.ndarray], np.ndarray]


def implicit(
    f: Function, df: Function, alpha: float, n: int, rng: np.random.Generator
) -> np.ndarray:
    """n draws; df is f′, f is not used.   (…, n)

    Raises
    ------
    ParameterError
        If α is not above 0.
    """
    number("alpha", alpha)
    u, log_shape = 1 - rng.random(n), np.full(n, np.log(alpha))
    y = LogGamma().rsample(u, log_shape, 0.0)
    by_log_shape, _ = LogGamma().rsample_backward(df(y), u, log_shape, 0.0)
    return by_log_shape / alpha


def rejection_sampling(
    f: Function, df: Function, alpha: float, n: int, rng: np.random.Generator, B: int = 0
) -> np.ndarray:
    """n draws; df is f′.   (…, n)

    Parameters
    ----------
    B : int
        By how much the shape is augmented.

    Raises
    ------
    ParameterError
        If α is not above 0, B no whole number, or α + B < 1.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> g = rejection_sampling(np.exp, np.exp, 2.0, 100_000, rng, B=1)    # of E[z] = α
    >>> print(f"{g.mean():.2f}")
    1.00
    """
    number("alpha", alpha)
    whole_number("B", B, least=0)
    shape = alpha + B
    if shape < 1:
        raise ParameterError(f"alpha + B = {shape:g}: the sampler takes 1 or more; use B=1")
    eps = accepted(shape, n, rng)  # (n,)
    d = shape - 1 / 3
    ce = eps / (3 * np.sqrt(d))
    y = np.log(d) + 3 * np.log1p(ce)
    dy = (1 - 0.5 * ce) / (d * (1 + ce))  # at ε held
    dz = dy * np.exp(y)
    d_log_slope = (0.5 - ce / (1 + ce)) / d  # of log ∂z/∂ε = ½ log d + 2 log(1 + c ε)
    # π = q(z) ∂z/∂ε, log q(z) = (α − 1) y − z − log Γ(α)
    score = y - digamma(np.asarray(shape)) + (shape - 1) * dy - dz + d_log_slope
    for i in range(B):
        log_u = np.log(1 - rng.random(n))
        y += log_u / (alpha + i)
        dy -= log_u / (alpha + i) ** 2
    return df(y) * dy + f(y) * score


def accepted(shape: float, n: int, rng: np.random.Generator) -> np.ndarray:
    """n accepted ε of Marsaglia and Tsang's sampler; of a shape of 1 it accepts 95 %.   (n,)"""
    d = shape - 1 / 3
    c, eps = 1 / (3 * np.sqrt(d)), np.empty(0)
    while len(eps) < n:
        proposed = rng.standard_normal(n)
        proposed = proposed[c * proposed > -1]
        log_v = 3 * np.log1p(c * proposed)
        log_ratio = 0.5 * proposed**2 + d * (log_v - np.expm1(log_v))
        log_u = np.log(1 - rng.random(len(proposed)))
        eps = np.concatenate([eps, proposed[log_u < log_ratio]])
    return eps[:n]
