// eˡ − x l + log x!, or from 256 on x (eᵗ − 1 − t) + (log x! − x log x + x), t = l − log x; double
__device__ REAL poisson(double x, REAL u, REAL* s)
{
    const double l = below_half_log_max(u);
    if (x < 256) {
        s[0] = exp(l) - x;
        return exp(l) - x * l + lgamma(x + 1);
    }
    const double log_x = log(x), t = l - log_x, slope = x * expm1(t);
    s[0] = slope;
    return slope - x * t + 0.5 * (1.8378770664093453 + log_x) + (1.0 / 12 - 1 / (360 * x * x)) / x;
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
