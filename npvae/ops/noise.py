"""Noise of a step, drawn where it is used: ``step`` (1,) int64 lives on the device.

What is drawn is told in :mod:`npvae.random`: a function of (seed, stream, step, element) and of
nothing else.
"""
from math import pi

from npvae import random
from npvae.ops.activations import logistic
from npvae.ops.latent import halves, normal_kl, normal_log_ratio
from npvae.ops.likelihood import TINY, bounded_exp

DRAW = 8192  # numbers at a time: no step allocates as much as a batch
NORMALS = DRAW // 2  # of those that are normal, which take more room on the way
HALF_CELL = 2.0**-54  # uniforms lie 2⁻⁵³ apart: u = 1 stands for the middle of its cell
MANY = 64  # events at a rate above which a Poisson variable is made from a normal one
MOST = 256  # that are counted one by one


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
    rows = max(1, NORMALS // max(1, L * J))
    for first in range(0, M, rows):
        some = eps[:, first : first + rows]
        some[...] = xp.asarray(random.posterior_noise(
            seed, stream, int(step[0]), L, J, some.shape[1], start + first * L
        ))  # fmt: skip


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


def _drawn(xp, seed, stream, step, a, bias, x, each=1):
    """Some rows at a time: x, the heads a + bias, and float64 uniforms on (0, 1].

    step (1,), a (M, Σ heads), bias (Σ heads,), x (M, D) → (m, D), (m, Σ heads), (m, D, each)
    """
    M, D = x.shape
    rows = max(1, DRAW // a.shape[1])
    for start in range(0, M, rows):
        some = slice(start, start + rows)
        count, before = x[some].size * each, start * D * each
        u = random.uniform(seed, stream, int(step[0]), count, before)
        yield x[some], a[some].real + bias.real, xp.asarray(u.reshape(-1, D, each))


def _from_median(xp, u):
    """Which side of ½ a uniform u is on, −1 or 1, and how far it is from the nearer end."""
    return xp.sign(u - 0.5), xp.minimum(u, xp.maximum(1 - u, HALF_CELL))


def _placed(xp, heads, standard):
    """μ + s · standard, with [μ | log s] = heads."""
    mean, scale = halves(heads)
    bounded_exp(xp, scale, scale)
    return mean + scale * standard


def laplace_draw(xp, seed, stream, step, a, bias, x):
    """x = μ ∓ b log 2v, with [μ | log b] = a + b′.

    step (1,), a (M, 2D), bias b′ (2D,) → x (M, D)
    """
    for part, heads, u in _drawn(xp, seed, stream, step, a, bias, x):
        sign, v = _from_median(xp, u[..., 0])
        part[...] = _placed(xp, heads, -sign * xp.log(2 * v))


def discretized_logistic_draw(xp, seed, stream, step, a, bias, levels, x):
    """x = μ ± s log((1 − v)/v), to the nearest of the levels k/(K − 1); [μ | log s] = a + b.

    step (1,), a (M, 2D), bias (2D,) → x (M, D)
    """
    for part, heads, u in _drawn(xp, seed, stream, step, a, bias, x):
        sign, v = _from_median(xp, u[..., 0])
        y = _placed(xp, heads, sign * xp.log((1 - v) / v))
        level = xp.floor(y * (levels - 1) + 0.5)
        part[...] = xp.minimum(xp.maximum(level, 0), levels - 1) / (levels - 1)


def continuous_bernoulli_draw(xp, seed, stream, step, a, bias, x):
    """x = log(1 + u (e⁻ᵗ − 1))/(−t), t = |l|, of logits −t, turned round where l = a + b > 0.

    step (1,), a (M, D), bias (D,) → x (M, D)
    """
    for part, l, u in _drawn(xp, seed, stream, step, a, bias, x):
        t = xp.abs(l) + TINY
        y = xp.minimum(-xp.log1p(xp.minimum(u[..., 0], 1 - HALF_CELL) * xp.expm1(-t)) / t, 1)
        part[...] = xp.where(l > 0, 1 - y, y)


def poisson_draw(xp, seed, stream, step, a, bias, x):
    """Counts x at the rates λ = exp(a + b).   step (1,), a (M, D), bias (D,) → x (M, D)

    Up to λ = 64 the CDF is added up until it passes u. Above, a normal w (Box-Muller) is put
    through the series of the quantile in 1/√λ (Giles 2016) and rounded down, which is off by
    1e-6 in the CDF at λ = 64 and by less for more.
    """
    for part, l, u in _drawn(xp, seed, stream, step, a, bias, x, each=2):
        bounded_exp(xp, l, l)
        rate = l.astype("float64")
        few = xp.minimum(rate, MANY)
        p = xp.exp(-few)
        count, cdf = xp.zeros_like(p), p.copy()
        for k in range(1, MOST):
            more = u[..., 0] > cdf
            if not more.any():
                break
            count += more
            p *= few / k
            cdf += p
        w = xp.sqrt(-2 * xp.log(u[..., 0])) * xp.cos(2 * pi * u[..., 1])
        root = xp.sqrt(xp.maximum(rate, MANY))
        by_series = rate + w * root + (w * w + 2) / 6 - w * (w * w + 2) / (72 * root)
        by_series += (w * w * (9 * w * w + 21) - 48) / (2430 * root * root)
        part[...] = xp.where(rate <= MANY, count, xp.floor(by_series))


def categorical_draw(xp, seed, stream, step, a, bias, x):
    """x = c/(K − 1), where the cumulative sum of exp(l_k) first reaches u of the whole; l = a + b.

    step (1,), a (M, KD), bias (KD,) → x (M, D)
    """
    for part, l, u in _drawn(xp, seed, stream, step, a, bias, x):
        l = l.reshape(len(l), -1, part.shape[1])  # (m, K, D)
        weight = xp.exp(l - l.max(axis=1)[:, None]).astype("float64")
        wanted = u[..., 0] * weight.sum(axis=1)
        below, level = xp.zeros_like(wanted), xp.zeros_like(wanted)
        for k in range(l.shape[1] - 1):
            below += weight[:, k]
            level += below < wanted
        part[...] = level / (l.shape[1] - 1)


def draw_normal_kl(xp, seed, stream, step, a, bias, eps, sigma, z, kl):
    """ε, and what :func:`~npvae.ops.latent.normal_kl` makes of it.   step (1,) → eps (L, M, J)"""
    posterior_noise(xp, seed, stream, step, 0, eps)
    normal_kl(xp, a, bias, eps, sigma, z, kl)


def draw_normal_log_ratio(xp, seed, stream, step, a, bias, eps, sigma, z, log_ratio):
    """ε, and what :func:`~npvae.ops.latent.normal_log_ratio` makes of it."""
    posterior_noise(xp, seed, stream, step, 0, eps)
    normal_log_ratio(xp, a, bias, eps, sigma, z, log_ratio)
