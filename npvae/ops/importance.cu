// w̃, θ = w̃/M and −L_k: a thread for each datapoint, over its k samples.
// nll, kl (k, M) → w, theta (k, M), loss (1, M)
KERNEL(importance_weights)(const REAL* __restrict__ nll, const REAL* __restrict__ kl,
                           REAL* __restrict__ w, REAL* __restrict__ theta, REAL* __restrict__ loss,
                           Index k, Index M)
{
    const REAL lowest = sizeof(REAL) == 4 ? -3.4028234663852886e38 : -1.7976931348623157e308;
    FOR_EACH(m, M) {
        const auto log_w = [=](Index l) { return -(nll[l * M + m] + kl[l * M + m]); };
        REAL top = lowest, total = 0;
        for (Index l = 0; l < k; l++) top = !(log_w(l) <= top) ? log_w(l) : top;
        for (Index l = 0; l < k; l++) {
            const REAL below = log_w(l) - top;
            total += w[l * M + m] = below <= -46 ? 0 : exp(below);  // NEGLIGIBLE
        }
        for (Index l = 0; l < k; l++) theta[l * M + m] = (w[l * M + m] /= total) / M;
        loss[m] = log(REAL(k)) - top - log(total);
    }
}
