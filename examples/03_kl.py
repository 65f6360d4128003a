# %% [markdown]
# # 3. The KL by hand, and why log σ²
#
# The lower bound has two terms (eq. 3). One asks that z tells enough of x; the other, −KL(q(z|x) ‖
# p(z)), asks that q stays near the prior. Where both are normal, q(z|x) = N(μ, σ²) and p(z) = N(0,
# I), it can be done by hand.
#
# KL is the mean under q of log q(z) − log p(z). Of one latent, with z = μ + σ ε:
#
#     log q(z) = −½ log 2π − ½ log σ² − ½ ε²
#     log p(z) = −½ log 2π − ½ (μ + σ ε)²
#
# The mean of ε is 0 and that of ε² is 1, so E[(μ + σε)²] = μ² + σ², and all latents together give
# (appendix B)
#
#     KL = ½ Σ_j (μ_j² + σ_j² − 1 − log σ_j²)
#
# It is 0 exactly where μ = 0 and σ = 1, and it is in nats.

# %%
import numpy as np
from picture import show

from npvae.plotting.style import ONE, OTHER, chart
from npvae.testing import check_backward


def kl(mu, logvar):
    """(M, J) each → (M,)"""
    return 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=-1)


# %% [markdown]
# ## Is that the mean?
#
# Average log q − log p over samples, and see. The standard error says how far off a mean of N
# samples may be.

# %%
rng = np.random.default_rng(0)
mu, logvar = np.array([0.8, -0.3]), np.array([-1.5, 0.4])  # (J,)
N = 100_000
eps = rng.normal(size=(N, 2))
z = mu + np.exp(logvar / 2) * eps  # (N, J)
log_ratio = 0.5 * (z**2 - eps**2 - logvar).sum(axis=-1)  # (N,) log q − log p
standard_error = log_ratio.std() / N**0.5
print(f"KL {kl(mu, logvar):.4f}, by samples {log_ratio.mean():.4f} ± {standard_error:.4f} nats")
assert abs(log_ratio.mean() - kl(mu, logvar)) < 4 * standard_error

# %% [markdown]
# ## Why the encoder gives log σ²
#
# It could give σ, or σ². What would the gradient of ½(σ² − 1 − log σ²) be?
#
#     by σ          σ − 1/σ          no bound: near σ = 0 it tends to −∞
#     by σ²         ½ (1 − 1/σ²)     worse
#     by log σ²     ½ (σ² − 1)       never below −½
#
# And σ has to stay above 0, which a step of gradient descent does not know. log σ² may be any
# number. Try one step of size 0.01 from a posterior that has become narrow, σ = 0.001:

# %%
sigma, rate = 1e-3, 0.01
d_sigma = sigma - 1 / sigma
d_logvar = 0.5 * (sigma**2 - 1)
sigma_next = sigma - rate * d_sigma
logvar_next = np.log(sigma**2) - rate * d_logvar
print(f"by σ:      gradient {d_sigma:8.1f}, and σ becomes {sigma_next:.3f}")
print(f"by log σ²: gradient {d_logvar:8.1f}, and σ becomes {np.exp(logvar_next / 2):.6f}")
assert abs(d_sigma) > 1000 * abs(d_logvar)
assert sigma_next > 5 > 0.0011 > np.exp(logvar_next / 2)

# %% [markdown]
# One step by σ, and the posterior is ten times as wide as the prior: all that the encoder knew of x
# is gone. By log σ² the same step is half a percent. It is the same KL, walked along another axis.

# %%
def draw(fig):
    sigma = np.geomspace(0.02, 3, 400)
    value = 0.5 * (sigma**2 - 1 - np.log(sigma**2))
    left = chart(fig, 121, title="KL of one latent, μ = 0", x="σ  or  log σ²", y="nats")
    left.plot(sigma, value, color=OTHER, label="over σ: a wall at 0")
    left.plot(np.log(sigma**2), value, color=ONE, label="over log σ²: a slope")
    left.set_ylim(-0.1, 4)
    left.legend(frameon=False, fontsize=8)
    right = chart(fig, 122, title="Size of its gradient", x="σ")
    right.loglog(sigma, abs(sigma - 1 / sigma), color=OTHER, label="|σ − 1/σ|, by σ")
    right.loglog(sigma, abs(0.5 * (sigma**2 - 1)), color=ONE, label="½|σ² − 1|, by log σ²")
    right.set_ylim(1e-2, 1e2)
    right.legend(frameon=False, fontsize=8)


show("03_kl", draw)

# %% [markdown]
# ## Your turn
#
# The gradient of the KL, of M datapoints at once. d_kl (M,) is what the loss has to say to each
# datapoint's KL: 1/M if the loss is their mean. Both gradients are (M, J), so d_kl has to become a
# column.
#
# Nothing here depends on the decoder or on ε: of all the parameters only the encoder's ever hear of
# the KL. A finished version is in `solutions/03_kl.py`.

# %%
def kl_backward(d_kl, mu, logvar):
    """d_kl (M,), mu and logvar (M, J)"""
    d_mu = ...  # (M, J)
    d_logvar = ...  # (M, J)
    return d_mu, d_logvar


M, J = 5, 3
print(check_backward(kl_backward, kl, rng.normal(size=(M, J)), rng.normal(size=(M, J))))
