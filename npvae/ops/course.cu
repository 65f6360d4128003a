// A step begins: everything that changes from step to step is read from the device, so that one
// launch can be replayed. now ← t and step ← t + 1, t being step; with i = t − first, the step's
// place in its epoch: rows ← order[i · batch_size …], current ← rates[i].   One block.
// step, now, first (1,), order (N,), rates (n, K), rows (M,), current (K,)
REDUCTION(clock)(Index* __restrict__ step, Index* __restrict__ now, const Index* __restrict__ first,
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
REDUCTION(tally)(const REAL* __restrict__ nll, const REAL* __restrict__ kl,
                 double* __restrict__ sums, Index L, Index M, Index K, Index same_M)
{
    const double n = sum_row<double>(L * M, [=](Index i) { return nll[i]; });
    const double k = sum_row<double>(K * M, [=](Index i) { return kl[i]; });
    if (threadIdx.x == 0) sums[0] -= n / L, sums[1] += k / K;
}
