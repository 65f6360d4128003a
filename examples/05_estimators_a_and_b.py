# %% [markdown]
# # 5. A and B, and their variance
#
# The paper has two estimators of the lower bound, from the same samples z_l = μ + σ ε_l:
#
#     A (eq. 6)    (1/L) Σ_l log p(x, z_l) − log q(z_l|x)
#     B (eq. 7)    −KL(q(z|x) ‖ p(z)) + (1/L) Σ_l log p(x|z_l)
#
# A takes the KL from samples too; B has it in closed form, from lesson 3. Their means are the same.
# The paper says of B that it "typically has less variance". How much less, and is it always so?
#
# We can know, where everything is normal. Let p(z) = N(0, 1) and p(x|z) = N(z, 1). Then the true
# posterior is N(x/2, ½), and every gradient can be written down. Of minus the bound, by μ, one
# sample each:
#
#     B     μ + (z − x)
#     A     z + (z − x)
#
# In A the log q has no part: log q(z) = −½ log σ² − ½ ε² + …, and ε was drawn before μ was known.
# Put z = μ + σ ε in, and the noise is σ ε in B, and 2 σ ε in A: **four times the variance**.

# %%
import numpy as np
from picture import show

import npvae
from npvae.plotting.style import COLOURS, chart
from npvae.testing import check_backward

rng = np.random.default_rng(0)
x, mu, N = 1.0, 0.2, 200_000
deviations = np.linspace(0.25, 2, 15)
eps = rng.normal(size=N)

# %% [markdown]
# ## A third one
#
# In log q(z|x) the encoder's parameters occur twice: z depends on them, and the density does. Leave
# the second out. On average it is 0, for E_q[∂log q/∂μ] = 0, so the mean stays what it was. This is
# the *path derivative*, "sticking the landing" (Roeder et al. 2017):
#
#     path     z + (z − x) − ε/σ
#
# Its noise is (2σ − 1/σ) ε, which is **0 where σ² = ½**: at the true posterior there f(z) = log
# p(x, z) − log q(z|x) = log p(x) is the same for every z.

# %%
variance = {name: [] for name in ("A", "B", "path")}
for sigma in deviations:
    z = mu + sigma * eps
    gradients = {"B": mu + (z - x), "A": z + (z - x), "path": z + (z - x) - eps / sigma}
    for name, g in gradients.items():
        assert abs(g.mean() - (2 * mu - x)) < 4 * g.std() / N**0.5  # all have the same mean
        variance[name].append(g.var())

theory = {
    "A": lambda sigma: (2 * sigma) ** 2,
    "B": lambda sigma: sigma**2,
    "path": lambda sigma: (2 * sigma - 1 / sigma) ** 2,
}
for name, measured in variance.items():
    assert np.allclose(measured, theory[name](deviations), rtol=0.02)
print(f"variance of A over B: {variance['A'][0] / variance['B'][0]:.2f} at every σ")

# %% [markdown]
# So B is not always the best: near the optimum the path derivative is. B pays for the noise of log
# p(x|z), which the noise of log p(z) − log q(z|x) would have cancelled there.
#
# ## A VAE of digits
#
# `npvae.lab.compare` measures the same for any model, at the same noise for all. Of a minibatch of
# 100 digits, over 200 draws of ε:

# %%
digits = npvae.data.load_digits()
vae = npvae.VAE(latent_dim=2, hidden=(64,), epochs=10, learning_rate=5e-3, random_state=0)
vae.fit(digits)
found = npvae.lab.compare(["A", "B", "stl"], vae, digits.images[:100], n_draws=200, rng=0)
of_digits = {row.estimator: row.variance for row in found.select(block="encoder")}
print("of the digits' encoder: " + ", ".join(f"{k} {v:.2g}" for k, v in of_digits.items()))
assert of_digits["B"] < of_digits["A"]


# %%
def draw(fig):
    left = chart(fig, 121, title="All is normal: variance of ∂/∂μ", x="σ of q(z|x)")
    fine, colours = np.linspace(0.25, 2, 700), COLOURS[0:6:2]
    for colour, (name, curve) in zip(colours, theory.items(), strict=True):
        left.semilogy(fine, curve(fine), color=colour, lw=1)
        left.semilogy(deviations, variance[name], "o", ms=4, color=colour, label=name)
    left.set_ylim(1e-3, 30)
    left.text(0.76, 1.5e-3, "σ² = ½, the true posterior", fontsize=8, color=colours[-1])
    left.legend(frameon=False, fontsize=8, loc="lower right")
    right = chart(fig, 122, title="Digits: variance of the encoder's gradient")
    right.bar(["A", "B", "stl (path)"], [*of_digits.values()], color=colours, width=0.5)


show("05_estimators_a_and_b", draw)

# %% [markdown]
# ## Your turn
#
# The part of A that stands in place of the KL: r = log q(z|x) − log p(z) at a sample,
#
#     r = ½ Σ_j z_j² − ε_j² − log σ_j²,     z = μ + σ ε
#
# Its gradient by μ and log σ² comes by way of z, and beside it. A finished version is in
# `solutions/05_estimators_a_and_b.py`; the package's own is `normal_log_ratio_backward` in
# `npvae/ops/latent.py`.

# %%
def log_ratio(mu, logvar, eps):
    """(M, J) each → (M,)"""
    z = mu + np.exp(logvar / 2) * eps
    return 0.5 * (z**2 - eps**2 - logvar).sum(axis=-1)


def log_ratio_backward(d_r, mu, logvar, eps):
    """d_r (M,), mu, logvar and eps (M, J)"""
    d_mu = ...  # (M, J)
    d_logvar = ...  # (M, J)
    return d_mu, d_logvar


M, J = 5, 3
print(check_backward(log_ratio_backward, log_ratio, rng.normal(size=(M, J)),
                     rng.normal(size=(M, J)), eps=rng.normal(size=(M, J))))  # fmt: skip
