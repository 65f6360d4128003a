# %% [markdown]
# # 4. Why y − x
#
# The decoder ends in a number for each pixel, the logit l. A pixel is white with probability y, and
# x is what it really is: 0 or 1, or a grey value between (eq. 11 of the paper):
#
#     y = 1 / (1 + e^−l)
#     −log p(x|z) = −Σ_d x_d log y_d + (1 − x_d) log(1 − y_d)
#
# The gradient goes back through the logarithms, and then through the sigmoid:
#
#     d_y = (y − x) / (y (1 − y))         from −x/y + (1 − x)/(1 − y)
#     d_l = d_y · y (1 − y)               since dy/dl = y (1 − y)
#
# What is divided by is multiplied by again, and all that is left is
#
#     d_l = y − x
#
# *What is predicted less what is there.* The same comes out of a normal likelihood with σ = 1, and
# of any likelihood that is an exponential family in its own parameter.

# %%
import numpy as np
from picture import show

import npvae
from npvae.plotting.style import ONE, OTHER, chart, label
from npvae.testing import check_backward


def sigmoid(l):
    return 1 / (1 + np.exp(-l))


def in_two_steps(l, x):
    """Through the logarithm, then through the sigmoid."""
    y = sigmoid(l)
    d_y = (y - x) / (y * (1 - y))
    return d_y * y * (1 - y)


# %% [markdown]
# ## On paper the same, in a computer not
#
# A network that is sure has large logits. In float32 1 − y is rounded to 0 from l = 17 on, and what
# was to be divided by it is lost. Take a pixel that is black, x = 0, while the network says white:
# the worst mistake that it can make, and where it needs its gradient most.

# %%
logits = np.arange(0, 41, dtype=np.float32)
x = np.float32(0)
truth = sigmoid(logits.astype(np.float64))  # y − x, with digits to spare
with np.errstate(all="ignore"):
    two_steps = in_two_steps(logits, x)
at_once = sigmoid(logits) - x
lost = ~(abs(two_steps - truth) < 0.1)  # NaN is lost too
print(f"in two steps the gradient is lost from the logit {logits[lost][0]:.0f} on")
print(f"y − x is within {abs(at_once - truth).max():.0e} of the truth at every logit")
assert logits[lost][0] == 17
assert lost[17:].all()
assert abs(at_once - truth).max() < 1e-6

# %% [markdown]
# That is why likelihood and sigmoid are one op in this package, from the logits, there and back:
# `npvae/ops/likelihoods/bernoulli.py`. The forward pass too: −log p(x|z) = Σ_d softplus(l_d) − x_d
# l_d, where softplus(l) = log(1 + e^l), has no logarithm of a probability that could be 0.
#
# ## What the decoder is told
#
# Train a VAE on digits for a while, and look at y − x as a picture. Red pixels are brighter than
# they should be, blue ones darker: this, and nothing else, is where the whole backward pass begins.

# %%
digits = npvae.data.load_digits()
vae = npvae.VAE(latent_dim=2, hidden=(64,), learning_rate=5e-3, epochs=10, random_state=0)
vae.fit(digits)
X = digits.images[[0, 3, 16, 20, 4]]  # (5, D)
Y = vae.reconstruct(X)
print(f"mean of |y − x| over these pixels: {abs(Y - X).mean():.2f}")


def draw(fig):
    axes = fig.subplots(3, 6, width_ratios=[1, 1, 1, 1, 1, 3.2])
    label(axes[0, 0], "What the decoder is told")
    rows = (X, "x", "gray", 0), (Y, "y", "gray", 0), (Y - X, "y − x", "RdBu_r", -1)
    for (images, name, cmap, low), row in zip(rows, axes, strict=True):
        for ax, image in zip(row, images, strict=False):
            ax.imshow(image.reshape(8, 8), cmap=cmap, vmin=low, vmax=1)
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        row[0].set_ylabel(name, fontsize=10)
        row[-1].remove()
    right = chart(fig, axes[0, 0].get_gridspec()[:, 5], title="d_l of a black pixel, float32",
                  x="logit l")  # fmt: skip
    right.plot(logits, at_once, color=ONE, lw=3, alpha=0.5, label="y − x")
    right.plot(logits, np.nan_to_num(two_steps), "o", ms=3, color=OTHER,
               label="in two steps (NaN is drawn as 0)")  # fmt: skip
    right.legend(frameon=False, fontsize=8)


show("04_y_minus_x", draw)

# %% [markdown]
# ## Your turn
#
# The backward pass from the loss to the logits, of M datapoints. d_nll (M,) is ∂loss/∂nll: 1/M each
# if the loss is the mean. x is data, and nothing is differentiated by it. A finished version is in
# `solutions/04_y_minus_x.py`.

# %%
def nll(l, x):
    """−log p(x|z) of each datapoint.   l, x (M, D) → (M,)"""
    return (np.logaddexp(0, l) - x * l).sum(axis=-1)


def nll_backward(d_nll, l, x):
    """d_nll (M,), l and x (M, D)"""
    d_l = ...  # (M, D)
    return d_l


rng = np.random.default_rng(0)
print(check_backward(nll_backward, nll, rng.normal(size=(5, 3)), x=rng.random((5, 3))))
