// Noise in bulk, as random.py makes it: Philox makes four words at a time, Box–Muller two normals.

// Normals e, e + 1, … of a stream, count of them, as many words from the words' own stream.
static void normals(u64 seed, u64 stream, u64 step, Index e, Index count, REAL* __restrict__ out)
{
    constexpr Index MOST = 512;  // words at a time, whole blocks of Philox
    u64 words[MOST];
    double z[MOST];
    while (count > 0) {
        const Index before = e % 4, n = count < MOST - before ? count : MOST - before;
        for (Index w = 0; w < before + n; w += 4) {
            const Block block = philox(seed, stream, step, (e - before + w) / 4);
            for (Index k = 0; k < 4; k++) words[w + k] = block.w[k];
        }
        FOR_EACH_OF_BLOCK(i, (before + n + 1) / 2) {
            const double radius = sqrt(-2 * log(uniform(words[2 * i])));
            const SinCos angle = sincos(6.283185307179586 * uniform(words[2 * i + 1]));
            z[2 * i] = radius * angle.cos;
            z[2 * i + 1] = radius * angle.sin;
        }
        FOR_EACH_OF_BLOCK(i, n) out[i] = z[before + i];
        e += n, out += n, count -= n;
    }
}

inline FilledNoise::FilledNoise(
    u64 seed, u64 stream, u64 step, Index start, REAL* eps, Index L, Index M, Index J)
    : eps(eps), M(M), J(J)
{
    const Index first = this_part.first_row(M), last = this_part.last_row(M);
    if (L == 1) {
        normals(seed, stream, step, (start + first) * J, (last - first) * J, eps + first * J);
        return;
    }
    std::vector<REAL> of_datapoint(L * J);
    for (Index m = first; m < last; m++) {
        normals(seed, stream, step, (start + m * L) * J, L * J, of_datapoint.data());
        for (Index l = 0; l < L; l++)
            FOR_EACH_OF_BLOCK(j, J) eps[(l * M + m) * J + j] = of_datapoint[l * J + j];
    }
}
