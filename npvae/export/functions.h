/* The functions of a program in C99: what format="c" copies into the header it writes. */

/* y = W x + b.   x (n,), W (m, n), b (m,) → y (m,) */
static inline void npvae_linear(int n, const float *x, const float *W, const float *b, int m,
                                float *y)
{
    for (int i = 0; i < m; i++) {
        float total = b[i];
        for (int j = 0; j < n; j++)
            total += W[i * n + j] * x[j];
        y[i] = total;
    }
}

/* e^u over its sum.   u (n,) → p (n,) */
static inline void npvae_softmax(int n, const float *u, float *p)
{
    float largest = u[0], total = 0;
    for (int i = 1; i < n; i++)
        largest = fmaxf(largest, u[i]);
    for (int i = 0; i < n; i++)
        total += p[i] = expf(u[i] - largest);
    for (int i = 0; i < n; i++)
        p[i] /= total;
}

/* c + e/(1 + |e|), with c = u clipped to +-limit and e = u - c */
static inline float npvae_soft_clip(float u, float limit)
{
    float c = fminf(fmaxf(u, -limit), limit);
    return c + (u - c) / (1 + fabsf(u - c));
}

/* sum_k p_k k/(K - 1), p the softmax of every stride-th of K numbers u */
static inline float npvae_categorical_mean(const float *u, int stride, int K)
{
    float largest = u[0], total = 0, mean = 0;
    for (int k = 1; k < K; k++)
        largest = fmaxf(largest, u[k * stride]);
    for (int k = 0; k < K; k++) {
        float p = expf(u[k * stride] - largest);
        total += p;
        mean += p * (float)k;
    }
    return mean / (total * (float)(K - 1));
}

/* 1/(1 - e^-u) - 1/u = 1/2 +- (1/(1 - e^-t) - 1/t - 1/2), t = |u|; near 0 by its Taylor series */
static inline float npvae_continuous_bernoulli_mean(float u)
{
    float t = fabsf(u), square = u * u;
    if (t < 0.5f)
        return 0.5f + u * (1 / 12.0f - square * (1 / 720.0f - square / 30240));
    return 0.5f + copysignf(-1 / expm1f(-t) - 1 / t - 0.5f, u);
}

/* sum_k sigmoid((mu - (k - 1/2)/(K - 1))/s)/(K - 1), k = 1 ... K - 1; -log s <= 30 */
static inline float npvae_discretized_logistic_mean(float mu, float log_s, int K)
{
    float inv_s = expf(fminf(-log_s, 30)), mean = 0;
    for (int k = 1; k < K; k++)
        mean += 1 / (1 + expf(-(mu - ((float)k - 0.5f) / (float)(K - 1)) * inv_s));
    return mean / (float)(K - 1);
}
