// C = A B, by tiles of C that stay in registers.
//
// A tile is a few rows by two vectors of columns. For each k it takes a row of B, two vectors, and
// multiplies it by one number of each row of A: so B is read where its columns lie side by side. It
// is copied there first, panel by panel (``pack``); A is read as it lies. Threads share C, and no
// sum: the bits do not depend on how many there are.
//
// Few rows of A against rows of weights, x Wᵀ of a small batch, are scalar products of the two as
// they lie (``dots``): a copy of the weights would cost more than the product.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include <immintrin.h>

namespace npvae {

#ifdef __AVX512F__
constexpr int VECTOR_BYTES = 64, TILE_ROWS = 12;  // 24 sums in 32 registers
#else
constexpr int VECTOR_BYTES = 32, TILE_ROWS = 6;  // 12 sums in 16
#endif

template <class T> struct Vector {
    typedef T Type __attribute__((vector_size(VECTOR_BYTES)));
    typedef T Unaligned __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(T)), may_alias));
    static constexpr Index LANES = VECTOR_BYTES / sizeof(T), PANEL = 2 * LANES;
};
template <class T> INLINE typename Vector<T>::Type load(const T* at)
{
    return *reinterpret_cast<const typename Vector<T>::Unaligned*>(at);
}
template <class T> INLINE void store(T* at, typename Vector<T>::Type v)
{
    *reinterpret_cast<typename Vector<T>::Unaligned*>(at) = v;
}

// Rows and columns of numbers, ``down`` and ``across`` apart.
template <class T> struct Matrix {
    T* at;
    Index rows, columns, down, across;
    T* operator()(Index i, Index j) const { return at + i * down + j * across; }
};

// Working space of a thread, kept for its next product.
template <class T> T* scratch(Index n)
{
    struct Free {
        void operator()(T* p) const { std::free(p); }
    };
    static thread_local std::unique_ptr<T[], Free> space;
    static thread_local Index size = 0;
    if (n > size) {
        size = 0;
        const Index bytes = (n * sizeof(T) + 63) / 64 * 64;
        space.reset(static_cast<T*>(std::aligned_alloc(64, bytes)));
        if (!space) throw std::bad_alloc();
        size = n;
    }
    return space.get();
}

// --- panels of B ----------------------------------------------------------------------------------

// Half number ``half`` of each of two vectors, number by number: a perfect shuffle.
template <class T>
INLINE typename Vector<T>::Type shuffled(typename Vector<T>::Type a, typename Vector<T>::Type b,
                                         int half)
{
    constexpr Index N = Vector<T>::LANES;
#ifdef __clang__  // which sees the shuffle in this
    typename Vector<T>::Type both;
    for (Index i = 0; i < N; i++) both[i] = (i % 2 ? b : a)[i / 2 + half * N / 2];
    return both;
#else
    typedef typename Format<T>::Int Lanes __attribute__((vector_size(VECTOR_BYTES)));
    Lanes order;
    for (Index i = 0; i < N; i++) order[i] = i / 2 + (i % 2) * N + half * N / 2;
    return __builtin_shuffle(a, b, order);
#endif
}

// Rows become columns, LANES of each: a perfect shuffle of two halves, log₂ LANES times.
template <class T> INLINE void transpose(typename Vector<T>::Type (&v)[Vector<T>::LANES])
{
    constexpr Index N = Vector<T>::LANES;
    for (Index stage = 1; stage < N; stage *= 2) {
        typename Vector<T>::Type w[N];
        for (Index i = 0; i < N / 2; i++) {
            w[2 * i] = shuffled<T>(v[i], v[i + N / 2], 0);
            w[2 * i + 1] = shuffled<T>(v[i], v[i + N / 2], 1);
        }
        for (Index i = 0; i < N; i++) v[i] = w[i];
    }
}

// Columns first … first + PANEL of B, row after row; beyond the last column zeros.
template <class T> void pack(const Matrix<const T>& B, Index first, T* __restrict__ panel)
{
    typedef typename Vector<T>::Type V;
    constexpr Index LANES = Vector<T>::LANES, PANEL = Vector<T>::PANEL;
    const Index columns = std::min(B.columns - first, PANEL);
    if (B.across == 1) {
        for (Index k = 0; k < B.rows; k++) {
            std::memcpy(panel + k * PANEL, B(k, first), columns * sizeof(T));
            std::memset(panel + k * PANEL + columns, 0, (PANEL - columns) * sizeof(T));
        }
        return;
    }
    Index k = 0;
    for (; k + LANES <= B.rows; k += LANES)  // W read as Wᵀ
        for (Index v = 0; v < PANEL; v += LANES) {
            V square[LANES];
            for (Index i = 0; i < LANES; i++)
                square[i] = v + i < columns ? load(B(k, first + v + i)) : V{};
            transpose<T>(square);
            for (Index i = 0; i < LANES; i++) store(panel + (k + i) * PANEL + v, square[i]);
        }
    for (; k < B.rows; k++)
        for (Index c = 0; c < PANEL; c++)
            panel[k * PANEL + c] = c < columns ? *B(k, first + c) : T(0);
}

// --- tiles of C -----------------------------------------------------------------------------------

// ROWS rows of A times a panel (K rows, ``down`` apart) → ``columns`` of C, added to it or not.
template <class T, int ROWS, int VECTORS>
void tile(Index K, const T* A, Index down, Index across, const T* __restrict__ panel, Index apart,
          T* __restrict__ C, Index C_down, Index columns, bool add)
{
    typedef typename Vector<T>::Type V;
    constexpr Index LANES = Vector<T>::LANES;
    V sum[ROWS][VECTORS] = {};
    for (Index k = 0; k < K; k++) {
        V b[VECTORS];
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++) b[v] = load(panel + k * apart + v * LANES);
#pragma GCC unroll 16
        for (int i = 0; i < ROWS; i++) {
            const T a = A[i * down + k * across];
#pragma GCC unroll 8
            for (int v = 0; v < VECTORS; v++) sum[i][v] += a * b[v];
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++) {
            T* at = C + i * C_down + v * LANES;
            const Index n = columns - v * LANES;
            if (n >= LANES) {
                store(at, add ? load(at) + sum[i][v] : sum[i][v]);
            } else {
                for (Index c = 0; c < n; c++) at[c] = add ? at[c] + sum[i][v][c] : sum[i][v][c];
            }
        }
}

template <class T> using Tile = decltype(&tile<T, 1, 1>);

template <class T, int... I> Tile<T> tile_of(int rows, bool wide, std::integer_sequence<int, I...>)
{
    static constexpr Tile<T> NARROW[] = {tile<T, I + 1, 1>...}, WIDE[] = {tile<T, I + 1, 2>...};
    return (wide ? WIDE : NARROW)[rows - 1];
}

// A times one panel.
template <class T>
void strip(const Matrix<const T>& A, const T* panel, Index apart, T* C, Index C_down, Index columns,
           bool add)
{
    const Index m = A.rows, tiles = (m + TILE_ROWS - 1) / TILE_ROWS;
    for (Index t = 0; t < tiles; t++) {
        const Index i = m * t / tiles, rows = m * (t + 1) / tiles - i;
        tile_of<T>(int(rows), columns > Vector<T>::LANES,
                   std::make_integer_sequence<int, TILE_ROWS>())(
            A.columns, A(i, 0), A.down, A.across, panel, apart, C + i * C_down, C_down, columns,
            add);
    }
}

// --- few rows -------------------------------------------------------------------------------------

// The first n of a vector's numbers, and zeros.
template <class T> INLINE typename Vector<T>::Type load_some(const T* at, Index n)
{
#ifdef __AVX512F__
    typedef typename Vector<T>::Type V;
    const unsigned mask = (1u << n) - 1;
    if constexpr (sizeof(T) == 4) return V(_mm512_maskz_loadu_ps(__mmask16(mask), at));
    else return V(_mm512_maskz_loadu_pd(__mmask8(mask), at));
#else
    typename Vector<T>::Type v{};
    std::memcpy(&v, at, n * sizeof(T));
    return v;
#endif
}

// The sum of each of N vectors: halves of pairs are shuffled together and added, log₂ N times.
template <class T, int N> INLINE void sums_of(typename Vector<T>::Type (&v)[N], T* to)
{
    constexpr Index LANES = Vector<T>::LANES;
    static_assert(N <= LANES);
#pragma GCC unroll 4
    for (int n = N / 2; n > 0; n /= 2)
#pragma GCC unroll 8
        for (int i = 0; i < n; i++)
            v[i] = shuffled<T>(v[i], v[i + n], 0) + shuffled<T>(v[i], v[i + n], 1);
    T part[LANES];  // of the first to the last vector, and so on
    store(part, v[0]);
    for (int i = 0; i < N; i++) {
        to[i] = part[i];
        for (Index k = i + N; k < LANES; k += N) to[i] += part[k];
    }
}

// C[i][j] = A[i] · W[j], ROWS rows of A and COLUMNS of W, each of K numbers side by side.
template <class T, int ROWS, int COLUMNS>
void dots(Index K, const T* A, Index A_down, const T* W, Index W_down, T* C, Index C_down)
{
    typedef typename Vector<T>::Type V;
    constexpr Index LANES = Vector<T>::LANES;
    V sum[ROWS][COLUMNS] = {};
    const auto add = [&](auto&& load_at) __attribute__((always_inline)) {
        V a[ROWS];
#pragma GCC unroll 8
        for (int i = 0; i < ROWS; i++) a[i] = load_at(A + i * A_down);
#pragma GCC unroll 8
        for (int j = 0; j < COLUMNS; j++) {
            const V w = load_at(W + j * W_down);
#pragma GCC unroll 8
            for (int i = 0; i < ROWS; i++) sum[i][j] += a[i] * w;
        }
    };
    Index k = 0;
    for (; k + LANES <= K; k += LANES) add([=](const T* at) { return load(at + k); });
    if (k < K) add([=](const T* at) { return load_some(at + k, K - k); });
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; i++) sums_of<T, COLUMNS>(sum[i], C + i * C_down);
}
template <class T, int ROWS>
void rows_of_dots(const Matrix<const T>& A, Index i, const Matrix<const T>& W, Index first,
                  Index last, T* C, Index C_down)
{
    constexpr int COLUMNS = ROWS == 1 && Vector<T>::LANES >= 8 ? 8 : 4;
    const Index K = A.columns;
    Index j = first;
    for (; j + COLUMNS <= last; j += COLUMNS)
        dots<T, ROWS, COLUMNS>(K, A(i, 0), A.down, W(0, j), W.across, C + i * C_down + j, C_down);
    for (; j < last; j++)
        dots<T, ROWS, 1>(K, A(i, 0), A.down, W(0, j), W.across, C + i * C_down + j, C_down);
}

// --- the product ----------------------------------------------------------------------------------

constexpr Index FEW = 8;          // rows of A, for which B is not copied
constexpr Index DEPTH = 256;      // rows of a panel at a time: they stay in the first-level cache
constexpr Index BLOCK = 384;      // rows of A at a time: they do in the second-level cache
constexpr Index WORTH = 1 << 19;  // multiply-adds for which a thread is asked,
constexpr Index LONG_PRODUCT = 1 << 20;  // and for which one is woken

INLINE Index at_least(Index n, Index least) { return n < least ? least : n; }

// Split n pieces among calls of ``work(first, last)``, each of which is worth a thread.
template <class Work> void split(Index n, Index cost, const Work& work)
{
    const Index most = 4 * Pool::threads, worth = n * at_least(cost, 1) / WORTH + 1;
    const Index wanted = worth < most ? worth : most, parts = wanted < n ? wanted : n;
    Pool::each(parts, n * cost > LONG_PRODUCT, [=, &work](Index p) { work(n * p / parts, n * (p + 1) / parts); });
}

// C (m, n) = A (m, k) B (k, n)
template <class T> void multiply(Matrix<const T> A, Matrix<const T> B, Matrix<T> C)
{
    constexpr Index PANEL = Vector<T>::PANEL;
    const Index m = A.rows, K = A.columns, n = B.columns, panels = (n + PANEL - 1) / PANEL;
    if (m <= FEW && A.across == 1 && B.down == 1) {  // to read the weights takes as long as 4 rows
        split((n + 7) / 8, 8 * (m + 4) * K, [&](Index first, Index last) {
            const Index from = 8 * first, to = 8 * last < n ? 8 * last : n;
            Index i = 0;
            for (; i + 4 <= m; i += 4) rows_of_dots<T, 4>(A, i, B, from, to, C.at, C.down);
            for (; i + 2 <= m; i += 2) rows_of_dots<T, 2>(A, i, B, from, to, C.at, C.down);
            for (; i < m; i++) rows_of_dots<T, 1>(A, i, B, from, to, C.at, C.down);
        });
        return;
    }
    const Index blocks = (m + BLOCK - 1) / BLOCK, rows = (m + blocks - 1) / blocks;
    const bool lies = m <= FEW && B.across == 1;  // a whole panel is read where it lies
    const bool strided = A.across != 1 && K > DEPTH / 2;  // every number of a row in another page
    split(blocks * panels, PANEL * K * rows, [&](Index first, Index last) {
        T* copy = scratch<T>(PANEL * DEPTH + (strided ? rows * DEPTH : 0));
        T* A_copy = copy + PANEL * DEPTH;
        for (Index i = first; i < last;) {
            const Index block = i / panels, to = std::min(last, (block + 1) * panels);
            const Index top = m * block / blocks, height = m * (block + 1) / blocks - top;
            for (Index k = 0; k < K; k += DEPTH) {
                const Index depth = std::min(DEPTH, K - k);
                Matrix<const T> Ak{A(top, k), height, depth, A.down, A.across};
                if (strided) {
                    for (Index l = 0; l < depth; l++)
                        std::memcpy(A_copy + l * height, Ak(0, l), height * sizeof(T));
                    Ak = {A_copy, height, depth, 1, height};
                }
                for (Index p = i; p < to; p++) {
                    const Index c = p % panels * PANEL;
                    const bool here = lies && c + PANEL <= n;
                    if (!here) pack<T>({B(k, 0), depth, n, B.down, B.across}, c, copy);
                    strip<T>(Ak, here ? B(k, c) : copy, here ? B.down : PANEL, C(top, c), C.down,
                             n - c, k > 0);
                }
            }
            i = to;
        }
    });
}

}  // namespace npvae
