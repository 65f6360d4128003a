"""Families transformed by exp from the real line: the third way of section 2.4, composition.

With z = exp y everything about z follows from y: q(z) = q(y)/z, the entropy gains E[y], and the
KL stays what it is. A z too small or too large for its dtype is kept within it (there its
derivative is 0); where that matters, use ``base``, the distribution of y = log z.
"""
from math import e, factorial, inf
from typing import Any

from npvae.backend import Array, array_module
from npvae.distributions.family import Positive, clamped_exp
from npvae.distributions.interval import Uniform
from npvae.distributions.normal import Normal
from npvae.distributions.positive import ShiftedExponential
from npvae.distributions.real_line import GumbelMinimum
from npvae.distributions.special import gammaln, rounded
from npvae.distributions.tails import BOUNDED, EXPONENTIAL, GAUSSIAN
from npvae.ops.elementary import LOG_2

ZETA = (  # ζ(2), ζ(3), …, ζ(13)
    1.6449340668482264, 1.2020569031595942, 1.0823232337111382, 1.03692775514337,
    1.0173430619844492, 1.008349277381923, 1.0040773561979444, 1.0020083928260821,
    1.000994575127818, 1.0004941886041194, 1.0002460865533081, 1.0001227133475785,
)  # fmt: skip


def log1m_exp(d: Array) -> Array:
    """log(1 − e⁻ᵈ), d ≥ 0; of a d that is 0, that of the smallest float."""
    xp = array_module(d)
    return xp.log(-xp.expm1(-xp.maximum(d, xp.finfo(d.dtype).tiny)))


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

    def _mean_or_geometric(self, log_size: Array, log_tail: Array, *params: Any) -> Array:
        """E[z] = size/(1 − t), t < 1 being 1/(the exponent of the tail); exp E[log z] if t ≥ 1."""
        xp = array_module(log_tail)
        finite = log_tail < 0
        room = -xp.expm1(xp.where(finite, log_tail, -1))  # 1 − t
        return self._exp(xp.where(finite, log_size - xp.log(room), self.base.mean(*params)))

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
    tails = (GAUSSIAN, GAUSSIAN)
    standard_variance = e * e - e

    def location(self, mu: Array, logvar: Array) -> Array:
        """E[z] = exp(μ + ½ σ²)."""
        return self._exp(mu + 0.5 * self._exp(logvar))

    mean = location

    @rounded
    def std(self, mu: Array, logvar: Array) -> Array:
        """exp(μ + ½ σ²) √(exp σ² − 1)."""
        variance = self._exp(logvar)
        return self._exp(mu + variance + 0.5 * log1m_exp(variance))

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
    tails = GumbelMinimum.tails
    standard_variance = 1.0

    def location(self, loc: Array, log_scale: Array) -> Array:
        """E[z] = λ Γ(1 + 1/k)."""
        return self._exp(loc + gammaln(1 + self._exp(log_scale)))

    mean = location

    @rounded
    def std(self, loc: Array, log_scale: Array) -> Array:
        """λ √(Γ(1 + 2/k) − Γ(1 + 1/k)²).

        For 1/k < 0.05 the logarithm of their ratio is a series: Σ_n ζ(n)/n (2ⁿ − 2) (−1/k)ⁿ.
        """
        xp, c = array_module(log_scale), self._exp(log_scale)  # 1/k
        small, series = xp.minimum(c, 0.05), 0 * c
        for n in range(len(ZETA) + 1, 1, -1):
            series = -series * small + ZETA[n - 2] / n * (2**n - 2)
        log_square = gammaln(1 + 2 * c)
        log_ratio = xp.where(c < 0.05, series * small * small, log_square - 2 * gammaln(1 + c))
        return self._exp(loc + 0.5 * (log_square + log1m_exp(log_ratio)))


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
    tails = (BOUNDED, EXPONENTIAL)

    def location(self, loc: Array, log_scale: Array) -> Array:
        """E[z] = αm/(α − 1) where α > 1; elsewhere it is infinite: exp E[log z] = m e^(1/α)."""
        return self._mean_or_geometric(loc, log_scale, loc, log_scale)

    @rounded
    def mean(self, loc: Array, log_scale: Array) -> Array:
        """E[z] = m α/(α − 1) where α > 1, else ∞."""
        xp = array_module(log_scale)
        excess = -xp.expm1(log_scale)  # (α − 1)/α
        finite = excess > 0
        return xp.where(finite, self._exp(loc) / xp.where(finite, excess, 1), inf)

    @rounded
    def std(self, loc: Array, log_scale: Array) -> Array:
        """m/(α − 1) √(α/(α − 2)) where α > 2, else ∞."""
        xp = array_module(log_scale)
        excess = -xp.expm1(log_scale + LOG_2)  # (α − 2)/α
        finite = excess > 0
        scale = self._exp(loc + log_scale) / xp.sqrt(xp.where(finite, excess, 1))
        return xp.where(finite, scale / xp.where(finite, -xp.expm1(log_scale), 1), inf)


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
    tails = (BOUNDED, BOUNDED)

    def location(self, loc: Array, log_scale: Array) -> Array:
        """E[z] = a (eʷ − 1)/w."""
        w = self._exp(log_scale)
        return -self._exp(loc + w) * array_module(w).expm1(-w) / w

    mean = location

    @rounded
    def std(self, loc: Array, log_scale: Array) -> Array:
        """a √((e²ʷ − 1)/2w − (eʷ − 1)²/w²).

        For w < 2 by the series of cosh t − sinh t/t, t = ½w.
        """
        xp, w = array_module(log_scale), self._exp(log_scale)
        square = 0.25 * xp.minimum(w, 2) ** 2  # t²
        series = 0 * w
        for n in range(12, 0, -1):  # Σ 2n t²ⁿ/(2n + 1)!
            series = (series + 2 * n / factorial(2 * n + 1)) * square
        share = -xp.expm1(-w) / w
        near = 2 * xp.exp(-0.5 * xp.minimum(w, 2)) * series
        rest = xp.where(w < 2, near, 1 + xp.exp(-w) - 2 * share)
        return self._exp(loc + w + 0.5 * xp.log(0.5 * share * rest))
