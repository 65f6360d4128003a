# %% [markdown]
# # 7. Posterior collapse, how it looks in the gradients, and what to do
#
# Sometimes a VAE learns nothing about x, and looks well while it does so. The encoder gives the
# prior whatever x is, μ = 0 and σ = 1; the decoder gives the mean of the data whatever z is. The KL
# is then 0, which is as good as it gets. No gradient is wrong. What happened?
#
# Two forces act on the encoder. One comes through the sample, from log p(x|z): make z tell of x.
# The other is the KL's: be the prior. Early in training the decoder cannot read z yet, so the first
# force is weak, and the second is not. If q(z|x) gets to the prior before the decoder learns to
# read, z is pure noise, the decoder learns to leave it alone, and then **nothing comes back through
# the sample any more**.

# %%
import warnings

import numpy as np
from picture import show

import npvae
from npvae.plotting.style import ONE, OTHER, chart
from npvae.testing import check_backward

digits = npvae.data.load_digits()
train, held_out = digits.split(297, seed=0)
J = 10
settings = {
    "latent_dim": J, "hidden": (128, 64), "activation": "relu", "learning_rate": 0.01,
    "epochs": 20, "random_state": 0, "verbose": False,
}  # fmt: skip

# %% [markdown]
# ## Taking the two forces apart
#
# The loss is −log p(x|z) + β KL, so its gradient is a straight line in β. At β = 0 it is what comes
# through the sample alone; what β = 1 adds to that is the KL's. Of both we take the norm over all
# parameters of the encoder, after every epoch, at the same noise.

# %%
X, eps = train.images[:300], np.random.default_rng(0).normal(size=(1, 300, J))
probes = [npvae.VAE(**settings, kl_weight=beta).initialize(64) for beta in (0.0, 1.0)]


def forces(vae):
    """‖gradient‖ of the encoder through the sample, and from the KL."""
    found = []
    for probe in probes:
        probe.set_parameters(vae.parameters)
        _, grad = probe.loss_and_grad(X, eps)
        found.append(np.concatenate([d.ravel() for k, d in grad.items() if "encoder" in k]))
    through_sample, with_kl = found
    return np.linalg.norm(through_sample), np.linalg.norm(with_kl - through_sample)


def trained(**options):
    vae, found = npvae.VAE(**settings, **options), []
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        vae.fit(train, callbacks=lambda state: found.append(forces(vae)))
    return vae, np.array(found), [str(warning.message) for warning in told]


collapsed, its_forces, told = trained()
print("npvae warns:", told[0].partition(";")[0])
healthy, other_forces, _ = trained(kl_warmup=10)

for name, vae, norms in (("plain", collapsed, its_forces), ("warmed up", healthy, other_forces)):
    print(f"{name:9}  bound {vae.score(held_out):6.2f} nats, "
          f"{vae.history_['active_latents'][-1]:2} of {J} latents active, "
          f"forces {norms[-1, 0]:.3f} (sample) and {norms[-1, 1]:.3f} (KL)")  # fmt: skip
assert collapsed.history_["active_latents"][-1] == 0
assert healthy.history_["active_latents"][-1] >= 2
assert healthy.score(held_out) > collapsed.score(held_out) + 1.5
assert other_forces[-1].min() > 20 * its_forces[-1].max()

# %% [markdown]
# That is how to tell. A **healthy** model at rest has two large forces that hold each other in
# balance. A **collapsed** one has none: it is a stationary point, and gradient descent has no
# reason to leave.
#
# ## What to do
#
# - **Warm-up** (Bowman et al. 2016): let β rise from 0 to 1 over the first epochs, so that the
#   decoder learns to read z before the KL pulls. Here this is all that it takes, and what is
#   maximised in the end is still the bound.
# - **Free bits** (Kingma et al. 2016): up to λ nats of KL a latent cost nothing, so there is
#   nothing to gain by being closer to the prior. This changes what is maximised, for good.
# - A smaller learning rate or a simpler network helps too: all is decided in the first epochs.
#
# If even a warm-up ends in collapse, it may be the optimum: with β = 4 it is, on these digits.

# %%
def draw(fig):
    left = chart(fig, 121, title="Forces on the encoder", x="epoch", y="norm of the gradient")
    right = chart(fig, 122, title="Active latents, of 10", x="epoch")
    for name, vae, norms, colour in (
        ("plain", collapsed, its_forces, OTHER), ("warmed up", healthy, other_forces, ONE)
    ):  # fmt: skip
        epochs = 1 + np.arange(len(norms))
        left.semilogy(epochs, norms[:, 0], color=colour, label=f"{name}, through the sample")
        left.semilogy(epochs, norms[:, 1], color=colour, ls="--", label=f"{name}, from the KL")
        right.step(epochs, vae.history_["active_latents"], where="mid", color=colour, label=name)
    left.legend(frameon=False, fontsize=7)
    right.set_ylim(-0.5, J + 0.5)
    for ax in (left, right):
        ax.set_xticks([1, 5, 10, 15, 20])
    right.legend(frameon=False, fontsize=8)


show("07_posterior_collapse", draw)

# %% [markdown]
# ## Your turn
#
# The gradient of a KL with free bits. The mean KL of latent j over the minibatch is K_j, and
#
#     free_kl = Σ_j max(λ, K_j),    K_j = (1/M) Σ_m ½ (μ_mj² + σ_mj² − 1 − log σ_mj²)
#
# A latent whose K_j is below λ feels nothing. d (a number) is ∂loss/∂free_kl. A finished version is
# in `solutions/07_posterior_collapse.py`; the package's own is `free_bits_backward` in
# `npvae/ops/latent.py`.

# %%
def mean_kl(mu, logvar):
    """(M, J) each → (J,)"""
    return 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).mean(axis=0)


def free_kl(mu, logvar, free_nats):
    return np.maximum(free_nats, mean_kl(mu, logvar)).sum()


def free_kl_backward(d, mu, logvar, free_nats):
    """d a number, mu and logvar (M, J), free_nats λ"""
    d_mu = ...  # (M, J)
    d_logvar = ...  # (M, J)
    return d_mu, d_logvar


rng = np.random.default_rng(0)
mu, logvar = rng.normal(size=(5, 4)), rng.normal(size=(5, 4))
print(check_backward(free_kl_backward, free_kl, mu, logvar,
                     free_nats=np.median(mean_kl(mu, logvar))))  # fmt: skip
