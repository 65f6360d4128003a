# %% [markdown]
# # 1. A gradient through an affine layer
#
# A network is a chain of functions, and most of its numbers sit in one kind of link:
#
#     a = x Wᵀ + b            x (M, D),  W (H, D),  b (H,)   →   a (M, H)
#
# Each row of x is a datapoint, M of them in a minibatch; every layer of encoder and decoder begins
# like this (appendix C of the paper). Somewhere further on there is a loss, which is one number.
#
# Write **d_v for ∂loss/∂v**. It always has the shape of v. The layer is handed d_a, (M, H), by
# whatever comes after it, and has to find d_x, d_W and d_b. It need not know what the loss is: all
# that the loss has to say to this layer is in d_a.

# %%
import numpy as np
from picture import show

from npvae.plotting.style import ONE, OTHER, chart
from npvae.testing import check_backward

rng = np.random.default_rng(0)
M, D, H = 5, 3, 4
x = rng.normal(size=(M, D))
W = rng.normal(size=(H, D))
b = rng.normal(size=H)


def affine(x, W, b):
    return x @ W.T + b  # (M, H)


# %% [markdown]
# ## One element at a time
#
# Row m and column i of the product are one sum,
#
#     a_mi = Σ_j x_mj W_ij + b_i
#
# so W_ij takes part in a_mi for *every* datapoint m, and in no other column than i. The chain rule
# adds up everything that a number takes part in:
#
#     d_W_ij = Σ_m d_a_mi x_mj
#
# That is the rule behind every gradient in this package: **what is used several times gets the sum
# of what comes back**. In slow and plain Python, for the loss Σ tanh(a)² / M:

# %%
def loss(x, W, b):
    return (np.tanh(affine(x, W, b)) ** 2).sum() / M


h = np.tanh(affine(x, W, b))  # (M, H)
d_a = 2 * h * (1 - h**2) / M  # (M, H) what the loss has to say

d_W = np.zeros((H, D))
for i in range(H):
    for j in range(D):
        for m in range(M):
            d_W[i, j] += d_a[m, i] * x[m, j]

# %% [markdown]
# ## Is it right?
#
# A derivative is a promise about what happens when a number moves a little. So move it, both ways:
#
#     (loss(W + s) − loss(W − s)) / 2s
#
# This **central difference** is wrong by about s²: of a parabola it is exact. But the two losses
# are rounded to 16 digits, and what they differ by keeps fewer of those as the step s shrinks: an
# error of about 1e-16 / s. The best step lies between, near the cube root of 1e-16.
#
# Where the formulas take complex numbers there is a trick with no subtraction in it, the **complex
# step** Im loss(W + is) / s. It may be as small as one likes.

# %%
def central(i, j, s):
    moved = [W.copy(), W.copy()]
    moved[0][i, j] += s
    moved[1][i, j] -= s
    return (loss(x, moved[0], b) - loss(x, moved[1], b)) / (2 * s)


def complex_step(i, j, s):
    moved = W.astype(complex)
    moved[i, j] += 1j * s
    return loss(x, moved, b).imag / s


steps = 10.0 ** np.arange(-13, 0)
errors = {
    method.__name__: [
        max(abs(method(i, j, s) - d_W[i, j]) for i in range(H) for j in range(D)) / abs(d_W).max()
        for s in steps
    ]
    for method in (central, complex_step)
}
best = min(errors["central"])
print(f"relative error of d_W: {best:.0e} at the best step of central differences,")
print(f"                       {errors['complex_step'][0]:.0e} by the complex step")
assert best < 1e-9
assert errors["complex_step"][0] < 1e-14
assert errors["central"][0] > 1e4 * best  # a step too small
assert errors["central"][-1] > 1e4 * best  # a step too large


# %%
def draw(fig):
    ax = chart(fig, title="How far a difference is from d_W", x="step s", y="relative error")
    ax.loglog(steps, errors["central"], "o-", color=ONE, label="central difference")
    ax.loglog(steps, np.maximum(errors["complex_step"], 1e-17), "s-", color=OTHER,
              label="complex step")  # fmt: skip
    ax.text(1e-13, 1e-6, "rounding,\nabout 1e-16 / s", fontsize=8, color=ONE)
    ax.text(3e-4, 1e-9, "curvature,\nabout s²", fontsize=8, color=ONE)
    ax.legend(frameon=False, fontsize=8)


show("01_affine_layer", draw, width=6)

# %% [markdown]
# ## Your turn
#
# Write the whole backward pass, without a loop: each line is a product of two matrices, or a sum.
# If you forget which is transposed, let the shapes tell you. d_W has the shape of W, and of d_a (M,
# H) and x (M, D) there is only one product that is (H, D).
#
# The last line holds what you wrote against central differences, for a d_a at random. A finished
# version is in `solutions/01_affine_layer.py`.

# %%
def affine_backward(d_a, x, W, b):
    """d_a (M, H), x (M, D), W (H, D), b (H,)"""
    d_x = ...  # (M, D)
    d_W = ...  # (H, D)
    d_b = ...  # (H,)
    return d_x, d_W, d_b


print(check_backward(affine_backward, affine, x, W, b))
