"""How the noise of the L samples of a datapoint is coupled.

A mean over samples is right if each of them is by itself one of q(z|x). That they are independent
is not needed; dependent ones may have the lower variance:

    independent    ε_1 … ε_L ~ N(0, I)
    antithetic     ε_{L/2 + l} = −ε_l: what is odd in ε cancels (Hammersley, Morton 1956)
    sobol          Φ(ε_l) the first L of a scrambled Sobol sequence: :mod:`npvae.sobol`

Every family makes its samples of a fixed number of normals, and of u = Φ(ε) where it wants uniform
noise; so u is mirrored to 1 − u, and none of them rejects a draw. Which objectives need independent
samples they say themselves: ``dependent_samples``.
"""
from collections.abc import Callable

from npvae import random, sobol
from npvae.backend import Array
from npvae.distributions.likelihood import RNGKey
from npvae.memory import Context

# Writes eps (L, M, n_noise); the noise of ``before`` datapoints comes before.
Fill = Callable[..., None]


def fill_independent(ctx: Context, rng_key: RNGKey, eps: Array, before: int = 0) -> None:
    """Samples that have nothing to do with one another."""
    ctx.ops.fill_noise(*rng_key, before * len(eps), eps)


def fill_antithetic(ctx: Context, rng_key: RNGKey, eps: Array, before: int = 0) -> None:
    """L/2 of them, and each with its sign changed."""
    first, mirrored = eps[: len(eps) // 2], eps[len(eps) // 2 :]
    ctx.ops.fill_noise(*rng_key, before * len(first), first)
    ctx.work.xp.negative(first, out=mirrored)


def fill_sobol(ctx: Context, rng_key: RNGKey, eps: Array, before: int = 0) -> None:
    """Scrambled points, made on the host: ``step`` is read there."""
    (seed, stream, step), (L, M, n) = rng_key, eps.shape
    each = sobol.n_words(L, n)
    words = random.words(seed, stream, int(step[0]), M * each, before * each)
    eps[...] = ctx.work.xp.asarray(sobol.sobol_normals(words.reshape(M, -1), L, n))


FILLS: dict[str, Fill] = {
    "independent": fill_independent, "antithetic": fill_antithetic, "sobol": fill_sobol,
}  # fmt: skip
