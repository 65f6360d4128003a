"""The configuration of a training run."""

from npvae.optim import Optimizer, Schedule
from npvae.records import dataclass
from npvae.training.communicator import ALONE, Communicator


@dataclass(frozen=True)
class TrainConfig:
    """Configuration of training: everything but the model and the data.

    Attributes
    ----------
    optimizer : Optimizer
        The update rule.
    learning_rate : float
        Before the schedule's factor.
    schedule : Schedule
        Of the learning rate: a factor by progress through ``epochs``.
    clip_norm : float or None
        Gradient clipping: the largest Euclidean norm.
    epochs : int
        In all, those before a resume included.
    n_samples : int
        The paper's L, samples of z a datapoint.
    seed : int
        Of permutations and noise.
    patience : int or None
        Early stopping after so many epochs without a better validation ELBO, at the best. Epochs
        of the objective's warm-up do not count, and none of them is the best.
    noise : str
        How the samples of a datapoint are coupled: a name of :data:`npvae.models.coupling.FILLS`.
    comm : Communicator
        The processes that share every step.
    """

    optimizer: Optimizer
    learning_rate: float
    schedule: Schedule
    clip_norm: float | None
    epochs: int
    n_samples: int
    seed: int
    patience: int | None = None
    noise: str = "independent"
    comm: Communicator = ALONE
