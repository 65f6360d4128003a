"""Posteriors, priors and likelihoods: sampling, log-density, KL, and the backward of each.

Families are public and work element by element on any arrays; likelihoods are p(x|z) of a
model's decoder, fused for the training step. The families of section 2.4, by how they are made:

- the inverse CDF of uniform noise: Exponential, Cauchy, Logistic, Rayleigh, Pareto, Weibull,
  Reciprocal, Gompertz, Gumbel;
- location + scale · noise: Laplace, Elliptical, StudentT, Logistic, Uniform, Triangular, Normal;
- composition: LogNormal, Erlang, Gamma, Dirichlet, Beta, ChiSquared, F. Shapes that are no whole
  numbers are reparameterized implicitly.

Every real number is a valid parameter: scales and shapes go in as logarithms. From 10⁻⁶ to 10⁶
everything stays finite, in float32 too; e^±88 is beyond its numbers. ``kl`` is to the
member of the family with all parameters 0, and absent where it has no closed form; ``kl_normal``
is to the standard normal. ``mean`` and ``std`` are ∞ where they are infinite, and NaN where there
are none, as in :mod:`scipy.stats`.

A model calls them by lower-case names with hyphens, ``"student-t"``, and as J variables at once:
:mod:`npvae.distributions.latents`. Which may be the prior of which posterior is said in
:mod:`npvae.distributions.compatibility`, and learned priors are in
:mod:`npvae.distributions.priors`. ``MultivariateNormal`` is another name of ``Elliptical``.
"""
from typing import TYPE_CHECKING

from npvae import lazy
from npvae.distributions.likelihood import Likelihood
from npvae.distributions.likelihoods import BernoulliLikelihood, NormalLikelihood
from npvae.distributions.normal import Normal

if TYPE_CHECKING:
    from npvae.distributions.bernoulli import Bernoulli
    from npvae.distributions.beta import Beta, F
    from npvae.distributions.dirichlet import Dirichlet
    from npvae.distributions.elliptical import Elliptical, MultivariateNormal
    from npvae.distributions.family import Family
    from npvae.distributions.gamma import ChiSquared, Gamma
    from npvae.distributions.interval import Triangular, Uniform
    from npvae.distributions.positive import Erlang, Exponential, Gompertz, Rayleigh
    from npvae.distributions.real_line import Cauchy, Gumbel, Laplace, Logistic
    from npvae.distributions.student import StudentT
    from npvae.distributions.transformed import LogNormal, Pareto, Reciprocal, Weibull

_HOMES = {
    "bernoulli": ("Bernoulli",),
    "beta": ("Beta", "F"),
    "dirichlet": ("Dirichlet",),
    "elliptical": ("Elliptical", "MultivariateNormal"),
    "transformed": ("LogNormal", "Pareto", "Reciprocal", "Weibull"),
    "family": ("Family",),
    "gamma": ("ChiSquared", "Gamma"),
    "interval": ("Triangular", "Uniform"),
    "positive": ("Erlang", "Exponential", "Gompertz", "Rayleigh"),
    "real_line": ("Cauchy", "Gumbel", "Laplace", "Logistic"),
    "student": ("StudentT",),
}
__getattr__ = lazy.of_files(__name__, _HOMES)

__all__ = [
    "Bernoulli", "BernoulliLikelihood", "Beta", "Cauchy", "ChiSquared", "Dirichlet", "Elliptical",
    "Erlang", "Exponential", "F", "Family", "Gamma", "Gompertz", "Gumbel", "Laplace", "Likelihood",
    "LogNormal", "Logistic", "MultivariateNormal", "Normal", "NormalLikelihood", "Pareto",
    "Rayleigh", "Reciprocal", "StudentT", "Triangular", "Uniform", "Weibull",
]  # fmt: skip


def __dir__() -> list[str]:
    return __all__
