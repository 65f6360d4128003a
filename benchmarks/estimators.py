"""Published behaviour of estimators of the gradient, reproduced: a command and a picture each.

    python benchmarks/estimators.py normal      Mohamed et al. 2020, figure 2
    python benchmarks/estimators.py bounds      Rainforth et al. 2018 and Tucker et al. 2018
    python benchmarks/estimators.py bias        every estimator against quadrature, 100,000 draws
    python benchmarks/estimators.py training    A, B, path derivative: the digits, learned

``normal``: variances of ∂/∂μ and ∂/∂σ of E[(x − k)²], x ~ N(1, 1), beside their closed forms.
``bounds``: the toy model x ~ N(z, I), z ~ N(μ, I), q(z|x) = N(A x + b, ⅔ I), D = 20, N = 1,024, all
parameters off the best by 0.01: how signal-to-noise ratios go with k. ``bias``: a model of one
latent, k = 3, ten of the digits. ``training``: after more and more epochs, on 100 of the digits.
"""
import common  # noqa: F401  isort: skip
import argparse
import sys
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
from common import machine
from train_step import RESULTS, save

import npvae
from npvae import plotting
from npvae.lab import Comparison, compare
from npvae.lab.measure_valued import ESTIMATORS
from npvae.lab.statistics import BATCHES, student
from npvae.objectives import OBJECTIVES
from npvae.plotting.style import COLOURS, INK, chart, new_figure

OFF = 0.01  # of the toy model's parameters
ROWS = {"φ, IWAE": ("iwae", "encoder.mean.weight"), "φ, DReG": ("dreg", "encoder.mean.weight"),
        "φ, path derivative": ("iwae-stl", "encoder.mean.weight"),
        "θ": ("iwae", "decoder.mean.bias")}  # fmt: skip
EPOCHS = (0, 1, 3, 10, 30, 100)

# By d = 1 − k: Var of ∂/∂μ and of ∂/∂σ. f is a polynomial, so each is one in moments of a normal.
CLOSED = {
    "pathwise": (lambda d: 4 + 0 * d, lambda d: 8 + 4 * d**2),
    "score function": (lambda d: 15 + 14 * d**2 + d**4, lambda d: 74 + 60 * d**2 + 2 * d**4),
    "measure-valued": (lambda d: 4 * d**2 * (4 / np.pi - 1), lambda d: 4 + 4 * d**2),
}


def normal(draws: int) -> tuple[Any, Any]:
    """Figure 2 of Mohamed et al.: the variances at k = −3 … 3, and their picture."""
    rng, ks = np.random.default_rng(0), range(-3, 4)
    rows = []
    for name, estimator in ESTIMATORS.items():
        for k in ks:
            found = estimator(lambda x, k=k: (x - k) ** 2, lambda x, k=k: 2 * (x - k), 1, 1,
                              draws, rng)  # fmt: skip
            for by, g, closed in zip(("mu", "sigma"), found, CLOSED[name], strict=True):
                squares = (g - g.mean()) ** 2
                rows.append({
                    "estimator": name, "by": by, "k": k, "variance": float(g.var(ddof=1)),
                    "standard_error": float(squares.std() / draws**0.5),
                    "closed_form": float(closed(1 - k)),
                })  # fmt: skip
    fig = new_figure(9, 3.6, layout="constrained")
    d = 1 - np.linspace(-3, 3, 200)
    for place, by in enumerate(("mu", "sigma")):
        ax = chart(fig, 121 + place, x="k",
                   title=f"Var of ∂/∂{'μσ'[place]} E[(x − k)²], x ~ N(1, 1)")  # fmt: skip
        ax.set_yscale("log")
        for colour, name in zip(COLOURS[::2], ESTIMATORS, strict=False):
            some = [row for row in rows if (row["estimator"], row["by"]) == (name, by)]
            ax.plot(1 - d, CLOSED[name][place](d), color=colour, linewidth=1)
            ax.plot([row["k"] for row in some], [row["variance"] for row in some], "o",
                    color=colour, markersize=4, label=name)  # fmt: skip
        ax.set_ylim(bottom=0.1)  # the measure-valued one is 0 at k = 1
    fig.axes[0].legend(frameon=False, fontsize=8, labelcolor=INK)
    return {"draws": draws, "rows": rows}, fig


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


def slope(ks: Sequence[int], snr: np.ndarray, low: np.ndarray, high: np.ndarray) -> Any:
    """Of log snr by log k, least squares, and its standard error by those of the points."""
    x = np.log(ks) - np.log(ks).mean()
    error = np.log(high / np.maximum(low, 1e-300)) / (2 * student(BATCHES - 1))
    weight = x / (x**2).sum()
    return float(weight @ np.log(snr)), float(np.sqrt((weight**2 * error**2).sum()))


def slopes(found: Comparison, ks: Sequence[int]) -> dict[str, Any]:
    """Of each row: the slope, its error, and the slope of means that have their floor still."""
    result = {}
    for name, (estimator, block) in ROWS.items():
        rows = found.select(estimator=estimator, block=block)
        snr, low, high = (np.array([row[key] for row in rows])
                          for key in ("snr", "snr_low", "snr_high"))  # fmt: skip
        naive = np.sqrt(snr**2 + 1 / found.n_draws)
        value, error = slope(ks, snr, low, high)
        result[name] = {
            "slope": value, "standard_error": error,
            "uncorrected": slope(ks, naive, low, high)[0], "snr": snr.tolist(),
            "bias_in_standard_errors": [r.bias / r.bias_se if r.bias_se else 0.0 for r in rows],
        }  # fmt: skip
    return result


def bounds(draws: int, ks: Sequence[int] = (32, 64, 128, 256)) -> tuple[Any, Any]:
    """Signal-to-noise ratios by k, with their slopes."""
    vae, X = toy()
    names = list(dict.fromkeys(estimator for estimator, _ in ROWS.values()))
    found = compare(names, vae, X, draws, rng=0, samples=ks)
    result = slopes(found, ks)
    fig = new_figure(6, 4.2, layout="constrained")
    ax = chart(fig, title="Signal-to-noise ratio, D = 20, N = 1,024", x="k")
    ax.set(xscale="log", yscale="log")
    ax.set_xticks(ks, [str(k) for k in ks])
    ax.minorticks_off()
    for colour, (name, (estimator, block)) in zip(COLOURS[::2], ROWS.items(), strict=False):
        rows, told = found.select(estimator=estimator, block=block), result[name]
        snr = np.array([row.snr for row in rows])
        ends = [snr - [row.snr_low for row in rows], [row.snr_high for row in rows] - snr]
        label = f"{name}: slope {told['slope']:+.3f} ± {told['standard_error']:.3f}"
        ax.errorbar(ks, snr, yerr=ends, fmt="o-", color=colour, markersize=4, label=label)
    fig.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8, labelcolor=INK)
    return {"draws": draws, "ks": list(ks), "slopes": result}, fig


def bias(draws: int) -> tuple[Any, Any]:
    """Every estimator there is, with three samples of one latent, on ten of the digits."""
    X = npvae.data.load_digits().images[:10]
    vae = npvae.VAE(1, (8,), dtype="float64", random_state=0, epochs=200, verbose=False)
    found = compare(list(OBJECTIVES), vae.fit(X), X, draws, rng=0, samples=3)
    rows = [
        {"estimator": row.estimator, "block": row.block, "truth": row.truth, "bias": row.bias,
         "standard_error": row.bias_se, "of_norm": row.bias / row.norm}
        for row in found.rows if row.block in ("encoder", "decoder")
    ]  # fmt: skip
    return {"draws": draws, "rows": rows}, found.plot()


def training(draws: int) -> tuple[Any, Any]:
    """A, B and the path derivative, and the score function, by epochs of the digits."""
    X = npvae.data.load_digits().images
    vae = npvae.VAE(5, (128,), random_state=0, verbose=False).initialize(X.shape[1])
    stages, done = {}, 0
    for epochs in EPOCHS:
        for _ in range(epochs - done):
            vae.partial_fit(X)
        stages[str(epochs)], done = deepcopy(vae), epochs
    found = compare(["A", "B", "stl", "score-loo"], stages, X[:100], draws, rng=0, samples=2)
    ratios = [
        {"epochs": int(row.model), "of": row.estimator, "over": row.other, "ratio": row.ratio,
         "low": row.ratio_low, "high": row.ratio_high}
        for row in found.differences if row.block == "encoder" and row.estimator != "score-loo"
    ]  # fmt: skip
    fig = found.plot()
    for ax in fig.axes[2:]:
        ax.set_xlabel("epochs")
    return {"draws": draws, "encoder_variance_ratios": ratios}, fig


PARTS = {"normal": (normal, 1_000_000), "bounds": (bounds, 240), "bias": (bias, 100_000),
         "training": (training, 200)}  # fmt: skip


def main() -> int:
    """Run what was asked for; the exit code."""
    first, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=first, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--draws", type=int, help="of each estimator")
    options = parser.parse_args()
    run, draws = PARTS[options.part]
    results, figure = run(options.draws or draws)
    print(save(f"estimators_{options.part}", results, machine.describe(("numpy",))))
    print(plotting.save(figure, RESULTS / f"estimators_{options.part}.png"))
    for row in results.get("rows", results.get("encoder_variance_ratios", ())):
        print("  ", *(f"{v:.4g}" if isinstance(v, float) else v for v in row.values()))
    for name, row in results.get("slopes", {}).items():
        print(f"  {name}: {row['slope']:+.3f} ± {row['standard_error']:.3f}, uncorrected "
              f"{row['uncorrected']:+.3f}")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
