"""Minibatches, the loop, and checkpoints."""
from npvae.training.batches import (
    BINARIZE,
    Minibatches,
    binarized,
    binarized_by_row,
    data_moments,
    standardization_of,
)
from npvae.training.config import TrainConfig
from npvae.training.loop import Callback, train
from npvae.training.progress import HistoryFile, print_backend, print_early_stopping, print_epoch
from npvae.training.state import (
    TrainingState,
    load_checkpoint,
    save_checkpoint,
    standardization_in,
)
from npvae.training.step import TrainStep

__all__ = [
    "BINARIZE",
    "Callback",
    "HistoryFile",
    "Minibatches",
    "TrainConfig",
    "TrainStep",
    "TrainingState",
    "binarized", "binarized_by_row",
    "data_moments",
    "load_checkpoint",
    "print_backend",
    "print_early_stopping",
    "print_epoch",
    "save_checkpoint",
    "standardization_in", "standardization_of",
    "train",
]  # fmt: skip
