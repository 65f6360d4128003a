"""``npvae reproduce``: a figure of the paper."""
import argparse
import sys
from pathlib import Path

from npvae.cli.common import silence
from npvae.cli.flags import Commands, add_command, add_number, with_json
from npvae.errors import ParameterError


def add_to(commands: Commands) -> None:
    p = add_command(commands, reproduce, "reproduce",
                    "a figure of the paper: train its curves, draw it, compare")  # fmt: skip
    p.add_argument("figure", choices=("figure2", "figure3", "figure4", "figure5"),
                   metavar="FIGURE", help="figure2, figure3, figure4 or figure5")  # fmt: skip
    add_number(p, "--budget", kind=float, default=1e7, help="training samples a curve")
    p.add_argument("--curves", nargs="+", default=(), metavar="NAME",
                   help="train these alone, as mnist-20-vae; all if not given, and a wrong name "
                   "lists them")
    with_json(p)
    add_number(p, "--jobs", help="curves at a time; one a processor if not given")
    p.add_argument("--out", metavar="DIR", default="reproductions",
                   help="runs, which figures share, and results (default: %(default)s)")


def reproduce(arguments: argparse.Namespace) -> None:
    from npvae.reproduce import FIGURES

    if not 1 <= arguments.budget < 1e12:
        raise ParameterError(f"--budget {arguments.budget:g} is no number of training samples")
    if arguments.jobs is not None and arguments.jobs < 1:
        raise ParameterError(f"--jobs {arguments.jobs} trains nothing; ask for 1 or more")
    figure, folder = FIGURES[arguments.figure], Path(arguments.out)
    try:
        with silence(arguments):
            text = figure.reproduce(folder, arguments.budget, arguments.curves, arguments.jobs)
    except KeyboardInterrupt:
        print("npvae: interrupted; the same command goes on", file=sys.stderr)
        raise
    print((folder / f"{figure.name}.json").read_text("utf-8") if arguments.json else text)
