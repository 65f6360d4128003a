// log Σ_k exp(l_k) − l_c, x = c/(K − 1).
// a, d_nll_d_a (L, M, KD), bias (KD,), x (M, D), nll (L, M)
KERNEL(categorical_nll)(const REAL* __restrict__ a, const REAL* __restrict__ bias,
                        const REAL* __restrict__ x, REAL* __restrict__ d_nll_d_a,
                        REAL* __restrict__ nll, Index L, Index M, Index D, Index K)
{
    FOR_EACH_ROW(row, L * M) {
        const Index m = row % M;
        const REAL sum = sum_row<REAL>(D, [=](Index d) {
            const auto l = [=](Index k) { return a[(row * K + k) * D + d] + bias[k * D + d]; };
            REAL top = l(0), whole = 0, chosen = 0;
            for (Index k = 1; k < K; k++) top = l(k) <= top || top != top ? top : l(k);
            for (Index k = 0; k < K; k++)
                whole += d_nll_d_a[(row * K + k) * D + d] = exp(l(k) - top);
            const Index c = rint(x[m * D + d] * (K - 1));
            for (Index k = 0; k < K; k++) {
                const Index i = (row * K + k) * D + d;
                d_nll_d_a[i] = d_nll_d_a[i] / whole - (k == c);
                if (k == c) chosen = l(k) - top;
            }
            return log(whole) - chosen;
        });
        ONCE nll[row] = sum;
    }
}

// The first of K levels with the sum of exp(l) up to it at u of the whole.   a (M, KD), bias (KD,)
KERNEL(sample_categorical)(u64 seed, u64 stream, const Index* __restrict__ step,
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
