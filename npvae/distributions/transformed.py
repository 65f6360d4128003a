"""Families transformed by exp from the real line: the third way of section 2.4, composition.

With z = exp y everything about z follows from y: q(z) = q(y)/z, the entropy gains E[y], and the
KL stays what it is. A z too small or too large for its dtype is kept within it (there its
derivative is 0); where that matters, use ``base``, the distribution of y = log z.
"""
from math import inf
from typing import Any

from npvae.backend import Array, array_module
from npvae.distributions.family import Positive, clamped_exp
from npvae.distributions.interval import Uniform
from npvae.distributions.normal import Normal
from npvae.distributions.positive import ShiftedExponential
from npvae.distributions.real_line import GumbelMinimum
from npvae.distributions.special import gammaln


class ExpTransformed(Positive):
    """An exp-transformed family: z = exp y with y of the family ``base``, and its parameters."""

    base: Any

    def heads(self, J: int) -> dict[str, int]:
        """The encoder's heads for a posterior of J such variables."""
        return self.base.heads(J)

    def rsample(self, noise: Array, *params: Array) -> Array:
        """z = exp y."""
        return self.transform(self.base.rsample(noise, *params))[0]

    def rsample_backward(self, d_z: Array, noise: Array, *params: Array) -> tuple[Array, ...]:
        """d_y = d_z · z, and on through y."""
        _, dz_dy = self.transform(self.base.rsample(noise, *params))
        return self.base.rsample_backward(d_z * dz_dy, noise, *params)

    def log_prob(self, z: Array, *params: Array) -> Array:
        """log q(y) − y at y = log z, in nats; −∞ for z ≤ 0 and for z = ∞."""
        xp, y = self._log(z, *params)
        return xp.where((z <= 0) | (z == inf), -inf, self.base.log_prob(y, *params) - y)

    def log_prob_backward(
        self, d_logp: Array, z: Array, *params: Array
    ) -> tuple[Array, tuple[Array, ...]]:
        """d_z = (d_y − d_logp)/z, and what y gives to the parameters."""
        xp, y = self._log(z, *params)
        d_y, d_params = self.base.log_prob_backward(d_logp, y, *params)
        return (d_y - d_logp) * xp.exp(-y), d_params

    def _log(self, z: Array, *params: Array) -> tuple[Any, Array]:
        xp = array_module(params[0])
        info = xp.finfo(params[0].dtype)
        return xp, xp.log(xp.minimum(xp.maximum(z, info.tiny), info.max))

    def location(self, *params: Any) -> Array:
        """exp E[log z], the geometric mean, of one whose E[z] may be infinite."""
        return self._exp(self.base.mean(*params))

    def _exp(self, y: Array) -> Array:
        return clamped_exp(array_module(y), y)[0]

    def entropy(self, *params: Any) -> Array:
        """That of y, plus E[y], in nats."""
        return self.base.entropy(*params) + self.base.mean(*params)

    def entropy_backward(self, d_entropy: Array, *params: Any) -> tuple[Array, ...]:
        """What the two terms give, added."""
        by_entropy = self.base.entropy_backward(d_entropy, *params)
        by_mean = self.base.mean_backward(d_entropy, *params)
        return tuple(a + b for a, b in zip(by_entropy, by_mean, strict=True))


class ExpTransformedWithKL(ExpTransformed):
    """An exp-transformed family whose base has a closed KL, and so has the same."""

    def kl(self, *params: Array) -> Array:
        """KL between y and its prior: an invertible function leaves it as it is."""
        return self.base.kl(*params)

    def kl_backward(self, d_kl: Array, *params: Array) -> tuple[Array, ...]:
        """What y gives."""
        return self.base.kl_backward(d_kl, *params)


class LogNormal(ExpTransformedWithKL):
    """log z ~ N(μ, σ²), on z > 0, with ``mu`` and ``logvar`` = log σ²: the third way.

    z = exp(μ + σ ε). The prior is exp N(0, 1).

    Examples
    --------
    >>> import numpy as np
    >>> LogNormal().rsample(np.array([0.0, 1.0]), np.log([2.0, 3.0]), np.zeros(2)).round(4)
    array([2.    , 8.1548])
    """

    parameters = ("mu", "logvar")
    noise = ("normal",)
    base = Normal()

    def location(self, mu: Array, logvar: Array) -> Array:
        """E[z] = exp(μ + ½ σ²)."""
        return self._exp(mu + 0.5 * self._exp(logvar))

    def entropy(self, mu: Array, logvar: Array) -> Array:
        """½ (log 2π + 1 + log σ²) + μ, in nats."""
        return self.base.entropy(mu, logvar) + mu

    def entropy_backward(
        self, d_entropy: Array, mu: Array, logvar: Array
    ) -> tuple[Array, Array]:
        """d_μ = d_entropy,   d_logvar = ½ d_entropy."""
        return d_entropy + 0 * mu, 0.5 * d_entropy + 0 * logvar


class Weibull(ExpTransformedWithKL):
    """q(z) = k/λ (z/λ)ᵏ⁻¹ exp(−(z/λ)ᵏ), λ = e^loc, k = e^−log_scale, on z > 0.

    z = λ (−log u)^(1/k) (the first way): log z is a Gumbel variable of minima, with location
    ``loc`` = log λ and ``log_scale`` = −log k. The prior, λ = k = 1, is Exponential(1).

    Examples
    --------
    >>> import numpy as np
    >>> Weibull().rsample(np.exp([-4.0]), np.log([3.0]), -np.log([2.0]))  # 3 √4
    array([6.])
    """

    parameters = ("loc", "log_scale")
    base = GumbelMinimum()

    def location(self, loc: Array, log_scale: Array) -> Array:
        """E[z] = λ Γ(1 + 1/k)."""
        return self._exp(loc + gammaln(1 + self._exp(log_scale)))


class Pareto(ExpTransformedWithKL):
    """q(z) = α mᵅ/zᵅ⁺¹, m = e^loc, α = e^−log_scale, on z ≥ m.

    z = m u^(−1/α) (the first way): log z is an exponential variable of mean 1/α that begins at
    ``loc`` = log m; ``log_scale`` = −log α. The prior has m = α = 1; the KL is ∞ for m < 1.

    Examples
    --------
    >>> import numpy as np
    >>> Pareto().rsample(np.array([0.25]), np.log([3.0]), -np.log([2.0])).round(12)
    array([6.])
    """

    parameters = ("loc", "log_scale")
    support = "interval"
    base = ShiftedExponential(unit=1.0)


class Reciprocal(ExpTransformedWithKL):
    """q(z) = 1/(w z) on [a, a eʷ], a = e^loc, w = e^log_scale: the log-uniform distribution.

    z = a e^(w u) (the first way): ``loc`` = log a, and ``log_scale`` is the logarithm of how
    many nats wide the interval is. The prior is on [1, e]; the KL is ∞ unless q lies inside.

    Examples
    --------
    >>> import numpy as np
    >>> w = np.log(np.log([100.0]))  # from 1 to 100
    >>> Reciprocal().rsample(np.array([0.5]), np.zeros(1), w).round(12)
    array([10.])
    """

    parameters = ("loc", "log_scale")
    support = "interval"
    base = Uniform(unit=1.0)

    def location(self, loc: Array, log_scale: Array) -> Array:
        """E[z] = a (eʷ − 1)/w."""
        w = self._exp(log_scale)
        return -self._exp(loc + w) * array_module(w).expm1(-w) / w
