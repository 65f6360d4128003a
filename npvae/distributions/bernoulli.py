"""The Bernoulli distribution, by its logit; x may be grey, any value in [0, 1].

Discrete, so there is no reparameterized sample and no gradient through one: it serves as a
likelihood. See :mod:`npvae.distributions.normal` for the conventions of this package.
"""
from typing import Any

from npvae.backend import Array, array_module
from npvae.distributions.numbers import floating, with_arrays
from npvae.random import as_generator


class Bernoulli:
    """P(x = 1) = sigmoid(l) with parameter ``logits`` = l.

    Examples
    --------
    >>> import numpy as np
    >>> Bernoulli().log_prob(np.array([1.0, 0.0]), np.array([0.0, -1e4]))
    array([-0.69314718, -0.        ])
    """

    @with_arrays
    def mean(self, logits: Array) -> Array:
        """sigmoid(l) = ½ + ½ tanh(½ l)."""
        xp = array_module(logits)
        return 0.5 + 0.5 * xp.tanh(0.5 * logits)

    def sample(self, rng: Any, logits: Array) -> Array:
        """Zeros and ones, in the dtype of ``logits``; ``rng`` an int, a Generator or None."""
        logits = floating([logits])[0]
        xp = array_module(logits)
        u = xp.asarray(as_generator(rng).random(logits.shape))
        return (u < self.mean(logits)).astype(logits.dtype)

    @with_arrays
    def log_prob(self, x: Array, logits: Array) -> Array:
        """x·l − log(1 + exp l), in nats, with no overflow at any logit.

        That is −w |l| − log(1 + exp −|l|), w being how much of x the sign of l speaks against:
        neither is above 0, and at an infinite logit the first is 0 or −∞.
        """
        xp = array_module(logits)
        size, against = xp.abs(logits), xp.where(logits < 0, x, 1 - x)
        paid = against * xp.where(against == 0, 0, size)
        return -paid - xp.log1p(xp.exp(-size))

    @with_arrays
    def log_prob_backward(
        self, d_logp: Array, x: Array, logits: Array
    ) -> tuple[Array, tuple[Array]]:
        """d_x = d_logp · l,   d_l = d_logp (x − sigmoid(l))."""
        return d_logp * logits, (d_logp * (x - self.mean(logits)),)
