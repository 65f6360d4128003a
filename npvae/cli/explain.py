"""``npvae explain``: the page that shows how the gradient of a VAE flows."""
import argparse
from pathlib import Path
from typing import Any

from npvae.cli.common import find, find_data, free_path, note, reading_options
from npvae.cli.flags import Commands, add_command, add_options, with_out
from npvae.errors import DataError
from npvae.options import READING


def add_to(commands: Commands) -> None:
    p = add_command(commands, explain, "explain", "a page that shows how the gradient flows",
                    "One HTML file that asks nothing of anyone: a datapoint's way to the loss, its "
                    "gradient's way back, and both checked as you look.")  # fmt: skip
    p.add_argument("model", metavar="RUN_OR_MODEL", nargs="?",
                   help="a run folder or a model.npz; a small one of the digits if not given")
    p.add_argument("--data", metavar="DATA",
                   help="a name or a path, as of train, whose first datapoints go into the page; "
                   "what the run held out, or samples of the prior, if not given")  # fmt: skip
    add_options(p, "how --data are read, as the run's are if not given", READING)
    with_out(p, "PAGE.html", "page to write; RUN_OR_MODEL-explain.html here if not given")


def explain(arguments: argparse.Namespace) -> None:
    from npvae import explain as pages
    from npvae.io import atomic_write

    path = free_path(arguments, f"{Path(arguments.model or 'npvae').stem}-explain.html", (".html",))
    html = pages.explain(*model_and_data(arguments)).encode()
    with atomic_write(path) as file:
        file.write(html)
    note(arguments, f"{path}: {len(html) / 1000:.0f} kB; open it in a browser")


def model_and_data(arguments: argparse.Namespace) -> tuple[Any, Any]:
    """Both, as far as they are named; of a run what it held out, if that is there."""
    from npvae import explain as pages

    reading_options(arguments)  # refused where there are no data to read
    model, run = find(arguments.model) if arguments.model else (None, None)
    if arguments.data is not None:
        model = model or pages.bundled_model()
        return model, find_data(arguments, model, run, every=True)
    if run is not None:
        try:
            return model, run.held_out()
        except DataError as error:  # none was held out, or they are gone
            note(arguments, f"samples of the prior, for {error}")
    return model, None
