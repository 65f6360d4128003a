"""The path derivative vanishes as q(z|x) nears p(z|x), A and B do not (Roeder et al. 2017).

x = z + b + ν, of the posterior N(½ (x − b), ½ I), which a linear q(z|x) can be. All its parameters
are moved by t times a direction. With z = μ + σ ε the three gradients are those by μ and log σ of
one function of z, whose derivative is linear in ε, and so are their variances for each datapoint:

                        ∂/∂z = α + β ε           Var ∂/∂μ = β²,  Var ∂/∂log σ² = ¼ σ² (α² + 2 β²)
    A                   α = −2 Δ                 β = −2 σ             Δ = μ − ½ (x − b)
    B                   α = x − b − μ            β = −σ
    path derivative     α = −2 Δ                 β = 1/σ − 2 σ

Δ and 1/σ − 2σ are of the order of t, so that of the last goes as t², to 0.
"""
from typing import Any

import numpy as np

import npvae
from gradients.lines import draw_lines, variances
from npvae.lab import compare
from npvae.plotting.style import chart, new_figure

DRAWS = 2000
DISTANCES = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
NEAR = 0.1  # up to here slopes are taken
NAMES = {"A": "A", "B": "B", "stl": "path derivative"}


def model(t: float, D: int = 5, M: int = 10, seed: int = 0) -> tuple[npvae.VAE, np.ndarray]:
    """It, t from where q is the posterior; and its data (M, D)."""
    rng = np.random.default_rng(seed)
    b = rng.standard_normal(D)
    X = b + 2**0.5 * rng.standard_normal((M, D))
    vae = npvae.VAE(D, (), likelihood="normal", likelihood_std=1.0, standardize=False,
                    dtype="float64", random_state=0).initialize(D)  # fmt: skip
    best = {
        "encoder.mean.weight": np.eye(D) / 2, "encoder.mean.bias": -b / 2,
        "encoder.logvar.weight": np.zeros((D, D)), "encoder.logvar.bias": -np.log(2.0),
        "decoder.mean.weight": np.eye(D), "decoder.mean.bias": b,
    }  # fmt: skip
    for name, value in best.items():
        view = vae.parameters[name]
        view[...] = value
        if name.startswith("encoder"):
            direction = rng.standard_normal(view.shape)
            view += t * direction / np.sqrt(D * (D if name.endswith("weight") else 1))
    return vae, X


def closed_form(vae: npvae.VAE, X: np.ndarray) -> dict[str, float]:
    """tr Var of the encoder's gradient, one sample of each of X (M, D)."""
    P, b = vae.parameters, vae.parameters["decoder.mean.bias"]
    mu = X @ P["encoder.mean.weight"].T + P["encoder.mean.bias"]  # (M, D)
    sigma = np.exp(0.5 * (X @ P["encoder.logvar.weight"].T + P["encoder.logvar.bias"]))
    off = mu - (X - b) / 2
    linear = {"A": (-2 * off, -2 * sigma), "B": (X - b - mu, -sigma),
              "stl": (-2 * off, 1 / sigma - 2 * sigma)}  # fmt: skip
    inputs = 1 + (X**2).sum(axis=1, keepdims=True)  # of the bias and of the weights
    return {
        name: float((inputs * (beta**2 + 0.25 * sigma**2 * (alpha**2 + 2 * beta**2))).sum())
        / len(X) ** 2
        for name, (alpha, beta) in linear.items()
    }


def run(draws: int) -> tuple[Any, Any]:
    """Variances by t beside their closed forms, with slopes up to t = 0.1; and their picture."""
    rows: list[dict[str, Any]] = []
    for t in DISTANCES:
        vae, X = model(t)
        found = compare(list(NAMES), vae, X, draws, rng=0)
        rows += variances(found.select(block="encoder"), closed_form(vae, X), t=t)
    fig = new_figure(6, 4.2, layout="constrained")
    ax = chart(fig, title="Variance of the encoder's gradient, t from where q(z|x) is p(z|x)",
               x="t")  # fmt: skip
    slopes = draw_lines(ax, rows, "t", NAMES, lambda t: t <= NEAR)
    return {"draws": draws, "rows": rows, "slopes": slopes}, fig
