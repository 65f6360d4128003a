"""Objectives: what is maximised, and the seeds of its backward pass. One file an idea."""
from npvae.objectives.elbo import ELBO, SampledELBO
from npvae.objectives.iwae import IWAE, DReG
from npvae.objectives.objective import (
    Loss,
    NormalParameters,
    Objective,
    Seeds,
    Terms,
    mean_grad,
)
from npvae.objectives.path_derivative import PathDerivative

OBJECTIVES: dict[str, type[Objective]] = {
    "A": SampledELBO, "B": ELBO, "stl": PathDerivative, "iwae": IWAE, "dreg": DReG,
}  # fmt: skip

__all__ = [
    "ELBO", "IWAE", "OBJECTIVES", "DReG", "Loss", "NormalParameters", "Objective", "PathDerivative",
    "SampledELBO", "Seeds", "Terms", "mean_grad",
]  # fmt: skip
