"""The stochastic layer: from the encoder's output to z, and to what keeps q near the prior.

The encoder's heads give ``a`` (M, 2J), with the bias ``[μ | log σ²]``. Then

    z_l = μ + σ ε_l,   σ = exp(½ log σ²),   ε_l ~ N(0, I)            (eq. 4)

is deterministic in (μ, log σ²) once ε is drawn, so gradients flow through it: this is the
reparameterization. With p(z) = N(0, I) the two estimators of the paper keep q near p by

    B (eq. 7)   KL(q‖p)              = ½ Σ_j (μ² + σ² − 1 − log σ²)  (appendix B)   (M,)
    A (eq. 6)   log q(z_l) − log p(z_l) = ½ Σ_j (z² − ε² − log σ²)                  (L, M)

The second is a sample of the first. Each forward op overwrites ``a`` with [μ | log σ²].

The objective may have another term in place of r: weighed, or with free bits.
"""


def halves(a):
    """Two views of the last axis: (…, 2J) → (…, J), (…, J)."""
    middle = a.shape[-1] // 2
    return a[..., :middle], a[..., middle:]


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


def normal_kl(xp, a, bias, eps, sigma, z, kl):
    """Sample z, and KL(q‖p) in closed form.

    a (M, 2J), bias (2J,), eps (L, M, J) → sigma (M, J), z (L, M, J), kl (1, M)
    """
    mu, logvar = _sample(xp, a, bias, eps, sigma, z)
    terms = mu * mu + sigma * sigma - 1 - logvar  # (M, J): small, J « H
    xp.sum(terms, axis=-1, out=kl[0])
    xp.multiply(kl, 0.5, out=kl)


def normal_kl_backward(xp, d_z, d_kl, a, eps, sigma, d_a, d_bias):
    """d_μ += d_kl · μ,   d_logvar += d_kl · ½ (σ² − 1).

    d_z (L, M, J), d_kl (1, M), a = [μ | log σ²] (M, 2J) → d_a (M, 2J), d_bias (2J,)
    """
    d_mu, d_logvar = _sample_backward(xp, d_z, eps, sigma, d_a)
    _kl_backward(xp, d_kl[0, :, None], a, sigma, d_mu, d_logvar)
    xp.sum(d_a, axis=0, out=d_bias)


def _kl_backward(xp, d, a, sigma, d_mu, d_logvar):
    """Add the gradient of the KL of each latent, d (M, 1) or (M, J) being that by it."""
    mu, _ = halves(a)
    d_mu += d * mu
    d_logvar += d * (0.5 * (sigma * sigma - 1))


def free_bits(xp, a, sigma, least, is_open, floored):
    """The KL, no latent's mean over the minibatch counting for less than ``least`` nats.

    KL_j = mean_m KL_mj decides which latents are open, KL_j > least; then Σ_j KL_mj of those,
    and ``least`` for each of the others, has the mean Σ_j max(least, KL_j).

    a = [μ | log σ²] (M, 2J), sigma (M, J), as normal_kl left them → is_open (J,), floored (1, M)
    """
    mu, logvar = halves(a)
    kl = 0.5 * (mu * mu + sigma * sigma - 1 - logvar)  # (M, J)
    closed = xp.mean(kl, axis=0).real <= least  # (J,); NaN is open, and seen
    is_open[...] = ~closed
    xp.sum(xp.where(closed, least, kl), axis=-1, out=floored[0])


def free_bits_backward(xp, d_z, d_floored, is_open, a, eps, sigma, d_a, d_bias):
    """As that of normal_kl, but a latent that is not open has no KL to lower.

    d_z (L, M, J), d_floored (1, M), is_open (J,) → d_a (M, 2J), d_bias (2J,)
    """
    d_mu, d_logvar = _sample_backward(xp, d_z, eps, sigma, d_a)
    _kl_backward(xp, d_floored[0, :, None] * is_open, a, sigma, d_mu, d_logvar)
    xp.sum(d_a, axis=0, out=d_bias)


def weigh(xp, kl, weight, term, d_kl):
    """term = weight · kl, and d_kl = weight / (K · M): the gradient of its mean.

    kl (K, M), weight a number or an array without dimensions → term, d_kl (K, M)
    """
    xp.multiply(kl, weight, out=term)
    xp.divide(weight, kl.size, out=d_kl)


def normal_log_ratio(xp, a, bias, eps, sigma, z, log_ratio):
    """Sample z, and log q(z|x) − log p(z) at the sample.

    a (M, 2J), bias (2J,), eps (L, M, J) → sigma (M, J), z (L, M, J), log_ratio (L, M)
    """
    _, logvar = _sample(xp, a, bias, eps, sigma, z)
    terms = z * z - eps * eps - logvar  # (L, M, J)
    xp.sum(terms, axis=-1, out=log_ratio)
    xp.multiply(log_ratio, 0.5, out=log_ratio)


def normal_log_ratio_backward(xp, d_z, d_log_ratio, a, eps, sigma, z, d_a, d_bias):
    """d_z += d_ratio · z on the way to z;   d_logvar −= ½ Σ_l d_ratio directly.

    log q depends on (μ, log σ²) through z and by itself, but (z − μ)/σ = ε is fixed noise, so
    all that is left of log q is −½ log σ². Leaving out either path is a classic mistake.

    d_z (L, M, J), d_log_ratio (L, M) → d_a (M, 2J), d_bias (2J,)
    """
    through_z = d_z + d_log_ratio[..., None] * z  # (L, M, J)
    _, d_logvar = _sample_backward(xp, through_z, eps, sigma, d_a)
    d_logvar -= 0.5 * xp.sum(d_log_ratio, axis=0)[:, None]
    xp.sum(d_a, axis=0, out=d_bias)
