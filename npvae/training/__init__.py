"""Minibatches, the loop, checkpoints, and progress."""
from npvae.training.batches import (
    BINARIZE,
    Minibatches,
    binarized,
    binarized_by_row,
    data_moments,
    standardization_of,
)
from npvae.training.config import TrainConfig
from npvae.training.diagnosis import diagnose
from npvae.training.gradient_flow import FlowRecord, GradientFlow
from npvae.training.history import HistoryFile
from npvae.training.loop import Callback, largest_product, train
from npvae.training.many import Training, train_many
from npvae.training.progress import Progress, is_told, progress_of
from npvae.training.stacked import StackedStep
from npvae.training.state import (
    TrainingState,
    adopt_standardization,
    change_data,
    load_checkpoint,
    save_checkpoint,
    standardization_in,
)
from npvae.training.step import TrainStep

__all__ = [
    "BINARIZE",
    "Callback",
    "FlowRecord",
    "GradientFlow",
    "HistoryFile",
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
    "data_moments",
    "diagnose",
    "is_told",
    "largest_product",
    "load_checkpoint",
    "progress_of",
    "save_checkpoint",
    "standardization_in",
    "standardization_of",
    "train",
    "train_many",
]
