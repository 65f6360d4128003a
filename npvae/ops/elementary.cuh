// Kernels: the twin of each op that lies between two matrix products.
//
// What the .cu files share: each stands beside the Python file of its ops, whose readable bodies
// have the derivations, and a test holds each kernel to its body. All are one source, for GPUs
// (gpu/common.cuh comes first) and for processors (cpu/common.h does). A kernel takes its op's
// arguments in the op's order, without the working space that it does not need, and then the sizes.
// REAL is float or double.

// 1 / (1 + exp(−u)). exp of −|u| never overflows.
__device__ REAL logistic(REAL u)
{
    const REAL e = exp(-fabs(u));
    return (u < 0 ? e : 1) / (1 + e);
}

// v, kept below half the logarithm of the largest number.
__device__ REAL below_half_log_max(REAL v)
{
    const REAL most = sizeof(REAL) == 4 ? 44.36141955583649 : 354.891356446692;
    return v > most ? most : v;
}

// eᵛ, kept below the square root of the largest number: products of two stay finite.
__device__ REAL exp_below_sqrt_max(REAL v) { return exp(below_half_log_max(v)); }

// u where |u| ≤ limit, and ±(limit + t/(1 + t)) at a distance t beyond.
__device__ REAL soft_clip(REAL u, REAL limit)
{
    const REAL t = fabs(u) - limit, most = limit + t / (1 + t);
    return t > 0 ? (u > 0 ? most : -most) : u;
}

// Its derivative 1/(1 + t)², by what it made of u.
__device__ REAL soft_clip_slope(REAL clipped, REAL limit)
{
    const REAL t = fabs(clipped) - limit, q = t > 0 ? 1 - t : 1;
    return q * q;
}

// --- noise: random.py, block by block ----------------------------------------------------------

struct Block {
    u64 w[4];
};

// Philox4x64-10 (Salmon et al. 2011). key (seed, stream), counter (block + 1, step, 0, 0): NumPy
// adds one to the counter before it makes a block.
__device__ Block philox(u64 seed, u64 stream, u64 step, u64 block)
{
    const u64 M0 = 0xD2E7470EE14C6C93, M1 = 0xCA5A826395121157;
    u64 a = block + 1, b = step, c = 0, d = 0;
    for (int round = 0; round < 10; round++) {
        const u64 a_high = __umul64hi(M0, a), a_low = M0 * a;
        const u64 c_high = __umul64hi(M1, c), c_low = M1 * c;
        a = c_high ^ b ^ seed, b = c_low;
        c = a_high ^ d ^ stream, d = a_low;
        seed += 0x9E3779B97F4A7C15, stream += 0xBB67AE8584CAA73B;
    }
    return {{a, b, c, d}};
}

// 64 random bits as a number uniform on (0, 1]: 53 of them.
__device__ double uniform(u64 w) { return (double(w >> 11) + 1) * 0x1p-53; }

// Element e of a stream of standard normals. Box–Muller makes two out of two u64:
// √(−2 log u₁) · (cos 2πu₂, sin 2πu₂).
__device__ REAL normal(u64 seed, u64 stream, u64 step, Index e)
{
    const Block b = philox(seed, stream, step, e / 4);
    const double u1 = uniform(e & 2 ? b.w[2] : b.w[0]), u2 = uniform(e & 2 ? b.w[3] : b.w[1]);
    return sqrt(-2 * log(u1)) * (e & 1 ? sinpi(2 * u2) : cospi(2 * u2));
}

// Element e of a stream of uniforms on (0, 1].
__device__ double uniform(u64 seed, u64 stream, u64 step, Index e)
{
    const Block b = philox(seed, stream, step, e / 4);
    return uniform(e & 2 ? (e & 1 ? b.w[3] : b.w[2]) : (e & 1 ? b.w[1] : b.w[0]));
}

// Tail distance: how far a uniform u is from the nearer end; 1 stands for the middle of its cell.
__device__ double tail_distance(double u)
{
    const double rest = 1 - u < 0x1p-54 ? 0x1p-54 : 1 - u;
    return u < rest ? u : rest;
}

// μ + s · standard(u), [μ | log s] = a + b, log s soft-clipped, u uniform: element (m, d).
// a (M, 2D), bias (2D,)
template <class F>
__device__ double location_scale(u64 seed, u64 stream, u64 step, const REAL* a, const REAL* bias,
                                 REAL limit, Index m, Index d, Index D, F standard)
{
    const REAL mean = a[m * 2 * D + d] + bias[d];
    const REAL logscale = soft_clip(a[m * 2 * D + D + d] + bias[D + d], limit);
    return mean + exp_below_sqrt_max(logscale) * standard(uniform(seed, stream, step, m * D + d));
}

// Element (l, m, j) of ε was sampled before.
struct StoredNoise {
    const REAL* eps;
    Index M, J;
    __device__ REAL operator()(Index l, Index m, Index j) const { return eps[(l * M + m) * J + j]; }
};

// --- likelihoods whose forward pass makes their gradient ----------------------------------------

// nll = Σ_d of what ``nats`` makes of (x, heads u), which also writes ∂/∂u into s: the H heads of
// feature d lie D apart.   a, d_nll_d_a (L, M, HD), bias (HD,), x (M, D), nll (L, M)
template <int H, class F>
__device__ void sum_features(const REAL* a, const REAL* bias, const REAL* x, REAL* d_nll_d_a,
                             REAL* nll, Index L, Index M, Index D, F nats)
{
    FOR_EACH_ROW(row, L * M) {
        const Index m = row % M;
        const REAL sum = sum_row<REAL>(D, [=](Index d) INLINED {
            REAL u[H], s[H];
            for (int h = 0; h < H; h++) u[h] = a[(row * H + h) * D + d] + bias[h * D + d];
            const REAL value = nats(x[m * D + d], u, s);
            for (int h = 0; h < H; h++) d_nll_d_a[(row * H + h) * D + d] = s[h];
            return value;
        });
        ONCE nll[row] = sum;
    }
}

// Of H heads a feature, and with arguments of its own at the end, each with its comma.
#define LIKELIHOOD(name, H, nats, ...)                                                        \
    KERNEL(name##_nll)(const REAL* __restrict__ a, const REAL* __restrict__ bias,             \
                       const REAL* __restrict__ x, __VA_ARGS__ REAL* __restrict__ d_nll_d_a,  \
                       REAL* __restrict__ nll, Index L, Index M, Index D)                     \
    {                                                                                         \
        sum_features<H>(a, bias, x, d_nll_d_a, nll, L, M, D,                                  \
                        [=](REAL x, const REAL* u, REAL* s) INLINED { return nats; });                \
    }                                                                                         \
    TWIN(name##_nll)
