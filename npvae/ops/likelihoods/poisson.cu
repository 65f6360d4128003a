// eˡ − x l + log x!, or from 256 on x (eᵗ − 1 − t) + (log x! − x log x + x), t = l − log x; double.
// Both are computed, for where nothing branches a processor does eight at a time.
__device__ REAL poisson(double x, REAL u, REAL* s)
{
    const bool large = x >= 256;
    const double l = below_half_log_max(u), rate = exp(l), small_x = large ? 0 : x;
    const double m = large ? x : 256, log_m = log(m), t = l - log_m, slope = m * expm1(t);
    const double excess = 0.5 * (1.8378770664093453 + log_m) + (1.0 / 12 - 1 / (360 * m * m)) / m;
    s[0] = large ? slope : rate - x;
    return large ? slope - m * t + excess : rate - x * l + lgamma(small_x + 1);
}

LIKELIHOOD(poisson, 1, poisson(x, u[0], s),)

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
TWIN(sample_poisson)
