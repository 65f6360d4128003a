// What a kernel is on a processor: loops that the compiler vectorises. gpu/common.cuh says what it
// is on a GPU. Three layouts do it all:
//
//     elements   one loop                                          activations, updates, noise
//     rows       row by row, a sum over its columns                log-likelihood, KL
//     columns    rows outside, columns inside: d_bias += a row     backward, with its bias gradient
//
// A kernel is called once for each part of its work, by as many threads: its loops go over the
// part's own elements, rows or columns, as the blocks of a GPU do.
//
// This file is read once for each REAL, float and double.

#define __device__ INLINE
#define INLINED __attribute__((always_inline))  // for no loop that calls becomes vectors
// A part has so many bytes at least. A sum over columns gains by a second thread only where it is
// large: a row's numbers lie where the thread left them that made them.
#define KERNEL(name) constexpr Index share_##name = 1 << 17; static void npvae_##name
#define REDUCTION(name) constexpr Index share_##name = 1 << 20; static void npvae_##name
#define TWIN(name) \
    static const Registered registered_##name(#name, sizeof(REAL), share_##name, npvae_##name);

// No array of a kernel overlaps another, and no pass of a loop needs what another has made.
#ifdef __clang__
#define VECTORISED _Pragma("clang loop vectorize(assume_safety)")
#else
#define VECTORISED _Pragma("GCC ivdep")
#endif
#define FOR_EACH(i, n) \
    VECTORISED for (Index i = this_part.first(n), last_##i = this_part.last(n); i < last_##i; i++)
#define FOR_EACH_ROW(row, n) \
    for (Index row = this_part.first_row(n), last_##row = this_part.last_row(n); row < last_##row; row++)
#define FOR_EACH_OF_BLOCK(k, n) VECTORISED for (Index k = 0, last_##k = (n); k < last_##k; k++)
#define FOR_EACH_OF(m, M, j, H) FOR_EACH_ROW(m, M) FOR_EACH_OF_BLOCK(j, H)
#define BLOCK_INDEX this_part.index
#define ONCE
#define BARRIER()

// A number, or an array that holds it or one for each element.
struct Number {
    double value;
    const REAL* array;
};
#define NUMBER(name) Number name##_given
#define READ_EACH(name, i) (name##_given.array ? name##_given.array[i] : REAL(name##_given.value))
#define READ(name) const REAL name = READ_EACH(name, 0)

// Σ value(i) over i = first, first + step, … below n.
template <int UNROLL, class T, class F>
INLINE T sum_every(Index first, Index step, Index n, F value)
{
    T sum = 0;
    for (Index i = first; i < n; i += step) sum += value(i);
    return sum;
}

// The sum of one block's share of i < n.
template <class T, class F> INLINE T sum_share(Index n, F value)
{
    return sum_every<1, T>(this_part.first(n), 1, this_part.last(n), value);
}

// The sum of 64 numbers, by a tree whatever a vector's width.
template <class T> INLINE T tree_sum(T (&sum)[64])
{
    for (Index half = 32; half > 0; half /= 2)
        for (Index i = 0; i < half; i++) sum[i] += sum[i + half];
    return sum[0];
}

// Σ_d value(d) over d < D: 64 sums side by side.
template <class T, class F> INLINE T sum_row(Index D, F value)
{
    T sum[64] = {};
    Index first = 0;
    for (; first + 64 <= D; first += 64)
        FOR_EACH_OF_BLOCK(i, 64) sum[i] += value(first + i);
    FOR_EACH_OF_BLOCK(i, D - first) sum[i] += value(first + i);
    return tree_sum(sum);
}

// Σ_d value(d, e) + log(1 + e), e being what value says, from 0 to 1: a logarithm for MANY of them,
// of the product of the 1 + e, which is kept less 1, for all e may be tiny.
template <class T, class F> INLINE T sum_row_log1p(Index D, F value)
{
    constexpr Index MANY = 64;  // 2⁶⁴ is no large number
    T sum[64] = {}, product[64] = {};
    for (Index first = 0; first < D; first += 64 * MANY) {
        const Index last = first + 64 * MANY < D ? first + 64 * MANY : D;
        Index d = first;
        for (; d + 64 <= last; d += 64)
            FOR_EACH_OF_BLOCK(i, 64) {
                T e;
                sum[i] += value(d + i, e);
                product[i] += e + product[i] * e;
            }
        FOR_EACH_OF_BLOCK(i, last - d) {
            T e;
            sum[i] += value(d + i, e);
            product[i] += e + product[i] * e;
        }
        FOR_EACH_OF_BLOCK(i, 64) sum[i] += log1p(product[i]), product[i] = 0;
    }
    return tree_sum(sum);
}

// d_bias[c] = Σ_r value(r, c) over r < R: blocks of rows, and then the sum of these, as
// elementary.py's sum_rows has them.
template <int UNROLL = 4, class F>
INLINE void sum_columns(Index R, Index C, REAL* __restrict__ d_bias, F value)
{
    constexpr Index BLOCK = 64;
    const bool few = R < 4 * BLOCK;
    const Index height = few ? R : BLOCK, left = this_part.first(C), right = this_part.last(C);
    std::vector<REAL> of_block(few ? 0 : C);
    REAL* __restrict__ sum = few ? d_bias : of_block.data();
    VECTORISED for (Index c = left; c < right; c++) d_bias[c] = 0;
    for (Index first = 0; first < R; first += height) {
        const Index last = first + height < R ? first + height : R;
        VECTORISED for (Index c = left; c < right; c++) sum[c] = 0;
        for (Index r = first; r < last; r++)
            VECTORISED for (Index c = left; c < right; c++) sum[c] += value(r, c);
        if (!few) VECTORISED for (Index c = left; c < right; c++) d_bias[c] += sum[c];
    }
}

// ε (L, M, J) from the stream, datapoint by datapoint, after start samples: a part's at once, for
// Philox makes four words and Box–Muller two normals at a time.
struct FilledNoise {
    const REAL* eps;
    Index M, J;
    FilledNoise(u64 seed, u64 stream, u64 step, Index start, REAL* eps, Index L, Index M, Index J);
    INLINE REAL operator()(Index l, Index m, Index j) const { return eps[(l * M + m) * J + j]; }
};
