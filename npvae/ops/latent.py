"""The stochastic layer: from the encoder's output to z, and to what keeps q near the prior.

The encoder's heads give ``a`` (M, 2J), with the bias ``[μ | log σ²]``. Then

    z_l = μ + σ ε_l,   σ = exp(½ log σ²),   ε_l ~ N(0, I)            (eq. 4)

is deterministic in (μ, log σ²) once ε is drawn, so gradients flow through it: this is the
reparameterization. With p(z) = N(0, I) the two estimators of the paper keep q near p by

    B (eq. 7)   KL(q‖p)              = ½ Σ_j (μ² + σ² − 1 − log σ²)  (appendix B)   (M,)
    A (eq. 6)   log q(z_l) − log p(z_l) = ½ Σ_j (z² − ε² − log σ²)                  (L, M)

The second is a sample of the first. Each forward op overwrites ``a`` with [μ | log σ²].

The objective may have another term in place of r: a weighted KL, or one with free bits.
"""
from npvae.ops.declare import op
from npvae.ops.elementary import halves, sum_rows
from npvae.ops.layouts import columns_of_two, datapoints, elements, one_block
from npvae.ops.noise import fill_noise


def _sample(xp, a, bias, eps, sigma, z):
    """z = μ + σ ε.   a (M, 2J), eps and z (L, M, J), sigma (M, J)"""
    xp.add(a, bias, out=a)
    mu, logvar = halves(a)  # (M, J) each
    xp.multiply(logvar, 0.5, out=sigma)
    xp.exp(sigma, out=sigma)
    xp.multiply(sigma, eps, out=z)
    xp.add(z, mu, out=z)
    return mu, logvar


def _sample_backward(xp, d_z, eps, sigma, d_a):
    """d_μ = Σ_l d_z,   d_logvar = Σ_l d_z · ½ σ ε.   d_z, eps (L, M, J), d_a (M, 2J)"""
    d_mu, d_logvar = halves(d_a)
    xp.sum(d_z, axis=0, out=d_mu)
    d_logvar[...] = xp.einsum("lmj,lmj->mj", d_z, eps)
    xp.multiply(d_logvar, sigma, out=d_logvar)
    xp.multiply(d_logvar, 0.5, out=d_logvar)
    return d_mu, d_logvar


@op(datapoints, "eps")
def normal_kl(xp, a, bias, eps, sigma, z, kl):
    """Sample z, and KL(q‖p) in closed form.

    a (M, 2J), bias (2J,), eps (L, M, J) → sigma (M, J), z (L, M, J), kl (1, M)
    """
    mu, logvar = _sample(xp, a, bias, eps, sigma, z)
    terms = mu * mu + (xp.expm1(logvar) - logvar)  # (M, J): small, J « H
    xp.sum(terms, axis=-1, out=kl[0])
    xp.multiply(kl, 0.5, out=kl)


@op(datapoints, "eps", uint64="seed stream", int64="step")
def fill_noise_normal_kl(xp, seed, stream, step, a, bias, eps, sigma, z, kl):
    """ε, and what :func:`~npvae.ops.latent.normal_kl` makes of it.   step (1,) → eps (L, M, J)"""
    fill_noise(xp, seed, stream, step, 0, eps)
    normal_kl(xp, a, bias, eps, sigma, z, kl)


@op(columns_of_two, "eps")
def normal_kl_backward(xp, d_z, d_kl, a, eps, sigma, d_a, d_bias):
    """d_μ += d_kl · μ,   d_logvar += d_kl · ½ (σ² − 1).

    d_z (L, M, J), d_kl (1, M), a = [μ | log σ²] (M, 2J) → d_a (M, 2J), d_bias (2J,)
    """
    d_mu, d_logvar = _sample_backward(xp, d_z, eps, sigma, d_a)
    _kl_backward(xp, d_kl[0, :, None], a, d_mu, d_logvar)
    sum_rows(xp, d_a, d_bias)


def _kl_backward(xp, d, a, d_mu, d_logvar):
    """Add the gradient of the KL of each latent, d (M, 1) or (M, J) being that by it.

    σ² − 1 is written as expm1(log σ²), which keeps its digits where a latent is near the prior.
    """
    mu, logvar = halves(a)
    d_mu += d * mu
    d_logvar += d * (0.5 * xp.expm1(logvar))


@op(one_block, "sigma")
def free_bits(xp, a, sigma, free_nats, above_threshold, clamped_kl):
    """The KL, no latent's mean over the minibatch counting for less than ``free_nats``.

    KL_j = mean_m KL_mj decides which latents are above the threshold, KL_j > free_nats; then
    Σ_j KL_mj of those, and ``free_nats`` for each of the others, has the mean
    Σ_j max(free_nats, KL_j).

    a = [μ | log σ²] (M, 2J), sigma (M, J), as normal_kl left them → above_threshold (J,),
    clamped_kl (1, M)
    """
    mu, logvar = halves(a)
    kl = 0.5 * (mu * mu + sigma * sigma - 1 - logvar)  # (M, J)
    free = xp.mean(kl, axis=0).real <= free_nats  # (J,); NaN is above it, and seen
    above_threshold[...] = ~free
    xp.sum(xp.where(free, free_nats, kl), axis=-1, out=clamped_kl[0])


@op(columns_of_two, "eps")
def free_bits_backward(xp, d_z, d_clamped_kl, above_threshold, a, eps, sigma, d_a, d_bias):
    """As that of normal_kl, but a latent below the threshold has no KL to lower.

    d_z (L, M, J), d_clamped_kl (1, M), above_threshold (J,) → d_a (M, 2J), d_bias (2J,)
    """
    d_mu, d_logvar = _sample_backward(xp, d_z, eps, sigma, d_a)
    _kl_backward(xp, d_clamped_kl[0, :, None] * above_threshold, a, d_mu, d_logvar)
    sum_rows(xp, d_a, d_bias)


@op(elements, "kl", scalar_or_array="weight")
def scale_kl(xp, kl, weight, weighted_kl, d_kl):
    """weighted_kl = weight · kl, and d_kl = weight / (K · M): the gradient of its mean.

    kl (K, M), weight a number or an array without dimensions → weighted_kl, d_kl (K, M)
    """
    xp.multiply(kl, weight, out=weighted_kl)
    xp.divide(weight, kl.size, out=d_kl)


@op(datapoints, "eps")
def normal_log_ratio(xp, a, bias, eps, sigma, z, log_ratio):
    """Sample z, and log q(z|x) − log p(z) at the sample.

    a (M, 2J), bias (2J,), eps (L, M, J) → sigma (M, J), z (L, M, J), log_ratio (L, M)
    """
    _, logvar = _sample(xp, a, bias, eps, sigma, z)
    terms = z * z - eps * eps - logvar  # (L, M, J)
    xp.sum(terms, axis=-1, out=log_ratio)
    xp.multiply(log_ratio, 0.5, out=log_ratio)


@op(datapoints, "eps", uint64="seed stream", int64="step")
def fill_noise_normal_log_ratio(xp, seed, stream, step, a, bias, eps, sigma, z, log_ratio):
    """ε, and what :func:`~npvae.ops.latent.normal_log_ratio` makes of it."""
    fill_noise(xp, seed, stream, step, 0, eps)
    normal_log_ratio(xp, a, bias, eps, sigma, z, log_ratio)


@op(columns_of_two, "eps")
def normal_log_ratio_backward(xp, d_z, d_log_ratio, d_log_q, a, eps, sigma, z, d_a, d_bias):
    """The gradient of log q(z|x) − log p(z), through the sample z and beside it.

    log q depends on φ = (μ, log σ²) through z and by itself. The loss feels log q − log p through
    z with the weight p = d_log_ratio, and log q at fixed z with the weight s = d_log_q. Both are
    the same number for SGVB A; the path derivative has s = 0 (Roeder et al. 2017). With

        ∂log q/∂z = −ε/σ,   −∂log p/∂z = z,   and at fixed z   ∂log q/∂μ = ε/σ,
        ∂log q/∂logvar = ½ (ε² − 1)

    and with z = μ + σ ε, so that ∂z/∂μ = 1 and ∂z/∂logvar = ½ σ ε, this is

        d_μ      = Σ_l (d_z + p z)          − Σ_l (p − s) ε/σ
        d_logvar = Σ_l (d_z + p z) · ½ σ ε  − ½ Σ_l p − Σ_l (p − s) ½ (ε² − 1)

    Where p = s, (z − μ)/σ = ε being fixed noise, all that is left of log q is −½ log σ². Leaving
    out either path is a classic mistake. 1/σ is kept below the square root of the largest number.

    d_z (L, M, J), d_log_ratio and d_log_q (L, M), a (M, 2J), eps and z (L, M, J), sigma (M, J)
    → d_a (M, 2J), d_bias (2J,)
    """
    through_z = d_z + d_log_ratio[..., None] * z  # (L, M, J)
    d_mu, d_logvar = _sample_backward(xp, through_z, eps, sigma, d_a)
    d_logvar -= 0.5 * xp.sum(d_log_ratio, axis=0)[:, None]
    less = d_log_ratio - d_log_q  # (L, M): what of log q the sample feels, and φ itself does not
    smallest = float(xp.finfo(sigma.dtype).max) ** -0.5
    d_mu -= xp.einsum("lm,lmj->mj", less, eps) / xp.maximum(sigma, smallest)
    d_logvar -= xp.einsum("lm,lmj->mj", less, 0.5 * (eps * eps - 1))
    sum_rows(xp, d_a, d_bias)
