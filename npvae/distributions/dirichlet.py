"""The Dirichlet distribution: gamma variables, normalised (the third way of section 2.4).

The last axis holds the K numbers that sum to 1; log-density, entropy and KL are of the whole.
"""
from math import lgamma
from typing import Any

from npvae.backend import Array, array_module
from npvae.distributions.family import Family, clamped_exp
from npvae.distributions.special import (
    digamma,
    gammaln,
    in_double,
    log_gamma_sample,
    log_gamma_sample_backward,
    trigamma,
)
from npvae.distributions.tails import BOUNDED, EXPONENTIAL


@in_double
class LogDirichlet(Family):
    """y = log z, all K of them: log q(y) = Σ α_k y_k − log Γ(α_k), and log Γ(Σα)."""

    parameters = ("log_concentration",)
    joint = True

    def rsample(self, noise: Array, log_concentration: Array) -> Array:
        """y = log x − log Σx with x_k ~ Gamma(α_k, 1).   noise: (…, K)"""
        return log_share(log_gamma_sample(noise, log_concentration))

    def rsample_backward(self, d_y: Array, noise: Array, log_concentration: Array) -> tuple[Array]:
        """d_log x = d_y − z Σ d_y, and on through the gammas."""
        log_x = log_gamma_sample(noise, log_concentration)
        z = array_module(log_x).exp(log_share(log_x))
        d_log_x = d_y - z * d_y.sum(axis=-1, keepdims=True)
        return (log_gamma_sample_backward(d_log_x, log_x, log_concentration),)

    def log_prob(self, y: Array, log_concentration: Array) -> Array:
        """Σ α_k y_k − log Γ(α_k), and log Γ(Σα).   (…), in nats"""
        alpha = array_module(log_concentration).exp(log_concentration)
        return (alpha * y - gammaln(alpha)).sum(axis=-1) + gammaln(alpha.sum(axis=-1))

    def log_prob_backward(
        self, d_logp: Array, y: Array, log_concentration: Array
    ) -> tuple[Array, tuple[Array]]:
        """d_y = d_logp α,   d_log_concentration = d_logp α (y − ψ(α) + ψ(Σα))."""
        alpha, d = array_module(y).exp(log_concentration), d_logp[..., None]
        all_of_it = digamma(alpha.sum(axis=-1, keepdims=True))
        return d * alpha, (d * alpha * (y - digamma(alpha) + all_of_it),)


def log_share(log_x: Array) -> Array:
    """log x − log Σx.   (…, K)"""
    xp = array_module(log_x)
    log_x = log_x - log_x.max(axis=-1, keepdims=True)
    return log_x - xp.log(xp.exp(log_x).sum(axis=-1, keepdims=True))


@in_double
class Dirichlet(Family):
    """q(z) = Γ(Σα)/ΠΓ(α_k) Π z_k^(α_k − 1) on Σ z_k = 1, with ``log_concentration`` = log α (…, K).

    z = x/Σx with x_k ~ Gamma(α_k, 1). The prior, α = 1, is uniform. Samples are normalised as
    logarithms; a z_k that is too small for its dtype is kept above 0, where its derivative is 0.

    Examples
    --------
    >>> import numpy as np
    >>> q, log_alpha = Dirichlet(), np.log([1.0, 2.0, 3.0])
    >>> q.rsample(q.draw_noise(0, (5, 3)), log_alpha).sum(axis=-1)
    array([1., 1., 1., 1., 1.])
    """

    parameters = ("log_concentration",)
    support = "simplex"
    joint = True
    base = LogDirichlet()
    tails = (EXPONENTIAL, BOUNDED)

    def rsample(self, noise: Array, log_concentration: Array) -> Array:
        """z = softmax(log x).   noise: (…, K)"""
        return self.transform(self.base.rsample(noise, log_concentration))[0]

    def rsample_backward(self, d_z: Array, noise: Array, log_concentration: Array) -> tuple[Array]:
        """d_log z = d_z z, and on through log z."""
        _, dz_dy = self.transform(self.base.rsample(noise, log_concentration))
        return self.base.rsample_backward(d_z * dz_dy, noise, log_concentration)

    def transform(self, y: Array) -> tuple[Array, Array]:
        """z = exp y, and its derivative: of each by its own y."""
        return clamped_exp(array_module(y), y)

    def location(self, log_concentration: Array) -> Array:
        """E[z] = α/Σα."""
        return array_module(log_concentration).exp(log_share(log_concentration))

    mean = location

    def std(self, log_concentration: Array) -> Array:
        """√(m (1 − m)/(Σα + 1)), m = α/Σα, of each z_k.   (…, K)"""
        xp = array_module(log_concentration)
        alpha, m = xp.exp(log_concentration), self.location(log_concentration)
        total = alpha.sum(axis=-1, keepdims=True)
        return xp.sqrt(m * ((total - alpha) / total) / (total + 1))

    def log_prob(self, z: Array, log_concentration: Array) -> Array:
        """Σ (α_k − 1) log z_k − log Γ(α_k), and log Γ(Σα).   (…), in nats

        Of z on the simplex: whether it lies there is not looked at.
        """
        xp = array_module(log_concentration)
        alpha = xp.exp(log_concentration)
        terms = (alpha - 1) * xp.log(self._positive(xp, z)) - gammaln(alpha)
        return terms.sum(axis=-1) + gammaln(alpha.sum(axis=-1))

    def log_prob_backward(
        self, d_logp: Array, z: Array, log_concentration: Array
    ) -> tuple[Array, tuple[Array]]:
        """d_z = d_logp (α − 1)/z,   d_log_concentration = d_logp α (log z − ψ(α) + ψ(Σα)).

        d_z is of the formula above as it stands, each z_k by itself.
        """
        xp = array_module(log_concentration)
        alpha, z = xp.exp(log_concentration), self._positive(xp, z)
        d_logp = d_logp[..., None]
        all_of_it = digamma(alpha.sum(axis=-1, keepdims=True))
        by_alpha = xp.log(z) - digamma(alpha) + all_of_it
        return d_logp * (alpha - 1) / z, (d_logp * alpha * by_alpha,)

    def _positive(self, xp: Any, z: Array) -> Array:
        return xp.maximum(z, xp.finfo(z.dtype).tiny)

    def entropy(self, log_concentration: Array) -> Array:
        """Σ [log Γ(α_k) − (α_k − 1) ψ(α_k)] − log Γ(Σα) + (Σα − K) ψ(Σα).   (…), in nats"""
        alpha = array_module(log_concentration).exp(log_concentration)
        total, excess = alpha.sum(axis=-1), (alpha - 1).sum(axis=-1)
        terms = gammaln(alpha) - (alpha - 1) * digamma(alpha)
        return terms.sum(axis=-1) - gammaln(total) + excess * digamma(total)

    def entropy_backward(self, d_entropy: Array, log_concentration: Array) -> tuple[Array]:
        """d_log_concentration = d_entropy α ((Σα − K) ψ′(Σα) − (α − 1) ψ′(α)).   (…, K)"""
        alpha = array_module(log_concentration).exp(log_concentration)
        total = alpha.sum(axis=-1, keepdims=True)
        excess = (alpha - 1).sum(axis=-1, keepdims=True)
        d_alpha = excess * trigamma(total) - (alpha - 1) * trigamma(alpha)
        return (d_entropy[..., None] * alpha * d_alpha,)

    def kl(self, log_concentration: Array) -> Array:
        """KL(q ‖ uniform on the simplex) = −log Γ(K) − entropy.   (…), in nats"""
        return -lgamma(log_concentration.shape[-1]) - self.entropy(log_concentration)

    def kl_backward(self, d_kl: Array, log_concentration: Array) -> tuple[Array]:
        """That of the entropy, with the other sign.   (…, K)"""
        return self.entropy_backward(-d_kl, log_concentration)
