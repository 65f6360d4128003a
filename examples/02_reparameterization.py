# %% [markdown]
# # 2. Why sampling blocks the gradient, and what opens it
#
# A variational auto-encoder maximises the lower bound (eq. 3 of the paper)
#
#     L = E_q(z|x)[log p(x|z)] − KL(q(z|x) ‖ p(z)),        q(z|x) = N(z; μ, σ²)
#
# and the encoder's parameters sit in μ and σ. So we need the derivative of an *average over q* by
# the parameters *of q*:
#
#     ∂/∂μ E_q[f(z)]
#
# Take f(z) = Σ_j z_j² with J latents. Then E_q[f] = Σ_j μ_j² + σ_j², and we know the truth: the
# derivative by μ_j is 2 μ_j.

# %%
import numpy as np
from picture import show

from npvae.plotting.style import INK, ONE, OTHER, chart
from npvae.testing import check_backward

rng = np.random.default_rng(0)
mu, sigma = 0.5, 1.0  # of each latent


def f(z):
    return (z**2).sum(axis=-1)


# %% [markdown]
# ## Blocked
#
# Draw z and look at f(z). How does it change when μ moves by s? If z is drawn anew, it changes
# because the dice fell differently: the difference of two draws, divided by a small step, is noise
# of the size 1/s. The smaller the step, the worse. `rng.normal(mu, sigma)` is no function of mu
# that could be differentiated.
#
# ## Opened
#
# Now write the same draw as a function of μ and σ and of noise that knows neither (eq. 4):
#
#     z = μ + σ ε,    ε ~ N(0, 1)
#
# Throw the dice first, and hold them. What is left is an ordinary formula with ∂z/∂μ = 1 and ∂z/∂σ
# = ε, and gradients flow through it. That is the **reparameterization**.

# %%
s = 1e-3


def moved_by_drawing_anew():
    up, down = rng.normal(mu + s, sigma, size=1), rng.normal(mu - s, sigma, size=1)
    return (f(up) - f(down)) / (2 * s)


def moved_with_noise_held():
    eps = rng.normal(size=1)
    return (f(mu + s + sigma * eps) - f(mu - s + sigma * eps)) / (2 * s)


anew = np.array([moved_by_drawing_anew() for _ in range(1000)])
held = np.array([moved_with_noise_held() for _ in range(1000)])
print(f"∂f/∂μ, mean and deviation of 1000 differences; the truth is {2 * mu}")
print(f"    drawn anew  {anew.mean():8.1f} ± {anew.std():.1f}")
print(f"    noise held  {held.mean():8.1f} ± {held.std():.1f}")
assert anew.std() > 500 * held.std()

# %% [markdown]
# ## What the score function does instead
#
# There is another way, which does not look inside f. Move the derivative to the density:
#
#     ∂/∂μ ∫ q(z) f(z) dz = ∫ q(z) f(z) ∂log q(z)/∂μ dz = E_q[f(z) (z − μ)/σ²]
#
# This is the *score function* estimator, or REINFORCE; the paper's section 2.2 calls it the naive
# one. It says: make those z likelier that had a large f. It never asks in which direction f grows,
# so it works for discrete z and for an f without a derivative. The price is variance: each latent
# is told about the whole of f, which all the other latents have moved as well.

# %%
N, widths = 20_000, (1, 2, 4, 8, 16, 32, 64)
draws = {}
for J in widths:
    eps = rng.normal(size=(N, J))
    z = mu + sigma * eps  # (N, J)
    path = 2 * z[:, 0]  # ∂f/∂z_1 · ∂z_1/∂μ_1
    score = f(z) * (z[:, 0] - mu) / sigma**2  # f · ∂log q/∂μ_1
    draws[J] = path, score
    for estimate in (path, score):
        assert abs(estimate.mean() - 2 * mu) < 4 * estimate.std() / N**0.5  # both have the truth

variance = np.array([[estimate.var() for estimate in draws[J]] for J in widths])  # (widths, 2)
ratio = variance[:, 1] / variance[:, 0]
print("variance of the score function over that of the reparameterized gradient:")
print(f"    {ratio[0]:.0f} with one latent, {ratio[-1]:.0f} with {widths[-1]}")
assert ratio[0] > 2
assert ratio[-1] > 1000

# %% [markdown]
# Both are right on average. With 64 latents you would need some two thousand samples for the score
# function to be as sure as one reparameterized sample.

# %%
def draw(fig):
    left = chart(fig, 121, title="20,000 estimates, 8 latents", x="∂f/∂μ₁")
    bins = np.linspace(-40, 40, 81)
    for estimate, name, colour in zip(draws[8], ("path", "score"), (ONE, OTHER), strict=True):
        left.hist(estimate, bins, color=colour, alpha=0.7, label=name)
    left.axvline(2 * mu, color=INK, lw=0.8, label="truth")
    left.legend(frameon=False, fontsize=8)
    left.set_yticks([])
    right = chart(fig, 122, title="Variance of one estimate", x="latents J")
    right.loglog(widths, variance[:, 0], "o-", color=ONE, label="path: 4σ²")
    right.loglog(widths, variance[:, 1], "s-", color=OTHER, label="score: grows as J²")
    right.legend(frameon=False, fontsize=8)


show("02_reparameterization", draw)

# %% [markdown]
# ## Your turn
#
# The backward pass of eq. 4, as a network has it. The encoder gives log σ² rather than σ (the next
# lesson says why), so σ = exp(½ log σ²). There are L samples of the same μ and log σ²: what is used
# several times gets the sum of what comes back.
#
# Mind the half, which much public VAE code has lost or doubled: ∂σ/∂log σ² is ½ σ. A finished
# version is in `solutions/02_reparameterization.py`.

# %%
def sample(mu, logvar, eps):
    return mu + np.exp(logvar / 2) * eps  # (L, J)


def sample_backward(d_z, mu, logvar, eps):
    """d_z (L, J), mu and logvar (J,), eps (L, J)"""
    d_mu = ...  # (J,)
    d_logvar = ...  # (J,)
    return d_mu, d_logvar


L, J = 6, 3
print(check_backward(sample_backward, sample, rng.normal(size=J), rng.normal(size=J),
                     eps=rng.normal(size=(L, J))))  # fmt: skip
