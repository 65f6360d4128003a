"""How variances grow with the number of latents J: x = z + s ν, q(z|x) = N(μ, σ² I), all alike.

f = log p(x, z) − log q(z|x) = Σ_j f_j is a sum of J independent terms, of mean m and variance v
each. Of the gradient by one μ_j, with s_j = ε_j/σ its score, the variances go

    pathwise                       Var ∂log p(x, z)/∂z_j          as 1
    score function                 Var f s_j                      as J²: (J m/σ)²
    leave-one-out baseline, L = 2  Var ½ (f − f*) (s_j − s_j*)    as J: J v/σ²

since the score function tells each latent by the whole of f. A baseline takes away what all samples
have in common, and leaves what the other latents do. tr Var ∂/∂μ, of J such, has one power more.
"""
from typing import Any

import numpy as np

import npvae
from gradients.lines import draw_lines, variances
from npvae.lab import compare
from npvae.plotting.style import chart, new_figure

DRAWS = 2000
NUMBERS = (1, 2, 4, 8, 16, 32, 64)
STEEP = 8  # from here on slopes are taken: the highest power of J then is most of it
NAMES = {"A": "pathwise", "score": "score function", "score-loo": "leave-one-out baseline"}
X, S, MU, SIGMA = 1.0, 0.5, 0.6, 0.5  # the posterior is N(0.8, 0.2)


def model(J: int) -> tuple[npvae.VAE, np.ndarray]:
    """It, and its one datapoint (1, J)."""
    vae = npvae.VAE(J, (), likelihood="normal", likelihood_std=S, standardize=False,
                    dtype="float64", random_state=0).initialize(J)  # fmt: skip
    for name, view in vae.parameters.items():
        view[...] = np.eye(J) if name == "decoder.mean.weight" else 0.0
    vae.parameters["encoder.mean.bias"][...] = MU
    vae.parameters["encoder.logvar.bias"][...] = 2 * np.log(SIGMA)
    return vae, np.full((1, J), X)


def closed_form(J: int) -> dict[str, float]:
    """tr Var of ∂/∂μ with L = 2: all are moments of polynomials in ε."""
    eps, weight = np.polynomial.hermite_e.hermegauss(8)
    weight = weight / weight.sum()
    z = MU + SIGMA * eps
    f = -0.5 * ((X - z) ** 2 / S**2 + z**2 - eps**2 + np.log(2 * np.pi)) + np.log(SIGMA / S)
    m, v = weight @ f, weight @ f**2 - (weight @ f) ** 2
    rest, rest2 = (J - 1) * m, (J - 1) * v + ((J - 1) * m) ** 2  # of the other terms
    F, F2 = J * m, J * v + (J * m) ** 2  # E[f], E[f²]
    Fs = weight @ (f * eps) / SIGMA  # E[f s_j], the gradient
    Fs2 = (weight @ (f * eps**2) + rest) / SIGMA**2
    F2s2 = (weight @ (f**2 * eps**2) + 2 * weight @ (f * eps**2) * rest + rest2) / SIGMA**2
    one = {
        "A": (SIGMA * (1 + 1 / S**2)) ** 2 / 2,
        "score": (F2s2 - Fs**2) / 2,
        "score-loo": (F2s2 + F2 / SIGMA**2) / 2 - F * Fs2,
    }
    return {name: float(J * variance) for name, variance in one.items()}


def run(draws: int) -> tuple[Any, Any]:
    """Variances by J beside their closed forms, with slopes from J = 8 on; and their picture."""
    rows: list[dict[str, Any]] = []
    for J in NUMBERS:
        vae, x = model(J)
        found = compare(list(NAMES), vae, x, draws, rng=0, samples=2)
        rows += variances(found.select(block="encoder.mean.bias"), closed_form(J), J=J)
    fig = new_figure(6, 4.2, layout="constrained")
    ax = chart(fig, title="Variance of ∂/∂μ over all of J latents, two samples", x="J")
    slopes = draw_lines(ax, rows, "J", NAMES, lambda J: J >= STEEP)
    ax.set_xticks(NUMBERS, [str(J) for J in NUMBERS])
    ax.minorticks_off()
    return {"draws": draws, "rows": rows, "slopes": slopes}, fig
