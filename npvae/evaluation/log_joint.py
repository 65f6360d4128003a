"""The target of HMC, p(z|x) ∝ p(x, z) of a decoder, and the initial densities of its chains.

    U(z) = −log p(x, z) = −log p(x|z) − log p(z),       for p(z) = N(0, I) ½‖z‖² + ½ J log 2π
    ∂U/∂z = d_z of the decoder's backward pass and of the prior's, z for N(0, I)

The same forward and backward pages that train the decoder give both. Its weights' gradients are
left out, a third of the products; those of its biases, which come with d_z, are discarded.
"""
from dataclasses import replace
from math import log, pi
from typing import Any

import numpy as np

from npvae.backend import Array, array_module, to_numpy
from npvae.distributions.compatibility import SUPPORT_NAMES, support_covers
from npvae.distributions.priors import NORMAL, STANDARD_NORMAL, Density
from npvae.errors import ParameterError
from npvae.memory import Workspace
from npvae.models import Engine
from npvae.networks import MLPCache
from npvae.records import dataclass
from npvae.row_noise import row_keys

INITIAL_DENSITIES = ("prior", "posterior")


class LogJointTarget:
    """The log joint density log p(x, z) of M datapoints, as a target of HMC: p(z|x) times p(x).

    Parameters
    ----------
    engine : Engine
        Of a model with a decoder, a likelihood and a prior on the real line; as the model
        declares it.
    x : array (M, D)
        Datapoints, on the engine's device and of its dtype.
    work : Workspace
        Buffers, the engine's own if not given.

    Raises
    ------
    ParameterError
        If the prior is not on the whole real line, over which HMC moves.
    """

    def __init__(self, engine: Engine, x: Array, work: Workspace | None = None):
        self.engine, self.x, self.work = engine, x, work or engine.work
        views = engine.layout.views(self.work("posterior.grad", engine.theta.size))
        biases = {name: view for name, view in views.items() if name.endswith(".bias")}
        self.ctx = replace(engine.context(self.work), G=biases)
        model = engine.model
        support = model.prior.variables.family.support
        if support != "real":
            has_cover = model.posterior is not None and support_covers(model.posterior.name)
            raise ParameterError(
                "HMC moves over the whole real line, and the prior is on "
                f"{SUPPORT_NAMES[support]}; take method="
                + "'importance' or " * has_cover + "'prior'"
            )
        self.prior = model.prior_at(self.ctx)

    def energy(self, z: Array) -> tuple[Array, Array]:
        """z (L, M, J) → U = −log p(x, z) (L, M), nats, and ∂U/∂z (L, M, J)."""
        a, decoder = self.engine.model.decoder.forward(self.ctx, z)  # (L, M, ·)
        U, cache = self.engine.model.likelihood.nll(self.ctx, a, self._bias, self.x)  # (L, M)
        return U - self.prior.log_prob(z), self._grad(z, decoder, cache)

    __call__ = energy

    def grad(self, z: Array) -> Array:
        """∂U/∂z alone (L, M, J), without U, which costs less under some likelihoods."""
        a, decoder = self.engine.model.decoder.forward(self.ctx, z)
        cache = self.engine.model.likelihood.cache_only(self.ctx, a, self._bias, self.x)
        return self._grad(z, decoder, cache)

    @property
    def keys(self) -> np.ndarray:
        """A hash of each datapoint's values, by which its chains have their noise.   (M,) uint64"""
        return row_keys(to_numpy(self.x))

    @property
    def _bias(self) -> Array:
        return self.ctx.P["decoder.heads.bias"]

    def _grad(self, z: Array, decoder: MLPCache, cache: Any) -> Array:
        """d_z (L, M, J) of −log p(x, z), from the caches of the forward pass."""
        model, ctx, d_nll = self.engine.model, self.ctx, self.work.constant(1, *z.shape[:-1])
        d_a = model.likelihood.nll_backward(ctx, d_nll, cache, ctx.G["decoder.heads.bias"])
        d_z = self.engine.xp.empty(z.shape, z.dtype)  # chains keep it
        model.decoder.backward(ctx, d_a, decoder, d_z)
        return d_z + self.prior.log_prob_backward(-d_nll, z)[0]


@dataclass(frozen=True)
class InitialDensity:
    """The initial density of the chains, N(μ, σ²): the prior, or q(z|x).   mu, sigma (M, J)"""

    mu: Array
    sigma: Array

    @property
    def n_noise(self) -> int:
        """Standard normals that a sample of z takes."""
        return self.mu.shape[-1]

    def rsample(self, eps: Array) -> Array:
        """z = μ + σ ε.   (L, M, J)"""
        return self.mu + self.sigma * eps

    def energy(self, z: Array) -> tuple[Array, Array]:
        """z → −log N(z; μ, σ²) (L, M), nats, and its gradient r/σ, r = (z − μ)/σ   (L, M, J)."""
        r = (z - self.mu) / self.sigma
        U = 0.5 * (r * r).sum(axis=-1) + array_module(z).log(self.sigma).sum(axis=-1)
        return U + 0.5 * z.shape[-1] * log(2 * pi), r / self.sigma


@dataclass(frozen=True)
class GenericInitialDensity(InitialDensity):
    """Any other initial density, with its location mu and its scale sigma, about."""

    density: Density
    numbers: int

    @property
    def n_noise(self) -> int:
        return self.numbers

    def rsample(self, eps: Array) -> Array:
        """(L, M, n_noise) → z (L, M, J)."""
        return self.density.rsample(eps)

    def energy(self, z: Array) -> tuple[Array, Array]:
        """z (L, M, J) → minus its logarithm (L, M), nats, and the gradient of that (L, M, J)."""
        minus = array_module(z).full(z.shape[:-1], -1, z.dtype)
        return -self.density.log_prob(z), self.density.log_prob_backward(minus, z)[0]


def initial_density(name: str, target: LogJointTarget) -> InitialDensity:
    """The initial density by name: ``"prior"``, p(z); ``"posterior"``, the encoder's q(z|x).

    Raises
    ------
    ParameterError
        If it is neither, or there is no q(z|x) that reaches all of the prior.
    """
    engine, work, x = target.engine, target.work, target.x
    model, xp, J = engine.model, engine.xp, engine.model.decoder.n_in
    if name == "prior":
        unit = InitialDensity(xp.zeros((len(x), J), x.dtype), xp.ones((len(x), J), x.dtype))
        if model.prior == STANDARD_NORMAL:
            return unit
        return GenericInitialDensity(unit.mu, unit.sigma, target.prior, model.prior.n_noise(J))
    if name != "posterior":
        known = ", ".join(INITIAL_DENSITIES)
        raise ParameterError(f"start={name!r} is not known; choose from {known}")
    if model.posterior is None or not support_covers(model.posterior.name):
        raise ParameterError(
            "start='posterior' needs a normal q(z|x), or one that reaches all of the prior; "
            "take start='prior'"
        )
    q = model.posterior_at(target.ctx, x)
    if model.posterior == NORMAL:
        mu, logvar = q.params
        return InitialDensity(mu, xp.exp(0.5 * logvar))
    one = work.constant(1, len(x), model.n_noise)
    low, high = q.rsample(-one), q.rsample(one)  # for a normal, μ ∓ σ
    width = 0.5 * abs(high - low)
    if model.posterior.name == "elliptical":  # whose noises may cancel: no less than the diagonal
        width = xp.maximum(width, xp.exp(q.params[1]))
    return GenericInitialDensity(q.location(), width, q, model.n_noise)
