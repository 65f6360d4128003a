# %% [markdown]
# # 8. Gradient norms by layer along training
#
# On its way back a gradient passes every layer: a product with Wᵀ and a factor 1 − h² each. If each
# passage makes it c times as large, n of them make it cⁿ times as large. With 64 units a layer and
# weights N(0, s²),
#
#     c = s √64 · (1 − h²)
#
# The paper draws its first weights from N(0, 0.01), for one hidden layer, and does not say whether
# 0.01 is the variance or the deviation. For one layer it does not matter much. Let us take four
# each way, and three values of s:
#
#     s = 0.01          c = 0.08: the gradient vanishes
#     s = 1/√64         c = 1: it is passed on as it is (LeCun et al. 1998), this package's default
#     s = 0.5           c = 4: it explodes

# %%
import numpy as np
from picture import show

import npvae
from npvae.plotting.style import chart
from npvae.testing import check_backward

digits = npvae.data.load_digits()
train, held_out = digits.split(297, seed=0)
X = train.images[:300]
eps = np.random.default_rng(0).normal(size=(1, 300, 2))


def norms(vae):
    """‖∂loss/∂W‖ of each layer, from the pixels in to the pixels out.   (11,)"""
    _, grad = vae.loss_and_grad(X, eps)
    return [np.linalg.norm(d) for name, d in grad.items() if name.endswith("weight")]


def watched(std):
    """Train, with the norms before the first epoch and after each.   (epochs + 1, 11)"""
    vae = npvae.VAE(latent_dim=2, hidden=(64,) * 4, learning_rate=3e-3, epochs=20, random_state=0,
                    initial_std=std, verbose=False).initialize(64)  # fmt: skip
    found = [norms(vae)]
    vae.fit(train, callbacks=lambda state: found.append(norms(vae)))
    return vae, np.array(found)


runs = {"s = 0.01": watched(0.01), "s = 1/√inputs": watched(None), "s = 0.5": watched(0.5)}
for name, (vae, found) in runs.items():
    first, last, end = found[0, 0], found[0, -1], vae.score(held_out)
    print(f"{name:13}  ‖d_W‖ before training: first layer {first:.0e}, last {last:.0e};  "
          f"bound after 20 epochs {end:.2f} nats")  # fmt: skip

# %% [markdown]
# The three start out with norms that differ by thirteen powers of ten. Adam divides every gradient
# by its own size, so even the first model comes to life; plain gradient descent with such gradients
# would stand still. But look at *how* it comes to life: from the output backwards, layer by layer,
# and only when the last layers have found something can the first ones hear of it.

# %%
vanishing, balanced, exploding = (found for _, found in runs.values())
spread = [found[0].max() / found[0].min() for found in (vanishing, balanced)]
print(f"largest over smallest at first: {spread[0]:.0f} with s = 0.01, {spread[1]:.0f} by default")
assert vanishing[0, 0] < 1e-8
assert exploding[0, 0] > 1e2
assert spread[0] > 1e4 > 30 > spread[1]
scores = [vae.score(held_out) for vae, _ in runs.values()]
assert scores[1] > scores[0] + 0.5
assert scores[1] > scores[2] + 0.5

# %% [markdown]
# A puzzle on the side: within the encoder all layers have nearly the same norm, at any s. Why?
# Because d_W = d_aᵀ h. Layer by layer towards the pixels, d_a becomes c times as large and h 1/c
# times, and the product stays. The norm of d_W tells that something is wrong, but not where.

# %%
def draw(fig):
    from matplotlib import colormaps

    for k, (name, (_, found)) in enumerate(runs.items()):
        ax = chart(fig, 131 + k, title=name, x="epoch", y="" if k else "norm of d_W")
        for layer, curve in enumerate(found.T):
            label = {0: "first layer", found.shape[1] - 1: "last layer"}.get(layer)
            colour = colormaps["viridis"](layer / found.shape[1])
            ax.semilogy(curve, color=colour, lw=1, label=label)
        ax.set_ylim(1e-10, 1e4)
        ax.set_xticks([0, 5, 10, 15, 20])
    ax.legend(frameon=False, fontsize=8, loc="lower right")


show("08_gradient_norms", draw)

# %% [markdown]
# ## Your turn
#
# The backward pass of a whole network of three layers. Start from d_a and go up the page, a layer
# at a time: what comes back through a tanh is multiplied by 1 − h². It is seven lines. A finished
# version is in `solutions/08_gradient_norms.py`; for any depth it is `MLP.backward` in
# `npvae/networks.py`.

# %%
def network(x, W1, W2, W3):
    """x (M, D), W1 (H, D), W2 (H, H), W3 (K, H) → (M, K)"""
    h1 = np.tanh(x @ W1.T)  # (M, H)
    h2 = np.tanh(h1 @ W2.T)  # (M, H)
    return h2 @ W3.T


def network_backward(d_a, x, W1, W2, W3):
    """d_a (M, K)"""
    d_W3 = ...  # (K, H)
    d_W2 = ...  # (H, H)
    d_W1 = ...  # (H, D)
    d_x = ...  # (M, D)
    return d_x, d_W1, d_W2, d_W3


rng = np.random.default_rng(0)
M, D, H, K = 5, 3, 4, 2
print(check_backward(network_backward, network, rng.normal(size=(M, D)), rng.normal(size=(H, D)),
                     rng.normal(size=(H, H)), rng.normal(size=(K, H))))  # fmt: skip
