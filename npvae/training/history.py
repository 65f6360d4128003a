"""The history file of a run."""
from pathlib import Path

from npvae.io import to_json, write_jsonl
from npvae.training.state import History, TrainingState


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
