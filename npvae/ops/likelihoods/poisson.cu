// λ − x l + log x!,   λ = exp(l)
__device__ REAL poisson(REAL x, const REAL* u, REAL* s)
{
    const REAL rate = exp_below_sqrt_max(u[0]);
    s[0] = rate - x;
    return rate - x * u[0] + lgamma(x + 1);
}

LIKELIHOOD(poisson, 1, poisson(x, u, s),)

// Counts at the rates exp(a + b): the CDF added up until it passes u, or a normal through the
// series of the quantile, rounded down.   a (M, D), bias (D,)
KERNEL(sample_poisson)(u64 seed, u64 stream, const Index* __restrict__ step,
                       const REAL* __restrict__ a, const REAL* __restrict__ bias,
                       REAL* __restrict__ x, Index M, Index D)
{
    FOR_EACH_OF(m, M, d, D) {
        const double rate = exp_below_sqrt_max(a[m * D + d] + bias[d]);
        const double u1 = uniform(seed, stream, *step, 2 * (m * D + d));
        const double u2 = uniform(seed, stream, *step, 2 * (m * D + d) + 1);
        if (rate <= 64) {
            int k = 0;
            for (double p = exp(-rate), cdf = p; u1 > cdf && k < 255; cdf += p) p *= rate / ++k;
            x[m * D + d] = k;
        } else {
            const double w = sqrt(-2 * log(u1)) * cospi(2 * u2), root = sqrt(rate), ww = w * w;
            x[m * D + d] = floor(rate + w * root + (ww + 2) / 6 - w * (ww + 2) / (72 * root)
                                 + (ww * (9 * ww + 21) - 48) / (2430 * rate));
        }
    }
}
