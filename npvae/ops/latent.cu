// [μ | log σ²] = a + b for datapoint m, and σ.   a (M, 2J), bias (2J,) → sigma (M, J)
// A thread reads back only what it wrote itself.
__device__ void heads(REAL* __restrict__ a, const REAL* __restrict__ bias,
                      REAL* __restrict__ sigma, Index m, Index J)
{
    FOR_EACH_OF_BLOCK(j, J) {
        a[j] += bias[j];
        a[J + j] += bias[J + j];
        sigma[j] = exp(a[J + j] / 2);
    }
}

// z = μ + σ ε;   kl = ½ Σ_j (μ² + σ² − 1 − log σ²).   A block for each datapoint.
template <class Noise>
__device__ void sample_kl(REAL* a, const REAL* bias, Noise eps, REAL* sigma, REAL* z, REAL* kl,
                          Index L, Index M, Index J)
{
    FOR_EACH_ROW(m, M) {
        REAL *mu = a + m * 2 * J, *logvar = mu + J, *s = sigma + m * J;
        heads(mu, bias, s, m, J);
        const REAL sum = sum_row<REAL>(J, [=](Index j) {
            for (Index l = 0; l < L; l++) z[(l * M + m) * J + j] = mu[j] + s[j] * eps(l, m, j);
            return mu[j] * mu[j] + (expm1(logvar[j]) - logvar[j]);
        });
        ONCE kl[m] = sum / 2;
    }
}

// z as above;   ratio_l = ½ Σ_j (z² − ε² − log σ²).   A block for each datapoint.
template <class Noise>
__device__ void sample_log_ratio(REAL* a, const REAL* bias, Noise eps, REAL* sigma, REAL* z,
                                 REAL* log_ratio, Index L, Index M, Index J)
{
    FOR_EACH_ROW(m, M) {
        REAL *mu = a + m * 2 * J, *logvar = mu + J, *s = sigma + m * J;
        heads(mu, bias, s, m, J);
        for (Index l = 0; l < L; l++) {
            const REAL sum = sum_row<REAL>(J, [=](Index j) {
                const REAL e = eps(l, m, j), z_j = mu[j] + s[j] * e;
                z[(l * M + m) * J + j] = z_j;
                return z_j * z_j - e * e - logvar[j];
            });
            ONCE log_ratio[l * M + m] = sum / 2;
        }
    }
}

// a (M, 2J), bias (2J,), eps (L, M, J) → [μ | log σ²] in a, sigma (M, J), z (L, M, J), and the
// distance from the prior: kl (1, M), or log_ratio (L, M). fill_noise_* write eps too.
#define STOCHASTIC(name, distance)                                                               \
    KERNEL(normal_##name)(REAL* __restrict__ a, const REAL* __restrict__ bias,                   \
                          const REAL* __restrict__ eps, REAL* __restrict__ sigma,                \
                          REAL* __restrict__ z, REAL* __restrict__ distance,                     \
                          Index L, Index M, Index J)                                             \
    {                                                                                            \
        sample_##name(a, bias, StoredNoise{eps, M, J}, sigma, z, distance, L, M, J);             \
    }                                                                                            \
    KERNEL(fill_noise_normal_##name)(u64 seed, u64 stream, const Index* __restrict__ step,       \
                                     REAL* __restrict__ a, const REAL* __restrict__ bias,        \
                                     REAL* __restrict__ eps, REAL* __restrict__ sigma,           \
                                     REAL* __restrict__ z, REAL* __restrict__ distance,          \
                                     Index L, Index M, Index J)                                  \
    {                                                                                            \
        const FilledNoise noise{seed, stream, u64(*step), 0, eps, L, M, J};                      \
        sample_##name(a, bias, noise, sigma, z, distance, L, M, J);                              \
    }                                                                                            \
    TWIN(normal_##name)                                                                          \
    TWIN(fill_noise_normal_##name)

STOCHASTIC(kl, kl)
STOCHASTIC(log_ratio, log_ratio)

// The backward pass through z = μ + σ ε, and d_b = Σ_m d_a:
//     d_μ = Σ_l d_z + direct,   d_logvar = Σ_l d_z · ½ σ ε + direct.   d_a (M, 2J), d_bias (2J,)
// d_z(l, m, j) is ∂loss/∂z by every path; direct(m, j, is_mean) is what does not go through z.
template <class Through, class Direct>
__device__ void sample_backward(const REAL* eps, const REAL* sigma, REAL* d_a, REAL* d_bias,
                                Index L, Index M, Index J, Through d_z, Direct direct)
{
    sum_columns<1>(M, 2 * J, d_bias, [=](Index m, Index c) {
        const bool is_mean = c < J;
        const Index j = is_mean ? c : c - J;
        REAL sum = 0;
        for (Index l = 0; l < L; l++)
            sum += d_z(l, m, j) * (is_mean ? 1 : eps[(l * M + m) * J + j]);
        const REAL through = is_mean ? sum : sum * sigma[m * J + j] / 2;
        return d_a[m * 2 * J + c] = through + direct(m, j, is_mean);
    });
}

// direct: d_kl · μ and d_kl · ½ (σ² − 1).   d_z (L, M, J), d_kl (1, M), a = [μ | log σ²] (M, 2J)
REDUCTION(normal_kl_backward)(const REAL* __restrict__ d_z, const REAL* __restrict__ d_kl,
                              const REAL* __restrict__ a, const REAL* __restrict__ eps,
                              const REAL* __restrict__ sigma, REAL* __restrict__ d_a,
                              REAL* __restrict__ d_bias, Index L, Index M, Index J)
{
    sample_backward(
        eps, sigma, d_a, d_bias, L, M, J,
        [=](Index l, Index m, Index j) { return d_z[(l * M + m) * J + j]; },
        [=](Index m, Index j, bool is_mean) {
            const REAL* mu = a + m * 2 * J + j;
            return d_kl[m] * (is_mean ? mu[0] : expm1(mu[J]) / 2);
        });
}
TWIN(normal_kl_backward)

// through z: p z; direct: −Σ_l (p − s) ε/σ for μ, −½ Σ_l p − Σ_l (p − s) ½ (ε² − 1) for log σ².
// d_z (L, M, J), p = d_log_ratio and s = d_log_q (L, M), which may be one array
REDUCTION(normal_log_ratio_backward)(const REAL* __restrict__ d_z,
                                     const REAL* __restrict__ d_log_ratio,
                                     const REAL* __restrict__ d_log_q,
                                     const REAL* __restrict__ a, const REAL* __restrict__ eps,
                                     const REAL* __restrict__ sigma, const REAL* __restrict__ z,
                                     REAL* __restrict__ d_a, REAL* __restrict__ d_bias,
                                     Index L, Index M, Index J)
{
    sample_backward(
        eps, sigma, d_a, d_bias, L, M, J,
        [=](Index l, Index m, Index j) {
            const Index i = (l * M + m) * J + j;
            return d_z[i] + d_log_ratio[l * M + m] * z[i];
        },
        [=](Index m, Index j, bool is_mean) {
            const REAL smallest = sizeof(REAL) == 4 ? 0x1p-64 : 0x1p-512, sd = sigma[m * J + j];
            REAL sum = 0;
            for (Index l = 0; l < L; l++) {
                const REAL p = d_log_ratio[l * M + m], less = p - d_log_q[l * M + m];
                const REAL e = eps[(l * M + m) * J + j];
                sum -= is_mean ? less * e : (p + less * (e * e - 1)) / 2;
            }
            return is_mean ? sum / (sd < smallest ? smallest : sd) : sum;
        });
}
TWIN(normal_log_ratio_backward)

// KL of one latent of one datapoint, twice over.   a = [μ | log σ²] (M, 2J), sigma (M, J)
__device__ REAL twice_kl(const REAL* a, const REAL* sigma, Index m, Index j, Index J)
{
    const REAL mu = a[m * 2 * J + j], logvar = a[m * 2 * J + J + j], s = sigma[m * J + j];
    return mu * mu + s * s - 1 - logvar;
}

// above_threshold[j] = whether KL_j, the mean over m, is above free_nats;   clamped_kl[m] =
// Σ_j KL_mj where it is, free_nats where it is not.   above_threshold (J,), clamped_kl (1, M).
// One block.
REDUCTION(free_bits)(const REAL* __restrict__ a, const REAL* __restrict__ sigma, double free_nats,
                     REAL* __restrict__ above_threshold, REAL* __restrict__ clamped_kl, Index M,
                     Index J)
{
    FOR_EACH_OF_BLOCK(j, J) {
        const REAL sum = sum_every<4, REAL>(
            0, 1, M, [=](Index m) { return twice_kl(a, sigma, m, j, J); });
        above_threshold[j] = !(sum / 2 / M <= REAL(free_nats));
    }
    BARRIER();
    FOR_EACH_OF_BLOCK(m, M)
        clamped_kl[m] = sum_every<1, REAL>(0, 1, J, [=](Index j) {
            return above_threshold[j] ? twice_kl(a, sigma, m, j, J) / 2 : REAL(free_nats);
        });
}
TWIN(free_bits)

// As normal_kl_backward, for the latents above the threshold.
// d_clamped_kl (1, M), above_threshold (J,)
REDUCTION(free_bits_backward)(const REAL* __restrict__ d_z,
                              const REAL* __restrict__ d_clamped_kl,
                              const REAL* __restrict__ above_threshold,
                              const REAL* __restrict__ a, const REAL* __restrict__ eps,
                              const REAL* __restrict__ sigma,
                              REAL* __restrict__ d_a, REAL* __restrict__ d_bias,
                              Index L, Index M, Index J)
{
    sample_backward(
        eps, sigma, d_a, d_bias, L, M, J,
        [=](Index l, Index m, Index j) { return d_z[(l * M + m) * J + j]; },
        [=](Index m, Index j, bool is_mean) {
            const REAL* mu = a + m * 2 * J + j;
            const REAL d_kl = d_clamped_kl[m] * above_threshold[j];
            return d_kl * (is_mean ? mu[0] : expm1(mu[J]) / 2);
        });
}
TWIN(free_bits_backward)

// weighted_kl = weight · kl and d_kl = weight / n, n = K · M.   kl, weighted_kl, d_kl (K, M)
KERNEL(scale_kl)(const REAL* __restrict__ kl, NUMBER(weight), REAL* __restrict__ weighted_kl,
                 REAL* __restrict__ d_kl, Index n)
{
    READ(weight);
    FOR_EACH(i, n) weighted_kl[i] = weight * kl[i], d_kl[i] = weight / n;
}
TWIN(scale_kl)
