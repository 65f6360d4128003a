"""Noise of a step, drawn where it is used: ``step`` (1,) int64 lives on the device.

What is drawn is told in :mod:`npvae.random`: a function of (seed, stream, step, element) and of
nothing else.
"""
from npvae import random
from npvae.ops.activations import logistic
from npvae.ops.latent import halves, normal_kl, normal_log_ratio

DRAW = 8192  # numbers at a time: no step allocates as much as a batch


def bernoulli_draw(xp, seed, stream, step, x):
    """x ← 1 where x > u, else 0, in place, with u uniform on [0, 1).   step (1,), x any shape"""
    flat = x.reshape(-1)
    for start in range(0, flat.size, DRAW):
        grey = flat[start : start + DRAW]
        u = random.thresholds(seed, stream, int(step[0]), len(grey), start)
        xp.greater(grey, xp.asarray(u), out=grey)


def posterior_noise(xp, seed, stream, step, start, eps):
    """ε ~ N(0, I), ``start`` samples of the stream coming before.   step (1,) → eps (L, M, J)"""
    L, M, J = eps.shape
    eps[...] = xp.asarray(random.posterior_noise(seed, stream, int(step[0]), L, J, M, start))


def normal_draw(xp, seed, stream, step, a, bias, sigmoid_mean, x):
    """x = μ + σ ν, ν ~ N(0, I), with [μ | log σ²] = a + b and, if asked, μ through a sigmoid.

    step (1,), a (M, 2D) is used up, bias (2D,) → x (M, D)
    """
    posterior_noise(xp, seed, stream, step, 0, x[None])
    xp.add(a, bias, out=a)
    mean, logvar = halves(a)  # (M, D) each
    if sigmoid_mean:
        logistic(xp, mean, mean)
    xp.multiply(logvar, 0.5, out=logvar)
    xp.exp(logvar, out=logvar)  # σ
    xp.multiply(x, logvar, out=x)
    xp.add(x, mean, out=x)


def draw_normal_kl(xp, seed, stream, step, a, bias, eps, sigma, z, kl):
    """ε, and what :func:`~npvae.ops.latent.normal_kl` makes of it.   step (1,) → eps (L, M, J)"""
    posterior_noise(xp, seed, stream, step, 0, eps)
    normal_kl(xp, a, bias, eps, sigma, z, kl)


def draw_normal_log_ratio(xp, seed, stream, step, a, bias, eps, sigma, z, log_ratio):
    """ε, and what :func:`~npvae.ops.latent.normal_log_ratio` makes of it."""
    posterior_noise(xp, seed, stream, step, 0, eps)
    normal_log_ratio(xp, a, bias, eps, sigma, z, log_ratio)
