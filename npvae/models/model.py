"""The model protocol: how a model is called, what a pass is given, and what it leaves.

A model is two pages of mathematics without arrays. ``forward`` gives the terms of the objective;
``backward`` is that page read upside down, from the seeds that the objective made of the terms.
What the one knows and the other needs is in the cache that goes between them.
"""
from typing import Any, NamedTuple

from npvae.backend import Array
from npvae.distributions import Likelihood
from npvae.distributions.latents import BoundDistribution, LatentFamily
from npvae.distributions.likelihood import RNGKey
from npvae.distributions.priors import STANDARD_NORMAL, Density, Prior
from npvae.memory import Context, Layout
from npvae.networks import MLP
from npvae.objectives import Seeds


class Noise(NamedTuple):
    """All that is random in a pass."""

    eps: Array  # of the samples of q(z|x)                                     (L, M, n_noise)
    rng_key: RNGKey | None = None  # what eps is filled from in the pass; None: it is given
    filled: bool = False  # whether eps is there for all that, and the key for what else is random
    zeta: Array | None = None  # of the parameters in full variational Bayes    (Q,)
    dream: RNGKey | None = None  # of the pixels that wake-sleep dreams, where no step says it


class Model:
    """The mathematics of a model. What it may declare beside its two pages has defaults.

    Attributes
    ----------
    encoder, decoder : MLP
        x → the heads of q(z|x), None without one; z → the heads of the likelihood.
    likelihood : Likelihood
        p(x|z).
    posterior : LatentFamily or None
        The family of q(z|x); None without an encoder that gives one.
    prior : Prior
        p(z).
    n_features, n_noise : int
        D, and standard normals a sample.
    descends : bool
        Whether :meth:`backward` is the derivative of the loss, for objectives that are ``exact``.
    """

    decoder: MLP
    likelihood: Likelihood[Any]
    posterior: LatentFamily | None = None
    prior: Prior = STANDARD_NORMAL
    descends: bool = True

    @property
    def n_features(self) -> int:
        """D."""
        raise NotImplementedError

    @property
    def n_noise(self) -> int:
        """Standard normals a sample: ``eps`` is (L, M, n_noise)."""
        raise NotImplementedError

    @property
    def random_init(self) -> tuple[str, ...]:
        """Names of parameters beside weights that have to differ from one another at first."""
        return ()

    @property
    def zero_init(self) -> tuple[str, ...]:
        """Names of weights that are 0 at first."""
        return tuple(f"decoder.{head}.weight" for head in self.likelihood.zero_heads)

    @property
    def max_width(self) -> int:
        """Numbers a sample takes in an array that is wider than every layer; 0 if none is."""
        return 0

    def layout(self) -> Layout:
        """Names and shapes of all parameters."""
        raise NotImplementedError

    def with_likelihood(self, likelihood: Likelihood[Any]) -> "Model":
        """The same model with another likelihood."""
        raise NotImplementedError

    def forward(self, ctx: Context, x: Array, noise: Noise, analytic_kl: bool = False) -> Any:
        """x (M, D) → the cache, with the terms of the objective in it.

        With ``analytic_kl`` the KL is to be in closed form.
        """
        raise NotImplementedError

    def backward(self, ctx: Context, cache: Any, seeds: Seeds) -> None:
        """∂loss/∂θ and ∂loss/∂φ for all parameters, written into ``ctx.G``."""
        raise NotImplementedError

    def surrogate(self, ctx: Context, at: Context, x: Array, noise: Noise, seeds: Seeds) -> Array:
        """A number whose derivative by ``ctx.P``, at those of ``at``, is what backward writes.

        Of models and objectives whose loss is none. What is held (samples, weights) is by ``at``.
        """
        raise NotImplementedError

    def encode(self, ctx: Context, x: Array, out: Array) -> None:
        """x (M, D) → the location of q(z|x), a mean if finite, written into ``out`` (M, J)."""
        raise NotImplementedError

    def posterior_at(self, ctx: Context, x: Array) -> BoundDistribution:
        """q(z|x) as a density of z, for x (M, D)."""
        raise NotImplementedError

    def prior_at(self, ctx: Context) -> Density:
        """p(z) as a density of z."""
        return self.prior.density(ctx, None, self.decoder.n_in)

    def decode(self, ctx: Context, z: Array, out: Array) -> None:
        """z (M, J) → E[x|z], written into ``out`` (M, D)."""
        head = self.likelihood.mean_head
        a, _ = self.decoder.forward(ctx, z, head)
        self.likelihood.mean(ctx, a, ctx.P[f"decoder.{head}.bias"], out)
