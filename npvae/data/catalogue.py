"""All data by name, for the command line: ``--data digits|mnist|freyfaces|swiss-roll|FILE``."""
from collections.abc import Callable
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from npvae.data import freyfaces, mnist
from npvae.data.dataset import Dataset
from npvae.data.digits import load_digits
from npvae.data.freyfaces import load_frey_faces
from npvae.data.mnist import load_mnist
from npvae.data.sources import whereabouts
from npvae.data.swiss_roll import make_swiss_roll
from npvae.data.user_files import load_file
from npvae.errors import DataError, ParameterError

LOADERS: dict[str, Callable[[], Dataset]] = {
    "digits": load_digits,
    "mnist": load_mnist,
    "freyfaces": load_frey_faces,
    "swiss-roll": lambda: make_swiss_roll(2000, rng=0),  # the same points at every call
}


def load(
    name: str | Path, split: str | None = None, *, scale: float | None = None, **columns: Any
) -> Dataset:
    """A dataset by its name, or a user's own by its path.

    Parameters
    ----------
    name : str or Path
        digits, mnist, freyfaces, swiss-roll, or a file or folder that `load_file` reads.
    split : {"train", "test"}, optional
        For MNIST, which alone has them; "train" if not given.
    scale : float, optional
        The values are ``pixels * scale``, whatever the data or the likelihood would have.
    **columns
        ``label_column``, ``index_column``, ``drop`` and ``header``, as `load_file` takes them.

    Raises
    ------
    DataError
        If there is nothing of that name, or it cannot be loaded.
    ParameterError
        If ``split`` is given for data without splits, or is none of MNIST's; or columns are
        named of what is no table.

    Examples
    --------
    >>> load("swiss-roll")
    Dataset(swiss-roll: 2,000 datapoints of 3, float32, labels)
    >>> load("digit")
    Traceback (most recent call last):
    npvae.errors.DataError: there is no data or file 'digit': choose digits, mnist, freyfaces, \
swiss-roll, or the path of a table (.csv, …), arrays (.npy, …) or a folder of images; \
did you mean 'digits'?
    """
    dataset = _named(name, split, columns)
    return dataset if scale is None else replace(dataset, scale=scale, grey_levels=False)


def _named(name: str | Path, split: str | None, columns: dict[str, Any]) -> Dataset:
    asked = [option for option, value in columns.items() if value not in (None, (), [])]
    if name in (*LOADERS, "mnist") and asked:
        raise ParameterError(f"{asked[0]} is for tables; {str(name)!r} is none: leave it out")
    if name == "mnist":
        return load_mnist(split or "train")
    if split is not None:
        raise ParameterError(f"split = {split!r} is for mnist; {str(name)!r} has no splits")
    if name in LOADERS:
        return LOADERS[str(name)]()
    if Path(name).exists():
        return load_file(name, **columns)
    close = get_close_matches(str(name), LOADERS, n=1)
    suggestion = f"; did you mean {close[0]!r}?" if close else ""
    raise DataError(f"there is no data or file {str(name)!r}: choose {', '.join(LOADERS)}, or the "
                    "path of a table (.csv, …), arrays (.npy, …) or a folder of images"
                    f"{suggestion}")


def available() -> list[tuple[str, bool, str]]:
    """What can be loaded by name: (name, whether it is on this machine, where or what to do).

    Examples
    --------
    >>> available()[0]
    ('digits', True, 'bundled with npvae')
    """
    return [
        ("digits", True, "bundled with npvae"),
        ("mnist", *whereabouts([*mnist.SOURCES["train"], *mnist.SOURCES["test"]])),
        ("freyfaces", *whereabouts([freyfaces.SOURCE])),
        ("swiss-roll", True, "computed"),
    ]
