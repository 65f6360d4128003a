"""``npvae sample``, ``reconstruct``, ``manifold``: pictures of a model."""
import argparse
from pathlib import Path

from npvae.cli.common import DATA_KINDS, find, find_data, free_path, write_data, write_figure
from npvae.cli.flags import Commands, add_command, add_number, with_model, with_out, with_picture
from npvae.errors import ParameterError


def add_to(commands: Commands) -> None:
    p = add_command(commands, sample, "sample", "images, or other data, from the prior")
    with_model(p)
    with_out(p, "FILE|FOLDER", "a picture, FILE.png; the data, FILE.npy or FILE.csv; or a folder "
             "of images; RUN_OR_MODEL-samples.png here if not given")  # fmt: skip
    add_number(p, "-n", default=100, help="how many")
    add_number(p, "--seed", default=0, help="of the samples")
    p.add_argument("--draw", action="store_true",
                   help="draw each x from p(x|z), as data are, and do not show its mean")
    p = add_command(commands, reconstruct, "reconstruct", "images beside their reconstructions")
    with_model(p, data=True)
    with_picture(p, "reconstructions")
    p = add_command(commands, manifold, "manifold",
                    "the 2-D latent space as a grid of images (figure 4)")  # fmt: skip
    with_model(p)
    with_picture(p, "manifold")
    add_number(p, "-n", default=20, help="images a side")


def sample(arguments: argparse.Namespace) -> None:
    from npvae import plotting

    model, _ = find(arguments.model)
    if not model.has_prior:
        raise ParameterError("an Autoencoder has no prior to sample from; train a VAE")
    path = Path(arguments.out or "")
    if arguments.out and path.suffix.lower() in DATA_KINDS:
        path = free_path(arguments, arguments.out)
        X = model.sample(arguments.n, arguments.seed, arguments.draw)  # (n, D)
        return write_data(arguments, path, X, model.image_shape_)
    figure = plotting.samples(model, None, arguments.n, arguments.seed, arguments.draw)
    write_figure(figure, arguments, "samples")


def reconstruct(arguments: argparse.Namespace) -> None:
    from npvae import plotting

    model, run = find(arguments.model)
    figure = plotting.reconstructions(model, find_data(arguments, model, run))
    write_figure(figure, arguments, "reconstructions")


def manifold(arguments: argparse.Namespace) -> None:
    from npvae import plotting

    model, _ = find(arguments.model)
    if not model.has_prior:
        raise ParameterError("an Autoencoder has no prior, and so no manifold; train a VAE")
    write_figure(plotting.manifold(model, n=arguments.n), arguments, "manifold")
