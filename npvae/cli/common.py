"""What several commands do: find a model and its data, write a picture, say what was done."""
import argparse
import json
import math
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from npvae.errors import ModelFileError, ParameterError


def note(arguments: argparse.Namespace, *lines: str) -> None:
    """Print lines that are not the result: none of them with --quiet or --json."""
    if not (arguments.quiet or arguments.json):
        print(*lines, sep="\n", flush=True)


def print_json(result: dict[str, Any]) -> None:
    """Print a result as one JSON object; null where a number is NaN or infinite, as JSON has it."""

    def finite(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: finite(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [finite(item) for item in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    print(json.dumps(finite(result), indent=2, ensure_ascii=False))


def find(path: str) -> tuple[Any, Any]:
    from npvae import runs

    return runs.find_model(path)


def find_data(arguments: argparse.Namespace, run: Any) -> Any:
    """``--data`` if given, else what the run held out."""
    from npvae import data, runs

    if arguments.data is not None and run is None:
        return data.load(arguments.data)
    if arguments.data is not None:
        return runs.load_data(run.settings, arguments.data)
    if run is None:
        raise ParameterError(f"{arguments.model} is a file, not a run; name the data with --data")
    return run.held_out()


def write_figure(figure: Any, arguments: argparse.Namespace, what: str) -> None:
    """Save to ``--out``, or beside the current folder's files under a telling name."""
    from npvae import plotting

    path = free_path(arguments, f"{Path(arguments.model).stem}-{what}.png")
    note(arguments, str(plotting.save(figure, path)))


def free_path(arguments: argparse.Namespace, default: str) -> Path:
    """``--out``, or ``default``.

    Raises
    ------
    ModelFileError
        If it is there already, and ``--force`` is not.
    """
    path = Path(arguments.out or default)
    if path.exists() and not arguments.force:
        raise ModelFileError(
            f"{path} exists and is not overwritten; name another with --out, or replace it "
            "with --force"
        )
    return path


def progress_bar(arguments: argparse.Namespace, unit: str) -> Callable[[Iterable], Iterable]:
    """tqdm on a terminal where it is installed; else, or with --quiet, nothing is shown."""
    if arguments.quiet or not sys.stderr.isatty():
        return iter
    try:
        from tqdm import tqdm
    except ImportError:
        return iter
    return lambda iterable: tqdm(iterable, unit=unit, leave=False)
