// softplus(u), and the sigmoid beside it.
__device__ REAL softplus(REAL u, REAL* y)
{
    const REAL e = exp(-fabs(u));
    *y = (u < 0 ? e : 1) / (1 + e);
    return (u < 0 ? 0 : u) + log1p(e);
}

// −log(F(x + h) − F(x − h)), the first and the last level with one edge;   u = μ, log s
__device__ REAL discretized_logistic(REAL x, REAL top, const REAL* u, REAL* s)
{
    const REAL h = REAL(0.5) / top, mu = u[0];
    const REAL log_delta = -(u[1] + log(top)), own = exp_below_sqrt_max(log_delta);
    const REAL delta = own < REAL(1e-30) ? REAL(1e-30) : own, w = -expm1(-delta);
    const REAL inv_scale = delta * top, has_lower = x > h, has_upper = x < 1 - h;
    REAL y_lower, y_upper;
    const REAL lower = (x - mu - h) * inv_scale, upper = (mu - x - h) * inv_scale;
    const REAL nats = has_lower * softplus(lower, &y_lower) + has_upper * softplus(upper, &y_upper);
    y_lower *= has_lower, y_upper *= has_upper;
    const REAL both = has_lower * has_upper;
    s[0] = inv_scale * (y_upper - y_lower);
    s[1] = both * ((1 - w) / w * delta) - lower * y_lower - upper * y_upper;
    return nats + both * ((log_delta > 0 ? 0 : -log_delta) - log(w / (delta > 1 ? 1 : delta)));
}

LIKELIHOOD(discretized_logistic, 2, discretized_logistic(x, levels - 1, u, s), Index levels,)

// x = μ ± s log((1 − v)/v), to the nearest of the levels 0, 1/(K − 1), …, 1
KERNEL(sample_discretized_logistic)(u64 seed, u64 stream, const Index* __restrict__ step,
                                    const REAL* __restrict__ a, const REAL* __restrict__ bias,
                                    Index levels, REAL* __restrict__ x, Index M, Index D)
{
    FOR_EACH_OF(m, M, d, D) {
        const REAL limit = 1e30;  // none
        const double y = location_scale(seed, stream, *step, a, bias, limit, m, d, D, [](double u) {
            return (u < 0.5 ? -1 : 1) * log((1 - tail_distance(u)) / tail_distance(u));
        });
        const double top = levels - 1, level = floor(y * top + 0.5);
        x[m * D + d] = (level < 0 ? 0 : level > top ? top : level) / top;
    }
}
