// A distribution over the parameters (appendix F).

// θ = μ + σ ζ.   mu, logvar, zeta → sigma, theta, all (n,)
KERNEL(parameter_sample)(const REAL* __restrict__ mu, const REAL* __restrict__ logvar,
                         const REAL* __restrict__ zeta, REAL* __restrict__ sigma,
                         REAL* __restrict__ theta, Index n)
{
    FOR_EACH(i, n) theta[i] = mu[i] + (sigma[i] = exp(logvar[i] / 2)) * zeta[i];
}
TWIN(parameter_sample)

// d_logvar = d_θ · ½ σ ζ.   all (n,)
KERNEL(parameter_sample_backward)(const REAL* __restrict__ d_theta, const REAL* __restrict__ zeta,
                                  const REAL* __restrict__ sigma, REAL* __restrict__ d_logvar,
                                  Index n)
{
    FOR_EACH(i, n) d_logvar[i] = d_theta[i] * zeta[i] * sigma[i] / 2;
}
TWIN(parameter_sample_backward)

// total = ½ · strength · Σ (μ² + σ² − 1 − log σ²).   mu, logvar (n,) → total ()
REDUCTION(parameter_kl)(const REAL* __restrict__ mu, const REAL* __restrict__ logvar,
                        double strength, REAL* __restrict__ total, Index n)
{
    const REAL sum = sum_row<REAL>(
        n, [=](Index i) { return mu[i] * mu[i] + exp(logvar[i]) - 1 - logvar[i]; });
    ONCE *total = REAL(strength / 2) * sum;
}

// d_μ += strength · μ,   d_logvar += ½ · strength · (σ² − 1).   all (n,)
KERNEL(parameter_kl_backward)(const REAL* __restrict__ mu, const REAL* __restrict__ logvar,
                              double strength, REAL* __restrict__ d_mu,
                              REAL* __restrict__ d_logvar, Index n)
{
    FOR_EACH(i, n) {
        d_mu[i] += mu[i] * REAL(strength);
        d_logvar[i] += (exp(logvar[i]) - 1) * REAL(strength / 2);
    }
}
TWIN(parameter_kl_backward)
