// κ(l) − x l,   κ(l) = max(l, 0) + log(w/t),  t = |l|,  w = 1 − e⁻ᵗ, and κ′ by its series near 0
__device__ REAL continuous_bernoulli(REAL x, const REAL* u, REAL* s)
{
    const REAL l = u[0], t = fabs(l) + REAL(1e-30), w = -expm1(-t), square = l * l;
    REAL series = REAL(1.0 / 74724249600);
    const double next[] = {-691.0 / 1307674368000, 1.0 / 47900160, -1.0 / 1209600, 1.0 / 30240,
                           -1.0 / 720, 1.0 / 12};
    for (double c : next) series = series * square + REAL(c);
    const REAL beyond = 1 / w - 1 / t;
    s[0] = (t < REAL(0.5) ? REAL(0.5) + l * series : l < 0 ? 1 - beyond : beyond) - x;
    return (l < 0 ? 0 : l) - x * l + log(w / t);
}

LIKELIHOOD(continuous_bernoulli, 1, continuous_bernoulli(x, u, s),)

// x = −log(1 + u (e⁻ᵗ − 1))/t, t = |l|, turned round where l = a + b > 0.   a (M, D), bias (D,)
KERNEL(sample_continuous_bernoulli)(u64 seed, u64 stream, const Index* __restrict__ step,
                                    const REAL* __restrict__ a, const REAL* __restrict__ bias,
                                    REAL* __restrict__ x, Index M, Index D)
{
    FOR_EACH_OF(m, M, d, D) {
        const REAL l = a[m * D + d] + bias[d], t = fabs(l) + REAL(1e-30);
        const double u = uniform(seed, stream, *step, m * D + d);
        const double y = -log1p((u < 1 ? u : 1 - 0x1p-54) * expm1(-t)) / t;
        x[m * D + d] = l > 0 ? 1 - (y > 1 ? 1 : y) : y > 1 ? 1 : y;
    }
}
