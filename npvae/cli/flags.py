"""What the commands make their flags by: the table of options, and flags that several have."""
import argparse
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from npvae.options import DATA_DEFAULTS, MODEL, READING, RUN, TRAINING, Option, ratio, rows

# What add_subparsers returns: that to which commands are added.
Commands = argparse._SubParsersAction
# What a word is not, that does not make a value of its kind.
WANTED: dict[Any, str] = {
    int: "a whole number", float: "a number", ratio: "a number, nor one over another",
    rows: "a whole number, nor test",
}  # fmt: skip


def add_command(
    commands: Commands, run: Callable[[argparse.Namespace], int | None], name: str, text: str,
    epilog: str = "",
) -> argparse.ArgumentParser:  # fmt: skip
    """A command that ``run`` does; its parser, to add flags to."""
    sub = commands.add_parser(name, help=text, description=text, epilog=epilog)
    sub.set_defaults(run=run, json=False)
    sub.add_argument("-q", "--quiet", action="store_true",
                     help="print results and errors alone: no progress, no notes")
    return sub


def add_options(
    sub: argparse.ArgumentParser, title: str, options: Iterable[Option],
    defaults: Mapping[str, Any] = {},
) -> None:  # fmt: skip
    """The flags of some options, listed under ``title``; ``defaults`` are the command's own."""
    group = sub.add_argument_group(title)
    for option in options:
        add_option(group, option, defaults.get(option.name, option.default))


def add_option(group: Any, option: Option, default: Any) -> None:
    """The flag of an option. One that is not given is None: its default may be the data's own."""
    text = option.help
    if not callable(option.check):
        text += f": {', '.join(option.check)}"
    if default is not None:
        of_data = "".join(
            f"; {name}: {as_typed(settings[option.name])}"
            for name, settings in DATA_DEFAULTS.items()
            if option.name in settings and default == option.default
        )
        text += f" (default: {as_typed(default)}{of_data})"
    keywords: dict[Any, dict[str, Any]] = {
        bool: {"action": argparse.BooleanOptionalAction, "default": None},
        tuple: {"type": number(int), "nargs": "*", "metavar": "WIDTH"},
        list: {"type": str, "nargs": "+", "metavar": "NAME"},
        object: {"type": str, "metavar": "NAME"},
    }
    word = option.kind.__name__.upper() if callable(option.check) else "NAME"
    plain = {"type": number(option.kind), "metavar": word}
    flag = "--" + option.name.replace("_", "-")
    group.add_argument(flag, help=text, **keywords.get(option.kind, plain))


def as_typed(value: Any) -> str:
    """A value as it is typed after its flag."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " ".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


def number(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    """``kind``, which makes a value of a word, with an error that says what it wants."""

    def convert(word: str) -> Any:
        try:
            return kind(word)
        except (ValueError, ZeroDivisionError):
            raise argparse.ArgumentTypeError(f"{word!r} is not {WANTED[kind]}") from None

    return convert


def add_number(
    sub: argparse.ArgumentParser, *flags: str, kind: Any = int, default: Any = None, help: str
) -> None:
    """A flag that takes a number."""
    if default is not None:
        help += f" (default: {default:g})"
    sub.add_argument(*flags, type=number(kind), default=default, help=help,
                     metavar=kind.__name__.upper())  # fmt: skip


def with_model(sub: argparse.ArgumentParser, data: bool = False) -> None:
    sub.add_argument("model", metavar="RUN_OR_MODEL", help="a run folder or a model.npz")
    if data:
        sub.add_argument("--data", metavar="DATA",
                         help="a name or a path, as of train; what the run held out if not given")
        add_options(sub, "how --data are read, as the run's are if not given", READING)


def with_out(sub: argparse.ArgumentParser, metavar: str, text: str) -> None:
    sub.add_argument("--out", metavar=metavar, help=text)
    sub.add_argument("--force", action="store_true", help="replace what --out names")


def with_picture(sub: argparse.ArgumentParser, what: str) -> None:
    with_out(sub, "FILE.png", f"picture to write; RUN_OR_MODEL-{what}.png here if not given")


def with_json(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--json", action="store_true",
                     help="print the result as JSON, and nothing else")  # fmt: skip


def explicit_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The model and run options on the command line, by their Python names."""
    names = {option.name for option in (*RUN, *MODEL, *TRAINING)}
    return {k: v for k, v in vars(arguments).items() if k in names and v is not None}
