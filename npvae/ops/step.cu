// A step begins: everything that changes from step to step is read from the device, so that one
// launch can be replayed. step ← t and next_step ← t + 1, t being next_step; with
// i = t − epoch_start, the step's place in its epoch: rows ← order[i · batch_size …],
// current_scalars ← step_scalars[i].   One block.
// next_step, step, epoch_start (1,), order (N,), step_scalars (n, K)
// → rows (M,), current_scalars (K,)
REDUCTION(begin_step)(Index* __restrict__ next_step, Index* __restrict__ step,
                      const Index* __restrict__ epoch_start, const Index* __restrict__ order,
                      Index batch_size, const double* __restrict__ step_scalars,
                      Index* __restrict__ rows, REAL* __restrict__ current_scalars,
                      Index M, Index K)
{
    const Index t = *next_step, i = t - *epoch_start;
    BARRIER();  // all have read before the first writes
    ONCE *step = t, *next_step = t + 1;
    FOR_EACH_OF_BLOCK(k, K) current_scalars[k] = step_scalars[K * i + k];
    FOR_EACH_OF_BLOCK(m, M) rows[m] = order[i * batch_size + m];
}
TWIN(begin_step)

// sums[0] −= Σ nll / L,   sums[1] += Σ kl / K, in double.   nll (L, M), kl (K, M).   One block.
REDUCTION(accumulate_metrics)(const REAL* __restrict__ nll, const REAL* __restrict__ kl,
                              double* __restrict__ sums, Index L, Index M, Index K, Index same_M)
{
    const double n = sum_row<double>(L * M, [=](Index i) { return nll[i]; });
    const double k = sum_row<double>(K * M, [=](Index i) { return kl[i]; });
    ONCE sums[0] -= n / L, sums[1] += k / K;
}
TWIN(accumulate_metrics)
