// What a kernel is on a GPU: how its loops are laid over blocks of threads. cpu/common.h says what
// it is on a processor.
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

// For each row < n: a block each, and all its threads.
#define FOR_EACH_ROW(row, n) if (const Index row = blockIdx.x; row < (n))

// For each k < n: the threads of one block side by side.
#define FOR_EACH_OF_BLOCK(k, n) for (Index k = threadIdx.x; k < (n); k += blockDim.x)

// Of a function's body that belongs to the loop around it: a processor has to be told that too.
#define INLINED

// What one thread of a block does for all, and what all wait for.
#define BLOCK_INDEX blockIdx.x
#define ONCE if (threadIdx.x == 0)
#define BARRIER() __syncthreads()

// A processor has to be told which kernels serve it; a GPU finds them by name.
#define TWIN(name)

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

// The sum of this block's share of value(i), i < n, in its first thread.
template <class T, class F>
__device__ T sum_share(Index n, F value)
{
    const Index first = blockIdx.x * Index(blockDim.x) + threadIdx.x;
    return tree_sum(sum_every<4, T>(first, gridDim.x * Index(blockDim.x), n, value), 1);
}

// Σ_d value(d) over d < D by one block, in its first thread.
template <class T, class F>
__device__ T sum_row(Index D, F value)
{
    return tree_sum(sum_every<4, T>(threadIdx.x, blockDim.x, D, value), 1);
}

// Σ_d value(d, e) + log(1 + e), e being what value says, from 0 to 1: a logarithm for MANY of them,
// of the product of the 1 + e, which is kept less 1, for all e may be tiny.
template <class T, class F>
__device__ T sum_row_log1p(Index D, F value)
{
    constexpr int MANY = 64;  // 2⁶⁴ is no large number
    T sum = 0, product = 0;
    int n = 0;
    for (Index d = threadIdx.x; d < D; d += blockDim.x) {
        T e;
        sum += value(d, e);
        product += e + product * e;
        if (++n == MANY) sum += log1p(product), product = 0, n = 0;
    }
    return tree_sum(sum + log1p(product), 1);
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

// P(ν > v) of a standard normal ν.
__device__ REAL upper_tail(REAL v) { return erfc(v * REAL(0.7071067811865476)) / 2; }

#define NUMBER(name) double name##_value, const REAL *__restrict__ name##_on_device
#define READ(name) const REAL name = number(name##_value, name##_on_device)
#define READ_EACH(name, i) (name##_on_device ? name##_on_device[i] : REAL(name##_value))

__device__ REAL normal(u64 seed, u64 stream, u64 step, Index e);  // elementary.cuh

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
