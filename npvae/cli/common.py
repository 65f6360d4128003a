"""What several commands do: find a model and its data, write a picture, show progress."""
import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from npvae.errors import ModelFileError, ParameterError


def find(path: str) -> tuple[Any, Any]:
    from npvae import runs

    return runs.find_model(path)


def find_data(arguments: argparse.Namespace, run: Any) -> Any:
    """``--data`` if given, else what the run held out."""
    from npvae import data

    if arguments.data is not None:
        return data.load(arguments.data)
    if run is None:
        raise ParameterError(f"{arguments.model} is a file, not a run; name the data with --data")
    return run.held_out()


def write_figure(figure: Any, arguments: argparse.Namespace, what: str) -> None:
    """Save to ``--out``, or beside the current folder's files under a telling name."""
    from npvae import plotting

    path = Path(arguments.out or f"{Path(arguments.model).stem}-{what}.png")
    if path.exists():
        raise ModelFileError(f"{path} exists and is not overwritten; name another with --out")
    print(plotting.save(figure, path))


def progress_bar(unit: str) -> Callable[[Iterable], Iterable]:
    """tqdm on a terminal where it is installed; else nothing is shown."""
    if not sys.stderr.isatty():
        return iter
    try:
        from tqdm import tqdm
    except ImportError:
        return iter
    return lambda iterable: tqdm(iterable, unit=unit, leave=False)
