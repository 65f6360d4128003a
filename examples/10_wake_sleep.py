# %% [markdown]
# # 10. Wake-sleep against AEVB
#
# Before the reparameterization there was wake-sleep (Hinton et al. 1995), which trains the same two
# networks, and the paper's figure 2 compares with it. It also needs a gradient for the encoder, and
# gets around the sampling that blocks it (lesson 2) in another way: **it never goes through a
# sample**.
#
#     wake     a datapoint x, z ~ q(z|x)           step θ along ∂log p(x|z)/∂θ
#     sleep    a dream z′ ~ p(z), x′ ~ p(x|z′)     step φ along ∂log q(z′|x′)/∂φ
#
# In its sleep the model makes up x′ from a z′ that it knows, and the encoder learns to guess z′.
# Both gradients are simple. But what do they descend on? The wake step raises the lower bound. The
# sleep step lowers KL(p(z|x) ‖ q(z|x)), and not the KL(q(z|x) ‖ p(z|x)) of the bound; and it does
# so for dreams, not for data. There is no one function whose gradient the two steps are.
#
# AEVB, the paper's algorithm, has one: the bound. d_z comes back from the decoder through z = μ + σ
# ε, so that the encoder learns *from data* what its codes are good for.

# %%
import numpy as np
from picture import show

import npvae
from npvae.plotting.style import ONE, OTHER, chart, label
from npvae.testing import check_backward

digits = npvae.data.load_digits()
train, held_out = digits.split(297, seed=0)
settings = {"latent_dim": 2, "hidden": (64,), "learning_rate": 3e-3, "epochs": 80,
            "binarize": "threshold", "verbose": False}  # fmt: skip
dreams = {}


def dream(state):
    """After the first epoch, what the encoder of the wake-sleep model in hand is trained on."""
    if "after 1 epoch" not in dreams:
        dreams["after 1 epoch"] = asleep.sample(8, rng=0, draw=True)  # (8, D) of 0 and 1


curves = {"AEVB": [], "wake-sleep": []}
for seed in range(3):
    awake = npvae.VAE(**settings, random_state=seed).fit(train, validation=held_out)
    asleep = npvae.WakeSleep(**settings, random_state=seed)
    asleep.fit(train, validation=held_out, callbacks=dream)
    for name, model in (("AEVB", awake), ("wake-sleep", asleep)):
        curves[name].append(model.history_["validation_elbo"])
dreams["after 80"] = asleep.sample(8, rng=0, draw=True)

# %% [markdown]
# ## The same networks, data and number of steps
#
# Pixels are black or white here, for data as for dreams: dreams that do not look like the data
# would be a handicap of their own. Both models are judged by the lower bound of digits that they
# have not seen. How far apart are they in the end, and when has AEVB got to where wake-sleep ends?

# %%
aevb, wake_sleep = (np.array(curve) for curve in curves.values())  # (3, epochs) each
gaps, reached = aevb[:, -1] - wake_sleep[:, -1], []
for seed in range(3):
    reached.append(1 + int(np.argmax(aevb[seed] >= wake_sleep[seed].max())))
    print(f"seed {seed}: AEVB {aevb[seed, -1]:.2f}, wake-sleep {wake_sleep[seed, -1]:.2f} nats; "
          f"AEVB is there after {reached[-1]} of 80 epochs")  # fmt: skip
assert gaps.min() > 0.4
assert max(reached) < 72


# %%
def draw(fig):
    axes = fig.subplots(3, 2)
    left = chart(fig, axes[0, 0].get_gridspec()[:, 0], title="Bound on new digits, 3 seeds",
                 x="epoch", y="nats per datapoint")  # fmt: skip
    for (name, found), colour in zip(curves.items(), (ONE, OTHER), strict=True):
        for k, curve in enumerate(found):
            left.plot(1 + np.arange(80), curve, color=colour, lw=1, label=None if k else name)
    left.legend(frameon=False, fontsize=8)
    rows = {"AEVB's encoder learns from data": train.images[:8] > 0.5}
    rows |= {f"wake-sleep's from dreams: {when}": x for when, x in dreams.items()}
    for (blank, ax), (title, images) in zip(axes, rows.items(), strict=True):
        blank.remove()
        strip = [np.pad(image.reshape(8, 8), 1, constant_values=1) for image in images]
        ax.imshow(np.hstack(strip), cmap="gray", vmin=0, vmax=1)
        ax.set_axis_off()
        label(ax, title)


show("10_wake_sleep", draw, width=9)

# %% [markdown]
# ## Your turn
#
# The heart of the sleep step: the gradient of log q(z|x) by μ and log σ², with **z held**. Compare
# with lesson 2: no ε, no d_z, nothing comes from the decoder. It is the score function's ∂log q/∂φ
# too. A finished version is in `solutions/10_wake_sleep.py`.

# %%
def log_q(mu, logvar, z):
    """(M, J) each → (M,)"""
    return -0.5 * (np.log(2 * np.pi) + logvar + (z - mu) ** 2 / np.exp(logvar)).sum(axis=1)


def log_q_backward(d_log_q, mu, logvar, z):
    """d_log_q (M,), mu, logvar and z (M, J)"""
    d_mu = ...  # (M, J)
    d_logvar = ...  # (M, J)
    return d_mu, d_logvar


rng = np.random.default_rng(0)
print(check_backward(log_q_backward, log_q, rng.normal(size=(5, 3)), rng.normal(size=(5, 3)),
                     z=rng.normal(size=(5, 3))))  # fmt: skip
