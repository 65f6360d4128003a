"""What a checkpoint says of its progress, and what each of these numbers can be."""
from collections.abc import Callable
from pathlib import Path
from typing import Any

from npvae.errors import ModelFileError


def count(value: Any) -> bool:
    return type(value) is int and value >= 0


def number(value: Any) -> bool:
    return type(value) in (int, float)


def number_or_none(value: Any) -> bool:
    return value is None or number(value)


def two_numbers(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(number, value))


def columns(value: Any) -> bool:
    lists = isinstance(value, dict) and all(isinstance(v, list) for v in value.values())
    return lists and all(number_or_none(v) for column in value.values() for v in column)


COUNTERS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "epoch": (count, "a whole number"),
    "batch": (count, "a whole number"),
    "step": (count, "a whole number"),
    "sums": (two_numbers, "two numbers"),
    "objective": (two_numbers, "two numbers"),
    "history": (columns, "lists of numbers"),
    "best_epoch": (count, "a whole number"),
    "best_elbo": (number_or_none, "a number or null"),
}


def check_progress(path: str | Path, progress: Any, n_batches: int) -> None:
    """Hold the progress of a checkpoint against the table, and its numbers against each other.

    Parameters
    ----------
    path : path
        Of the checkpoint, for the message.
    progress : dict
        As its config has it.
    n_batches : int
        Batches an epoch.

    Raises
    ------
    ModelFileError
        Naming the first number that is missing or cannot be.
    """
    def problem() -> str | None:
        if not isinstance(progress, dict):
            return "it is no JSON object"
        for name, (check, what) in COUNTERS.items():
            if name not in progress:
                return f"{name!r} is missing"
            if not check(progress[name]):
                return f"{name}={progress[name]!r:.60} is not {what}"
        epoch, history, best = progress["epoch"], progress["history"], progress["best_epoch"]
        for name, column in history.items():
            if len(column) != epoch:
                return f"after epoch {epoch} its history has {len(column)} of {name!r:.60}"
        if history.get("epoch", []) != list(range(1, epoch + 1)):
            return f"its history does not count the epochs from 1 to {epoch}"
        if not all(map(count, history.get("samples", []))):
            return "its history has samples that are no whole numbers"
        batch, step = progress["batch"], progress["step"]
        if not (batch <= n_batches and step == epoch * n_batches + batch):
            return f"epoch={epoch}, batch={batch} and step={step} do not go together"
        if best > epoch:
            return f"best_epoch={best} is after epoch {epoch}"
        elbo, bounds = progress["best_elbo"], history.get("validation_elbo", [])
        if elbo is not None and (not best or bounds[best - 1 : best] != [elbo]):
            return f"best_elbo={elbo} is not that of epoch {best}"
        return None

    if what := problem():
        raise ModelFileError(
            f"{path}: its progress is damaged: {what}; restore it from a copy, or start anew"
        )
