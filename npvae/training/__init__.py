"""Minibatches, the loop, checkpoints, and progress."""
from typing import TYPE_CHECKING

from npvae import lazy

if TYPE_CHECKING:
    from npvae.training.batches import (
        BINARIZE,
        Minibatches,
        binarized,
        binarized_by_row,
        data_moments,
        standardization_of,
    )
    from npvae.training.communicator import ALONE, Communicator, communicator_of, world
    from npvae.training.config import TrainConfig
    from npvae.training.diagnosis import diagnose
    from npvae.training.gradient_flow import FOLLOWED, FlowRecord, GradientFlow
    from npvae.training.history import HistoryFile
    from npvae.training.loop import Callback, Measure, largest_product, train
    from npvae.training.many import Training, train_many
    from npvae.training.progress import Progress, is_told, progress_of
    from npvae.training.stacked import StackedStep
    from npvae.training.state import (
        TrainingState,
        change_data,
        flatten_config,
        load_checkpoint,
        save_checkpoint,
    )
    from npvae.training.step import TrainStep
    from npvae.training.units import adopt_standardization, standardization_in

_HOMES = {
    "batches": (
        "BINARIZE", "Minibatches", "binarized", "binarized_by_row", "data_moments",
        "standardization_of",
    ),
    "communicator": ("ALONE", "Communicator", "communicator_of", "world"),
    "config": ("TrainConfig",),
    "diagnosis": ("diagnose",),
    "gradient_flow": ("FOLLOWED", "FlowRecord", "GradientFlow"),
    "history": ("HistoryFile",),
    "loop": ("Callback", "Measure", "largest_product", "train"),
    "many": ("Training", "train_many"),
    "progress": ("Progress", "is_told", "progress_of"),
    "state": (
        "TrainingState", "change_data", "flatten_config", "load_checkpoint", "save_checkpoint",
    ),
    "stacked": ("StackedStep",),
    "step": ("TrainStep",),
    "units": ("adopt_standardization", "standardization_in"),
}  # fmt: skip
__getattr__ = lazy.of_files(__name__, _HOMES)

__all__ = [
    "ALONE",
    "BINARIZE",
    "FOLLOWED",
    "Callback",
    "Communicator",
    "FlowRecord",
    "GradientFlow",
    "HistoryFile",
    "Measure",
    "Minibatches",
    "Progress",
    "StackedStep",
    "TrainConfig",
    "TrainStep",
    "Training",
    "TrainingState",
    "adopt_standardization",
    "binarized",
    "binarized_by_row",
    "change_data",
    "communicator_of",
    "data_moments",
    "diagnose",
    "flatten_config",
    "is_told",
    "largest_product",
    "load_checkpoint",
    "progress_of",
    "save_checkpoint",
    "standardization_in",
    "standardization_of",
    "train",
    "train_many",
    "world",
]


def __dir__() -> list[str]:
    return __all__
