// Kernels for the GPU: the twin of each op that lies between two matrix products.
//
// The readable bodies, with their derivations, are in the Python files beside this one; a test
// holds each kernel to its body. A kernel takes its op's arguments in the op's order, without the
// working space that it does not need, and then the sizes. REAL is float or double.
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
typedef unsigned long long Word;

constexpr int STRIP = 8;            // 8 floats: one sector of memory; device.py knows it too
constexpr int THREADS = 256;        // of a block, at most
constexpr int MOST_THREADS = 1024;  // of a block that sums over columns, or over everything

#define KERNEL(name) extern "C" __global__ void __launch_bounds__(THREADS, 1) npvae_##name
#define SUMS(name) extern "C" __global__ void __launch_bounds__(MOST_THREADS, 1) npvae_##name

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
    __shared__ T part[MOST_THREADS];
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
template <int AT_A_TIME, class T, class F>
__device__ T sum_every(Index first, Index step, Index n, F value)
{
    T sum = 0;
    Index i = first;
    for (; i + (AT_A_TIME - 1) * step < n; i += AT_A_TIME * step) {
        T v[AT_A_TIME];
        for (int k = 0; k < AT_A_TIME; k++) v[k] = value(i + k * step);
        for (int k = 0; k < AT_A_TIME; k++) sum += v[k];
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
template <int AT_A_TIME = 4, class F>
__device__ void sum_columns(Index R, Index C, REAL* d_bias, F value)
{
    const Index c = blockIdx.x * Index(STRIP) + threadIdx.x % STRIP;
    const Index rows = c < C ? R : 0;
    const REAL own = sum_every<AT_A_TIME, REAL>(
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

// 1 / (1 + exp(−u)). exp of −|u| never overflows.
__device__ REAL logistic(REAL u)
{
    const REAL e = exp(-fabs(u));
    return (u < 0 ? e : 1) / (1 + e);
}

// eᵛ, kept below the square root of the largest number: products of two stay finite.
__device__ REAL bounded_exp(REAL v)
{
    const REAL most = sizeof(REAL) == 4 ? 44.36141955583649 : 354.891356446692;  // ½ log max
    return exp(v > most ? most : v);
}

// --- activations -------------------------------------------------------------------------------

// h = f(u), u = a + b.   a, h (M, H), bias (H,)
// d_a = d_h · f′, and d_b = Σ_m d_a, with f′ a function of the output y = f(u).
// h may be a. d_h, h and d_a lie apart.
#define ACTIVATION(name, f, slope)                                                       \
    KERNEL(name)(const REAL* a, const REAL* bias, REAL* h, Index M, Index H)             \
    {                                                                                    \
        FOR_EACH_OF(m, M, j, H) {                                                        \
            const REAL u = a[m * H + j] + bias[j];                                       \
            h[m * H + j] = f;                                                            \
        }                                                                                \
    }                                                                                    \
    SUMS(name##_backward)(const REAL* __restrict__ d_h, const REAL* __restrict__ h,      \
                          REAL* __restrict__ d_a, REAL* __restrict__ d_bias,             \
                          Index M, Index H)                                              \
    {                                                                                    \
        sum_columns(M, H, d_bias, [=](Index m, Index j) {                                \
            [[maybe_unused]] const REAL y = h[m * H + j];                                \
            return d_a[m * H + j] = d_h[m * H + j] * (slope);                            \
        });                                                                              \
    }

ACTIVATION(identity, u, 1)
ACTIVATION(tanh, tanh(u), 1 - y * y)
ACTIVATION(relu, u < 0 ? 0 : u, y > 0)
ACTIVATION(sigmoid, logistic(u), y * (1 - y))
ACTIVATION(softplus, (u < 0 ? 0 : u) + log1p(exp(-fabs(u))), -expm1(-y))
ACTIVATION(elu, u < 0 ? expm1(u) : u, (y > 0 ? 0 : y) + 1)

// --- noise: random.py, block by block ----------------------------------------------------------

struct Block {
    Word w[4];
};

// Philox4x64-10 (Salmon et al. 2011). key (seed, stream), counter (block + 1, step, 0, 0): NumPy
// adds one to the counter before it makes a block.
__device__ Block philox(Word seed, Word stream, Word step, Word block)
{
    const Word M0 = 0xD2E7470EE14C6C93, M1 = 0xCA5A826395121157;
    Word a = block + 1, b = step, c = 0, d = 0;
    for (int round = 0; round < 10; round++) {
        const Word a_high = __umul64hi(M0, a), a_low = M0 * a;
        const Word c_high = __umul64hi(M1, c), c_low = M1 * c;
        a = c_high ^ b ^ seed, b = c_low;
        c = a_high ^ d ^ stream, d = a_low;
        seed += 0x9E3779B97F4A7C15, stream += 0xBB67AE8584CAA73B;
    }
    return {{a, b, c, d}};
}

// A word as a number uniform on (0, 1]: 53 bits.
__device__ double uniform(Word w) { return (double(w >> 11) + 1) * 0x1p-53; }

// Element e of a stream of standard normals. Box–Muller makes two out of two words:
// √(−2 log u₁) · (cos 2πu₂, sin 2πu₂).
__device__ REAL normal(Word seed, Word stream, Word step, Index e)
{
    const Block b = philox(seed, stream, step, e / 4);
    const double u1 = uniform(e & 2 ? b.w[2] : b.w[0]), u2 = uniform(e & 2 ? b.w[3] : b.w[1]);
    return sqrt(-2 * log(u1)) * (e & 1 ? sinpi(2 * u2) : cospi(2 * u2));
}

// Element (l, m, j) of ε comes from the stream, datapoint by datapoint, after start samples.
struct Draw {
    Word seed, stream, step;
    Index start;
    REAL* eps;  // (L, M, J)
    Index L, M, J;
    __device__ REAL operator()(Index l, Index m, Index j) const
    {
        const Index sample = start + m * L + l;
        return eps[(l * M + m) * J + j] = normal(seed, stream, step, sample * J + j);
    }
};

// ε ~ N(0, I).   step (1,) → eps (L, M, J)
KERNEL(posterior_noise)(Word seed, Word stream, const Index* __restrict__ step, Index start,
                        REAL* __restrict__ eps, Index L, Index M, Index J)
{
    const Draw draw{seed, stream, Word(*step), start, eps, L, M, J};
    FOR_EACH(i, L * M * J) draw(i / J / M, i / J % M, i % J);
}

// Element (l, m, j) of ε was drawn before.
struct Given {
    const REAL* eps;
    Index M, J;
    __device__ REAL operator()(Index l, Index m, Index j) const { return eps[(l * M + m) * J + j]; }
};

// x = μ + σ ν, ν from the stream, [μ | log σ²] = a + b.   step (1,), a (M, 2D), bias (2D,), x (M, D)
KERNEL(normal_draw)(Word seed, Word stream, const Index* __restrict__ step,
                    const REAL* __restrict__ a, const REAL* __restrict__ bias, bool sigmoid_mean,
                    REAL* __restrict__ x, Index M, Index D)
{
    FOR_EACH_OF(m, M, d, D) {
        const REAL u = a[m * 2 * D + d] + bias[d], logvar = a[m * 2 * D + D + d] + bias[D + d];
        const REAL nu = normal(seed, stream, *step, m * D + d);
        x[m * D + d] = (sigmoid_mean ? logistic(u) : u) + exp(logvar / 2) * nu;
    }
}

// x ← 1 where x > u, else 0, u uniform on [0, 1): 24 bits, eight a block.   step (1,), x (n,)
KERNEL(bernoulli_draw)(Word seed, Word stream, const Index* __restrict__ step,
                       REAL* __restrict__ x, Index n)
{
    FOR_EACH(block, (n + 7) / 8) {
        const Block b = philox(seed, stream, *step, block);
        for (int k = 0; k < 8; k++) {
            const Word bits = b.w[k / 2] >> (k % 2 ? 40 : 8) & 0xFFFFFF;
            const Index i = 8 * block + k;
            if (i < n) x[i] = x[i] > REAL(bits) * REAL(0x1p-24);
        }
    }
}

// Element e of a stream of uniforms on (0, 1].
__device__ double uniform(Word seed, Word stream, Word step, Index e)
{
    const Block b = philox(seed, stream, step, e / 4);
    return uniform(e & 2 ? (e & 1 ? b.w[3] : b.w[2]) : (e & 1 ? b.w[1] : b.w[0]));
}

// How far a uniform u is from the nearer end; 1 stands for the middle of its cell.
__device__ double folded(double u)
{
    const double rest = 1 - u < 0x1p-54 ? 0x1p-54 : 1 - u;
    return u < rest ? u : rest;
}

// μ + s · standard(u), [μ | log s] = a + b, u uniform: element (m, d).   a (M, 2D), bias (2D,)
template <class F>
__device__ double placed(Word seed, Word stream, Word step, const REAL* a, const REAL* bias,
                         Index m, Index d, Index D, F standard)
{
    const REAL mean = a[m * 2 * D + d] + bias[d], logscale = a[m * 2 * D + D + d] + bias[D + d];
    return mean + bounded_exp(logscale) * standard(uniform(seed, stream, step, m * D + d));
}

// x = μ ∓ b log 2v
KERNEL(laplace_draw)(Word seed, Word stream, const Index* __restrict__ step,
                     const REAL* __restrict__ a, const REAL* __restrict__ bias,
                     REAL* __restrict__ x, Index M, Index D)
{
    FOR_EACH_OF(m, M, d, D) {
        x[m * D + d] = placed(seed, stream, *step, a, bias, m, d, D, [](double u) {
            return (u < 0.5 ? 1 : -1) * log(2 * folded(u));
        });
    }
}

// x = μ ± s log((1 − v)/v), to the nearest of the levels 0, 1/(K − 1), …, 1
KERNEL(discretized_logistic_draw)(Word seed, Word stream, const Index* __restrict__ step,
                                  const REAL* __restrict__ a, const REAL* __restrict__ bias,
                                  Index levels, REAL* __restrict__ x, Index M, Index D)
{
    FOR_EACH_OF(m, M, d, D) {
        const double y = placed(seed, stream, *step, a, bias, m, d, D, [](double u) {
            return (u < 0.5 ? -1 : 1) * log((1 - folded(u)) / folded(u));
        });
        const double top = levels - 1, level = floor(y * top + 0.5);
        x[m * D + d] = (level < 0 ? 0 : level > top ? top : level) / top;
    }
}

// x = −log(1 + u (e⁻ᵗ − 1))/t, t = |l|, turned round where l = a + b > 0.   a (M, D), bias (D,)
KERNEL(continuous_bernoulli_draw)(Word seed, Word stream, const Index* __restrict__ step,
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

// Counts at the rates exp(a + b): the CDF added up until it passes u, or a normal through the
// series of the quantile, rounded down.   a (M, D), bias (D,)
KERNEL(poisson_draw)(Word seed, Word stream, const Index* __restrict__ step,
                     const REAL* __restrict__ a, const REAL* __restrict__ bias,
                     REAL* __restrict__ x, Index M, Index D)
{
    FOR_EACH_OF(m, M, d, D) {
        const double rate = bounded_exp(a[m * D + d] + bias[d]);
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

// The first of K levels with the sum of exp(l) up to it at u of the whole.   a (M, KD), bias (KD,)
KERNEL(categorical_draw)(Word seed, Word stream, const Index* __restrict__ step,
                         const REAL* __restrict__ a, const REAL* __restrict__ bias,
                         REAL* __restrict__ x, Index M, Index D, Index K)
{
    FOR_EACH_OF(m, M, d, D) {
        const auto l = [=](Index k) { return a[(m * K + k) * D + d] + bias[k * D + d]; };
        REAL top = l(0);
        for (Index k = 1; k < K; k++) top = !(l(k) <= top) ? l(k) : top;
        double whole = 0, below = 0;
        for (Index k = 0; k < K; k++) whole += exp(l(k) - top);
        whole *= uniform(seed, stream, *step, m * D + d);
        Index level = 0;
        for (Index k = 0; k < K - 1; k++) level += (below += exp(l(k) - top)) < whole;
        x[m * D + d] = double(level) / (K - 1);
    }
}

// --- the minibatch -----------------------------------------------------------------------------

// x = scale · data[rows].   data (N, D), rows (M,) → x (M, D)
#define GATHER(dtype, T)                                                                      \
    KERNEL(gather_##dtype)(const T* __restrict__ data, const Index* __restrict__ rows,        \
                           double scale, REAL* __restrict__ x, Index M, Index D)              \
    {                                                                                         \
        FOR_EACH_OF(m, M, d, D) x[m * D + d] = REAL(data[rows[m] * D + d]) * REAL(scale);     \
    }

GATHER(uint8, unsigned char)
GATHER(float32, float)
GATHER(float64, double)

// x ← 1 where x > threshold, else 0.   x (n,), thresholds (n,) or one number
KERNEL(binarize)(REAL* __restrict__ x, double threshold, const REAL* __restrict__ thresholds,
                 Index n)
{
    FOR_EACH(i, n) x[i] = x[i] > (thresholds ? thresholds[i] : REAL(threshold));
}

// --- the stochastic layer ----------------------------------------------------------------------

// [μ | log σ²] = a + b for datapoint m, and σ.   a (M, 2J), bias (2J,) → sigma (M, J)
// A thread reads back only what it wrote itself.
__device__ void heads(REAL* a, const REAL* bias, REAL* sigma, Index m, Index J)
{
    for (Index j = threadIdx.x; j < J; j += blockDim.x) {
        a[j] += bias[j];
        a[J + j] += bias[J + j];
        sigma[j] = exp(a[J + j] / 2);
    }
}

// z = μ + σ ε;   kl = ½ Σ_j (μ² + σ² − 1 − log σ²).   A block for each datapoint.
template <class Noise>
__device__ void sample_kl(REAL* a, const REAL* bias, Noise eps, REAL* sigma, REAL* z, REAL* kl,
                          Index L, Index M, Index J)
{
    const Index m = blockIdx.x;
    REAL *mu = a + m * 2 * J, *logvar = mu + J, *s = sigma + m * J;
    heads(mu, bias, s, m, J);
    const REAL sum = sum_row<REAL>(J, [=](Index j) {
        for (Index l = 0; l < L; l++) z[(l * M + m) * J + j] = mu[j] + s[j] * eps(l, m, j);
        return mu[j] * mu[j] + s[j] * s[j] - 1 - logvar[j];
    });
    if (threadIdx.x == 0) kl[m] = sum / 2;
}

// z as above;   ratio_l = ½ Σ_j (z² − ε² − log σ²).   A block for each datapoint.
template <class Noise>
__device__ void sample_log_ratio(REAL* a, const REAL* bias, Noise eps, REAL* sigma, REAL* z,
                                 REAL* log_ratio, Index L, Index M, Index J)
{
    const Index m = blockIdx.x;
    REAL *mu = a + m * 2 * J, *logvar = mu + J, *s = sigma + m * J;
    heads(mu, bias, s, m, J);
    for (Index l = 0; l < L; l++) {
        const REAL sum = sum_row<REAL>(J, [=](Index j) {
            const REAL e = eps(l, m, j), z_j = mu[j] + s[j] * e;
            z[(l * M + m) * J + j] = z_j;
            return z_j * z_j - e * e - logvar[j];
        });
        if (threadIdx.x == 0) log_ratio[l * M + m] = sum / 2;
    }
}

// a (M, 2J), bias (2J,), eps (L, M, J) → [μ | log σ²] in a, sigma (M, J), z (L, M, J), and the
// distance from the prior: kl (1, M), or log_ratio (L, M). The two that draw also write eps.
#define STOCHASTIC(name, distance)                                                               \
    KERNEL(normal_##name)(REAL* __restrict__ a, const REAL* __restrict__ bias,                   \
                          const REAL* __restrict__ eps, REAL* __restrict__ sigma,                \
                          REAL* __restrict__ z, REAL* __restrict__ distance,                     \
                          Index L, Index M, Index J)                                             \
    {                                                                                            \
        sample_##name(a, bias, Given{eps, M, J}, sigma, z, distance, L, M, J);                   \
    }                                                                                            \
    KERNEL(draw_normal_##name)(Word seed, Word stream, const Index* __restrict__ step,           \
                               REAL* __restrict__ a, const REAL* __restrict__ bias,              \
                               REAL* __restrict__ eps, REAL* __restrict__ sigma,                 \
                               REAL* __restrict__ z, REAL* __restrict__ distance,                \
                               Index L, Index M, Index J)                                        \
    {                                                                                            \
        const Draw draw{seed, stream, Word(*step), 0, eps, L, M, J};                             \
        sample_##name(a, bias, draw, sigma, z, distance, L, M, J);                               \
    }

STOCHASTIC(kl, kl)
STOCHASTIC(log_ratio, log_ratio)

// The way back through z = μ + σ ε, and d_b = Σ_m d_a:
//     d_μ = Σ_l d_z + direct,   d_logvar = Σ_l d_z · ½ σ ε + direct.   d_a (M, 2J), d_bias (2J,)
// d_z(l, m, j) is ∂loss/∂z by every path; direct(m, j, is_mean) is what does not go through z.
template <class Through, class Direct>
__device__ void sample_backward(const REAL* eps, const REAL* sigma, REAL* d_a, REAL* d_bias,
                                Index L, Index M, Index J, Through d_z, Direct direct)
{
    sum_columns<1>(M, 2 * J, d_bias, [=](Index m, Index c) {
        const bool is_mean = c < J;
        const Index j = is_mean ? c : c - J;
        REAL sum = 0;
        for (Index l = 0; l < L; l++)
            sum += d_z(l, m, j) * (is_mean ? 1 : eps[(l * M + m) * J + j]);
        const REAL through = is_mean ? sum : sum * sigma[m * J + j] / 2;
        return d_a[m * 2 * J + c] = through + direct(m, j, is_mean);
    });
}

// direct: d_kl · μ and d_kl · ½ (σ² − 1).   d_z (L, M, J), d_kl (1, M), a = [μ | log σ²] (M, 2J)
SUMS(normal_kl_backward)(const REAL* __restrict__ d_z, const REAL* __restrict__ d_kl,
                         const REAL* __restrict__ a, const REAL* __restrict__ eps,
                         const REAL* __restrict__ sigma, REAL* __restrict__ d_a,
                         REAL* __restrict__ d_bias, Index L, Index M, Index J)
{
    sample_backward(
        eps, sigma, d_a, d_bias, L, M, J,
        [=](Index l, Index m, Index j) { return d_z[(l * M + m) * J + j]; },
        [=](Index m, Index j, bool is_mean) {
            const REAL s = sigma[m * J + j];
            return d_kl[m] * (is_mean ? a[m * 2 * J + j] : (s * s - 1) / 2);
        });
}

// through z: d_ratio · z; direct: −½ Σ_l d_ratio for log σ².   d_z (L, M, J), d_log_ratio (L, M)
SUMS(normal_log_ratio_backward)(const REAL* __restrict__ d_z,
                                const REAL* __restrict__ d_log_ratio,
                                const REAL* __restrict__ a, const REAL* __restrict__ eps,
                                const REAL* __restrict__ sigma, const REAL* __restrict__ z,
                                REAL* __restrict__ d_a, REAL* __restrict__ d_bias,
                                Index L, Index M, Index J)
{
    sample_backward(
        eps, sigma, d_a, d_bias, L, M, J,
        [=](Index l, Index m, Index j) {
            const Index i = (l * M + m) * J + j;
            return d_z[i] + d_log_ratio[l * M + m] * z[i];
        },
        [=](Index m, Index, bool is_mean) {
            REAL sum = 0;
            for (Index l = 0; l < L && !is_mean; l++) sum += d_log_ratio[l * M + m];
            return -sum / 2;
        });
}

// --- likelihoods -------------------------------------------------------------------------------

// nll = Σ_d softplus(l) − x·l and y = sigmoid(l) from the logits l = a + b: one exponential for
// both.   a (L, M, D), bias (D,), x (M, D) → y (L, M, D), nll (L, M).   A block for each nll.
KERNEL(bernoulli_nll)(const REAL* __restrict__ a, const REAL* __restrict__ bias,
                      const REAL* __restrict__ x, REAL* __restrict__ y, REAL* __restrict__ nll,
                      Index L, Index M, Index D)
{
    const Index row = blockIdx.x, m = row % M;
    const REAL sum = sum_row<REAL>(D, [=](Index d) {
        const REAL l = a[row * D + d] + bias[d], e = exp(-fabs(l));
        y[row * D + d] = (l < 0 ? e : 1) / (1 + e);
        return log1p(e) + (l < 0 ? 0 : l) - x[m * D + d] * l;
    });
    if (threadIdx.x == 0) nll[row] = sum;
}

// d_a = d_nll · (y − x).   d_nll (L, M), x (M, D), y (L, M, D) → d_a (L, M, D), d_bias (D,)
SUMS(bernoulli_nll_backward)(const REAL* __restrict__ d_nll, const REAL* __restrict__ x,
                             const REAL* __restrict__ y, REAL* __restrict__ d_a,
                             REAL* __restrict__ d_bias, Index L, Index M, Index D)
{
    sum_columns(L * M, D, d_bias, [=](Index row, Index d) {
        const Index m = unsigned(row) % unsigned(M);
        return d_a[row * D + d] = d_nll[row] * (y[row * D + d] - x[m * D + d]);
    });
}

// nll = ½ Σ_d log 2π + log σ² + r²,  r = (x − μ)/σ,  [μ | log σ²] = a + b, written back into a.
// 1/σ stays below the square root of the largest number.
// a (L, M, 2D), bias (2D,), x (M, D) → inv_sigma, residual (L, M, D), nll (L, M).
KERNEL(normal_nll)(REAL* __restrict__ a, const REAL* __restrict__ bias, const REAL* __restrict__ x,
                   bool sigmoid_mean, REAL* __restrict__ inv_sigma, REAL* __restrict__ residual,
                   REAL* __restrict__ nll, Index L, Index M, Index D)
{
    const REAL log_2pi = 1.8378770664093453;
    const Index row = blockIdx.x, m = row % M;
    const REAL sum = sum_row<REAL>(D, [=](Index d) {
        const Index mean = row * 2 * D + d, i = row * D + d;
        const REAL u = a[mean] + bias[d], logvar = a[mean + D] + bias[D + d];
        const REAL mu = sigmoid_mean ? logistic(u) : u;
        const REAL w = bounded_exp(logvar / -2), r = (x[m * D + d] - mu) * w;
        a[mean] = mu, a[mean + D] = logvar, inv_sigma[i] = w, residual[i] = r;
        return log_2pi + logvar + r * r;
    });
    if (threadIdx.x == 0) nll[row] = sum / 2;
}

// d_μ = −d_nll · r/σ (times μ(1 − μ) under a sigmoid),   d_logvar = ½ d_nll · (1 − r²).
// d_nll (L, M), a = [μ | log σ²] (L, M, 2D), inv_sigma, residual (L, M, D) → d_a, d_bias (2D,)
SUMS(normal_nll_backward)(const REAL* __restrict__ d_nll, const REAL* __restrict__ a,
                          bool sigmoid_mean, const REAL* __restrict__ inv_sigma,
                          const REAL* __restrict__ residual, REAL* __restrict__ d_a,
                          REAL* __restrict__ d_bias, Index L, Index M, Index D)
{
    sum_columns(L * M, 2 * D, d_bias, [=](Index row, Index c) {
        const bool is_mean = c < D;
        const Index i = row * D + (is_mean ? c : c - D);
        const REAL r = residual[i], mu = a[row * 2 * D + c];
        const REAL slope = is_mean && sigmoid_mean ? mu * (1 - mu) : 1;
        const REAL d = is_mean ? -(r * inv_sigma[i]) : (1 - r * r) / 2;
        return d_a[row * 2 * D + c] = d_nll[row] * d * slope;
    });
}

// --- likelihoods that leave their slope --------------------------------------------------------

// nll = Σ_d of what ``nats`` makes of (x, heads u), which also writes ∂/∂u into s: the H heads of
// feature d lie D apart.   a, slope (L, M, HD), bias (HD,), x (M, D), nll (L, M)
template <int H, class F>
__device__ void sum_features(const REAL* a, const REAL* bias, const REAL* x, REAL* slope, REAL* nll,
                             Index M, Index D, F nats)
{
    const Index row = blockIdx.x, m = row % M;
    const REAL sum = sum_row<REAL>(D, [=](Index d) {
        REAL u[H], s[H];
        for (int h = 0; h < H; h++) u[h] = a[(row * H + h) * D + d] + bias[h * D + d];
        const REAL value = nats(x[m * D + d], u, s);
        for (int h = 0; h < H; h++) slope[(row * H + h) * D + d] = s[h];
        return value;
    });
    if (threadIdx.x == 0) nll[row] = sum;
}

// Of H heads a feature, and with arguments of its own at the end, each with its comma.
#define LIKELIHOOD(name, H, nats, ...)                                                        \
    KERNEL(name##_nll)(const REAL* __restrict__ a, const REAL* __restrict__ bias,             \
                       const REAL* __restrict__ x, __VA_ARGS__ REAL* __restrict__ slope,      \
                       REAL* __restrict__ nll, Index M, Index D)                              \
    {                                                                                         \
        sum_features<H>(a, bias, x, slope, nll, M, D,                                         \
                        [=](REAL x, const REAL* u, REAL* s) { return nats; });                \
    }

// ½ r² + log σ + ½ log 2π,   r = (μ − x)/σ
__device__ REAL fixed_normal(REAL x, bool sigmoid_mean, REAL std, const REAL* u, REAL* s)
{
    const REAL mu = sigmoid_mean ? logistic(u[0]) : u[0], r = (mu - x) / std;
    s[0] = r / std * (sigmoid_mean ? mu * (1 - mu) : 1);
    return r * r / 2 + log(std) + REAL(0.9189385332046727);
}

// log 2b + |r|,   r = (μ − x)/b,   u = μ, log b
__device__ REAL laplace(REAL x, const REAL* u, REAL* s)
{
    const REAL inv_scale = bounded_exp(-u[1]), r = (u[0] - x) * inv_scale;
    s[0] = inv_scale * (r > 0 ? 1 : r < 0 ? -1 : r);
    s[1] = 1 - fabs(r);
    return REAL(0.6931471805599453) + u[1] + fabs(r);
}

// λ − x l + log x!,   λ = exp(l)
__device__ REAL poisson(REAL x, const REAL* u, REAL* s)
{
    const REAL rate = bounded_exp(u[0]);
    s[0] = rate - x;
    return rate - x * u[0] + lgamma(x + 1);
}

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
    return (l < 0 ? 0 : l) + log(w / t) - x * l;
}

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
    const REAL log_delta = -(u[1] + log(top)), own = bounded_exp(log_delta);
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

LIKELIHOOD(fixed_normal, 1, fixed_normal(x, sigmoid_mean, std, u, s),
           bool sigmoid_mean, double std,)
LIKELIHOOD(laplace, 2, laplace(x, u, s),)
LIKELIHOOD(poisson, 1, poisson(x, u, s),)
LIKELIHOOD(continuous_bernoulli, 1, continuous_bernoulli(x, u, s),)
LIKELIHOOD(discretized_logistic, 2, discretized_logistic(x, levels - 1, u, s), Index levels,)

// log Σ_k exp(l_k) − l_c, x = c/(K − 1).   a, slope (L, M, KD), bias (KD,), x (M, D), nll (L, M)
KERNEL(categorical_nll)(const REAL* __restrict__ a, const REAL* __restrict__ bias,
                        const REAL* __restrict__ x, REAL* __restrict__ slope,
                        REAL* __restrict__ nll, Index M, Index D, Index K)
{
    const Index row = blockIdx.x, m = row % M;
    const REAL sum = sum_row<REAL>(D, [=](Index d) {
        const auto l = [=](Index k) { return a[(row * K + k) * D + d] + bias[k * D + d]; };
        REAL top = l(0), whole = 0, chosen = 0;
        for (Index k = 1; k < K; k++) top = l(k) <= top || top != top ? top : l(k);
        for (Index k = 0; k < K; k++) whole += slope[(row * K + k) * D + d] = exp(l(k) - top);
        const Index c = rint(x[m * D + d] * (K - 1));
        for (Index k = 0; k < K; k++) {
            const Index i = (row * K + k) * D + d;
            slope[i] = slope[i] / whole - (k == c);
            if (k == c) chosen = l(k) - top;
        }
        return log(whole) - chosen;
    });
    if (threadIdx.x == 0) nll[row] = sum;
}

// d_a = d_nll · slope.   d_nll (L, M), slope (L, M, H) → d_a (L, M, H), d_bias (H,)
SUMS(nll_backward)(const REAL* __restrict__ d_nll, const REAL* __restrict__ slope,
                   REAL* __restrict__ d_a, REAL* __restrict__ d_bias, Index L, Index M, Index H)
{
    sum_columns(L * M, H, d_bias, [=](Index row, Index c) {
        return d_a[row * H + c] = d_nll[row] * slope[row * H + c];
    });
}

// --- the penalty on the weights ----------------------------------------------------------------

// ½ · strength · Σ w².   weights (n,) → total, one number.   One block, summed in double.
SUMS(l2)(const REAL* __restrict__ weights, double strength, REAL* __restrict__ total, Index n)
{
    const double sum = sum_row<double>(n, [=](Index i) { return double(weights[i]) * weights[i]; });
    if (threadIdx.x == 0) *total = strength * sum / 2;
}

// d_w += strength · w.   weights, d_weights (n,)
KERNEL(l2_backward)(const REAL* __restrict__ weights, double strength,
                    REAL* __restrict__ d_weights, Index n)
{
    FOR_EACH(i, n) d_weights[i] += weights[i] * REAL(strength);
}

// --- a distribution over the parameters (appendix F) -------------------------------------------

// θ = μ + σ ζ.   mu, logvar, zeta → sigma, theta, all (n,)
KERNEL(parameter_sample)(const REAL* __restrict__ mu, const REAL* __restrict__ logvar,
                         const REAL* __restrict__ zeta, REAL* __restrict__ sigma,
                         REAL* __restrict__ theta, Index n)
{
    FOR_EACH(i, n) theta[i] = mu[i] + (sigma[i] = exp(logvar[i] / 2)) * zeta[i];
}

// d_logvar = d_θ · ½ σ ζ.   all (n,)
KERNEL(parameter_sample_backward)(const REAL* __restrict__ d_theta, const REAL* __restrict__ zeta,
                                  const REAL* __restrict__ sigma, REAL* __restrict__ d_logvar,
                                  Index n)
{
    FOR_EACH(i, n) d_logvar[i] = d_theta[i] * zeta[i] * sigma[i] / 2;
}

// total = ½ · strength · Σ (μ² + σ² − 1 − log σ²).   mu, logvar (n,) → total ()
SUMS(parameter_kl)(const REAL* __restrict__ mu, const REAL* __restrict__ logvar, double strength,
                   REAL* __restrict__ total, Index n)
{
    const REAL sum = sum_row<REAL>(
        n, [=](Index i) { return mu[i] * mu[i] + exp(logvar[i]) - 1 - logvar[i]; });
    if (threadIdx.x == 0) *total = REAL(strength / 2) * sum;
}

// d_μ += strength · μ,   d_logvar += ½ · strength · (σ² − 1).   all (n,)
KERNEL(parameter_kl_backward)(const REAL* __restrict__ mu, const REAL* __restrict__ logvar,
                              double strength, REAL* __restrict__ d_mu,
                              REAL* __restrict__ d_logvar, Index n)
{
    FOR_EACH(i, n) {
        d_mu[i] += mu[i] * REAL(strength);
        d_logvar[i] += (exp(logvar[i]) - 1) * REAL(strength / 2);
    }
}

// --- parameter updates -------------------------------------------------------------------------

// parts[b] = Σ g² over the elements of block b, in double.   grad (n,) → parts (PARTS,)
KERNEL(squares)(const REAL* __restrict__ grad, double* __restrict__ parts, Index n)
{
    const double sum = sum_every<4, double>(
        blockIdx.x * Index(blockDim.x) + threadIdx.x, gridDim.x * Index(blockDim.x), n,
        [=](Index i) { return double(grad[i]) * grad[i]; });
    const double part = tree_sum(sum, 1);
    if (threadIdx.x == 0) parts[blockIdx.x] = part;
}

// factor = min(1, max_norm / ‖g‖), ‖g‖² = Σ parts.   parts (n,) → factor (1,).   One block.
SUMS(clip_factor)(const double* __restrict__ parts, double max_norm, REAL* __restrict__ factor,
                  Index n, Index one)
{
    const double squares = sum_row<double>(n, [=](Index i) { return parts[i]; });
    const double norm = sqrt(squares);
    if (threadIdx.x == 0) *factor = norm <= max_norm ? 1 : max_norm / norm;
}

// g ← factor · g.   grad (n,), factor (1,)
KERNEL(scale)(REAL* __restrict__ grad, const REAL* __restrict__ factor, Index n)
{
    FOR_EACH(i, n) grad[i] *= *factor;
}

// theta, grad and moments (n,). rate and epsilon: numbers, or on the device one of each.
#define NUMBER(name) double name##_value, const REAL *__restrict__ name##_on_device
#define READ(name) const REAL name = number(name##_value, name##_on_device)

// m ← 0 where |m| ≤ 1e-30
KERNEL(flush)(REAL* __restrict__ moment, Index n)
{
    FOR_EACH(i, n) moment[i] *= fabs(moment[i]) > REAL(1e-30);
}

// θ ← θ − rate · g.   grad may be theta: weight decay
KERNEL(sgd)(REAL* theta, const REAL* grad, NUMBER(rate), Index n)
{
    READ(rate);
    FOR_EACH(i, n) theta[i] -= rate * grad[i];
}

// v ← μ v + g;   θ ← θ − rate · v
KERNEL(momentum)(REAL* __restrict__ theta, const REAL* __restrict__ grad,
                 REAL* __restrict__ velocity, NUMBER(rate), double mu, Index n)
{
    READ(rate);
    FOR_EACH(i, n) theta[i] -= rate * (velocity[i] = REAL(mu) * velocity[i] + grad[i]);
}

// v ← μ v + g;   θ ← θ − rate · (g + μ v)
KERNEL(nesterov)(REAL* __restrict__ theta, const REAL* __restrict__ grad,
                 REAL* __restrict__ velocity, NUMBER(rate), double mu, Index n)
{
    READ(rate);
    FOR_EACH(i, n) {
        const REAL v = velocity[i] = REAL(mu) * velocity[i] + grad[i];
        theta[i] -= rate * (grad[i] + REAL(mu) * v);
    }
}

// s ← s + g²;   θ ← θ − rate · g / (√s + ε)
KERNEL(adagrad)(REAL* __restrict__ theta, const REAL* __restrict__ grad,
                REAL* __restrict__ square, NUMBER(rate), NUMBER(epsilon), Index n)
{
    READ(rate);
    READ(epsilon);
    FOR_EACH(i, n) {
        const REAL g = grad[i], s = square[i] += g * g;
        theta[i] -= rate * (g / (sqrt(s) + epsilon));
    }
}

// s ← ρ s + (1 − ρ) g²;   θ ← θ − rate · g / (√s + ε)
KERNEL(rmsprop)(REAL* __restrict__ theta, const REAL* __restrict__ grad,
                REAL* __restrict__ square, NUMBER(rate), double decay, NUMBER(epsilon), Index n)
{
    READ(rate);
    READ(epsilon);
    FOR_EACH(i, n) {
        const REAL g = grad[i];
        const REAL s = square[i] = REAL(decay) * square[i] + REAL(1 - decay) * (g * g);
        theta[i] -= rate * (g / (sqrt(s) + epsilon));
    }
}

// m ← β₁ m + g;   s ← β₂ s + g²;   θ ← θ − rate · m / (√s + ε)
KERNEL(adam)(REAL* __restrict__ theta, const REAL* __restrict__ grad, REAL* __restrict__ mean,
             REAL* __restrict__ square, NUMBER(rate), double beta1, double beta2, NUMBER(epsilon),
             Index n)
{
    READ(rate);
    READ(epsilon);
    FOR_EACH(i, n) {
        const REAL g = grad[i];
        const REAL m = mean[i] = REAL(beta1) * mean[i] + g;
        const REAL s = square[i] = REAL(beta2) * square[i] + g * g;
        theta[i] -= rate * (m / (sqrt(s) + epsilon));
    }
}

// --- the course of training --------------------------------------------------------------------

// A step begins: everything that changes from step to step is read from the device, so that one
// launch can be replayed. now ← t and step ← t + 1, t being step; with i = t − first, the step's
// place in its epoch: rows ← order[i · batch_size …], current ← rates[i].   One block.
// step, now, first (1,), order (N,), rates (n, K), rows (M,), current (K,)
SUMS(clock)(Index* __restrict__ step, Index* __restrict__ now, const Index* __restrict__ first,
            const Index* __restrict__ order, Index batch_size,
            const double* __restrict__ rates, Index* __restrict__ rows,
            REAL* __restrict__ current, Index M, Index K)
{
    const Index t = *step, i = t - *first;
    __syncthreads();  // all have read before the first writes
    if (threadIdx.x == 0) *now = t, *step = t + 1;
    for (Index k = threadIdx.x; k < K; k += blockDim.x) current[k] = rates[K * i + k];
    for (Index m = threadIdx.x; m < M; m += blockDim.x) rows[m] = order[i * batch_size + m];
}

// sums[0] −= Σ nll / L,   sums[1] += Σ kl / K, in double.   nll (L, M), kl (K, M).   One block.
SUMS(tally)(const REAL* __restrict__ nll, const REAL* __restrict__ kl,
            double* __restrict__ sums, Index L, Index M, Index K, Index same_M)
{
    const double n = sum_row<double>(L * M, [=](Index i) { return nll[i]; });
    const double k = sum_row<double>(K * M, [=](Index i) { return kl[i]; });
    if (threadIdx.x == 0) sums[0] -= n / L, sums[1] += k / K;
}

// --- what the objective has in place of the KL -------------------------------------------------

// KL of one latent of one datapoint, twice over.   a = [μ | log σ²] (M, 2J), sigma (M, J)
__device__ REAL twice_kl(const REAL* a, const REAL* sigma, Index m, Index j, Index J)
{
    const REAL mu = a[m * 2 * J + j], logvar = a[m * 2 * J + J + j], s = sigma[m * J + j];
    return mu * mu + s * s - 1 - logvar;
}

// is_open[j] = whether KL_j, the mean over m, is above ``least``;   floored[m] = Σ_j KL_mj where
// it is, least where it is not.   is_open (J,), floored (1, M).   One block.
SUMS(free_bits)(const REAL* __restrict__ a, const REAL* __restrict__ sigma, double least,
                REAL* __restrict__ is_open, REAL* __restrict__ floored, Index M, Index J)
{
    for (Index j = threadIdx.x; j < J; j += blockDim.x) {
        const REAL sum = sum_every<4, REAL>(
            0, 1, M, [=](Index m) { return twice_kl(a, sigma, m, j, J); });
        is_open[j] = !(sum / 2 / M <= REAL(least));
    }
    __syncthreads();
    for (Index m = threadIdx.x; m < M; m += blockDim.x)
        floored[m] = sum_every<1, REAL>(0, 1, J, [=](Index j) {
            return is_open[j] ? twice_kl(a, sigma, m, j, J) / 2 : REAL(least);
        });
}

// As normal_kl_backward, for the latents that are open.   d_floored (1, M), is_open (J,)
SUMS(free_bits_backward)(const REAL* __restrict__ d_z, const REAL* __restrict__ d_floored,
                         const REAL* __restrict__ is_open, const REAL* __restrict__ a,
                         const REAL* __restrict__ eps, const REAL* __restrict__ sigma,
                         REAL* __restrict__ d_a, REAL* __restrict__ d_bias,
                         Index L, Index M, Index J)
{
    sample_backward(
        eps, sigma, d_a, d_bias, L, M, J,
        [=](Index l, Index m, Index j) { return d_z[(l * M + m) * J + j]; },
        [=](Index m, Index j, bool is_mean) {
            const REAL s = sigma[m * J + j];
            return d_floored[m] * is_open[j] * (is_mean ? a[m * 2 * J + j] : (s * s - 1) / 2);
        });
}

// term = weight · kl and d_kl = weight / n, n = K · M.   kl, term, d_kl (K, M)
KERNEL(weigh)(const REAL* __restrict__ kl, NUMBER(weight), REAL* __restrict__ term,
              REAL* __restrict__ d_kl, Index n)
{
    READ(weight);
    FOR_EACH(i, n) term[i] = weight * kl[i], d_kl[i] = weight / n;
}
