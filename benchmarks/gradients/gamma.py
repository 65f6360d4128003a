"""∂/∂α of E[f(z)], z ~ Gamma(α, 1): rejection-sampling against implicit reparameterization.

The ratio of their variances by α and B (Figurnov et al. 2018, Naesseth et al. 2017), and how
far each mean is from its closed form.
"""
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from npvae.distributions.special import trigamma
from npvae.lab.gamma_shape import implicit, rejection_sampling
from npvae.lab.statistics import BATCHES, log_interval, mean, product_of_means
from npvae.plotting.style import COLOURS, INK, chart, new_figure

DRAWS = 1_000_000
SHAPES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
AUGMENTED = (0, 1, 4, 10)
# f and its derivative by y = log z, and ∂E[f]/∂α
FUNCTIONS = {
    "z": (np.exp, np.exp, lambda alpha: 1.0),
    "z²": (lambda y: np.exp(2 * y), lambda y: 2 * np.exp(2 * y), lambda alpha: 2 * alpha + 1),
    "log z": (lambda y: y, np.ones_like, trigamma),
    "log z − 100": (lambda y: y - 100, np.ones_like, trigamma),
}


def every_f(y: np.ndarray) -> np.ndarray:
    """Of the same draws.   (n,) → (functions, n)"""
    return np.stack([f(y) for f, _, _ in FUNCTIONS.values()])


def every_df(y: np.ndarray) -> np.ndarray:
    """Their derivatives.   (n,) → (functions, n)"""
    return np.stack([df(y) for _, df, _ in FUNCTIONS.values()])


def variance(g: np.ndarray) -> np.ndarray:
    """It, and without each of the batches.   (functions, n) → (functions, 1 + B)"""
    g = g - g.mean(axis=1, keepdims=True)
    g = g[:, : g.shape[1] // BATCHES * BATCHES].reshape(len(g), BATCHES, -1)
    x = g.mean(axis=2)  # (functions, B)
    return mean((g**2).mean(axis=2)) - product_of_means(x[:, :, None] * x[:, None, :])


def off(g: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Of the means, in standard errors.   (functions, n) → (functions,)"""
    return (g.mean(axis=1) - truth) / (g.std(axis=1, ddof=1) / g.shape[1] ** 0.5)


def run(draws: int) -> tuple[Any, Any]:
    """Ratios and biases, and the picture of the ratios."""
    rng, rows = np.random.default_rng(0), []
    for alpha in SHAPES:
        truth = np.array([by_alpha(alpha) for _, _, by_alpha in FUNCTIONS.values()])
        g = implicit(every_f, every_df, alpha, draws, rng)
        under, its_off = variance(g), off(g, truth)
        for B in AUGMENTED:
            if alpha + B < 1:
                continue
            g = rejection_sampling(every_f, every_df, alpha, draws, rng, B)
            ratios, offs = log_interval(variance(g) / under), off(g, truth)
            for i, name in enumerate(FUNCTIONS):
                ratio, low, high = map(float, ratios[:, i])
                rows.append({
                    "alpha": alpha, "B": B, "f": name, "ratio": ratio, "low": low, "high": high,
                    "errors_off": float(offs[i]), "implicit_errors_off": float(its_off[i]),
                })  # fmt: skip
    return {"draws": draws, "rows": rows}, picture(rows)


def picture(rows: Sequence[Mapping[str, Any]]) -> Any:
    """The ratios by α, an f a chart."""
    fig = new_figure(9, 6.6, layout="constrained")
    for place, name in enumerate(FUNCTIONS):
        ax = chart(fig, 221 + place, title=f"f = {name}", x="α" * (place > 1))
        ax.set_xscale("log")
        if max(row["ratio"] for row in rows if row["f"] == name) > 10:
            ax.set_yscale("log")
        ax.axhline(1, color=INK, linewidth=0.8)
        for colour, B in zip(COLOURS[::2], AUGMENTED, strict=False):
            some = [row for row in rows if (row["f"], row["B"]) == (name, B)]
            alpha, ratio, low, high = (
                np.array([row[key] for row in some]) for key in ("alpha", "ratio", "low", "high")
            )
            ax.errorbar(alpha, ratio, yerr=(ratio - low, high - ratio), fmt="o-", color=colour,
                        markersize=4, label=f"B = {B}")  # fmt: skip
    fig.axes[0].legend(frameon=False, fontsize=8, labelcolor=INK)
    fig.suptitle("Variance of ∂/∂α E[f(z)] by rejection sampling, over that of the implicit one",
                 fontsize=10, color=INK)  # fmt: skip
    return fig
