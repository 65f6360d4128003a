"""Posterior families and priors as steps of a program, where elementary functions make them."""
from collections.abc import Callable, Sequence

import numpy as np

from npvae.distributions import (
    Beta,
    ChiSquared,
    Dirichlet,
    Erlang,
    Exponential,
    Gamma,
    LogNormal,
    Rayleigh,
)
from npvae.distributions.family import exponent_limit
from npvae.distributions.latents import LatentFamily
from npvae.distributions.location_scale import FiniteVariance

AddStep = Callable[..., str]  # Writer.step


def add_location(
    step: AddStep, posterior: LatentFamily, heads: Sequence[str], J: int, dtype: np.dtype
) -> list[str]:
    """Steps that make E[z], (n, J), of the heads; its name, or none where it is a head itself.

    Nor where it is no elementary function of them: the mean of a Weibull variable has a Γ in it,
    that of a Gompertz variable an exponential integral, and those of F and Pareto are another
    formula where they are infinite.
    """
    limit = exponent_limit(np, dtype)

    def exp_of(u: str) -> str:
        low = step("log_location_low", "maximum", u, -limit, width=J)
        return step("location", "exp", step("log_location", "minimum", low, limit, width=J),
                    width=J)  # fmt: skip

    def total(u: str, v: str) -> str:
        return step("log_sum", "add", u, v, width=J)

    match posterior.family:
        case FiniteVariance(standard_mean=0.0):
            return []
        case FiniteVariance(standard_mean=c):
            loc, log_scale = heads
            scale = step("scale", "exp", log_scale, width=J)
            return [step("location", "add", loc, step("scaled", "multiply", scale, c, width=J),
                         width=J)]  # fmt: skip
        case LogNormal():
            mu, logvar = heads
            low = step("logvar_low", "maximum", logvar, -limit, width=J)
            high = step("logvar_high", "minimum", low, limit, width=J)
            variance = step("variance", "exp", high, width=J)
            return [exp_of(total(mu, step("half_variance", "multiply", variance, 0.5, width=J)))]
        case Gamma():
            return [exp_of(total(*heads))]
        case ChiSquared():
            return [exp_of(heads[0])]
        case Exponential() | Erlang() | Rayleigh() as family:
            scale = step("scale", "exp", heads[0], width=J)
            return [step("location", "multiply", scale, family.standard_mean, width=J)]
        case Beta():
            less = step("minus_log_b", "multiply", heads[1], -1.0, width=J)
            return [step("location", "sigmoid", total(heads[0], less), width=J)]
        case Dirichlet():
            return [step("location", "softmax", heads[0], width=J)]
    return []
