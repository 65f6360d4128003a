"""A distribution over the parameters, N(μ, σ²) each, with a prior N(0, 1) each (appendix F).

    θ = μ + σ ζ,   σ = exp(½ log σ²),   ζ ~ N(0, I)
    KL(q(θ)‖p(θ)) = ½ Σ (μ² + σ² − 1 − log σ²)

What :mod:`npvae.ops.latent` does for the latents of each datapoint, for one vector of Q
parameters that all datapoints share. All arrays are (Q,).
"""
from npvae.ops.declare import op
from npvae.ops.layouts import elements, one_block


@op(elements, "theta")
def parameter_sample(xp, mu, logvar, zeta, sigma, theta):
    """θ = μ + σ ζ.   mu, logvar, zeta → sigma, theta"""
    xp.multiply(logvar, 0.5, out=sigma)
    xp.exp(sigma, out=sigma)
    xp.multiply(sigma, zeta, out=theta)
    xp.add(theta, mu, out=theta)


@op(elements, "d_logvar")
def parameter_sample_backward(xp, d_theta, zeta, sigma, d_logvar):
    """d_logvar = d_θ · ½ σ ζ; and d_μ is d_θ itself.   d_theta, zeta, sigma → d_logvar"""
    xp.multiply(d_theta, zeta, out=d_logvar)
    xp.multiply(d_logvar, sigma, out=d_logvar)
    xp.multiply(d_logvar, 0.5, out=d_logvar)


@op(one_block, "mu", returns=True)
def parameter_kl(xp, mu, logvar, strength):
    """½ · strength · Σ (μ² + σ² − 1 − log σ²).   mu, logvar → a number"""
    return 0.5 * strength * xp.sum(mu * mu + xp.exp(logvar) - 1 - logvar)


@op(elements, "mu", scratch="scratch")
def parameter_kl_backward(xp, mu, logvar, strength, scratch, d_mu, d_logvar):
    """d_μ += strength · μ,   d_logvar += ½ · strength · (σ² − 1).   scratch: working space

    It adds, as ``l2_backward`` does: these gradients have two sources.
    """
    xp.multiply(mu, strength, out=scratch)
    xp.add(d_mu, scratch, out=d_mu)
    xp.exp(logvar, out=scratch)
    xp.subtract(scratch, 1, out=scratch)
    xp.multiply(scratch, 0.5 * strength, out=scratch)
    xp.add(d_logvar, scratch, out=d_logvar)
