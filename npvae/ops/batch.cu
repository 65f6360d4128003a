// x = scale · data[rows].   data (N, D), rows (M,) → x (M, D)
#define GATHER(dtype, T)                                                                      \
    KERNEL(gather_##dtype)(const T* __restrict__ data, const Index* __restrict__ rows,        \
                           double scale, REAL* __restrict__ x, Index M, Index D)              \
    {                                                                                         \
        FOR_EACH_OF(m, M, d, D) x[m * D + d] = REAL(data[rows[m] * D + d]) * REAL(scale);     \
    }                                                                                         \
    TWIN(gather_##dtype)

GATHER(uint8, unsigned char)
GATHER(float32, float)
GATHER(float64, double)

// x ← 1 where x > threshold, else 0.   x (n,), threshold (n,) or one number
KERNEL(binarize)(REAL* __restrict__ x, NUMBER(threshold), Index n)
{
    FOR_EACH(i, n) x[i] = x[i] > READ_EACH(threshold, i);
}
TWIN(binarize)
