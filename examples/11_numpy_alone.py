# %% [markdown]
# # 11. Ship it with NumPy alone
#
# A trained VAE is a few arrays and two formulas. A model file is an ordinary `.npz`: the parameters
# by name, and the settings as JSON, nothing pickled. So a program that *uses* a model needs neither
# this package nor any framework. Here is one, whole; it reads a model and writes images.

# %%
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from picture import show

import npvae
from npvae.plotting.style import label
from npvae.testing import check_backward

SHIPPED = '''
import json
import sys

import numpy as np

P = np.load("model.npz")
params = json.loads(str(P["config"]))["params"]
assert params["activation"] == "tanh" and params["likelihood"] == "bernoulli"

h = np.random.default_rng(0).standard_normal((6, params["latent_dim"]))     # z ~ N(0, I)   (6, J)
for i in range(len(params["hidden"])):
    W, b = P[f"decoder.hidden.{i}.weight"], P[f"decoder.hidden.{i}.bias"]
    h = np.tanh(h @ W.T + b)                                                # (6, H)
logits = h @ P["decoder.logits.weight"].T + P["decoder.logits.bias"]        # (6, D)
images = 1 / (1 + np.exp(-logits))
np.save("images.npy", images)
assert not {"npvae", "torch", "jax", "scipy"} & set(sys.modules)

for row in images.reshape(6, 8, 8).transpose(1, 0, 2):
    print("  ".join("".join(" .:-=+*#%@"[int(9.99 * p)] * 2 for p in image) for image in row))
'''

# %% [markdown]
# Train a model, save it, and run that program in a fresh interpreter, in a folder with the model
# and nothing else. What it has drawn should be what `inverse_transform` gives at the same z.

# %%
digits = npvae.data.load_digits()
train, held_out = digits.split(297, seed=0)
J = 5
vae = npvae.VAE(latent_dim=J, hidden=(64,), learning_rate=5e-3, epochs=100, random_state=0)
vae.fit(train)

with tempfile.TemporaryDirectory() as folder:
    vae.save(f"{folder}/model.npz")
    Path(folder, "ship.py").write_text(SHIPPED, encoding="utf-8")
    done = subprocess.run([sys.executable, "-X", "utf8", "ship.py"], cwd=folder,
                          capture_output=True, text=True, check=True)  # fmt: skip
    images, size = np.load(f"{folder}/images.npy"), Path(folder, "model.npz").stat().st_size
    with np.load(f"{folder}/model.npz") as file:
        P = {name: file[name].astype(float) for name in file.files if "coder" in name}

print(done.stdout)
z = np.random.default_rng(0).standard_normal((6, J))
difference = abs(images - vae.inverse_transform(z)).max()
print(f"{len(SHIPPED.splitlines())} lines and a file of {size / 1000:.0f} kB; "
      f"the images differ from npvae's by {difference:.0e} at most")  # fmt: skip
assert difference < 1e-5

# %% [markdown]
# ## Something to do with it: the other half of a digit
#
# The lower half of a digit is hidden. Which z is likeliest, given the upper half? Descend on
#
#     E(z) = −log p(x_upper|z) − log p(z)
#
# and decode the whole. The encoder is of no use here, since it knows whole digits only. With J = 5
# a gradient by differences costs ten passes through the decoder, and that will do.

# %%
decoder = {
    "W2": P["decoder.hidden.0.weight"], "b2": P["decoder.hidden.0.bias"],  # (H, J), (H,)
    "W3": P["decoder.logits.weight"], "b3": P["decoder.logits.bias"],  # (D, H), (D,)
}  # fmt: skip
SEEN = 32  # pixels: the upper four rows


def decode(z, W2, b2, W3, b3):
    """z (M, J) → logits (M, D)"""
    return np.tanh(z @ W2.T + b2) @ W3.T + b3


def energy(z, x):
    """−log p(x_upper|z) − log p(z), less a constant.   (M,)"""
    l = decode(z, **decoder)[:, :SEEN]
    return (np.logaddexp(0, l) - x[:, :SEEN] * l).sum(axis=1) + 0.5 * (z**2).sum(axis=1)


def slope(z, x, s=1e-5):
    """∂E/∂z by central differences.   (M, J)"""
    moved = s * np.eye(J)
    return np.stack([energy(z + d, x) - energy(z - d, x) for d in moved], axis=1) / (2 * s)


X = held_out.images[:60].astype(float)
starts = np.random.default_rng(1).standard_normal((6, 1, J))  # several: E has several valleys
candidates = np.repeat(starts, len(X), axis=1)  # (6, M, J)
for z in candidates:
    for _ in range(40):
        z -= 0.1 * np.clip(slope(z, X), -3, 3)
best = np.argmin([energy(z, X) for z in candidates], axis=0)  # (M,)
z = candidates[best, np.arange(len(X))]
guess = 1 / (1 + np.exp(-decode(z, **decoder)))

unseen = X[:, SEEN:]
error = abs(guess[:, SEEN:] - unseen).mean()
by_mean = abs(train.images[:, SEEN:].mean(axis=0) - unseen).mean()
print(f"hidden pixels are off by {error:.3f}; the mean of all digits is off by {by_mean:.3f}")
assert error < 0.9 * by_mean


# %%
def draw(fig):
    hidden = X.copy()
    hidden[:, SEEN:] = 0.5
    rows = {"what is seen": hidden, "guessed": guess, "the truth": X}
    for ax, (name, images) in zip(fig.subplots(3, 1), rows.items(), strict=True):
        ax.imshow(np.hstack([np.pad(image.reshape(8, 8), 1, constant_values=1)
                             for image in images[:12]]), cmap="gray", vmin=0, vmax=1)  # fmt: skip
        ax.set_axis_off()
        label(ax, name)


show("11_numpy_alone", draw, height=3.6)

# %% [markdown]
# ## Your turn
#
# With J = 200 differences would cost 400 passes. Write the way back through the decoder instead,
# from the logits to z: half of lesson 8, in two lines. It is all the gradient that a shipped model
# needs, and NumPy alone runs it. A finished version is in `solutions/11_numpy_alone.py`.

# %%
def decode_backward(d_l, z, W2, b2, W3, b3):
    """d_l (M, D), z (M, J)"""
    d_z = ...  # (M, J)
    return d_z


print(check_backward(decode_backward, decode, z[:5], **decoder))
