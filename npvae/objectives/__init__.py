"""Objectives: what is maximised, and the seeds of its backward pass. One file an idea.

Every file here is looked through: what has a ``name`` there is ``estimator=`` of that name.
"""
from importlib import import_module

from npvae import lazy
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


def _named() -> dict[str, type[Objective]]:
    """Every objective of the files in this folder that has a name: file by file, as they stand."""
    files = [f"{__name__}.{file}" for file in lazy.modules(__path__)]
    return {
        kind.name: kind
        for file in files
        for kind in vars(import_module(file)).values()
        if isinstance(kind, type) and issubclass(kind, Objective) and kind.name
        and kind.__module__ == file
    }  # fmt: skip


OBJECTIVES = _named()

__all__ = [
    "ELBO", "IWAE", "OBJECTIVES", "DReG", "Loss", "NormalParameters", "Objective", "PathDerivative",
    "SampledELBO", "Seeds", "Terms", "mean_grad",
]  # fmt: skip
