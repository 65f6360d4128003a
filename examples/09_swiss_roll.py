# %% [markdown]
# # 9. From auto-encoder to VAE on the swiss roll
#
# The swiss roll is a sheet rolled up in space: three numbers a point, of which two are enough. An
# auto-encoder finds such two numbers. Its loss is how far a point is from what became of it,
#
#     x  →  code z  →  x̂,        Σ_d (x_d − x̂_d)²
#
# and nothing else. It never says *where* its codes lie. So where would one take a z from, to get a
# new point of the roll? From auto-encoder to VAE it takes three steps, and no fourth:
#
# 1. The error becomes −log p(x|z), of a normal likelihood with deviation σ_x. That is the same
#    error, in nats.
# 2. The code becomes a distribution, q(z|x) = N(μ, σ²), and z a draw from it. Now neighbouring
# codes
#    have to mean neighbouring points.
# 3. The KL is added. Now codes are asked to lie where p(z) = N(0, I) puts them.

# %%
import numpy as np
from picture import show

import npvae
from npvae.plotting.style import ONE, OTHER, chart
from npvae.testing import check_backward

roll = npvae.data.make_swiss_roll(1500, rng=0)
X, t = roll.images, roll.labels  # (1500, 3), and how far along the roll
fine = npvae.data.make_swiss_roll(4000, rng=1).images  # the sheet, to measure distances by

settings = {
    "latent_dim": 2, "hidden": (64, 64), "activation": "relu", "likelihood": "normal",
    "likelihood_std": 0.1, "learning_rate": 5e-3, "schedule": "cosine", "batch_size": 50,
    "epochs": 80, "random_state": 1, "verbose": False,
}  # fmt: skip
ae = npvae.Autoencoder(**settings).fit(X)
vae = npvae.VAE(**settings).fit(X)

# %% [markdown]
# ## What is gained, and what it costs
#
# Three numbers for each. How far is a point from its reconstruction? Cut the latent plane into 100
# cells that are equally likely under N(0, I): how many of them does no datapoint use? And if z is
# drawn from N(0, I), how far is the new point from the sheet?

# %%
def distance(points):
    """From each point to the nearest of the sheet."""
    return np.sqrt(((points[:, None] - fine) ** 2).sum(axis=-1)).min(axis=1)


rng = np.random.default_rng(0)
edges = np.quantile(rng.normal(size=100_000), np.linspace(0.1, 0.9, 9))


def empty_cells(Z):
    """Of a hundred, those without a code."""
    cells = np.searchsorted(edges, Z)  # (N, 2) of 0 … 9
    return 100 - len(np.unique(cells, axis=0))


z = rng.normal(size=(1500, 2)).astype(np.float32)
codes = {"auto-encoder": ae.transform(X), "VAE": vae.posterior_of(X).sample(rng=0)}
samples = {"auto-encoder": ae.inverse_transform(z), "VAE": vae.inverse_transform(z)}
error, empty, off = {}, {}, {}
for name, model in (("auto-encoder", ae), ("VAE", vae)):
    x_hat = model.inverse_transform(model.transform(X))
    error[name] = np.sqrt(((X - x_hat) ** 2).sum(axis=1)).mean()
    empty[name], off[name] = empty_cells(codes[name]), distance(samples[name]).mean()
    print(f"{name:13} reconstruction off by {error[name]:.2f}, {empty[name]:2} cells of 100 empty, "
          f"samples off the sheet by {off[name]:.2f}")  # fmt: skip
assert error["auto-encoder"] < error["VAE"]
assert empty["VAE"] <= 5 < empty["auto-encoder"]
assert off["VAE"] < off["auto-encoder"]

# %% [markdown]
# The auto-encoder is the better copier, as it should be: it has nothing else to do. The VAE gives
# some of that away, and gets a latent plane without holes, where nearly every z that the prior
# draws is a point of the roll. What is still off the sheet lies on the seams: a disc cannot be laid
# on a roll without the plane jumping somewhere from one turn of the spiral to the next.

# %%
def draw(fig):
    panels = iter(np.arange(6).reshape(2, 3).T.ravel() + 231)  # column by column

    def scatter(title, points, colours, limit):
        ax = chart(fig, next(panels), title=title)
        ax.scatter(*points.T, c=colours, s=3)
        ax.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
        return ax

    for name in codes:
        scatter(f"{name}: codes", codes[name], t, 3.5)
        near = distance(samples[name]) < 0.25
        ax = scatter(f"{name}: z ~ N(0, I)", samples[name][:, ::2], np.where(near, ONE, OTHER), 1.7)
        ax.plot([], [], "o", ms=3, color=OTHER, label="off the sheet")
        ax.legend(frameon=False, fontsize=8, loc="upper left", borderpad=0)
    scatter("the roll, from its end", X[:, ::2], t, 1.7)


show("09_swiss_roll", draw, width=9, height=6)

# %% [markdown]
# ## Your turn
#
# Step 1 with a deviation that is learned: the decoder gives μ and log σ² of each feature (eq. 12),
#
#     −log p(x|z) = ½ Σ_d log 2π + log σ_d² + (x_d − μ_d)²/σ_d²
#
# With r = (x − μ)/σ, by μ it is −r/σ; what is it by log σ²? A finished version is in
# `solutions/09_swiss_roll.py`; the package's own is in `npvae/ops/likelihoods/normal.py`.

# %%
def nll(mean, logvar, x):
    """(M, D) each → (M,)"""
    r = (x - mean) * np.exp(-logvar / 2)
    return 0.5 * (np.log(2 * np.pi) + logvar + r**2).sum(axis=1)


def nll_backward(d_nll, mean, logvar, x):
    """d_nll (M,), mean, logvar and x (M, D)"""
    d_mean = ...  # (M, D)
    d_logvar = ...  # (M, D)
    return d_mean, d_logvar


print(check_backward(nll_backward, nll, rng.normal(size=(5, 3)), rng.normal(size=(5, 3)),
                     x=rng.normal(size=(5, 3))))  # fmt: skip
