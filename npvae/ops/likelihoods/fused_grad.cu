// d_a = d_nll · d_nll_d_a.   d_nll (L, M), d_nll_d_a (L, M, H) → d_a (L, M, H), d_bias (H,)
REDUCTION(nll_backward)(const REAL* __restrict__ d_nll, const REAL* __restrict__ d_nll_d_a,
                        REAL* __restrict__ d_a, REAL* __restrict__ d_bias,
                        Index L, Index M, Index H)
{
    sum_columns(L * M, H, d_bias, [=](Index row, Index c) {
        return d_a[row * H + c] = d_nll[row] * d_nll_d_a[row * H + c];
    });
}
TWIN(nll_backward)

// nll ← nll + nats.   nll (n,)
KERNEL(nll_shift)(REAL* __restrict__ nll, double nats, Index n)
{
    FOR_EACH(i, n) nll[i] += REAL(nats);
}
TWIN(nll_shift)
