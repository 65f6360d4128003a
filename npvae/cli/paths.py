"""``npvae traverse`` and ``interpolate``: paths through the latent space, as pictures."""
import argparse
from collections.abc import Sequence
from typing import Any

from npvae.cli.common import find, find_data, write_figure
from npvae.cli.flags import Commands, add_command, add_number, number, with_model, with_picture
from npvae.errors import ParameterError

PAIRS = 6  # of datapoints with a path between them


def add_to(commands: Commands) -> None:
    p = add_command(commands, traverse, "traverse", "what each latent does by itself, a row each")
    with_model(p, data=True)
    with_picture(p, "traversals")
    add_number(p, "--datapoint", help="start from the code of this one, from 0; from the prior's "
                                      "median if not given")
    p.add_argument("--latents", type=number(int), nargs="+", metavar="J",
                   help="those to show, from 1; the first ten if not given")  # fmt: skip
    add_number(p, "-n", default=11, help="images a row")
    p = add_command(commands, interpolate, "interpolate", "paths from one datapoint to another")
    with_model(p, data=True)
    with_picture(p, "interpolations")
    p.add_argument("--between", type=number(int), nargs=2, metavar=("A", "B"),
                   help="two datapoints, from 0; six pairs from all over the data if not given")
    add_number(p, "-n", default=9, help="images between two datapoints")


def traverse(arguments: argparse.Namespace) -> None:
    from npvae import plotting

    model, run = find(arguments.model)
    if not model.has_prior:
        raise ParameterError("an Autoencoder has no prior to go through; train a VAE, or "
                             "interpolate")  # fmt: skip
    z = None
    if arguments.datapoint is not None:
        x = chosen(find_data(arguments, model, run, every=True), [arguments.datapoint])
        z = model.transform(x)[0]
    elif arguments.data is not None:
        raise ParameterError("--data is for --datapoint, which says where to start; give both")
    figure = plotting.traversals(model, z, arguments.latents, arguments.n)
    write_figure(figure, arguments, "traversals")


def interpolate(arguments: argparse.Namespace) -> None:
    from npvae import plotting

    model, run = find(arguments.model)
    dataset = find_data(arguments, model, run, every=True)
    rows = arguments.between
    if rows is None:  # the pth of the first half with the pth of the second
        P = min(PAIRS, len(dataset) // 2)
        spaced = [i * (len(dataset) - 1) // max(1, 2 * P - 1) for i in range(2 * P)]
        rows = [row for pair in zip(spaced[:P], spaced[P:], strict=True) for row in pair]
    figure = plotting.interpolations(model, chosen(dataset, rows), arguments.n)
    write_figure(figure, arguments, "interpolations")


def chosen(dataset: Any, rows: Sequence[int]) -> Any:
    """The values of some datapoints.   (len(rows), D)"""
    for row in rows:
        if not 0 <= row < len(dataset):
            raise ParameterError(f"there is no datapoint {row} of {dataset.name}; choose from 0 to "
                                 f"{len(dataset) - 1}")  # fmt: skip
    return dataset.images[list(rows)]
