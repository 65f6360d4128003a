"""Latent variables of a family by its name: what a model asks of q(z|x) and of p(z).

The families of this package are functions of one variable. Here the J variables of a sample are one
whole: their parameters lie side by side as an encoder gives them, log-densities are summed over
them, and their noise is standard normal, of which a family makes what it needs:

    a (M, Σ heads)  →  parameters (M, J) each
    ε (L, M, kJ)    →  k planes of noise (L, M, J), u = Φ(ε) where it is to be uniform
"""
from functools import cache
from typing import Any

from npvae import distributions
from npvae.backend import Array, array_module
from npvae.distributions.family import Family
from npvae.distributions.special import special_functions
from npvae.records import dataclass

Name = str | Family  # kl_method a family is named: npvae's own by a word, a user's by itself

FAMILIES = {
    "normal": "Normal", "elliptical": "Elliptical", "laplace": "Laplace", "logistic": "Logistic",
    "gumbel": "Gumbel", "student-t": "StudentT", "cauchy": "Cauchy", "uniform": "Uniform",
    "triangular": "Triangular", "log-normal": "LogNormal", "gamma": "Gamma",
    "exponential": "Exponential", "erlang": "Erlang", "chi-squared": "ChiSquared",
    "weibull": "Weibull", "rayleigh": "Rayleigh", "gompertz": "Gompertz", "f": "F",
    "pareto": "Pareto", "reciprocal": "Reciprocal", "beta": "Beta", "dirichlet": "Dirichlet",
}  # fmt: skip


@cache
def family(name: Name) -> Any:
    """The family called ``name``, or itself."""
    return getattr(distributions, FAMILIES[name])() if isinstance(name, str) else name


@dataclass(frozen=True)
class LatentFamily:
    """Latent variables of the family ``name``, which may be a family itself.

    Examples
    --------
    >>> import numpy as np
    >>> q = LatentFamily("gamma")
    >>> q.heads(3), q.n_noise(3)
    ({'log_shape': 3, 'log_scale': 3}, 3)
    >>> q.at(np.zeros((5, 6)), J=3).log_prob(np.zeros((2, 5, 3)))[0]  # of log z, thrice
    array([-3., -3., -3., -3., -3.])
    """

    name: Name = "normal"

    @property
    def family(self) -> Any:
        """Its methods work element by element."""
        return family(self.name)

    def heads(self, J: int) -> dict[str, int]:
        """The encoder's heads for J variables."""
        return {head: width for head, width in self.family.heads(J).items() if width}

    def n_noise(self, J: int) -> int:
        """Standard normals that a sample of J variables is made of."""
        return J * len(self.family.noise)

    def J(self, n_noise: int) -> int:
        """How many variables so many normals make."""
        return n_noise // len(self.family.noise)

    def at(self, a: Array, J: int) -> "BoundDistribution":
        """The member of the family with the parameters ``a`` (…, Σ heads)."""
        params, start = [], 0
        for width in self.family.heads(J).values():
            params.append(a[..., start : start + width])
            start += width
        return BoundDistribution(self.family, tuple(params))

    def standard(self, zeros: Array) -> "BoundDistribution":
        """The member with all parameters 0: a prior.   zeros (J,)"""
        return BoundDistribution(self.family, (zeros,) * len(self.family.parameters))


@dataclass(frozen=True, eq=False)
class BoundDistribution:
    """J variables of a family at given parameters.

    Densities are those of y, of which z is a function: two distributions have the same ratio of
    them, and at a z that is nearer to 0 than any float they would not be right. On the real line
    z is y itself.

    Attributes
    ----------
    family : Family
        Of :mod:`npvae.distributions`.
    params : tuple of array (…, J)
        One for each of the family's parameters.
    """

    family: Any
    params: tuple[Array, ...]

    def noise(self, eps: Array) -> Array:
        """ε (…, kJ) → the family's noise, (…, J) or (k, …, J); u in (0, 1)."""
        kinds = self.family.noise
        xp, J = array_module(eps), eps.shape[-1] // len(kinds)
        planes = xp.empty((len(kinds), *eps.shape[:-1], J), eps.dtype)
        for i, kind in enumerate(kinds):
            plane = eps[..., i * J : (i + 1) * J]
            if kind == "uniform":  # and never so near to 1 that its dtype cannot tell
                below_one = 1 - 0.5 * float(xp.finfo(eps.dtype).eps)
                plane = xp.minimum(special_functions(eps).ndtr(plane), below_one)
            planes[i] = plane
        return planes if len(kinds) > 1 else planes[0]

    def rsample(self, eps: Array) -> Array:
        """A reparameterized sample y of the standard normals ε.   (…, kJ) → (…, J)"""
        return self.family.base.rsample(self.noise(eps), *self.params)

    def rsample_backward(self, d_y: Array, eps: Array) -> tuple[Array, ...]:
        """d_y (…, J) → what every parameter gets through the sample, one array each."""
        return self.family.base.rsample_backward(d_y, self.noise(eps), *self.params)

    def transform(self, y: Array) -> tuple[Array, Any]:
        """z and ∂z/∂y.   (…, J)"""
        return self.family.transform(y)

    def log_prob(self, y: Array) -> Array:
        """log q(y) in nats.   (…, J) → (…)"""
        log_q = self.family.base.log_prob(y, *self.params)
        return log_q if self.family.joint else log_q.sum(axis=-1)

    def log_prob_backward(self, d_logp: Array, y: Array) -> tuple[Array, tuple[Array, ...]]:
        """d_logp (…) → d_y (…, J), and what every parameter gets directly."""
        return self.family.base.log_prob_backward(self._each(d_logp), y, *self.params)

    def kl(self, kl_method: str) -> Array:
        """The divergence in closed form, ``kl_method`` naming the family's method.   (…)"""
        kl = getattr(self.family, kl_method)(*self.params)
        return kl if self.family.joint else kl.sum(axis=-1)

    def kl_backward(self, kl_method: str, d_kl: Array) -> tuple[Array, ...]:
        """d_kl (…) → what every parameter gets."""
        return getattr(self.family, kl_method + "_backward")(self._each(d_kl), *self.params)

    def location(self) -> Array:
        """The location (…, J): E[z] where it is finite.

        Elsewhere the median of a Cauchy or Student's t, and of F and Pareto exp E[log z].
        """
        return self.family.location(*self.params)

    def sum_param_grads(self, d_a: Array, *gradients: tuple[Array, ...]) -> Array:
        """The sum of several gradients of the parameters, written into ``d_a`` (…, Σ heads).

        One of each of L samples has more axes than the parameters have, and is summed over them.
        """
        start = 0
        for i, p in enumerate(self.params):
            if p.shape[-1]:  # one variable has no correlations
                parts = [d[i].reshape(-1, *p.shape).sum(axis=0) for d in gradients]
                d_a[..., start : start + p.shape[-1]] = sum(parts[1:], parts[0])
                start += p.shape[-1]
        return d_a

    def _each(self, d: Array) -> Array:
        """The derivative by a sum, as that by each of its J terms."""
        return d if self.family.joint else d[..., None]
