"""q(z|x) and p(x|z) as distributions: their parameters, mean and deviation, and samples.

A result owns its arrays: it stays as it is when the model is trained on, or when it is called by
another thread. Noise of x is keyed by the number of a sample among all that are asked for, so
that it is the same on a CPU and on a GPU (:mod:`npvae.random`).
"""
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from npvae import random
from npvae.backend import Array, Backend, array_module, as_input_type
from npvae.distributions import Likelihood
from npvae.distributions.latents import BoundDistribution
from npvae.distributions.learned_scale import LearnedScale
from npvae.distributions.likelihood import HasStddev, RNGKey, Standardizable
from npvae.distributions.special import single
from npvae.errors import ParameterError
from npvae.evaluation.chunks import chunks, decode, map_rows, restored
from npvae.memory import Context, Workspace
from npvae.models import Engine
from npvae.options import whole_number
from npvae.standardization import Standardization

BLOCK = 2**20  # numbers that the decoder's heads take in a block of samples, on every device


@dataclass(frozen=True, eq=False, repr=False)
class PosteriorDistribution:
    """q(z|x) of N datapoints.

    Attributes
    ----------
    family : Family
        Of :mod:`npvae.distributions`; ``family.log_prob(z, *parameters.values())`` is the
        log-density of every latent, or of all together where ``family.joint``.
    parameters : dict of str to array (N, ·)
        By the family's names, as ``mu`` and ``logvar`` of a normal, in its order.
    latent_dim : int
        J.
    mean, std : array (N, J)
        E[z] and the standard deviation of each latent, as SciPy has them: ∞ where they are
        infinite (a Pareto variable with α ≤ 1), NaN where there is none (a Cauchy variable, or
        Student's t with ν ≤ 1, for which SciPy says ∞). A family of one's own has those that it
        has methods for, else asking raises a ParameterError.

    Examples
    --------
    >>> import npvae
    >>> X = npvae.data.load_digits().images[:5]
    >>> q = npvae.VAE(hidden=(8,), random_state=0).initialize(64).posterior_of(X)
    >>> q
    q(z|x) of 5 datapoints: Normal() of 2 latents, by mu (5, 2), logvar (5, 2)
    >>> q.mean.shape, q.std.shape, q.sample(rng=0).shape, q.sample(rng=0, n=10).shape
    ((5, 2), (5, 2), (5, 2), (10, 5, 2))
    """

    family: Any
    parameters: Mapping[str, Array]
    latent_dim: int

    @cached_property
    def mean(self) -> Array:
        """E[z].   (N, J)"""
        return self.family.mean(*self.parameters.values()) + 0  # an array of its own

    @cached_property
    def std(self) -> Array:
        """√Var[z].   (N, J)"""
        return self.family.std(*self.parameters.values()) + 0

    def sample(self, rng: Any = None, n: int | None = None) -> Array:
        """z ~ q(z|x), one of each datapoint, or ``n``.

        Parameters
        ----------
        rng : int, numpy.random.Generator or None
            Where the noise comes from; the same int gives the same samples.
        n : int, optional
            How many of each datapoint.

        Returns
        -------
        array (N, J), or with ``n`` (n, N, J)
            In the parameters' dtype.

        Raises
        ------
        ParameterError
            If ``rng`` cannot seed a generator, or ``n`` is less than 1.
        """
        params = tuple(self.parameters.values())
        xp, dtype = array_module(params[0]), params[0].dtype
        shape = n_samples(n), len(params[0]), self.latent_dim * len(self.family.noise)
        eps = xp.asarray(random.as_generator(rng).standard_normal(shape))
        # float32 noise would end where a uniform number cannot be told from 1
        wide = BoundDistribution(self.family, tuple(p.astype("float64") for p in params))
        y = wide.rsample(eps)
        z = self.family.transform(single(y) if dtype == "float32" else y)[0]  # (n, N, J)
        return z[0] if n is None else z

    def __repr__(self) -> str:
        N = len(next(iter(self.parameters.values())))
        return (
            f"q(z|x) of {N} datapoints: {self.family!r} of {self.latent_dim} latents, by "
            f"{shapes(self.parameters)}"
        )


@dataclass(frozen=True, eq=False, repr=False)
class LikelihoodDistribution:
    """p(x|z) of N latents; given z, the D features are independent.

    Attributes
    ----------
    likelihood : Likelihood
        What kind it is.
    parameters : dict of str to array (N, ·)
        By the names of the decoder's heads: ``logits`` of a Bernoulli or continuous Bernoulli
        likelihood, ``mean`` and ``logvar`` of a normal one (``mean`` alone where σ is fixed),
        ``mean`` and ``logscale`` of a Laplace or a discretized logistic one, whose ``mean`` is the
        location before rounding, ``lograte`` of a Poisson one, ``logits`` (N, K D) of a
        categorical one, level by level. A mean through a sigmoid is what comes out of it.
    mean, std : array (N, D)
        E[x|z] and the standard deviation of each feature. A likelihood of one's own has a
        ``std`` if it has a method ``stddev(ctx, a, bias, out)``, else asking raises a
        ParameterError.

    Examples
    --------
    >>> import numpy as np, npvae
    >>> vae = npvae.VAE(hidden=(8,), likelihood="poisson", random_state=0).initialize(64)
    >>> p = vae.likelihood_of(np.zeros((5, 2)))
    >>> p
    p(x|z) of 5 latents: PoissonLikelihood() of 64 features, by lograte (5, 64)
    >>> p.mean[0, 0], p.std[0, 0]                           # a rate of 1
    (np.float32(1.0), np.float32(1.0))
    >>> p.sample(rng=0).shape, p.sample(rng=0, n=10).shape
    ((5, 64), (10, 5, 64))
    """

    likelihood: Likelihood[Any]
    parameters: Mapping[str, Array]
    mean: Array
    heads: Array = field(repr=False)  # (N, Σ heads), on the device that computes
    backend: Backend = field(repr=False)
    standardization: Standardization | None = field(default=None, repr=False)

    @cached_property
    def std(self) -> Array:
        """√Var[x|z].   (N, D)"""
        if not isinstance(self.likelihood, HasStddev):
            raise ParameterError(
                f"{self.likelihood!r} gives no std; give it a method stddev(ctx, a, bias, out)"
            )
        out = self.backend.xp.empty(self.mean.shape, self.heads.dtype)
        with self.backend.oom_guard():
            ctx, bias = self._context()
            for start, stop in chunks(len(out), block_rows(bias)):
                a = self.heads[start:stop].copy()  # it may be used up
                self.likelihood.stddev(ctx, a, bias, out[start:stop])
            if self.standardization is not None:
                out *= self.standardization.scale
            return as_input_type(self.mean, out)

    def sample(self, rng: Any = None, n: int | None = None) -> Array:
        """x ~ p(x|z), one of each latent, or ``n``.

        Parameters
        ----------
        rng : int, numpy.random.Generator or None
            Where the noise comes from; the same int gives the same samples.
        n : int, optional
            How many of each latent.

        Returns
        -------
        array (N, D), or with ``n`` (n, N, D)
            In the parameters' dtype.

        Raises
        ------
        ParameterError
            If ``rng`` cannot seed a generator, or ``n`` is less than 1.
        """
        xp, (N, D) = self.backend.xp, self.mean.shape
        count, seed = n_samples(n) * N, random.as_seed(rng, "rng")
        with self.backend.oom_guard():
            ctx, bias = self._context()
            x = xp.empty((count, D), self.heads.dtype)
            for rows, key in blocks(xp, count, block_rows(bias), seed):
                a = self.heads.take(xp.arange(rows.start, rows.stop) % N, axis=0)
                x[rows] = self.likelihood.sample(ctx, a, bias, key)
            x = restored(x, self.standardization)
            return as_input_type(self.mean, x.reshape(-1, N, D)[0] if n is None
                                 else x.reshape(-1, N, D))

    def _context(self) -> tuple[Context, Array]:
        """Buffers that nobody else has, and a bias of 0: the heads have theirs."""
        work = Workspace(self.backend.xp, self.heads.dtype)
        return Context(self.backend.ops, {}, {}, work), work.constant(0, self.heads.shape[1])

    def __repr__(self) -> str:
        N, D = self.mean.shape
        return (
            f"p(x|z) of {N} latents: {self.likelihood!r} of {D} features, by "
            f"{shapes(self.parameters)}"
        )


def posterior_of(engine: Engine, X: Array, scale: float = 1.0) -> PosteriorDistribution:
    """q(z|x) of every row of ``X`` (N, D), on the engine's device."""
    J, posterior = engine.model.decoder.n_in, engine.model.posterior
    assert posterior is not None
    family = posterior.family
    widths = dict(zip(family.parameters, family.heads(J).values(), strict=True))

    def write(ctx: Context, x: Array, out: Array) -> None:
        params = engine.model.posterior_at(ctx, x).params
        for part, p in zip(columns(out, widths).values(), params, strict=True):
            part[...] = p

    a = map_rows(engine, write, X, sum(widths.values()), scale)
    return PosteriorDistribution(family, columns(a, widths), J)


def likelihood_of(engine: Engine, Z: Array) -> LikelihoodDistribution:
    """p(x|z) of every row of ``Z`` (N, J), on the engine's device."""
    model, likelihood = engine.model, engine.model.likelihood
    widths = likelihood.heads(model.n_features)

    def write(ctx: Context, z: Array, out: Array) -> None:
        a, _ = model.decoder.forward(ctx, z)
        engine.xp.add(a, ctx.P["decoder.heads.bias"], out=out)

    a = map_rows(engine, write, Z, sum(widths.values()))
    mean, parameters = decode(engine, Z), columns(a, widths)
    if isinstance(likelihood, LearnedScale):  # through a soft clip
        head = likelihood.scale_head
        parameters[head] = likelihood.log_scale_of(parameters[head])
    if engine.standardization is not None and isinstance(likelihood, Standardizable):
        parameters = likelihood.restored(parameters, engine.standardization.scale)
    if likelihood.mean_head == "mean":
        parameters["mean"] = mean.copy()  # through a sigmoid, if it goes through one
    return LikelihoodDistribution(
        likelihood, parameters, mean, a, engine.backend, engine.standardization
    )


def draw(engine: Engine, Z: Array, seed: int) -> Array:
    """One x ~ p(x|z) of every row of ``Z`` (N, J), in bounded memory.   (N, D)"""
    model, ctx, xp = engine.model, engine.ctx, engine.xp
    x, bias = xp.empty((len(Z), model.n_features), ctx.work.dtype), ctx.P["decoder.heads.bias"]
    for rows, key in blocks(xp, len(Z), block_rows(bias), seed):
        a, _ = model.decoder.forward(ctx, Z[rows])
        x[rows] = model.likelihood.sample(ctx, a, bias, key)
    return restored(x, engine.standardization)


# ---- blocks of samples, and what parameters look like


def n_samples(n: int | None) -> int:
    """``n``, checked; 1 where it is not given."""
    if n is None:
        return 1
    whole_number("n", n)
    return n


def block_rows(bias: Array) -> int:
    """Samples in a block; the same on every device, for the noise goes by block."""
    return max(1, BLOCK // len(bias))


def blocks(xp: Any, count: int, rows: int, seed: int) -> Iterator[tuple[slice, RNGKey]]:
    """The rows of each block of ``count``, and where its noise comes from."""
    for i, (start, stop) in enumerate(chunks(count, rows)):
        yield slice(start, stop), (seed, random.DRAW, xp.full(1, i, "int64"))


def columns(a: Array, widths: Mapping[str, int]) -> dict[str, Array]:
    """Neighbouring columns of ``a`` (N, Σ widths) by name, as views."""
    parts, start = {}, 0
    for name, width in widths.items():
        parts[name] = a[:, start : start + width]
        start += width
    return parts


def shapes(parameters: Mapping[str, Array]) -> str:
    """Names and shapes, in a line.

    Examples
    --------
    >>> import numpy as np
    >>> shapes({"mu": np.zeros((5, 2)), "logvar": np.zeros((5, 2))})
    'mu (5, 2), logvar (5, 2)'
    """
    return ", ".join(f"{name} {array.shape}" for name, array in parameters.items())
