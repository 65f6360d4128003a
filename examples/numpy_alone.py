"""Use a trained model with NumPy and nothing else: not even npvae.

    npvae train --out runs/digits
    python examples/numpy_alone.py runs/digits/model.npz

A model file is an ordinary ``.npz``: parameters by name, and the settings as JSON.
"""
import json
import sys

import numpy as np

if len(sys.argv) != 2:
    sys.exit("usage: python examples/numpy_alone.py RUN/model.npz")
P = np.load(sys.argv[1])
params = json.loads(str(P["config"]))["params"]
assert params["activation"] == "tanh" and params["likelihood"] == "bernoulli", params

h = np.random.default_rng(0).standard_normal((5, params["latent_dim"]))  # z ~ N(0, I)   (5, J)
n_hidden = len(params["hidden"])
for i in range(n_hidden):
    layer = f"decoder.hidden.{i}"
    h = np.tanh(h @ P[layer + ".weight"].T + P[layer + ".bias"])  # (5, H)
logits = h @ P["decoder.logits.weight"].T + P["decoder.logits.bias"]  # (5, D)
images = 1 / (1 + np.exp(-logits))

side = int(images.shape[1] ** 0.5)
for row in images.reshape(5, side, side).transpose(1, 0, 2):
    print("   ".join("".join(" .:-=+*#%@"[int(9.99 * p)] * 2 for p in image) for image in row))
