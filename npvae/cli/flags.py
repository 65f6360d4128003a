"""What the commands make their flags by: the table of options, and flags that several have."""
import argparse
from collections.abc import Callable
from typing import Any

from npvae.options import MODEL, RUN, TRAINING, Option

# What add_subparsers returns: that to which commands are added.
Commands = argparse._SubParsersAction


def add_command(
    commands: Commands,
    run: Callable[[argparse.Namespace], int | None],
    name: str,
    text: str,
    *options: Option,
) -> argparse.ArgumentParser:
    """A command that ``run`` does, with the flags of ``options``; its parser, to add others."""
    sub = commands.add_parser(name, help=text, description=text)
    sub.set_defaults(run=run)
    for option in options:
        add_option(sub, option)
    return sub


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


def explicit_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The model and run options on the command line, by their Python names."""
    names = {option.name for option in (*RUN, *MODEL, *TRAINING)}
    return {k: v for k, v in vars(arguments).items() if k in names and v is not None}
