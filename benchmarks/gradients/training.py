"""A, B, the path derivative and the score function along training, on 100 of the digits."""
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np

import npvae
from npvae.lab import Comparison, compare

DRAWS = 200
EPOCHS = (0, 1, 3, 10, 30, 100)


def stages(
    vae: npvae.VAE, X: np.ndarray, epochs: Sequence[int], draws: int
) -> tuple[Comparison, list[dict[str, Any]]]:
    """The estimators after those epochs, and ratios of the variances of the encoder's gradient."""
    models, done = {}, 0
    for several in epochs:
        for _ in range(several - done):
            vae.partial_fit(X)
        models[str(several)], done = deepcopy(vae), several
    found = compare(["A", "B", "stl", "score-loo"], models, X[:100], draws, rng=0, samples=2)
    return found, [
        {"epochs": int(row.model), "of": row.estimator, "over": row.other, "ratio": row.ratio,
         "low": row.ratio_low, "high": row.ratio_high}
        for row in found.differences if row.block == "encoder"
    ]  # fmt: skip


def run(draws: int) -> tuple[Any, Any]:
    """Ratios of variances by epochs of the digits, and a picture."""
    X = npvae.data.load_digits().images
    vae = npvae.VAE(5, (128,), random_state=0, verbose=False).initialize(X.shape[1])
    found, rows = stages(vae, X, EPOCHS, draws)
    fig = found.plot()
    for ax in fig.axes[2:]:
        ax.set_xlabel("epochs")
    return {"draws": draws, "rows": rows}, fig
