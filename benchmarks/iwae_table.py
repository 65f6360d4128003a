"""Table 1 of Burda et al. 2015 (IWAE) on MNIST, one stochastic layer, at a stated budget.

    python benchmarks/iwae_table.py --epochs 15 --runs runs/iwae-table

Their network: 784-200-200-50 and back, tanh, pixels binarised anew each epoch, minibatches of 20,
Adam. Theirs trained for 3,280 epochs; here the learning rate falls from 1e-3 along a cosine over
``--epochs``, so the numbers stand beside theirs and are not theirs. Every model has the same first
parameters and the same test images: log p(x) by 5,000 samples each, and differences to the VAE with
k = 1 image by image. Each training goes on from its checkpoint in ``--runs`` when asked for again.
"""
import common  # noqa: F401  isort: skip
import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from common import machine
from train_step import RESULTS, save

import npvae
from npvae import evaluation, plotting
from npvae.plotting.style import COLOURS, INK, chart, new_figure

# objective, k: what the authors print, −log p(x) in nats and the number of active latents
PUBLISHED = {
    ("B", 1): (86.76, 19), ("B", 5): (86.47, 20), ("B", 50): (86.35, 20),
    ("iwae", 5): (85.54, 22), ("iwae", 50): (84.78, 25), ("dreg", 5): None, ("dreg", 50): None,
}  # fmt: skip
IMAGES, SAMPLES = 2000, 5000  # of the test set, and of q(z|x) for each
LABELS = {"B": "VAE", "iwae": "IWAE", "dreg": "IWAE by DReG"}


def train(estimator: str, k: int, epochs: int, folder: Path) -> npvae.VAE:
    """One of the models, from its checkpoint if it has one."""
    vae = npvae.VAE(
        50, (200, 200), estimator=estimator, n_samples=k, batch_size=20, epochs=epochs,
        binarize="dynamic", schedule="cosine", random_state=0,
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / f"{estimator}-{k}.npz"
    return vae.fit(npvae.data.load_mnist("train"), checkpoint=checkpoint,
                   resume=checkpoint.exists())  # fmt: skip


def rows(epochs: int, folder: Path) -> list[dict[str, Any]]:
    """The table, row by row."""
    grey = npvae.data.load_mnist("test").images[:: 10_000 // IMAGES]
    X = (np.random.default_rng(0).random(grey.shape) < grey).astype(np.float32)
    found: list[dict[str, Any]] = []
    first = np.zeros(len(X))
    for (estimator, k), published in PUBLISHED.items():
        vae = train(estimator, k, epochs, folder)
        nll = -vae.log_likelihood(X, SAMPLES, rng=0).estimate
        if not found:
            first = nll
        less = first - nll
        found.append({
            "estimator": estimator, "k": k, "nll": float(nll.mean()),
            "standard_error": float(nll.std() / len(X) ** 0.5),
            "less_than_vae": float(less.mean()),
            "less_standard_error": float(less.std() / len(X) ** 0.5),
            "active_latents": int(evaluation.active_units(vae.transform(X)).sum()),
            "published": published and published[0],
            "published_active": published and published[1],
        })  # fmt: skip
        print("  ", *(f"{v:.4g}" if isinstance(v, float) else v for v in found[-1].values()),
              flush=True)  # fmt: skip
    return found


def picture(found: list[dict[str, Any]]) -> Any:
    """Nats gained over the VAE with one sample, by k, with 95 % intervals; the authors' beside."""
    fig = new_figure(6, 3.6, layout="constrained")
    ax = chart(fig, 111, x="k, samples a datapoint", y="nats of log p(x) over the VAE with k = 1")
    ax.set_xscale("log")
    vae = found[0]
    for colour, (estimator, label) in zip(COLOURS, LABELS.items(), strict=False):
        some = [vae] + [r for r in found if r["estimator"] == estimator and r is not vae]
        ks = [row["k"] for row in some]
        ax.errorbar(ks, [r["less_than_vae"] for r in some],
                    [1.96 * r["less_standard_error"] for r in some], marker="o", markersize=4,
                    capsize=2, color=colour, label=label)  # fmt: skip
        if all(row["published"] for row in some):
            ax.plot(ks, [vae["published"] - r["published"] for r in some], "--", color=colour,
                    linewidth=1, label=f"{label}, published")  # fmt: skip
    ax.set_xticks([1, 5, 50], ["1", "5", "50"])
    ax.minorticks_off()
    ax.legend(frameon=False, fontsize=8, labelcolor=INK)
    return fig


def main() -> int:
    """Train and print; the exit code."""
    first, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=first, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=15, help="of each model (default: 15)")
    parser.add_argument("--runs", type=Path, default=Path("runs/iwae-table"),
                        help="folder of checkpoints (default: runs/iwae-table)")  # fmt: skip
    options = parser.parse_args()
    found = rows(options.epochs, options.runs)
    results = {"epochs": options.epochs, "images": IMAGES, "samples": SAMPLES, "rows": found}
    print(save("iwae_table", results, machine.describe(("numpy",))))
    print(plotting.save(picture(found), RESULTS / "iwae_table.png"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
