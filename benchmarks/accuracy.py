"""How accurate a float32 gradient is: npvae and its peers, against a truth.

    python benchmarks/accuracy.py                    the table, results/accuracy.json and .png
    python benchmarks/accuracy.py --rows tanh "black pixels" --models 20

A row is a kind of model and input: activations, depths, sizes of the minibatch, extreme inputs. Of
each kind some models are drawn, their numbers rounded to float32, and every library gives the
gradient of minus the lower bound at the same parameters, data and noise. Two errors are told:

    relative    root mean square, over the blocks of parameters, of ‖g − truth‖ / ‖truth‖,
                in roundings of float32, 2⁻²⁴
    ulp         median over all parameters of |g − truth| in units of truth's last place in float32

The truth is npvae's gradient in float64. In every row it is itself held to the complex step of an
independent formula in 80-bit numbers, along a random direction of every block.

npvae is less accurate than the best of its peers where the 99 % interval of the mean log-ratio of
their errors, model by model, lies above 0. The row then says why: *products*, if npvae with its
matrix products in float64 is as accurate as the best, so that what it lacks is the order in which
NumPy's BLAS sums (autograd, which has the same BLAS, lacks it too); else *sums*: of rows, for the
biases, which are summed 64 at a time where a compiler has a tree. MyGrad is no such peer: to it a
number is a float64 array, so that nearly all that it computes is in float64.
"""
import common  # noqa: F401  isort: skip
import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from common import bound, machine
from gradbench.sgvb import blocks
from peers import PACKAGES
from peers.gradients import GRADIENTS, Gradient, Theta, by_npvae
from train_step import RESULTS, save

from npvae.errors import BackendError

D, W, J = 64, 48, 6  # data variables, hidden units, latents
ROUNDING = 2.0**-24
STEP = 1e-30  # of the complex step
NPVAE, EXACT, DOUBLE = "npvae", "npvae, products in float64", "MyGrad"
SHOWN = {EXACT: "(exact products)", "npvae, CuPy": "CuPy", DOUBLE: "MyGrad, float64"}
METRICS = ("relative", "ulp")

Change = Callable[[Theta, np.ndarray], None]


def scaled(part: str, factor: float, shift: float = 0.0) -> Change:
    """Blocks whose name holds ``part``, times a factor and plus a number."""

    def change(theta: Theta, x: np.ndarray) -> None:
        for name in theta:
            if part in name:
                theta[name] = theta[name] * factor + shift

    return change


def near_the_prior(theta: Theta, x: np.ndarray) -> None:
    """μ and log σ² of about a thousandth: latents that are hardly used."""
    for name in theta:
        if "mean" in name or "logvar" in name:
            theta[name] *= 1e-3


def black_pixels(theta: Theta, x: np.ndarray) -> None:
    """Pixels that are black but for one in fifty, and expected to be: logits of about −12."""
    theta["decoder.logits.bias"] -= 12
    x[...] = x > 0.98


@dataclass(frozen=True)
class Row:
    """One kind of model and input."""

    activation: str = "tanh"
    depth: int = 1
    M: int = 64
    change: Change | None = None

    def draw(self, seed: int) -> tuple[Theta, np.ndarray, np.ndarray]:
        """θ by name, x (M, D), ε (M, J), float32."""
        rng = np.random.default_rng(seed)
        theta = {
            name: rng.normal(0, scale, shape) for name, shape, scale in blocks(D, W, self.depth, J)
        }
        x, eps = rng.random((self.M, D)), rng.standard_normal((self.M, J))
        if self.change:
            self.change(theta, x)
        single = {name: block.astype(np.float32) for name, block in theta.items()}
        return single, x.astype(np.float32), eps.astype(np.float32)


ACTIVATIONS = (*bound.ACTIVATIONS, "gelu")
ROWS = (
    {name: Row(name) for name in ACTIVATIONS}
    | {f"{depth} hidden layers": Row(depth=depth) for depth in (0, 2, 4)}
    | {f"M = {M}": Row(M=M) for M in (1, 1024, 4096)}
    | {
        "saturated tanh": Row(change=scaled("hidden", 8)),
        "saturated sigmoid": Row("sigmoid", change=scaled("hidden", 16)),
        "saturated elu": Row("elu", change=scaled("hidden", 8)),
        "tiny weights": Row(change=scaled("", 1e-4)),
        "near the prior": Row(change=near_the_prior),
        "σ = e⁻¹⁰": Row(change=scaled("logvar.bias", 1, -20)),
        "σ = e³": Row(change=scaled("logvar.bias", 1, 6)),
        "black pixels": Row(change=black_pixels),
        "logits of ±50": Row(change=scaled("logits", 50)),
    }
)


def widened(theta: Theta) -> Theta:
    """In float64."""
    return {name: block.astype(np.float64) for name, block in theta.items()}


def truth_error(row: Row, theta: Theta, x: np.ndarray, eps: np.ndarray, truth: Theta) -> float:
    """The largest difference of ``truth`` from a complex step, relative to its block.

    In 80-bit numbers, or 64-bit ones for gelu: SciPy has no wider erf.
    """
    if row.activation == "gelu":
        from scipy.special import erf

        wide, f = np.float64, lambda xp, a: 0.5 * a * (1 + erf(a / 2**0.5))
    else:
        wide, f = np.longdouble, bound.ACTIVATIONS[row.activation]
    rng, errors = np.random.default_rng(0), []
    P, x, eps = ({name: W.astype(wide) for name, W in theta.items()}, x.astype(wide),
                 eps.astype(wide))  # fmt: skip
    for name, block in P.items():
        v = rng.standard_normal(block.shape)
        moved = P | {name: block + 1j * wide(STEP) * v}
        slope = bound.loss(np, moved, x, eps, f).imag / wide(STEP)
        errors.append(abs(np.vdot(truth[name], v) - float(slope)) / np.linalg.norm(truth[name]))
    return float(max(errors))


def errors(g: Theta, truth: Theta) -> dict[str, Any]:
    """The two errors of a gradient; and by block."""
    units = {name: (np.abs(g[name] - t) / spacing(t)).ravel() for name, t in truth.items()}
    by_block = {
        name: {
            "relative": float(np.linalg.norm(g[name] - t) / np.linalg.norm(t) / ROUNDING),
            "ulp": float(np.median(units[name])),
        }
        for name, t in truth.items()
    }
    relative = np.sqrt(np.mean([block["relative"] ** 2 for block in by_block.values()]))
    ulp = np.median(np.concatenate(list(units.values())))
    return {"relative": float(relative), "ulp": float(ulp), "blocks": by_block}


def spacing(t: np.ndarray) -> np.ndarray:
    """A unit in the last place of float32 at t; at least that of the smallest normal number."""
    return np.spacing(np.maximum(np.abs(t), np.finfo(np.float32).tiny).astype(np.float32))


def sides(activation: str) -> tuple[dict[str, Gradient], dict[str, str]]:
    """What can give a gradient here; and why others cannot."""
    found, missing = {}, {}
    for name, make in GRADIENTS.items():
        try:
            found[name] = make(activation)
        except (ImportError, BackendError) as error:
            missing[name] = str(error)
        except KeyError:
            missing[name] = f"has no {activation}"
    return found, missing


def measure(row: Row, models: int) -> dict[str, Any]:
    """Errors of every side on every model of a row."""
    found, missing = sides(row.activation)
    exact = by_npvae(row.activation)
    seen: dict[str, list[dict[str, Any]]] = {name: [] for name in found}
    losses: dict[str, list[float]] = {name: [] for name in found}
    checked = 0.0
    for seed in range(models):
        theta, x, eps = row.draw(seed)
        value, truth = exact(widened(theta), x.astype(float), eps.astype(float))
        if seed == 0:
            checked = truth_error(row, theta, x, eps, truth)
        for name, gradient in found.items():
            loss, g = gradient(theta, x, eps)
            seen[name].append(errors(g, truth))
            losses[name].append(abs(float(loss) / value - 1) / ROUNDING)
    return {
        "truth_error": checked, "missing": missing,
        "sides": {
            name: {
                "relative": [e["relative"] for e in all_errors],
                "ulp": [e["ulp"] for e in all_errors],
                "loss": float(np.median(losses[name])),
                "blocks": {
                    block: {m: float(np.median([e["blocks"][block][m] for e in all_errors]))
                            for m in METRICS}
                    for block in all_errors[0]["blocks"]
                },
            }
            for name, all_errors in seen.items()
        },
    }  # fmt: skip


def interval(mine: list[float], theirs: list[float]) -> tuple[float, float, float]:
    """Ratio of errors and its 99 % interval, by the mean of paired logarithms.

    The number of models is large enough for a normal interval to be a fair one.
    """
    logs = np.log(np.maximum(mine, 1e-3) / np.maximum(theirs, 1e-3))
    half = NormalDist().inv_cdf(0.995) * logs.std(ddof=1) / len(logs) ** 0.5
    mean = logs.mean()
    return float(np.exp(mean)), float(np.exp(mean - half)), float(np.exp(mean + half))


def verdict(result: dict[str, Any]) -> dict[str, Any]:
    """For each error, the best of the others, how npvae compares, and if it is worse, why."""
    judged = {}
    for metric in METRICS:
        at = {name: side[metric] for name, side in result["sides"].items()}
        others = [name for name in at if not name.startswith(NPVAE) and name != DOUBLE]
        best = min(others, key=lambda name: np.log(np.maximum(at[name], 1e-3)).mean())
        ratio, low, high = interval(at[NPVAE], at[best])
        judged[metric] = {"best": best, "ratio": ratio, "low": low, "high": high, "why": ""}
        if low > 1:
            products = interval(at[EXACT], at[best])[1] <= 1
            judged[metric]["why"] = "products" if products else "sums"
    return judged


def table(results: dict[str, dict[str, Any]]) -> str:
    """Medians over the models, relative error and ulp; then npvae over the best of the others."""
    names = [n for n in GRADIENTS if any(n in r["sides"] for r in results.values())]
    width = max(map(len, results)) + 2
    lines = [f"{'':{width}}" + "".join(f"{SHOWN.get(n, n):>18}" for n in names)]
    for name, result in results.items():
        line = f"{name:{width}}"
        for side in names:
            values = result["sides"].get(side)
            cell = "  ".join(f"{np.median(values[m]):.2f}" for m in METRICS) if values else "–"
            line += f"{cell:>18}"
        for metric in METRICS:
            v = result["verdict"][metric]
            line += f"   {v['ratio']:.2f} × {v['best']} {v['why']}"
        lines.append(line + f"   truth {result['truth_error']:.0e}")
    return "\n".join(lines)


def picture(results: dict[str, dict[str, Any]], path: Path) -> Path:
    """Both errors of every side, a line a row."""
    from npvae.plotting import style as look

    names = [n for n in GRADIENTS if n != EXACT and any(n in r["sides"] for r in results.values())]
    fig = look.new_figure(10, 0.24 * len(results) + 1.4, layout="constrained")
    rows = list(results)
    for i, metric in enumerate(METRICS):
        title = {"relative": "Relative error of the gradient", "ulp": "Median error of a number"}
        units = {"relative": "roundings of float32, 2⁻²⁴", "ulp": "units in the last place"}
        ax = look.chart(fig, 121 + i, title=title[metric], x=units[metric])
        for name, colour in zip(names, look.COLOURS, strict=False):
            at = [(np.median(results[row]["sides"][name][metric]), y)
                  for y, row in enumerate(rows) if name in results[row]["sides"]]  # fmt: skip
            mine = name == NPVAE
            ax.scatter(*zip(*at, strict=True), s=34 if mine else 16, color=colour, zorder=3 + mine,
                       marker="D" if mine else "o", alpha=1 if mine else 0.8, linewidths=0,
                       label=SHOWN.get(name, name))  # fmt: skip
        ax.set_xscale("log")
        ax.set_ylim(len(rows) - 0.5, -0.5)
        ax.set_yticks(range(len(rows)), rows if i == 0 else [""] * len(rows))
    ax.legend(frameon=False, fontsize=8, loc="lower right")
    return look.save(fig, path)


def main() -> int:
    """Measure what was asked for; the exit code."""
    first, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=first, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), metavar="ROW")
    parser.add_argument("--models", type=int, default=16, help="of each row (default: 16)")
    parser.add_argument("--draw", action="store_true", help="the picture of results/accuracy.json")
    options = parser.parse_args()
    if options.models < 2:
        parser.error(f"--models {options.models} must be at least 2: errors have intervals")
    if options.draw:
        results = json.loads((RESULTS / "accuracy.json").read_text())["results"]
        print(picture(results, RESULTS / "accuracy.png"))
        return 0
    about = machine.describe(PACKAGES)
    results = {}
    with np.errstate(all="ignore"):
        for name in options.rows:
            results[name] = measure(ROWS[name], options.models)
            results[name]["verdict"] = verdict(results[name])
            print(table({name: results[name]}).splitlines()[-1], flush=True)
    print(table(results))
    if options.rows == list(ROWS):
        print(save("accuracy", rounded(results), about), picture(results, RESULTS / "accuracy.png"))
    return 0


def rounded(value: Any) -> Any:
    """Numbers to four digits, for a file that is read."""
    if isinstance(value, dict):
        return {name: rounded(v) for name, v in value.items()}
    if isinstance(value, list):
        return [rounded(v) for v in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


if __name__ == "__main__":
    sys.exit(main())
