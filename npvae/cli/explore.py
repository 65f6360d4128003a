"""``npvae explore``: the latent space as a page to move through."""
import argparse
from pathlib import Path

from npvae.cli.common import find, find_data, free_path, note
from npvae.cli.flags import Commands, add_command, add_options, with_model, with_out
from npvae.options import READING


def add_to(commands: Commands) -> None:
    p = add_command(commands, explore, "explore", "the latent space, as a page to move through",
                    "One HTML file, which opens in any browser and asks nothing of anyone. It has "
                    "the model, and codes and labels of the data.")  # fmt: skip
    with_model(p)
    p.add_argument("--data", metavar="DATA",
                   help="a name or a path, as of train; if not given, what the run was trained "
                        "on, or of a model.npz samples of the prior")  # fmt: skip
    p.add_argument("--embed-data", action="store_true",
                   help="put the data themselves into the page too, to be seen")
    with_out(p, "FILE.html", "page to write; RUN_OR_MODEL-explore.html here if not given")
    add_options(p, "how --data are read, as the run's are if not given", READING)


def explore(arguments: argparse.Namespace) -> None:
    from npvae import explain, io

    path = free_path(arguments, f"{Path(arguments.model).stem}-explore.html", (".html", ".htm"))
    model, run = find(arguments.model)
    asked = [arguments.data, *(vars(arguments)[option.name] for option in READING)]
    if any(value is not None for value in asked):
        data = find_data(arguments, model, run, every=True)
    else:
        data = run and run.datasets()[0]
    html = explain.explore(model, data, embed_data=arguments.embed_data).encode()
    with io.atomic_write(path) as file:
        file.write(html)
    note(arguments, f"{path}: {len(html) / 1000:,.0f} kB")
