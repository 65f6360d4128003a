// nll = Σ_d softplus(l) − x·l and y = sigmoid(l) from the logits l = a + b: one exponential for
// both.   a (L, M, D), bias (D,), x (M, D) → y (L, M, D), nll (L, M).   A block for each nll.
KERNEL(bernoulli_nll)(const REAL* __restrict__ a, const REAL* __restrict__ bias,
                      const REAL* __restrict__ x, REAL* __restrict__ y, REAL* __restrict__ nll,
                      Index L, Index M, Index D)
{
    FOR_EACH_ROW(row, L * M) {
        const Index m = row % M;
        const REAL sum = sum_row_log1p<REAL>(D, [=](Index d, REAL& e) {
            const REAL l = a[row * D + d] + bias[d];
            e = exp(-fabs(l));
            y[row * D + d] = (l < 0 ? e : 1) / (1 + e);
            return (l < 0 ? 0 : l) - x[m * D + d] * l;  // log(1 + e) is added; neither is below 0
        });
        ONCE nll[row] = sum;
    }
}
TWIN(bernoulli_nll)

// d_a = d_nll · (y − x).   d_nll (L, M), x (M, D), y (L, M, D) → d_a (L, M, D), d_bias (D,)
REDUCTION(bernoulli_nll_backward)(const REAL* __restrict__ d_nll, const REAL* __restrict__ x,
                                  const REAL* __restrict__ y, REAL* __restrict__ d_a,
                                  REAL* __restrict__ d_bias, Index L, Index M, Index D)
{
    sum_columns(L * M, D, d_bias, [=](Index row, Index d) {
        const Index m = unsigned(row) % unsigned(M);
        return d_a[row * D + d] = d_nll[row] * (y[row * D + d] - x[m * D + d]);
    });
}
TWIN(bernoulli_nll_backward)

// x ← 1 where x > u, else 0, u uniform on [0, 1): 24 bits, eight a block, of which ``start`` come
// before.   step (1,), x (n,)
KERNEL(sample_bernoulli)(u64 seed, u64 stream, const Index* __restrict__ step, Index start,
                         REAL* __restrict__ x, Index n)
{
    const Index skip = start % 8;
    FOR_EACH(block, (skip + n + 7) / 8) {
        const Block b = philox(seed, stream, *step, start / 8 + block);
        for (int k = 0; k < 8; k++) {
            const u64 bits = b.w[k / 2] >> (k % 2 ? 40 : 8) & 0xFFFFFF;
            const Index i = 8 * block + k - skip;
            if (i >= 0 && i < n) x[i] = x[i] > REAL(bits) * REAL(0x1p-24);
        }
    }
}
TWIN(sample_bernoulli)
