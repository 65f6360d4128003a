"""Models small enough to check by hand, with parameters that are not small."""
from dataclasses import replace
from typing import Any

import numpy as np

from npvae.backend import get_backend
from npvae.distributions import BernoulliLikelihood, Likelihood, NormalLikelihood
from npvae.models import AutoencoderModel, Engine, Model, Noise, Penalty, VAEModel
from npvae.networks import MLP
from npvae.objectives import OBJECTIVES

LIKELIHOODS: dict[str, Likelihood] = {
    "bernoulli": BernoulliLikelihood(),
    "normal": NormalLikelihood(),
    "normal, sigmoid mean": NormalLikelihood(sigmoid_mean=True),
}


def vae(
    likelihood: str = "bernoulli", D: int = 6, J: int = 2, hidden: tuple[int, ...] = (4,),
    activation: str = "tanh",
) -> VAEModel:  # fmt: skip
    """D → hidden → (J, J) and J → hidden → D."""
    p = LIKELIHOODS[likelihood]
    return VAEModel(
        MLP("encoder", D, hidden, {"mean": J, "logvar": J}, activation),
        MLP("decoder", J, hidden[::-1], p.heads(D), activation),
        p,
    )


def autoencoder(likelihood: str = "bernoulli", D: int = 6, J: int = 2) -> AutoencoderModel:
    """D → 4 → J and J → 4 → D."""
    p = LIKELIHOODS[likelihood]
    return AutoencoderModel(
        MLP("encoder", D, (4,), {"code": J}, "tanh"), MLP("decoder", J, (4,), p.heads(D), "tanh"), p
    )


NO_PENALTY = Penalty()


def engine(
    model: Model, estimator: str = "B", penalty: Penalty = NO_PENALTY, dtype: Any = np.float64
) -> Engine:
    """The model with parameters N(0, 0.5²), biases too."""
    theta = 0.5 * np.random.default_rng(0).standard_normal(model.layout().size)
    objective = OBJECTIVES[estimator]()
    return Engine(model, get_backend("numpy"), theta.astype(dtype), penalty, objective)


def loss(engine: Engine, x: Any, eps: Any) -> float:
    """What is minimised, by a forward pass alone."""
    terms = engine.forward(x, Noise(eps)).terms
    return float(engine.loss(engine.objective(engine.ctx, terms)))


def replace_ops(engine: Engine, **ops: Any) -> None:
    """Have an engine run some ops of one's own."""
    engine.mine.ctx = replace(engine.ctx, ops=replace(engine.ops, **ops))


def batch(model: Model, M: int = 5, L: int = 3, D: int = 6, dtype: Any = np.float64, seed: int = 1):
    """x (M, D) in [0, 1] and ε (L, M, n_noise)."""
    rng = np.random.default_rng(seed)
    L = L if model.n_noise else 1
    x, eps = rng.random((M, D)), rng.standard_normal((L, M, model.n_noise))
    return x.astype(dtype), eps.astype(dtype)
