"""The parser of the command line: all commands, in the order in which ``--help`` lists them."""
import argparse
from typing import Any

from npvae.cli import evaluate, gradcheck, machine, pictures, reproduce, train

COMMANDS = (train, evaluate, pictures, gradcheck, reproduce, machine)
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
    for file in COMMANDS:
        file.add_to(commands)
    return top


class Version(argparse.Action):
    """Print the version; an action, so that parsing costs no import."""

    def __init__(self, **options: Any):
        super().__init__(nargs=0, help="print the version", **options)

    def __call__(self, parser: argparse.ArgumentParser, *rest: Any) -> None:
        from npvae import __version__

        print(__version__)
        parser.exit()
