// Kernels for the GPU: the twin of each op that lies between two matrix products.
//
// What the .cu files share: each stands beside the Python file of its ops, whose readable bodies
// have the derivations, and a test holds each kernel to its body. All are one source, this file
// first. A kernel takes its op's arguments in the op's order, without the working space that it
// does not need, and then the sizes. REAL is float or double.
//
// Why these boundaries: at M = 100 a step costs launches, not arithmetic. Between two products
// every number is read once, used for all that depends on it, and written once.
//
// Why the same bits every time: every sum is made in one order, fixed by the sizes alone. Each
// thread adds up its own elements one after the other, and a tree in shared memory adds up the
// threads. There are no atomics and no sums across blocks. Three layouts do it all:
//
//     elements   a thread for each element                       activations, updates, noise
//     rows       a block for each row, sum over its columns      log-likelihood, KL
//     columns    a block for STRIP columns, sum over all rows    backward, with its bias gradient
//
// NaN passes through every kernel: comparisons are written so that it is never the one dropped.

typedef long long Index;  // sizes and what is computed from them: products exceed 2³¹
typedef unsigned long long u64;

constexpr int STRIP = 8;            // 8 floats: one sector of memory; layouts.py has it too
constexpr int THREADS = 256;        // of a block, at most
constexpr int MAX_THREADS = 1024;  // of a block that sums over columns, or over everything

#define KERNEL(name) extern "C" __global__ void __launch_bounds__(THREADS, 1) npvae_##name
#define REDUCTION(name) extern "C" __global__ void __launch_bounds__(MAX_THREADS, 1) npvae_##name

// For each i < n: the threads of the grid side by side. Most threads have one element, and
// unrolling would make each divide to find out.
#define FOR_EACH(i, n)                                                          \
    _Pragma("unroll 1")                                                         \
    for (Index i = blockIdx.x * Index(blockDim.x) + threadIdx.x, last_##i = (n); \
         i < last_##i; i += gridDim.x * Index(blockDim.x))

// For each (m, j), m < M and j < H: a thread keeps to its column j and goes down the rows.
#define FOR_EACH_OF(m, M, j, H)                                                        \
    if (const Index j = blockIdx.x * Index(blockDim.x) + threadIdx.x; j < (H))         \
        for (Index m = blockIdx.y; m < (M); m += gridDim.y)

// In thread t < width, the sum over threads t, t + width, t + 2 width, … of the block. All threads
// call it, and blockDim.x / width is a power of two. Another call may follow at once: until its
// first barrier nobody but thread t touches part[t].
template <class T>
__device__ T tree_sum(T value, int width)
{
    __shared__ T part[MAX_THREADS];
    const int t = threadIdx.x;
    part[t] = value;
    __syncthreads();
    for (int half = blockDim.x / 2; half >= width; half /= 2) {
        if (t < half) part[t] += part[t + half];
        __syncthreads();
    }
    return part[t];
}

// Σ value(i) over i = first, first + step, … below n, added in this order. Several loads are under
// way at a time, for one after the other each would wait for memory; one, where registers are few.
template <int UNROLL, class T, class F>
__device__ T sum_every(Index first, Index step, Index n, F value)
{
    T sum = 0;
    Index i = first;
    for (; i + (UNROLL - 1) * step < n; i += UNROLL * step) {
        T v[UNROLL];
        for (int k = 0; k < UNROLL; k++) v[k] = value(i + k * step);
        for (int k = 0; k < UNROLL; k++) sum += v[k];
    }
    for (; i < n; i += step) sum += value(i);
    return sum;
}

// Σ_d value(d) over d < D by one block, in its first thread.
template <class T, class F>
__device__ T sum_row(Index D, F value)
{
    return tree_sum(sum_every<4, T>(threadIdx.x, blockDim.x, D, value), 1);
}

// d_bias[c] = Σ_r value(r, c) over r < R, for the STRIP columns c of this block.
template <int UNROLL = 4, class F>
__device__ void sum_columns(Index R, Index C, REAL* d_bias, F value)
{
    const Index c = blockIdx.x * Index(STRIP) + threadIdx.x % STRIP;
    const Index rows = c < C ? R : 0;
    const REAL own = sum_every<UNROLL, REAL>(
        threadIdx.x / STRIP, blockDim.x / STRIP, rows, [=](Index r) { return value(r, c); });
    const REAL sum = tree_sum(own, STRIP);
    if (c < C && threadIdx.x < STRIP) d_bias[c] = sum;
}

// A number that is fixed when the kernel is launched, or lives on the device and changes between
// replays of one launch.
__device__ REAL number(double value, const REAL* on_device)
{
    return on_device ? *on_device : REAL(value);
}

#define NUMBER(name) double name##_value, const REAL *__restrict__ name##_on_device
#define READ(name) const REAL name = number(name##_value, name##_on_device)

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

// Element (l, m, j) of ε comes from the stream, datapoint by datapoint, after start samples.
struct FilledNoise {
    u64 seed, stream, step;
    Index start;
    REAL* eps;  // (L, M, J)
    Index L, M, J;
    __device__ REAL operator()(Index l, Index m, Index j) const
    {
        const Index sample = start + m * L + l;
        return eps[(l * M + m) * J + j] = normal(seed, stream, step, sample * J + j);
    }
};

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
                             REAL* nll, Index M, Index D, F nats)
{
    const Index row = blockIdx.x, m = row % M;
    const REAL sum = sum_row<REAL>(D, [=](Index d) {
        REAL u[H], s[H];
        for (int h = 0; h < H; h++) u[h] = a[(row * H + h) * D + d] + bias[h * D + d];
        const REAL value = nats(x[m * D + d], u, s);
        for (int h = 0; h < H; h++) d_nll_d_a[(row * H + h) * D + d] = s[h];
        return value;
    });
    if (threadIdx.x == 0) nll[row] = sum;
}

// Of H heads a feature, and with arguments of its own at the end, each with its comma.
#define LIKELIHOOD(name, H, nats, ...)                                                        \
    KERNEL(name##_nll)(const REAL* __restrict__ a, const REAL* __restrict__ bias,             \
                       const REAL* __restrict__ x, __VA_ARGS__ REAL* __restrict__ d_nll_d_a,  \
                       REAL* __restrict__ nll, Index M, Index D)                              \
    {                                                                                         \
        sum_features<H>(a, bias, x, d_nll_d_a, nll, M, D,                                     \
                        [=](REAL x, const REAL* u, REAL* s) { return nats; });                \
    }
