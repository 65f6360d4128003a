"""Import, train, save, load, encode, decode and sample where NumPy is the only package."""
from importlib.metadata import distributions

import numpy as np

import npvae
from npvae.backend import get_backend

installed = {d.metadata["Name"].lower() for d in distributions()}
assert installed <= {"npvae", "numpy", "pip", "setuptools", "wheel"}, installed
assert get_backend().twins == "none"  # there was no compiler

digits = npvae.data.load_digits()
vae = npvae.VAE(latent_dim=2, hidden=(64,), epochs=5, random_state=0).fit(digits)
assert vae.history_["elbo"][-1] > vae.history_["elbo"][0]
vae.save("model.npz")
again = npvae.load("model.npz")
Z = again.transform(digits.images)
assert np.array_equal(Z, vae.transform(digits.images))
assert again.inverse_transform(Z).shape == digits.images.shape
assert np.isfinite(again.sample(10, rng=0)).all()
print(f"NumPy {np.__version__} alone: trained to {vae.history_['elbo'][-1]:.2f} nats, "
      "saved, loaded, encoded, decoded, sampled")
