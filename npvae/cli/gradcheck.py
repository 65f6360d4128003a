"""``npvae gradcheck``: hand-written gradients against differences of the bound itself.

With ``--zoo``, mistakes that such a check mostly does not see, and what they do to training.
"""
import argparse
import inspect
from dataclasses import asdict
from typing import Any

from npvae.cli.common import align, free_path, note, print_json, progress_bar
from npvae.cli.flags import (
    Commands,
    add_command,
    add_options,
    explicit_options,
    with_json,
    with_out,
)
from npvae.cli.terminal import say
from npvae.errors import ParameterError, did_you_mean
from npvae.options import MODEL, RUN

SMALL = {"hidden": (16,), "latent_dim": 3}  # in float64, where differences have digits enough
EVERY = "every"


def add_to(commands: Commands) -> None:
    p = add_command(commands, gradcheck, "gradcheck",
                    "hand-written gradients against differences, in float64")  # fmt: skip
    with_json(p)
    p.add_argument("--zoo", nargs="?", const=EVERY, metavar="NAME",
                   help="train with a mistake that public code has made and say what sees it; "
                        "with every one, which takes a minute, if not given a NAME")
    with_out(p, "FILE.png", "of --zoo, a picture of what each does to training; no file if not "
             "given")
    add_options(p, "the run", RUN[:2])
    options = (option for option in MODEL if option.name != "dtype")
    add_options(p, "the model, a small one", options, SMALL)


def gradcheck(arguments: argparse.Namespace) -> int:
    from npvae import runs, testing

    if arguments.zoo is not None:
        return zoo(arguments)
    if arguments.out or arguments.force:
        raise ParameterError("--out and --force are for --zoo; a gradient check writes no file")
    settings = runs.resolve_settings(SMALL | {"dtype": "float64"} | explicit_options(arguments))
    dataset = runs.load_data(settings)
    model = runs.build(settings)
    X = dataset.images[:5]
    model.initialize(X.shape[1])
    note(arguments, *runs.summary(settings))
    report = testing.check_gradients(model, X)
    if arguments.json:
        print_json({"ok": report.ok, "worst": report.worst, **asdict(report)})
    else:
        print(report)
    return 0 if report.ok else 1


def zoo(arguments: argparse.Namespace) -> int:
    """Study one mistake, or all, each with a model of its own."""
    from npvae import plotting
    from npvae.testing.zoo import ZOO, study, table

    if given := explicit_options(arguments):
        name = next(iter(given)).replace("_", "-")
        raise ParameterError(f"--{name} describes a model, and --zoo has its own; leave it out")
    names = list(ZOO) if arguments.zoo == EVERY else [arguments.zoo]
    if names[0] not in ZOO:
        near = did_you_mean(names[0], ZOO) or f"; choose from {', '.join(ZOO)}"
        raise ParameterError(f"--zoo {names[0]} is not there{near}")
    path = free_path(arguments, arguments.out) if arguments.out else None
    bar = progress_bar(arguments, "mistakes")
    findings = [study(name, ZOO[name]) for name in bar(names)]
    if arguments.json:
        print_json([as_json(found) for found in findings])
    else:
        if len(findings) == 1:
            say(*story(findings[0]), "")
        say(*align(table(findings)))
    if path is not None:
        note(arguments, str(plotting.save(plotting.mistakes(findings), path)))
    return 0


def story(found: Any) -> list[str]:
    """One mistake as it stands in the code, and the tables that do not show it."""
    source = inspect.getsource(found.mistake.wrong).rstrip()
    return [source, "", str(found.check), "", f"seen by    {found.mistake.seen_by}"]


def as_json(found: Any) -> dict[str, Any]:
    return {
        "name": found.name, "formula": found.mistake.formula, "gradient_check_sees": found.is_seen,
        "worst_error": found.check.worst, "reported": found.reported, "worth": found.worth,
        "right": found.right, "active_latents": found.active, "overflows": found.overflows,
        "seen_by": found.mistake.seen_by,
    }  # fmt: skip
