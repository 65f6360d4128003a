"""The parser of the command line: all commands, in the order in which ``--help`` lists them."""
import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from npvae.cli import (
    codes,
    evaluate,
    explain,
    explore,
    export,
    gradcheck,
    lab,
    machine,
    paths,
    pictures,
    reproduce,
    runs,
    sweep,
    train,
)
from npvae.cli.terminal import say
from npvae.errors import did_you_mean

COMMANDS = (
    train, evaluate, codes, pictures, paths, explain, explore, export, sweep, runs, gradcheck, lab,
    reproduce, machine,
)  # fmt: skip
EPILOG = "Everything is in nats per datapoint. npvae COMMAND --help lists a command's options."


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = Parser(
        prog="npvae", description="Auto-Encoding Variational Bayes, from scratch.", epilog=EPILOG,
        formatter_class=ListFormatter,
    )  # fmt: skip
    top.add_argument("--version", action=Version)
    top.set_defaults(run=lambda _: top.print_help())  # where no command is named
    commands = top.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    for file in COMMANDS:
        file.add_to(commands)
    return top


class Parser(argparse.ArgumentParser):
    """argparse's, with errors of one line, suggestions, no abbreviations, and a short usage."""

    def __init__(self, **options: Any):
        super().__init__(allow_abbrev=False, **options)

    def format_help(self) -> str:
        """Usage is one line: what there is to choose from stands below it."""
        named = ((a, str(a.metavar or a.dest)) for a in self._actions if not a.option_strings)
        words = [f"[{name}]" if action.nargs == "?" else name for action, name in named]
        self.usage = " ".join([self.prog, *words, "[options]"])
        return super().format_help()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Refuse what is not known here, where the flags that it may have meant are known."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            word = unknown[0].partition("=")[0]
            if not word.startswith("-"):
                self.error(f"{word!r} is one argument too many")
            flags = [flag for action in self._actions for flag in action.option_strings]
            self.error(f"there is no {word}{did_you_mean(word.replace('_', '-'), flags)}")
        return found, unknown

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            known: Sequence[str] = list(action.choices)
            near, listed = did_you_mean(value, known), f"; choose from {', '.join(known)}"
            if action.dest == "command":
                self.error(f"there is no command {value!r}{near or listed}")
            raise argparse.ArgumentError(action, f"{value!r} is not known{listed}{near}")

    def error(self, message: str) -> NoReturn:
        """One line to stderr, and exit code 2."""
        line = " ".join(message.removeprefix("argument ").split())
        hint = "" if line.endswith("?") else f"; see {self.prog} --help"
        say(f"npvae: error: {line}{hint}", file=sys.stderr)
        self.exit(2)


class ListFormatter(argparse.HelpFormatter):
    """With room for the names of commands, which argparse forgets to be indented twice."""

    def __init__(self, prog: str):
        super().__init__(prog)
        self._action_max_length = len("    interpolate")


class Version(argparse.Action):
    """Print the version; an action, so that parsing costs no import."""

    def __init__(self, **options: Any):
        super().__init__(nargs=0, help="print the version", **options)

    def __call__(self, parser: argparse.ArgumentParser, *rest: Any) -> None:
        from npvae import __version__

        print(__version__)
        parser.exit()
