"""One training at a time: two that change the same parameters would leave those of neither."""
import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

from npvae.errors import ParameterError

if TYPE_CHECKING:
    from npvae.estimators.base import GenerativeModel
TRAINING: set[int] = set()  # ids of the models that are being trained
changing = Lock()


def _in_a_fork() -> None:
    """No thread of the parent's goes on here."""
    global changing
    changing = Lock()
    TRAINING.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_a_fork)


@contextmanager
def exclusively(model: "GenerativeModel") -> Iterator[None]:
    """Train ``model`` in the block; one training at a time."""
    with changing:
        if id(model) in TRAINING:
            raise ParameterError(
                f"this {type(model).__name__} is being trained already; wait until that is done, "
                "or train a copy of it"
            )
        TRAINING.add(id(model))
    try:
        yield
    finally:
        TRAINING.discard(id(model))
