"""The parser of the command line: its commands, and their flags from the table of options."""
import argparse
from typing import Any

from npvae.options import MODEL, RUN, TRAINING, Option

EPILOG = "Everything is in nats per datapoint. npvae COMMAND --help lists a command's options."

def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(
        prog="npvae", description="Auto-Encoding Variational Bayes, from scratch.", epilog=EPILOG
    )
    top.add_argument("--version", action=Version)
    commands = top.add_subparsers(
        title="commands", dest="command", metavar="COMMAND", required=True
    )

    def command(name: str, text: str, *options: Option) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        for option in options:
            add_option(sub, option)
        return sub

    p = command("train", "train a model and leave a run folder", *RUN, *MODEL, *TRAINING)
    p.add_argument("--config", metavar="FILE.toml", help="settings; options given win over it")
    p.add_argument("--resume", metavar="DIR", help="go on with a run that was interrupted")
    p.add_argument("--out", metavar="DIR", help="a new folder; runs/<data>-<number> if not given")
    p = command("evaluate", "bound and likelihood, with its standard error")
    with_model(p, data=True)
    p.add_argument("--method", choices=("importance", "annealed", "harmonic", "prior"),
                   help="of estimating log p(x); the first that serves the model if not given")
    p.add_argument("--samples", type=int, help="a datapoint, or annealed chains; the method's own "
                                               "number if not given: 5000 importance samples")
    p.add_argument("--curve", action="store_true",
                   help="the importance-weighted bounds of 1, 10, 100 and 1000 samples instead")
    p.add_argument("--limit", type=int, default=1000, help="datapoints at most (1000)")
    p = command("sample", "a sheet of images from the prior")
    with_model(p, out=True)
    p.add_argument("-n", type=int, default=100, help="how many (100)")
    p.add_argument("--seed", type=int, default=0, help="of the samples (0)")
    p.add_argument("--draw", action="store_true",
                   help="draw each x from p(x|z), as data are, and do not show its mean")
    p = command("reconstruct", "images beside their reconstructions")
    with_model(p, data=True, out=True)
    p = command("manifold", "the 2-D latent space as a grid of images (figure 4)")
    with_model(p, out=True)
    p.add_argument("-n", type=int, default=20, help="images a side (20)")
    command("gradcheck", "hand-written gradients against differences, in float64",
            *RUN[:2], *(option for option in MODEL if option.name != "dtype"))  # fmt: skip
    p = command("reproduce", "a figure of the paper: train its curves, draw it, compare")
    p.add_argument("figure", choices=("figure2", "figure3", "figure4", "figure5"))
    p.add_argument("--budget", type=float, default=1e7, help="training samples a curve (1e7)")
    p.add_argument("--curves", nargs="+", default=(), metavar="NAME",
                   help="train these alone, as mnist-20-vae; a wrong name lists them all")
    p.add_argument("--jobs", type=int, help="curves at a time; one a processor if not given")
    p.add_argument("--out", metavar="DIR", default="reproductions",
                   help="runs, which figures share, and results (reproductions)")
    command("data", "which data sets are here")
    command("doctor", "versions, BLAS, GPU, data, and what to do about each")
    return top


def add_option(sub: argparse.ArgumentParser, option: Option) -> None:
    """The flag of an option. One that is not given is None: its default may be the data's own."""
    text, default = option.help, option.default
    if not callable(option.check):
        text += f": {', '.join(option.check)}"
    if default not in (None, False):
        text += f" ({' '.join(map(str, default)) if option.kind is tuple else default})"
    keywords: dict[Any, dict[str, Any]] = {
        bool: {"action": argparse.BooleanOptionalAction, "default": None},
        tuple: {"type": int, "nargs": "*", "metavar": "WIDTH"},
        object: {"type": str, "metavar": "NAME"},
    }
    plain = {"type": option.kind, "metavar": option.kind.__name__.upper()}
    flag = "--" + option.name.replace("_", "-")
    sub.add_argument(flag, help=text, **keywords.get(option.kind, plain))


def with_model(sub: argparse.ArgumentParser, data: bool = False, out: bool = False) -> None:
    sub.add_argument("model", metavar="RUN_OR_MODEL", help="a run folder or a model.npz")
    if data:
        sub.add_argument("--data", help="data to use; what the run held out if not given")
    if out:
        sub.add_argument("--out", metavar="FILE.png", help="picture to write")


class Version(argparse.Action):
    """Print the version; an action, so that parsing costs no import."""

    def __init__(self, **options: Any):
        super().__init__(nargs=0, help="print the version", **options)

    def __call__(self, parser: argparse.ArgumentParser, *rest: Any) -> None:
        from npvae import __version__

        print(__version__)
        parser.exit()


def explicit_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The model and run options on the command line, by their Python names."""
    names = {option.name for option in (*RUN, *MODEL, *TRAINING)}
    return {k: v for k, v in vars(arguments).items() if k in names and v is not None}
