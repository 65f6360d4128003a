"""Counts x, from the logarithms of their rates."""
from math import lgamma, pi

from npvae.ops.declare import op
from npvae.ops.elementary import LOG_2PI, exp_below_sqrt_max, largest_exponent
from npvae.ops.layouts import features, matrix
from npvae.ops.noise import uniforms

TABLE = [lgamma(k + 1) for k in range(256)]  # log k!
BLOCK = 2048  # numbers computed at a time, in float64: no step allocates as much as a batch
LARGE_RATE = 64  # above which a Poisson variable is made from a normal one
MOST_EVENTS = 256  # that are counted one by one


@op(features, "nll x", scratch="scratch")
def poisson_nll(xp, a, bias, x, d_nll_d_a, scratch, nll):
    """−log p(x|z) = Σ_d exp(l) − x·l + log x!, with the log-rates l = a + b.

    Of large counts the three all but cancel: of 10⁹ each is 10¹⁰, and their sum 10. So all of it
    is in float64 until it is summed, and from 256 on written as two terms that stay small, with
    t = l − log x, neither of which is below 0:

        nll = x (eᵗ − 1 − t) + (log x! − x log x + x)

    The gradient is exp(l) − x = x (eᵗ − 1). Log-rates are kept below half the logarithm of the
    largest number (44 in float32).

    a (L, M, D) is used up; bias (D,), counts x (M, D), scratch (M, D)
    → d_nll_d_a (L, M, D), nll (L, M)
    """
    xp.add(a, bias, out=a)  # l
    logs, slopes = (v.reshape(len(a), -1) for v in (a, d_nll_d_a))  # (L, MD)
    counts, mask, highest = x.real.reshape(-1), scratch.reshape(-1), largest_exponent(xp, a.dtype)
    xp.greater_equal(counts, len(TABLE), out=mask)
    width = min(BLOCK, counts.size)
    for start in range(0, counts.size, width):
        part = slice(start, start + width)
        n = counts[part].astype("float64")
        rest, large = log_factorial(xp, n), mask[part] != 0
        if any_large := bool(large.any()):
            m = xp.maximum(n, len(TABLE))
            log_m, excess = xp.log(m), factorial_excess(xp, m)
        for first in range(0, len(a), BLOCK // width):
            block = slice(first, first + BLOCK // width), part
            l = xp.minimum(logs[block], highest) + 0 * n
            rate = xp.exp(l)
            logs[block], slopes[block] = rate - n * l + rest, rate - n
            if any_large:
                t = l - log_m
                slope = m * xp.expm1(t)
                logs[block] = xp.where(large, slope - m * t + excess, logs[block])
                slopes[block] = xp.where(large, slope, slopes[block])
    nll[...] = xp.einsum("lmd->lm", a)


def log_factorial(xp, n):
    """log n! of whole numbers n ≥ 0, float64."""
    result = xp.asarray(TABLE)[xp.minimum(n, len(TABLE) - 1).astype("int64")]
    if n.max() >= len(TABLE):
        m = xp.maximum(n, len(TABLE))
        result = xp.where(n < len(TABLE), result, factorial_excess(xp, m) + m * xp.log(m) - m)
    return result


def factorial_excess(xp, n):
    """log n! − n log n + n = ½ log 2πn + 1/12n − … of n ≥ 256, float64, by Stirling's series.

    The first term that it leaves out is 1/(1260 n⁵), 1e-15.
    """
    return 0.5 * (LOG_2PI + xp.log(n)) + (1 / 12 - 1 / (360 * n * n)) / n


@op(matrix, "x", uint64="seed stream", int64="step")
def sample_poisson(xp, seed, stream, step, a, bias, x):
    """Counts x at the rates λ = exp(a + b).   step (1,), a (M, D), bias (D,) → x (M, D)

    Up to λ = 64 the CDF is added up until it passes u. Above, a normal w (Box-Muller) is put
    through the series of the quantile in 1/√λ (Giles 2016) and rounded down, which is off by
    1e-6 in the CDF at λ = 64 and by less for more.
    """
    for part, l, u in uniforms(xp, seed, stream, step, a, bias, x, each=2):
        exp_below_sqrt_max(xp, l, l)
        rate = l.astype("float64")
        few = xp.minimum(rate, LARGE_RATE)
        p = xp.exp(-few)
        count, cdf = xp.zeros_like(p), p.copy()
        for k in range(1, MOST_EVENTS):
            more = u[..., 0] > cdf
            if not more.any():
                break
            count += more
            p *= few / k
            cdf += p
        w = xp.sqrt(-2 * xp.log(u[..., 0])) * xp.cos(2 * pi * u[..., 1])
        root = xp.sqrt(xp.maximum(rate, LARGE_RATE))
        by_series = rate + w * root + (w * w + 2) / 6 - w * (w * w + 2) / (72 * root)
        by_series += (w * w * (9 * w * w + 21) - 48) / (2430 * root * root)
        part[...] = xp.where(rate <= LARGE_RATE, count, xp.floor(by_series))
