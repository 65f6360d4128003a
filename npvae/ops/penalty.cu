// ½ · strength · Σ w².   weights (n,) → total, one number.   One block, summed in double.
REDUCTION(l2)(const REAL* __restrict__ weights, double strength, REAL* __restrict__ total, Index n)
{
    const double sum = sum_row<double>(n, [=](Index i) { return double(weights[i]) * weights[i]; });
    ONCE *total = strength * sum / 2;
}

// d_w += strength · w.   weights, d_weights (n,)
KERNEL(l2_backward)(const REAL* __restrict__ weights, double strength,
                    REAL* __restrict__ d_weights, Index n)
{
    FOR_EACH(i, n) d_weights[i] += weights[i] * REAL(strength);
}
TWIN(l2_backward)
