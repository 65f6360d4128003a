"""Signal-to-noise ratios of bounds of k samples (Rainforth et al. 2018, Tucker et al. 2018).

The toy model x ~ N(z, I), z ~ N(μ, I), q(z|x) = N(A x + b, ⅔ I), D = 20, N = 1,024, all parameters
off the best by 0.01.
"""
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import npvae
from gradients.lines import T, slope
from npvae.lab import Comparison, compare
from npvae.plotting.style import COLOURS, INK, chart, new_figure

DRAWS = 80
KS = (32, 64, 128, 256, 512, 1024)
OFF = 0.01  # of the toy model's parameters
PHI, THETA = "encoder.mean.weight", "decoder.mean.bias"
ROWS = {"φ, IWAE": ("iwae", PHI), "φ, DReG": ("dreg", PHI),
        "φ, path derivative": ("iwae-stl", PHI), "θ": ("iwae", THETA)}  # fmt: skip
MEAN = "φ, IWAE by DReG's mean"


def toy(
    D: int = 20, N: int = 1024, off: float = OFF, seed: int = 0
) -> tuple[npvae.VAE, np.ndarray]:
    """The model of Rainforth et al., its μ moved to the decoder's bias; and its data (N, D)."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal(D) + 2**0.5 * rng.standard_normal((N, D))
    vae = npvae.VAE(D, (), likelihood="normal", likelihood_std=1.0, standardize=False,
                    estimator="A", random_state=0).initialize(D)  # fmt: skip
    mu, P = X.mean(axis=0), vae.parameters
    best = {
        "encoder.mean.weight": np.eye(D) / 2, "encoder.mean.bias": -mu / 2,
        "encoder.logvar.weight": np.zeros((D, D)), "encoder.logvar.bias": np.log(2 / 3),
        "decoder.mean.weight": np.eye(D), "decoder.mean.bias": mu,
    }  # fmt: skip
    for name, value in best.items():
        P[name][...] = value
    for name in ("encoder.mean.weight", "encoder.mean.bias", "decoder.mean.bias"):
        P[name][...] += off * rng.standard_normal(P[name].shape)
    return vae, X


def points(found: Comparison) -> list[dict[str, Any]]:
    """A ratio of each row and k, and the error of its logarithm.

    An error is read off the interval's upper end, which is never 0. IWAE's gradient for φ has the
    mean of DReG's, whose error is a hundredth of its own; so its ratio is also DReG's over the root
    of their variances' ratio.
    """
    result = []
    for name, (estimator, block) in ROWS.items():
        for row in found.select(estimator=estimator, block=block):
            error = np.inf if row.snr == 0 else ((row.snr_high / row.snr) ** 2 - 1) / (2 * T)
            result.append({
                "name": name, "k": row.samples, "snr": row.snr,
                "low": row.snr_low, "high": row.snr_high, "error": error,
                "with_floor": (row.snr**2 + 1 / row.n_draws) ** 0.5,
                "bias_in_errors": row.bias / row.bias_se if row.bias_se else 0.0,
            })  # fmt: skip
    dreg = {p["k"]: p for p in result if p["name"] == "φ, DReG"}
    for pair in found.differences:
        if (pair.estimator, pair.other, pair.block) == ("iwae", "dreg", PHI):
            point = dreg[pair.samples]
            snr = point["snr"] / pair.ratio**0.5
            error = np.hypot(point["error"], np.log(pair.ratio_high / pair.ratio_low) / (4 * T))
            low, high = (float(snr * np.exp(sign * T * error)) for sign in (-1, 1))
            result.append(point | {
                "name": MEAN, "snr": snr, "low": low, "high": high, "error": float(error),
                "with_floor": snr,
            })  # fmt: skip
    return result


def slopes(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of each: the slope, its error, and the slope of means that have their floor still."""
    result = {}
    for name in (*ROWS, MEAN):
        k, snr, error, naive = (
            np.array([row[key] for row in rows if row["name"] == name and row["snr"] > 0])
            for key in ("k", "snr", "error", "with_floor")
        )
        value, its_error = slope(k, snr, error)
        result[name] = {
            "slope": value, "standard_error": its_error,
            "uncorrected": slope(k, naive, np.ones(len(k)))[0],
        }  # fmt: skip
    return result


def run(draws: int) -> tuple[Any, Any]:
    """Signal-to-noise ratios by k, with their slopes, and their picture."""
    vae, X = toy()
    names = list(dict.fromkeys(estimator for estimator, _ in ROWS.values()))
    rows = points(compare(names, vae, X, draws, rng=0, samples=KS))
    result = slopes(rows)
    return {"draws": draws, "rows": rows, "slopes": result}, picture(rows, result)


def picture(rows: Sequence[Mapping[str, Any]], slopes: Mapping[str, Any]) -> Any:
    """The ratios by k, with their intervals."""
    fig = new_figure(6, 4.2, layout="constrained")
    ax = chart(fig, title="Signal-to-noise ratio, D = 20, N = 1,024", x="k")
    ax.set(xscale="log", yscale="log")
    ax.set_xticks(KS, [str(k) for k in KS])
    ax.minorticks_off()
    for colour, (name, of) in zip(COLOURS[::2], slopes.items(), strict=False):
        some = [row for row in rows if row["name"] == name and row["snr"] > 0]
        k, snr, low, high = (
            np.array([row[key] for row in some]) for key in ("k", "snr", "low", "high")
        )
        label = f"{name}: slope {of['slope']:+.3f} ± {of['standard_error']:.3f}"
        ax.errorbar(k, snr, yerr=(snr - low, high - snr), fmt="o-", color=colour, markersize=4,
                    label=label)  # fmt: skip
    fig.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8, labelcolor=INK)
    return fig
