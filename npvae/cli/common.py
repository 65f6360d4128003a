"""What several commands do: find a model and its data, write a picture, say what was done."""
import argparse
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from functools import partial
from operator import length_hint
from pathlib import Path
from time import monotonic
from typing import Any

from npvae.cli.terminal import say
from npvae.errors import ModelFileError, ParameterError, did_you_mean
from npvae.options import READING

DATA_KINDS = (".npy", ".csv", "")
BETWEEN_LINES = 10.0  # seconds, of progress where no line can be written over


def note(arguments: argparse.Namespace, *lines: str) -> None:
    """Print lines that are not the result: none of them with --quiet or --json."""
    if not (arguments.quiet or arguments.json):
        say(*lines)


@contextmanager
def silence(arguments: argparse.Namespace) -> Iterator[None]:
    """Let nothing that is printed in this block come out, with --quiet or --json."""
    if not (arguments.quiet or arguments.json):
        yield
        return
    with open(os.devnull, "w") as nothing, redirect_stdout(nothing):
        yield


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def print_json(result: dict[str, Any] | list[Any]) -> None:
    """Print a result as JSON; null where a number is NaN or infinite, as JSON has it."""

    def finite(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: finite(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [finite(item) for item in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    print(json.dumps(finite(result), indent=2, ensure_ascii=False))


def find(path: str) -> tuple[Any, Any]:
    """The model of a run folder or of a file, and the run if it is one.

    Raises
    ------
    ModelFileError
        If there is none: with what is there by a similar name, which may have been meant.
    """
    from npvae import runs

    place = Path(path)
    if not place.exists():
        there = [str(other) for other in place.parent.glob("*")]
        near = did_you_mean(str(place), there) or "; npvae runs lists those there are"
        raise ModelFileError(f"{path}: there is no such run or model{near}")
    return runs.find_model(path)


def find_data(arguments: argparse.Namespace, model: Any, run: Any, every: bool = False) -> Any:
    """``--data`` if given, else what the run held out, scaled as the model's likelihood needs.

    Of the file that the run was trained on, the rows that it held out: all of them with ``every``.
    """
    from npvae import data, runs

    reading = reading_options(arguments)
    if run is None and arguments.data is None:
        raise ParameterError(f"{arguments.model} is a file, not a run; name the data with --data")
    if run is None:
        dataset = data.load(arguments.data, **reading)
        return dataset.scaled_for(model.engine_.model.likelihood.support)
    run = replace(run, settings=run.settings | reading)
    if every and arguments.data is not None:
        return runs.load_data(run.settings, arguments.data)
    return run.held_out(arguments.data)


def reading_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """How ``--data`` are read, as far as it is said.

    Raises
    ------
    ParameterError
        If it is said of no data.
    """
    given = ((option.name, vars(arguments)[option.name]) for option in READING)
    reading = {name: value for name, value in given if value is not None}
    if reading and arguments.data is None:
        raise ParameterError(f"{next(iter(reading))} is of --data; name the data too")
    return reading


def write_figure(figure: Any, arguments: argparse.Namespace, what: str) -> None:
    """Save to ``--out``, or beside the current folder's files under a telling name."""
    from npvae import plotting

    path = free_path(arguments, f"{Path(arguments.model).stem}-{what}.png")
    note(arguments, str(plotting.save(figure, path)))


def free_path(arguments: argparse.Namespace, default: str, kinds: Sequence[str] = ()) -> Path:
    """``--out``, or ``default``; of ``kinds``, which are suffixes, if there are any.

    Raises
    ------
    ParameterError
        If it is of another kind.
    ModelFileError
        If it is there already, and ``--force`` is not.
    """
    path = Path(arguments.out or default)
    if kinds and path.suffix.lower() not in kinds:
        named = " or ".join(kind or "nothing, for a folder of images" for kind in kinds)
        raise ParameterError(f"{path} ends in {path.suffix!r}; let it end in {named}")
    empty = path.is_dir() and not any(path.iterdir())
    if path.exists() and not (empty or arguments.force):
        raise ModelFileError(
            f"{path} exists and is not overwritten; name another with --out, or replace it "
            "with --force"
        )
    return path


def write_data(arguments: argparse.Namespace, path: Path, X: Any, image_shape: Any) -> None:
    """Write datapoints (N, D) as an array, a table, or a folder of images, by the name of ``path``.

    Raises
    ------
    ParameterError
        If the name is of none of these, or they are no images.
    """
    import numpy as np

    from npvae import backend, io

    X, kind = backend.to_numpy(X), path.suffix.lower()
    if not kind and image_shape is None:
        raise ParameterError(
            f"{path} is a folder, for images, and this model was not trained on any; "
            "end the name in .npy or .csv"
        )
    if not kind:
        io.write_images(path, X, image_shape)
    elif kind == ".npy":
        with io.atomic_write(path) as file:
            np.save(file, X, allow_pickle=False)
    else:
        io.write_columns(path, {"x": X})
    note(arguments, f"{path}: {len(X)} datapoints of {X.shape[1]}")


def progress_bar(arguments: argparse.Namespace, unit: str) -> Callable[[Iterable], Iterable]:
    """tqdm on a terminal where it is installed, elsewhere plain lines; with --quiet nothing."""
    if arguments.quiet:
        return iter
    lines = partial(plain_lines, unit=unit)
    if not sys.stderr.isatty():
        return lines
    try:
        from tqdm import tqdm
    except ImportError:
        return lines
    return lambda iterable: tqdm(iterable, unit=unit, leave=False)


def plain_lines(iterable: Iterable, unit: str) -> Iterator:
    """The iterable itself; a line of how far it is every ten seconds, and none if it takes less."""
    n, told = length_hint(iterable), monotonic()
    for done, item in enumerate(iterable):
        if monotonic() - told >= BETWEEN_LINES:
            told = monotonic()
            print(f"{done} of {n} {unit}", file=sys.stderr, flush=True)
        yield item
