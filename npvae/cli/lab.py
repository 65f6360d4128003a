"""``npvae lab compare``: estimators of the gradient, side by side at the same noise."""
import argparse
import sys
from typing import Any

from npvae.cli.common import find, find_data, free_path, note, print_json, progress_bar
from npvae.cli.flags import (
    Commands,
    add_command,
    add_number,
    add_options,
    explicit_options,
    number,
    with_json,
    with_out,
)
from npvae.cli.terminal import say
from npvae.errors import ModelFileError, ParameterError
from npvae.interrupts import exit_code
from npvae.options import MODEL, READING, RUN

INSTEAD = ("estimator", "n_samples", "noise")  # of which several are compared
KINDS = (".json", ".csv", ".png", ".pdf", ".svg")
DATA = next(option for option in RUN if option.name == "data")


def add_to(commands: Commands) -> None:
    p = add_command(commands, lab, "lab", "estimators of the gradient, compared")
    p.add_argument("what", choices=("compare",), metavar="compare", help="bias, variance, signal")
    p.add_argument("run_or_model", nargs="?", metavar="RUN_OR_MODEL",
                   help="a run folder or a model.npz; by the options below, not trained, if not "
                   "given")  # fmt: skip
    with_json(p)
    with_out(p, "FILE", "all numbers, FILE.json; the rows, FILE.csv; or a picture, FILE.png; "
             "no file if not given")  # fmt: skip
    p.add_argument("--estimators", nargs="+", metavar="NAME", default=["A", "B", "stl", "score"],
                   help="those to compare, as --estimator of train (default: A B stl score)")
    p.add_argument("--samples", type=number(int), nargs="+", metavar="INT",
                   help="of z a datapoint, one number or several; the model's own if not given")
    p.add_argument("--noise", nargs="+", metavar="NAME", dest="kinds",
                   help="of the samples of a datapoint, as --noise of train, one kind or several; "
                   "the model's own if not given")  # fmt: skip
    p.add_argument("--resume", action="store_true",
                   help="go on with a comparison that was interrupted, by the same command")
    add_number(p, "--draws", default=1000, help="gradients of each")
    add_number(p, "--limit", default=100, help="datapoints at most, the minibatch")
    add_number(p, "--seed", default=0, help="of the noise")
    add_options(p, "the data", (DATA, *READING))
    options = (option for option in MODEL if option.name not in INSTEAD)
    add_options(p, "the model, where none is named", options)


def lab(arguments: argparse.Namespace) -> int:
    from npvae import plotting
    from npvae.lab import compare

    if arguments.limit < 1:
        raise ParameterError(f"--limit {arguments.limit} leaves no datapoint; ask for 1 or more")
    path = free_path(arguments, arguments.out, KINDS) if arguments.out else None
    if arguments.resume and path is None:
        raise ParameterError("--resume goes on with what --out began; name that file")
    checkpoint = None if path is None else path.with_suffix(".checkpoint.npz")
    if checkpoint and checkpoint.exists() and not (arguments.resume or arguments.force):
        raise ModelFileError(
            f"{checkpoint} is of a comparison that was interrupted; go on with --resume, or start "
            "anew with --force"
        )
    model, dataset = model_and_data(arguments)
    try:
        found = compare(
            arguments.estimators, model, dataset.first(min(arguments.limit, len(dataset))),
            arguments.draws, arguments.seed, samples=arguments.samples, noise=arguments.kinds,
            checkpoint=checkpoint, resume=arguments.resume,
            progress=progress_bar(arguments, "draws"),
        )  # fmt: skip
    except KeyboardInterrupt as interrupt:
        if checkpoint is None or not checkpoint.exists():
            raise
        say("npvae: interrupted; the same command with --resume goes on", file=sys.stderr)
        return exit_code(interrupt)
    if path and checkpoint:
        write = {".json": found.to_json, ".csv": found.to_csv}
        write.get(path.suffix.lower(), lambda path: plotting.save(found.plot(), path))(path)
        checkpoint.unlink()
        note(arguments, str(path))
    if arguments.json:
        print_json(found.summary())
    else:
        print(found)
    return 0


def model_and_data(arguments: argparse.Namespace) -> tuple[Any, Any]:
    """The model that is named, and what it held out or ``--data``; or one by options."""
    given = explicit_options(arguments)
    if arguments.run_or_model is None:
        from npvae import runs

        settings = runs.resolve_settings(given)
        dataset, model = runs.load_data(settings), runs.build(settings)
        note(arguments, *runs.summary(settings))
        return model.initialize(dataset.pixels.shape[1]), dataset
    of_model = sorted(given.keys() & {option.name for option in MODEL})
    if of_model:
        raise ParameterError(
            f"--{of_model[0].replace('_', '-')} describes a model, and {arguments.run_or_model} is "
            "one already; leave out one of the two"
        )
    arguments.model = arguments.run_or_model
    model, run = find(arguments.model)
    return model, find_data(arguments, model, run)
