# %% [markdown]
# # 6. What breaks without the KL, without ε, without one term
#
# Five lessons put together are a whole VAE. Here is its gradient, one line back for each line
# there, to be read from the bottom up. Then we take out one piece at a time, train, and see two
# things: what becomes of the model, and whether a gradient check notices.
#
# `knob` holds three switches. With `kl` off there is no KL in the loss, with `eps` off no noise in
# z; with `slope` off the forward pass is right, and a term of the backward pass is forgotten: that
# of log σ² by way of z.

# %%
import numpy as np
from picture import show

import npvae
from npvae.ops.cpu.blas import held
from npvae.plotting.style import COLOURS, chart, label
from npvae.testing import check_backward, check_gradients

RIGHT = {"kl": 1, "eps": 1, "slope": 1}


def loss_and_grad(P, x, eps, knob=RIGHT):
    """x (M, D), eps (M, J) → minus the bound, nats per datapoint, and its gradient by name."""
    M, eps = len(x), knob["eps"] * eps
    # forward
    h = np.tanh(x @ P["W1"].T + P["b1"])  # (M, H) encoder
    mu, logvar = h @ P["Wm"].T + P["bm"], h @ P["Wv"].T + P["bv"]  # (M, J)
    sigma = np.exp(logvar / 2)
    z = mu + sigma * eps  # (M, J) eq. 4
    g = np.tanh(z @ P["W2"].T + P["b2"])  # (M, H) decoder
    l = g @ P["W3"].T + P["b3"]  # (M, D) logits
    nll = (np.logaddexp(0, l) - x * l).sum(1)  # (M,) eq. 11
    kl = knob["kl"] * 0.5 * (mu**2 + sigma**2 - 1 - logvar).sum(1)  # (M,) appendix B
    loss = (nll + kl).mean()  # eq. 7, L = 1
    # backward, from the bottom up
    d_l = (1 / (1 + np.exp(-l)) - x) / M  # (M, D) y − x
    d_u = (d_l @ P["W3"]) * (1 - g**2)  # (M, H) through tanh
    d_z = d_u @ P["W2"]  # (M, J)
    d_mu = d_z + knob["kl"] * mu / M  # by way of z, and of the KL
    d_lv = knob["slope"] * d_z * eps * sigma / 2 + knob["kl"] * (sigma**2 - 1) / 2 / M
    d_a = (d_mu @ P["Wm"] + d_lv @ P["Wv"]) * (1 - h**2)  # (M, H)
    return loss, {
        "W1": d_a.T @ x, "b1": d_a.sum(0), "Wm": d_mu.T @ h, "bm": d_mu.sum(0),
        "Wv": d_lv.T @ h, "bv": d_lv.sum(0), "W2": d_u.T @ z, "b2": d_u.sum(0),
        "W3": d_l.T @ g, "b3": d_l.sum(0),
    }  # fmt: skip


# %% [markdown]
# ## Training
#
# Adam, in the four lines that it is, over minibatches of 100 digits of 8 × 8 pixels. A model is
# judged by the bound with nothing taken out, on digits that it has not seen: what a model reports
# of itself is worth nothing here, since each of them is content with its own loss.

# %%
digits = npvae.data.load_digits()
train, held_out = digits.split(297, seed=0)
X, T = train.images.astype(float), held_out.images.astype(float)  # (1500, D), (297, D)
D, H, J, M = X.shape[1], 64, 2, 100
layers = {"1": (H, D), "m": (J, H), "v": (J, H), "2": (H, J), "3": (D, H)}


def trained(knob, epochs=30, rate=5e-3):
    rng = np.random.default_rng(0)
    P = {f"W{k}": rng.normal(size=s) / s[1] ** 0.5 for k, s in layers.items()}
    P |= {f"b{k}": np.zeros(s[0]) for k, s in layers.items()}
    m, v = ({k: np.zeros_like(p) for k, p in P.items()} for _ in range(2))
    step, bound = 0, []
    for _ in range(epochs):
        for rows in rng.permutation(len(X)).reshape(-1, M):
            step += 1
            _, grad = loss_and_grad(P, X[rows], rng.normal(size=(M, J)), knob)
            for k, d in grad.items():
                m[k] += 0.1 * (d - m[k])
                v[k] += 0.001 * (d**2 - v[k])
                corrected = m[k] / (1 - 0.9**step), v[k] / (1 - 0.999**step)
                P[k] -= rate * corrected[0] / (corrected[1] ** 0.5 + 1e-8)
        eps = np.random.default_rng(1).normal(size=(20, len(T), J))
        bound.append(-np.mean([loss_and_grad(P, T, e)[0] for e in eps]))
    return P, np.array(bound)


class Subject:
    """What the gradient checker asks for: parameters, and loss_and_grad of data and noise."""

    def __init__(self, P, knob):
        self.parameters, self.knob = P, knob

    def loss_and_grad(self, x, eps):
        return loss_and_grad(self.parameters, x, eps, self.knob)


cases = {
    "right": RIGHT,
    "without the KL": RIGHT | {"kl": 0},
    "without ε": RIGHT | {"eps": 0},
    "without one term": RIGHT | {"slope": 0},
}
models, bounds, passed = {}, {}, {}
with held(1):  # products as small as these are no quicker with more threads of BLAS
    for name, knob in cases.items():
        models[name], bounds[name] = trained(knob)
        eps = np.random.default_rng(2).normal(size=(5, J))
        report = check_gradients(Subject(models[name], knob), T[:5], eps=eps, directions=5)
        passed[name] = report.ok
        verdict = "passes the check" if report.ok else "FAILS it"
        print(f"{name:16}  bound on new digits {bounds[name][-1]:6.1f} nats, {verdict}")

best = bounds["right"][-1]
assert best > -27
assert bounds["without the KL"][-1] < best - 20
assert bounds["without ε"][-1] < best - 10
assert bounds["without one term"][-1] < best - 0.3
assert [name for name, ok in passed.items() if not ok] == ["without one term"]

# %% [markdown]
# Read the two columns together.
#
# - **Without the KL** σ shrinks and the codes fly apart: nothing asks q(z|x) to overlap with the
#   prior, and where the prior puts its samples, the decoder was never trained.
# - **Without ε** it is an auto-encoder with a penalty on μ; of σ it knows nothing. The decoder has
#   learned points and no neighbourhoods, and pays for it as soon as z is drawn.
# - **Without one term** it trains almost as well as the right one: by looking, nobody would notice.
#
# The check says the opposite. The first two are correct derivatives of a *wrong loss*: no gradient
# check will ever object. The third is a wrong derivative of the right loss, and fails at once. You
# need both: a check of the gradient, and an independent number for the loss. (That is why tests of
# this package hold losses to quadrature and to other frameworks too.)

# %%
def samples(P, n=7):
    """Of the prior, side by side."""
    z = np.random.default_rng(3).normal(size=(n, J))
    logits = np.tanh(z @ P["W2"].T + P["b2"]) @ P["W3"].T + P["b3"]  # (n, D)
    images = 1 / (1 + np.exp(-logits.reshape(n, 8, 8)))
    return np.hstack([np.pad(image, 1, constant_values=1) for image in images])


def draw(fig):
    axes = fig.subplots(4, 2)
    left = chart(fig, axes[0, 0].get_gridspec()[:, 0], title="Bound on new digits", x="epoch",
                 y="nats per datapoint")  # fmt: skip
    for (blank, ax), (name, P), colour in zip(axes, models.items(), COLOURS[0:8:2], strict=True):
        blank.remove()
        left.plot(1 + np.arange(len(bounds[name])), bounds[name], color=colour, label=name)
        ax.imshow(samples(P), cmap="gray", vmin=0, vmax=1)
        ax.set_axis_off()
        label(ax, f"samples, {name}")
    left.set_ylim(-75, -22)
    left.legend(frameon=False, fontsize=8)


show("06_what_breaks", draw, height=4.5)

# %% [markdown]
# ## Your turn
#
# The heart of it: where the two ways meet. Forward, μ and log σ² give a sample and a KL; back, what
# the decoder has to say (d_z) and what the KL has to say (d_kl) arrive together. This is how the KL
# reaches the encoder and nothing else, and here is where the reparameterization is in the backward
# pass. A finished version is in `solutions/06_what_breaks.py`.

# %%
def latent(mu, logvar, eps):
    """(M, J) each → z (M, J), kl (M,)"""
    z = mu + np.exp(logvar / 2) * eps
    return z, 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1)


def latent_backward(d_z, d_kl, mu, logvar, eps):
    """d_z (M, J), d_kl (M,), mu, logvar and eps (M, J)"""
    d_mu = ...  # (M, J) by way of z, and of the KL
    d_logvar = ...  # (M, J) the same
    return d_mu, d_logvar


rng = np.random.default_rng(0)
print(check_backward(latent_backward, latent, rng.normal(size=(5, 3)), rng.normal(size=(5, 3)),
                     eps=rng.normal(size=(5, 3))))  # fmt: skip
