"""``npvae data`` and ``npvae doctor``: what is on this machine; ``completion``: what Tab writes."""
import argparse

from npvae.cli.common import print_json
from npvae.cli.flags import Commands, add_command, with_json
from npvae.cli.terminal import say
from npvae.errors import optional_import
from npvae.options import OPTIONS, RUN

FILES = ("model", "data", "config", "resume", "out", "first", "other", "codes", "folder",
         "run_or_model")


def add_to(commands: Commands) -> None:
    with_json(add_command(commands, show_data, "data", "which data sets are here"))
    add_command(commands, doctor, "doctor",
                "versions, BLAS, GPU, data, and what to do about each")  # fmt: skip
    p = add_command(commands, completion, "completion",
                    "a script that lets Tab complete commands, flags and names",
                    "For bash: eval \"$(npvae completion bash)\" in ~/.bashrc")  # fmt: skip
    p.add_argument("shell", choices=("bash", "zsh", "tcsh"), metavar="SHELL",
                   help="bash, zsh or tcsh")  # fmt: skip


def show_data(arguments: argparse.Namespace) -> None:
    from npvae import data

    if arguments.json:
        print_json({name: {"found": found, "where": where}
                    for name, found, where in data.available()})  # fmt: skip
        return
    for name, found, where in data.available():
        say(f"{name:<12} {'found  ' if found else 'missing'}  {where}")


def doctor(arguments: argparse.Namespace) -> None:
    from npvae.doctor import report

    for line in report():
        say(line)


def completion(arguments: argparse.Namespace) -> None:
    from npvae.cli.parser import parser

    shtab = optional_import("shtab", "completion")
    top = parser()
    (commands,) = (a for a in top._actions if isinstance(a, argparse._SubParsersAction))
    names = {o.name: o.check for o in (*RUN, *OPTIONS.values()) if not callable(o.check)}
    for action in (a for sub in commands.choices.values() for a in sub._actions):
        if action.option_strings and action.dest in names:
            action.choices = names[action.dest]
        elif action.dest in FILES:
            action.complete = shtab.FILE
    print(shtab.complete(top, arguments.shell))
