"""The multivariate normal with a full Cholesky factor: the second way of section 2.4.

z = μ + Lε with L lower triangular, J variables on the last axis. The diagonal of L is given by
its logarithm and what is below it row by row, so every real number is valid. Loops run over
the J variables, as a triangular system asks for; all datapoints go together.
"""

from npvae.backend import Array, array_module
from npvae.distributions.family import Family
from npvae.distributions.tails import GAUSSIAN
from npvae.ops.elementary import LOG_2PI


def below_diagonal(i: int) -> slice:
    """Where row i of L, left of its diagonal, lies among the J(J−1)/2 numbers of ``lower``."""
    return slice(i * (i - 1) // 2, i * (i + 1) // 2)


class Elliptical(Family):
    """Multivariate normal N(μ, LLᵀ) on ℝᴶ, also called ``MultivariateNormal``.

    Parameters ``mu`` (…, J), ``log_diagonal`` (…, J) of L, and ``lower`` (…, J(J−1)/2) below it.
    Log-density, entropy and KL are of all J variables together. The prior is N(0, I).

    Examples
    --------
    >>> import numpy as np
    >>> q = Elliptical()
    >>> q.heads(3)
    {'mu': 3, 'log_diagonal': 3, 'lower': 3}
    >>> mu, log_diagonal, lower = np.zeros(2), np.log([1.0, 2.0]), np.array([3.0])
    >>> q.rsample(np.array([1.0, 1.0]), mu, log_diagonal, lower)  # L = [[1, 0], [3, 2]]
    array([1., 5.])
    """

    parameters = ("mu", "log_diagonal", "lower")
    tails = (GAUSSIAN, GAUSSIAN)
    standard_variance = 1.0
    noise = ("normal",)
    joint = True

    def heads(self, J: int) -> dict[str, int]:
        """The encoder's heads for a posterior of J variables."""
        return {"mu": J, "log_diagonal": J, "lower": J * (J - 1) // 2}

    def rsample(self, noise: Array, mu: Array, log_diagonal: Array, lower: Array) -> Array:
        """z = μ + Lε.   noise: (…, J)"""
        xp = array_module(mu)
        z = mu + xp.exp(log_diagonal) * noise
        for i in range(1, z.shape[-1]):
            z[..., i] += (lower[..., below_diagonal(i)] * noise[..., :i]).sum(axis=-1)
        return z

    def rsample_backward(
        self, d_z: Array, noise: Array, mu: Array, log_diagonal: Array, lower: Array
    ) -> tuple[Array, Array, Array]:
        """d_μ = d_z,   d_L = d_z εᵀ."""
        d_log_diagonal = d_z * array_module(mu).exp(log_diagonal) * noise
        return d_z, d_log_diagonal, self._outer(d_z, noise)

    def location(self, mu: Array, log_diagonal: Array, lower: Array) -> Array:
        """E[z] = μ."""
        return mu

    mean = location

    def std(self, mu: Array, log_diagonal: Array, lower: Array) -> Array:
        """√ of the diagonal of LLᵀ: the length of each row of L.   (…, J)"""
        xp = array_module(mu)
        variance = xp.exp(2 * log_diagonal)
        for i in range(1, variance.shape[-1]):
            variance[..., i] += (lower[..., below_diagonal(i)] ** 2).sum(axis=-1)
        return xp.sqrt(variance)

    def log_prob(self, z: Array, mu: Array, log_diagonal: Array, lower: Array) -> Array:
        """−½ (J log 2π + |r|²) − log det L,   r = L⁻¹(z − μ).   (…), in nats"""
        r = self._whitened(z, mu, log_diagonal, lower)
        return -(0.5 * (LOG_2PI + r * r) + log_diagonal).sum(axis=-1)

    def log_prob_backward(
        self, d_logp: Array, z: Array, mu: Array, log_diagonal: Array, lower: Array
    ) -> tuple[Array, tuple[Array, Array, Array]]:
        """d_z = −d_μ = −d_logp w,   d_L = d_logp (w rᵀ − diag(1/L)),   w = L⁻ᵀ r."""
        xp = array_module(mu)
        r = self._whitened(z, mu, log_diagonal, lower)
        d_logp = d_logp[..., None]
        w = r * 1
        for i in range(r.shape[-1] - 1, -1, -1):
            w[..., i] *= xp.exp(-log_diagonal[..., i])
            w[..., :i] -= lower[..., below_diagonal(i)] * w[..., i : i + 1]
        d_mu = d_logp * w
        d_log_diagonal = d_logp * (w * r * xp.exp(log_diagonal) - 1)
        return -d_mu, (d_mu, d_log_diagonal, self._outer(d_mu, r))

    def _whitened(self, z: Array, mu: Array, log_diagonal: Array, lower: Array) -> Array:
        """r = L⁻¹(z − μ), forward substitution.   (…, J)"""
        xp = array_module(mu)
        inverse = xp.exp(-log_diagonal)
        r = (z - mu) * inverse
        for i in range(1, r.shape[-1]):
            known = (lower[..., below_diagonal(i)] * r[..., :i]).sum(axis=-1)
            r[..., i] -= inverse[..., i] * known
        return r

    def _outer(self, d: Array, r: Array) -> Array:
        """d rᵀ below its diagonal, row by row.   (…, J) → (…, J(J−1)/2)"""
        J = d.shape[-1]
        d_lower = array_module(d).empty((*d.shape[:-1], J * (J - 1) // 2), d.dtype)
        for i in range(1, J):
            d_lower[..., below_diagonal(i)] = d[..., i : i + 1] * r[..., :i]
        return d_lower

    def entropy(self, mu: Array, log_diagonal: Array, lower: Array) -> Array:
        """½ J (log 2π + 1) + log det L.   (…), in nats"""
        return (0.5 * (LOG_2PI + 1) + log_diagonal + 0 * mu).sum(axis=-1)

    def entropy_backward(
        self, d_entropy: Array, mu: Array, log_diagonal: Array, lower: Array
    ) -> tuple[Array, Array, Array]:
        """d_log_diagonal = d_entropy; nothing for the others."""
        d = d_entropy[..., None]
        return 0 * d * mu, d + 0 * log_diagonal, 0 * d * lower

    def kl(self, mu: Array, log_diagonal: Array, lower: Array) -> Array:
        """KL(q ‖ N(0, I)) = ½ (|μ|² + |L|² − J) − log det L.   (…), in nats"""
        xp = array_module(mu)
        diagonal = mu * mu + xp.expm1(2 * log_diagonal) - 2 * log_diagonal
        return 0.5 * (diagonal.sum(axis=-1) + (lower * lower).sum(axis=-1))

    def kl_backward(
        self, d_kl: Array, mu: Array, log_diagonal: Array, lower: Array
    ) -> tuple[Array, Array, Array]:
        """d_μ = d_kl μ,   d_log_diagonal = d_kl (diag(L)² − 1),   d_lower = d_kl lower."""
        d = d_kl[..., None]
        return d * mu, d * array_module(mu).expm1(2 * log_diagonal), d * lower


MultivariateNormal = Elliptical  # the field's name for this member of the elliptical family
