"""The gradient of a VAE on one screen, checked against the library.

    python examples/gradient_by_hand.py

Every line of the backward pass undoes the line of the forward pass that stands opposite,
from the bottom up. ``d_v`` is ∂loss/∂v.
"""
import numpy as np

import npvae

x = npvae.data.load_digits().images[:100]  # (M, D) pixels in [0, 1]
vae = npvae.VAE(latent_dim=2, hidden=(64,), dtype="float64", random_state=0).initialize(64)
W1, W_mu, W_lv, W2, W3, b1, b_mu, b_lv, b2, b3 = vae.parameters.values()
M, J = 100, 2
eps = np.random.default_rng(0).standard_normal((1, M, J))  # the only randomness

# forward: from pixels to the bound
h = np.tanh(x @ W1.T + b1)  # (M, H) encoder
mu, logvar = h @ W_mu.T + b_mu, h @ W_lv.T + b_lv  # (M, J) q(z|x) = N(μ, σ²)
sigma = np.exp(logvar / 2)
z = mu + sigma * eps[0]  # (M, J) the reparameterization
g = np.tanh(z @ W2.T + b2)  # (M, H) decoder
y = 1 / (1 + np.exp(-(g @ W3.T + b3)))  # (M, D) p(x|z) = Bernoulli(y)
log_px = (x * np.log(y) + (1 - x) * np.log(1 - y)).sum(1)  # (M,)
kl = 0.5 * (mu**2 + sigma**2 - 1 - logvar).sum(1)  # (M,)
loss = (kl - log_px).mean()  # minus the lower bound, nats per datapoint

# backward: the same page from the bottom up
d_l = (y - x) / M  # (M, D) through the log-likelihood and the sigmoid at once
d_W3, d_b3 = d_l.T @ g, d_l.sum(0)
d_a = (d_l @ W3) * (1 - g**2)  # (M, H) through tanh
d_W2, d_b2 = d_a.T @ z, d_a.sum(0)
d_z = d_a @ W2  # (M, J)
d_mu = d_z + mu / M  # by way of z, and of the KL
d_lv = d_z * eps[0] * sigma / 2 + (sigma**2 - 1) / 2 / M
d_W_mu, d_b_mu, d_W_lv, d_b_lv = d_mu.T @ h, d_mu.sum(0), d_lv.T @ h, d_lv.sum(0)
d_a = (d_mu @ W_mu + d_lv @ W_lv) * (1 - h**2)  # (M, H)
d_W1, d_b1 = d_a.T @ x, d_a.sum(0)

by_hand = (d_W1, d_W_mu, d_W_lv, d_W2, d_W3, d_b1, d_b_mu, d_b_lv, d_b2, d_b3)
loss_npvae, gradient = vae.loss_and_grad(x, eps)
pairs = zip(by_hand, gradient.values(), strict=True)
worst = max(abs(a - b).max() / abs(b).max() for a, b in pairs)
print(f"loss {loss:.6f} by hand, {loss_npvae:.6f} by npvae")
print(f"worst relative difference of any gradient {worst:.0e}")
assert worst < 1e-9
