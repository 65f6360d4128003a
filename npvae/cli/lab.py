"""``npvae lab compare``: estimators of the gradient, side by side at the same noise."""
import argparse
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
from npvae.errors import ParameterError
from npvae.options import MODEL, READING, RUN

INSTEAD = ("estimator", "n_samples")  # of which several are compared
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
    add_number(p, "--draws", default=1000, help="gradients of each")
    add_number(p, "--limit", default=100, help="datapoints at most, the minibatch")
    add_number(p, "--seed", default=0, help="of the noise")
    add_options(p, "the data", (DATA, *READING))
    options = (option for option in MODEL if option.name not in INSTEAD)
    add_options(p, "the model, where none is named", options)


def lab(arguments: argparse.Namespace) -> None:
    from npvae import plotting
    from npvae.lab import compare

    if arguments.limit < 1:
        raise ParameterError(f"--limit {arguments.limit} leaves no datapoint; ask for 1 or more")
    path = free_path(arguments, arguments.out, KINDS) if arguments.out else None
    model, dataset = model_and_data(arguments)
    found = compare(
        arguments.estimators, model, dataset.first(min(arguments.limit, len(dataset))),
        arguments.draws, arguments.seed, samples=arguments.samples,
        progress=progress_bar(arguments, "draws"),
    )  # fmt: skip
    if path is not None:
        write = {".json": found.to_json, ".csv": found.to_csv}
        write.get(path.suffix.lower(), lambda path: plotting.save(found.plot(), path))(path)
        note(arguments, str(path))
    if arguments.json:
        print_json(found.summary())
    else:
        print(found)


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
