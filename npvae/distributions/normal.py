"""The normal distribution, by its mean and the logarithm of its variance.

The families of this package are functions of one variable, element by element and broadcasting:
what a model sums over J or D is summed by the model. Noise goes in as an argument, and each
function has its backward pass beside it. The ops :func:`npvae.ops.latent.normal_kl` and its
neighbours are these formulas summed and fused for the hot path; a test holds the two together.
"""

from npvae.backend import Array, array_module
from npvae.distributions.family import Family
from npvae.distributions.tails import GAUSSIAN
from npvae.ops.elementary import LOG_2PI


class Normal(Family):
    """N(μ, σ²) with parameters ``mu`` and ``logvar`` = log σ².

    Examples
    --------
    >>> import numpy as np
    >>> q = Normal()
    >>> mu, logvar = np.array([0.5, -1.0]), np.array([0.0, np.log(0.25)])
    >>> noise = q.draw_noise(0, (3, 2))
    >>> q.rsample(noise, mu, logvar).shape
    (3, 2)
    >>> q.kl(np.zeros(2), np.zeros(2))          # nothing to pay at the prior
    array([0., 0.])
    """

    parameters = ("mu", "logvar")
    noise = ("normal",)
    tails = (GAUSSIAN, GAUSSIAN)
    standard_variance = 1.0

    def heads(self, J: int) -> dict[str, int]:
        """The encoder's heads for a posterior of J such variables."""
        return {"mean": J, "logvar": J}

    def rsample(self, noise: Array, mu: Array, logvar: Array) -> Array:
        """z = μ + σ ε (eq. 4)."""
        xp = array_module(mu)
        return mu + xp.exp(0.5 * logvar) * noise

    def rsample_backward(
        self, d_z: Array, noise: Array, mu: Array, logvar: Array
    ) -> tuple[Array, Array]:
        """d_μ = d_z,   d_logvar = d_z · ½ σ ε."""
        xp = array_module(mu)
        return d_z, d_z * (0.5 * xp.exp(0.5 * logvar) * noise)

    def location(self, mu: Array, logvar: Array) -> Array:
        """E[z] = μ."""
        return mu

    mean = location

    def std(self, mu: Array, logvar: Array) -> Array:
        """σ."""
        return array_module(mu).exp(0.5 * logvar)

    def log_prob(self, z: Array, mu: Array, logvar: Array) -> Array:
        """log N(z; μ, σ²) = −½ (log 2π + log σ² + (z − μ)²/σ²), in nats."""
        xp = array_module(mu)
        return -0.5 * (LOG_2PI + logvar + ((z - mu) * xp.exp(-0.5 * logvar)) ** 2)

    def log_prob_backward(
        self, d_logp: Array, z: Array, mu: Array, logvar: Array
    ) -> tuple[Array, tuple[Array, Array]]:
        """d_z = −d_logp · r/σ,   d_μ = −d_z,   d_logvar = ½ d_logp (r² − 1),   r = (z − μ)/σ."""
        xp = array_module(mu)
        inv_sigma = xp.exp(-0.5 * logvar)
        r = (z - mu) * inv_sigma
        d_mu = d_logp * r * inv_sigma
        return -d_mu, (d_mu, 0.5 * d_logp * (r * r - 1))

    def entropy(self, mu: Array, logvar: Array) -> Array:
        """½ (log 2π + 1 + log σ²), in nats; the same for every μ."""
        return 0.5 * (LOG_2PI + 1 + logvar) + 0 * mu

    def entropy_backward(
        self, d_entropy: Array, mu: Array, logvar: Array
    ) -> tuple[Array, Array]:
        """d_μ = 0,   d_logvar = ½ d_entropy."""
        return 0 * d_entropy * mu, 0.5 * d_entropy + 0 * logvar

    def kl(self, mu: Array, logvar: Array) -> Array:
        """KL(N(μ, σ²) ‖ N(0, 1)) = ½ (μ² + σ² − 1 − log σ²) (appendix B), in nats."""
        xp = array_module(mu)
        return 0.5 * (mu * mu + xp.expm1(logvar) - logvar)

    def kl_backward(self, d_kl: Array, mu: Array, logvar: Array) -> tuple[Array, Array]:
        """d_μ = d_kl · μ,   d_logvar = ½ d_kl (σ² − 1)."""
        xp = array_module(mu)
        return d_kl * mu, 0.5 * d_kl * xp.expm1(logvar)
