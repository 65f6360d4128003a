// log 2b + |r|,   r = (μ − x)/b,   u = μ, log b
__device__ REAL laplace(REAL x, const REAL* u, REAL* s)
{
    const REAL inv_scale = exp_below_sqrt_max(-u[1]), r = (u[0] - x) * inv_scale;
    s[0] = inv_scale * (r > 0 ? 1 : r < 0 ? -1 : r);
    s[1] = 1 - fabs(r);
    return REAL(0.6931471805599453) + u[1] + fabs(r);
}

LIKELIHOOD(laplace, 2, laplace(x, u, s),)

// x = μ ∓ b log 2v
KERNEL(sample_laplace)(u64 seed, u64 stream, const Index* __restrict__ step,
                       const REAL* __restrict__ a, const REAL* __restrict__ bias,
                       REAL* __restrict__ x, Index M, Index D)
{
    FOR_EACH_OF(m, M, d, D) {
        x[m * D + d] = location_scale(seed, stream, *step, a, bias, m, d, D, [](double u) {
            return (u < 0.5 ? 1 : -1) * log(2 * tail_distance(u));
        });
    }
}
