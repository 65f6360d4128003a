"""The settings of a training run."""
from dataclasses import dataclass

from npvae.optim import Optimizer, Schedule


@dataclass(frozen=True)
class Recipe:
    """How to train: everything but the model and the data.

    Attributes
    ----------
    optimizer : Optimizer
        The update rule.
    learning_rate : float
        Before the schedule's factor.
    schedule : Schedule
        Factor by progress through ``epochs``.
    clip_norm : float or None
        Largest Euclidean norm of the gradient.
    epochs : int
        Passes over the data, those before a resume included.
    n_samples : int
        The paper's L.
    seed : int
        Of permutations and noise.
    patience : int or None
        Stop after so many epochs without a better validation bound, and go back to the best.
    """

    optimizer: Optimizer
    learning_rate: float
    schedule: Schedule
    clip_norm: float | None
    epochs: int
    n_samples: int
    seed: int
    patience: int | None = None
