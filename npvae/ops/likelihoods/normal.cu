// nll = ½ Σ_d log 2π + log σ² + r²,  r = (x − μ)/σ,  [μ | log σ²] = a + b, written back into a;
// log σ² is soft-clipped beyond ±limit.
// 1/σ stays below the square root of the largest number.
// a (L, M, 2D), bias (2D,), x (M, D) → inv_sigma, residual (L, M, D), nll (L, M).
KERNEL(normal_nll)(REAL* __restrict__ a, const REAL* __restrict__ bias, const REAL* __restrict__ x,
                   bool sigmoid_mean, double limit, REAL* __restrict__ inv_sigma,
                   REAL* __restrict__ residual, REAL* __restrict__ nll, Index L, Index M, Index D)
{
    const REAL log_2pi = 1.8378770664093453;
    FOR_EACH_ROW(row, L * M) {
        const Index m = row % M;
        const REAL sum = sum_row<REAL>(D, [=](Index d) {
            const Index mean = row * 2 * D + d, i = row * D + d;
            const REAL u = a[mean] + bias[d], logvar = soft_clip(a[mean + D] + bias[D + d], limit);
            const REAL mu = sigmoid_mean ? logistic(u) : u;
            const REAL w = exp_below_sqrt_max(logvar / -2), r = (x[m * D + d] - mu) * w;
            a[mean] = mu, a[mean + D] = logvar, inv_sigma[i] = w, residual[i] = r;
            return log_2pi + logvar + r * r;
        });
        ONCE nll[row] = sum / 2;
    }
}
TWIN(normal_nll)

// d_μ = −d_nll · r/σ (times μ(1 − μ) under a sigmoid),   d_logvar = ½ d_nll · (1 − r²) (times the
// derivative of the soft clip).
// d_nll (L, M), a = [μ | log σ²] (L, M, 2D), inv_sigma, residual (L, M, D) → d_a, d_bias (2D,)
REDUCTION(normal_nll_backward)(const REAL* __restrict__ d_nll, const REAL* __restrict__ a,
                               bool sigmoid_mean, double limit,
                               const REAL* __restrict__ inv_sigma,
                               const REAL* __restrict__ residual, REAL* __restrict__ d_a,
                               REAL* __restrict__ d_bias, Index L, Index M, Index D)
{
    sum_columns(L * M, 2 * D, d_bias, [=](Index row, Index c) {
        const bool is_mean = c < D;
        const Index i = row * D + (is_mean ? c : c - D);
        const REAL r = residual[i], u = a[row * 2 * D + c];  // μ or log σ²
        const REAL d_u = !is_mean ? soft_clip_slope(u, limit) : sigmoid_mean ? u * (1 - u) : 1;
        const REAL d = is_mean ? -(r * inv_sigma[i]) : (1 - r * r) / 2;
        return d_a[row * 2 * D + c] = d_nll[row] * d * d_u;
    });
}
TWIN(normal_nll_backward)

// ½ r² + log σ + ½ log 2π,   r = (μ − x)/σ
__device__ REAL fixed_normal(REAL x, bool sigmoid_mean, REAL std, const REAL* u, REAL* s)
{
    const REAL mu = sigmoid_mean ? logistic(u[0]) : u[0], r = (mu - x) / std;
    s[0] = r / std * (sigmoid_mean ? mu * (1 - mu) : 1);
    return r * r / 2 + log(std) + REAL(0.9189385332046727);
}

LIKELIHOOD(fixed_normal, 1, fixed_normal(x, sigmoid_mean, std, u, s),
           bool sigmoid_mean, double std,)

// x = μ + σ ν, ν from the stream, [μ | log σ²] = a + b, log σ² soft-clipped.
// step (1,), a (M, 2D), bias (2D,), x (M, D)
KERNEL(sample_normal)(u64 seed, u64 stream, const Index* __restrict__ step,
                      const REAL* __restrict__ a, const REAL* __restrict__ bias, bool sigmoid_mean,
                      double limit, REAL* __restrict__ x, Index M, Index D)
{
    FOR_EACH_OF(m, M, d, D) {
        const REAL u = a[m * 2 * D + d] + bias[d];
        const REAL logvar = soft_clip(a[m * 2 * D + D + d] + bias[D + d], limit);
        const REAL nu = normal(seed, stream, *step, m * D + d);
        x[m * D + d] = (sigmoid_mean ? logistic(u) : u) + exp(logvar / 2) * nu;
    }
}
