// ε ~ N(0, I).   step (1,) → eps (L, M, J)
KERNEL(fill_noise)(u64 seed, u64 stream, const Index* __restrict__ step, Index start,
                   REAL* __restrict__ eps, Index L, Index M, Index J)
{
    const FilledNoise noise{seed, stream, u64(*step), start, eps, L, M, J};
    FOR_EACH(i, L * M * J) noise(i / J / M, i / J % M, i % J);
}
TWIN(fill_noise)
