// d_a = d_h · derivative, by what was saved, and d_b = Σ_m d_a.   all (M, H), d_bias (H,)
#define BACKWARD(name, UNROLL, cached, derivative)                                       \
    REDUCTION(name##_backward)(const REAL* __restrict__ d_h,                             \
                               const REAL* __restrict__ saved, REAL* __restrict__ d_a,   \
                               REAL* __restrict__ d_bias, Index M, Index H)              \
    {                                                                                    \
        sum_columns<UNROLL>(M, H, d_bias, [=](Index m, Index j) {                        \
            [[maybe_unused]] const REAL cached = saved[m * H + j];                       \
            return d_a[m * H + j] = d_h[m * H + j] * (derivative);                       \
        });                                                                              \
    }                                                                                    \
    TWIN(name##_backward)

// h = f(u), u = a + b; its backward reads the output y = f(u).   a, h (M, H), bias (H,); h may be a
#define READS_OUTPUT(name, f, derivative)                                                \
    KERNEL(name)(const REAL* a, const REAL* bias, REAL* h, Index M, Index H)             \
    {                                                                                    \
        FOR_EACH_OF(m, M, j, H) {                                                        \
            const REAL u = a[m * H + j] + bias[j];                                       \
            h[m * H + j] = f;                                                            \
        }                                                                                \
    }                                                                                    \
    TWIN(name)                                                                           \
    BACKWARD(name, 4, y, derivative)

// h = f(u); its backward reads the input u, which is left in a.   a, h (M, H), bias (H,)
#define READS_INPUT(name, f, derivative)                                                 \
    KERNEL(name)(REAL* __restrict__ a, const REAL* __restrict__ bias,                    \
                 REAL* __restrict__ h, Index M, Index H)                                 \
    {                                                                                    \
        FOR_EACH_OF(m, M, j, H) {                                                        \
            const REAL u = a[m * H + j] += bias[j];                                      \
            h[m * H + j] = f;                                                            \
        }                                                                                \
    }                                                                                    \
    TWIN(name)                                                                           \
    BACKWARD(name, 1, u, derivative)

// P(ν ≤ u) of a standard normal ν.
__device__ REAL normal_cdf(REAL u) { return upper_tail(-u); }

// y (1 + u (1 − y)),  y = sigmoid(u)
__device__ REAL silu_derivative(REAL u)
{
    const REAL e = exp(-fabs(u));
    return (u < 0 ? e : 1) / (1 + e) * (1 + u * (u < 0 ? 1 : e) / (1 + e));
}

READS_OUTPUT(tanh, tanh(u), 1 - y * y)
READS_OUTPUT(relu, u < 0 ? 0 : u, y > 0)
READS_OUTPUT(sigmoid, logistic(u), y * (1 - y))
READS_OUTPUT(softplus, (u < 0 ? 0 : u) + log1p(exp(-fabs(u))), -expm1(-y))
READS_OUTPUT(elu, u < 0 ? expm1(u) : u, (y > 0 ? 0 : y) + 1)
READS_OUTPUT(leaky_relu, u < 0 ? u * REAL(0.01) : u, y > 0 ? 1 : REAL(0.01))
READS_INPUT(gelu, u * normal_cdf(u), normal_cdf(u) + u * exp(-u * u / 2) * REAL(0.3989422804014327))
READS_INPUT(silu, u * logistic(u), silu_derivative(u))
READS_OUTPUT(identity, u, 1)
