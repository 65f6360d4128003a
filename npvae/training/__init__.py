"""Minibatches, the loop, and checkpoints."""
from npvae.training.batches import BINARIZE, Minibatches, binarized
from npvae.training.loop import Recipe, train
from npvae.training.progress import HistoryFile, print_epoch
from npvae.training.state import TrainingState, load_checkpoint, save_checkpoint

__all__ = [
    "BINARIZE", "HistoryFile", "Minibatches", "Recipe", "TrainingState", "binarized",
    "load_checkpoint", "print_epoch", "save_checkpoint", "train",
]  # fmt: skip
