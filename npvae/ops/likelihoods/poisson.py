"""Counts x, from the logarithms of their rates."""
from math import lgamma, pi

from npvae.ops.declare import op
from npvae.ops.elementary import LOG_2PI, exp_below_sqrt_max
from npvae.ops.layouts import features, matrix
from npvae.ops.noise import uniforms

TABLE = [lgamma(k + 1) for k in range(256)]  # log k!
BLOCK = 2048  # counts looked up at a time: no step allocates as much as a batch
LARGE_RATE = 64  # above which a Poisson variable is made from a normal one
MOST_EVENTS = 256  # that are counted one by one


@op(features, "nll x", scratch="scratch")
def poisson_nll(xp, a, bias, x, d_nll_d_a, scratch, nll):
    """−log p(x|z) = Σ_d exp(l) − x·l + log x!, with the log-rates l = a + b.

    The gradient is exp(l) − x. Rates are kept below the square root of the largest number (e⁴⁴ in
    float32).

    a (L, M, D) is used up; bias (D,), counts x (M, D), scratch (M, D)
    → d_nll_d_a (L, M, D), nll (L, M)
    """
    xp.add(a, bias, out=a)  # l
    exp_below_sqrt_max(xp, a, d_nll_d_a)
    log_factorial(xp, x, scratch)
    xp.multiply(a, x, out=a)
    xp.subtract(d_nll_d_a, a, out=a)  # of large counts all but little cancels: before it is summed
    xp.add(a, scratch, out=a)
    nll[...] = xp.einsum("lmd->lm", a)
    xp.subtract(d_nll_d_a, x, out=d_nll_d_a)


def log_factorial(xp, x, out):
    """log x! of whole numbers x ≥ 0 of any shape: from a table, and beyond it by Stirling's series.

    The first term that the series leaves out is 1/(1260 x⁵), 1e-15.
    """
    table, counts, results = xp.asarray(TABLE), x.real.reshape(-1), out.reshape(-1)
    for start in range(0, counts.size, BLOCK):
        n = counts[start : start + BLOCK]
        result = table[xp.minimum(n, len(TABLE) - 1).astype("int64")]
        if n.max() >= len(TABLE):
            m = xp.maximum(n, len(TABLE)).astype("float64")
            by_series = (m + 0.5) * xp.log(m) - m + 0.5 * LOG_2PI
            by_series += (1 / 12 - 1 / (360 * m * m)) / m
            result = xp.where(n < len(TABLE), result, by_series)
        results[start : start + BLOCK] = result


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
