"""Posterior families and priors as steps of a program, where elementary functions make them."""
from collections.abc import Callable, Sequence
from math import pi
from typing import Any

import numpy as np

from npvae.backend import to_numpy
from npvae.distributions import (
    Beta,
    Cauchy,
    ChiSquared,
    Dirichlet,
    Erlang,
    Exponential,
    Gamma,
    Gompertz,
    Gumbel,
    Laplace,
    Logistic,
    LogNormal,
    Normal,
    Pareto,
    Rayleigh,
    Reciprocal,
    Triangular,
)
from npvae.distributions.family import exponent_limit
from npvae.distributions.latents import LatentFamily
from npvae.distributions.location_scale import FiniteVariance
from npvae.distributions.priors import Density, Mixture
from npvae.errors import ParameterError

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


def noise_kinds(prior: Density, J: int) -> tuple[str, ...]:
    """What each column of the noise of a sample is; of a mixture the first chooses a component."""
    components = prior.components if isinstance(prior, Mixture) else prior
    own = tuple(kind for kind in components.family.noise for _ in range(J))
    return ("uniform", *own) if isinstance(prior, Mixture) else own


def add_sample(step: AddStep, constants: dict[str, Any], prior: Density, J: int) -> str:
    """Steps that make z ~ p(z), (n, J), of noise; its name.

    Raises
    ------
    ParameterError
        If it is no elementary function of noise.
    """
    if isinstance(prior, Mixture):
        return _mixture(step, constants, prior, J)

    def of(function: str, *inputs: str | float, to: str = "") -> str:
        return step(to or f"{function}_{inputs[0]}", function, *inputs, width=J)

    def minus_log(u: str, to: str = "") -> str:
        """A standard exponential."""
        return of("multiply", of("log", u), -1.0, to=to)

    def plane(i: int) -> str:
        return of("columns", "noise", float(i * J), float((i + 1) * J), to=f"u{i}")

    def log_gamma(u: str) -> str:
        """log(−log(1 − u)): the logarithm of an exponential variable, by its quantile."""
        rest = of("log1p", of("multiply", u, -1.0, to=f"minus_{u}"))
        return of("log", of("multiply", rest, -1.0, to=f"gamma_{u}"))

    def side() -> tuple[str, str]:
        """Which side of the median u is on, and its distance from the nearer end."""
        sign = of("sign", of("add", "noise", -0.5))
        rest = of("add", of("multiply", "noise", -1.0, to="minus_u"), 1.0, to="one_minus_u")
        return sign, of("minimum", "noise", rest, to="v")

    match prior.family:
        case Normal():
            return "noise"
        case LogNormal() | Reciprocal():
            return of("exp", "noise", to="z")
        case Exponential():
            return minus_log("noise", to="z")
        case Pareto():
            return of("exp", minus_log("noise"), to="z")
        case Gumbel():
            return minus_log(minus_log("noise", to="e"), to="z")
        case Rayleigh():
            return of("sqrt", of("multiply", of("log", "noise"), -2.0), to="z")
        case Gompertz():
            return of("log1p", minus_log("noise"), to="z")
        case Erlang(shape=k):
            total = minus_log(plane(0), to="e0")
            for i in range(1, k):
                total = of("add", total, minus_log(plane(i), to=f"e{i}"), to=f"sum{i}")
            return total
        case Laplace():
            sign, v = side()
            half = of("log", of("multiply", v, 2.0, to="v2"))
            return of("multiply", of("multiply", sign, -1.0, to="minus_sign"), half, to="z")
        case Triangular():
            sign, v = side()
            root = of("multiply", of("sqrt", of("multiply", v, 2.0, to="v2")), -1.0)
            return of("multiply", sign, of("add", root, 1.0), to="z")
        case Logistic():
            sign, v = side()
            rest = of("add", of("multiply", v, -1.0, to="minus_v"), 1.0, to="one_minus_v")
            return of("multiply", sign, of("log", of("divide", rest, v, to="odds")), to="z")
        case Cauchy():
            sign, v = side()
            angle = of("multiply", v, pi, to="angle")
            ratio = of("divide", of("cos", angle), of("sin", angle), to="ratio")
            return of("multiply", sign, ratio, to="z")
        case Beta():
            odds = of("multiply", log_gamma(plane(1)), -1.0, to="minus_log_b")
            return of("sigmoid", of("add", log_gamma(plane(0)), odds, to="log_odds"), to="z")
        case Dirichlet():
            return of("softmax", log_gamma("noise"), to="z")
    raise ParameterError(
        f"samples of the prior {prior.family!r} are no elementary function of noise; draw z by "
        "npvae and decode it"
    )


def _mixture(step: AddStep, constants: dict[str, Any], prior: Mixture, J: int) -> str:
    """z = μ_k + σ_k ε, with k by the noise's first column."""
    if not isinstance(prior.components.family, Normal):
        raise ParameterError(
            f"samples of a mixture of {prior.components.family!r} are not exported; draw z by "
            "npvae and decode it"
        )
    mean, logvar = (to_numpy(p) for p in prior.components.params)  # (K, J)
    logits = to_numpy(prior.logits).astype(float)
    weights = np.exp(logits - logits.max())
    constants["prior.levels"] = (np.cumsum(weights) / weights.sum())[:-1].astype(mean.dtype)
    constants["prior.component_mean"] = mean
    constants["prior.component_std"] = np.exp(0.5 * logvar)
    u = step("u", "columns", "noise", 0.0, 1.0, width=1)
    eps = step("eps", "columns", "noise", 1.0, 1.0 + J, width=J)
    mu, sigma = (
        step(f"component_{name}", "choose", u, "prior.levels", f"prior.component_{name}", width=J)
        for name in ("mean", "std")
    )
    return step("z", "add", mu, step("noise_scaled", "multiply", sigma, eps, width=J), width=J)
