// log 2b + |r|,   r = (μ − x)/b,   u = μ, log b before it is soft-clipped
__device__ REAL laplace(REAL x, REAL limit, const REAL* u, REAL* s)
{
    const REAL logscale = soft_clip(u[1], limit);
    const REAL inv_scale = exp_below_sqrt_max(-logscale), r = (u[0] - x) * inv_scale;
    s[0] = inv_scale * (r > 0 ? 1 : r < 0 ? -1 : r);
    s[1] = (1 - fabs(r)) * soft_clip_slope(logscale, limit);
    return REAL(0.6931471805599453) + logscale + fabs(r);
}

LIKELIHOOD(laplace, 2, laplace(x, limit, u, s), double limit,)

// x = μ ∓ b log 2v
KERNEL(sample_laplace)(u64 seed, u64 stream, const Index* __restrict__ step,
                       const REAL* __restrict__ a, const REAL* __restrict__ bias, double limit,
                       REAL* __restrict__ x, Index M, Index D)
{
    FOR_EACH_OF(m, M, d, D) {
        x[m * D + d] = location_scale(seed, stream, *step, a, bias, limit, m, d, D, [](double u) {
            return (u < 0.5 ? 1 : -1) * log(2 * tail_distance(u));
        });
    }
}
