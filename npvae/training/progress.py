"""Progress on a terminal, and the history file."""
import sys
from pathlib import Path

from npvae.backend import Backend
from npvae.io import to_json, write_jsonl
from npvae.training.state import History, TrainingState


def print_backend(backend: Backend) -> None:
    """What was chosen to compute on, on a terminal."""
    if sys.stdout.isatty():
        print(f"backend    {backend.device}", flush=True)


def print_early_stopping(first: int) -> None:
    """From where early stopping counts, on a terminal."""
    if sys.stdout.isatty():
        print(f"stopping   counts from epoch {first} on, after the KL warm-up", flush=True)


def print_epoch(state: TrainingState) -> None:
    """One line an epoch on a terminal; nothing elsewhere, where nobody watches."""
    if not sys.stdout.isatty():
        return
    row = state.last()
    line = f"epoch {row['epoch']:>4}   reconstruction {row['reconstruction']:>9.3f}"
    if "log_joint" in row:  # Monte Carlo EM has no bound either
        line += f"   log p(z) {row['log_prior']:>8.3f}   log p(x, z) {row['log_joint']:>9.3f}"
        line += f"   accepted {row['acceptance']:>4.0%}"
    elif state.engine.model.n_noise:  # without noise there is no bound: an auto-encoder
        line += f"   KL {row['kl']:>7.3f}   ELBO {row['elbo']:>9.3f}"
    if row.get("objective") is not None:
        line += f"   objective {row['objective']:>9.3f}"
    if "parameter_kl" in row:
        line += f"   parameters' KL {row['parameter_kl']:>8.3f}"
    if "validation_elbo" in row:
        line += f"   held out {row['validation_elbo']:>9.3f}"
    print(f"{line}   nats   {row['seconds']:.1f} s", flush=True)


class HistoryFile:
    """Keep ``history.jsonl``: one JSON object an epoch.

    The whole file is written anew each time, so it always tells the story of the state at
    hand, also after a resume from an earlier checkpoint. Lines are kept: an epoch may take less
    time than to make those of thousands of epochs.
    """

    def __init__(self, path: str | Path):
        self.path = path
        self.lines: list[str] = []
        self.history: History | None = None  # whose lines they are

    def __call__(self, state: TrainingState) -> None:
        if state.history is not self.history:
            self.history, self.lines = state.history, []
        for i in range(len(self.lines), state.epoch):
            self.lines.append(to_json({key: column[i] for key, column in state.history.items()}))
        write_jsonl(self.path, self.lines)
