"""Every estimator against quadrature: a model of one latent, k = 3, ten of the digits."""
from typing import Any

import npvae
from npvae.lab import compare
from npvae.objectives import OBJECTIVES

DRAWS = 100_000


def run(draws: int) -> tuple[Any, Any]:
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
