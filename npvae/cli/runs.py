"""``npvae runs``, ``compare`` and ``plot``: what was trained, two runs side by side, pictures."""
import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from npvae.cli.common import align, find, free_path, note, print_json
from npvae.cli.flags import Commands, add_command, as_typed, with_json, with_out
from npvae.cli.terminal import say
from npvae.errors import DataError, MissingExtraError, ParameterError

if TYPE_CHECKING:
    from npvae.runs.overview import RunSummary

    Pair = tuple[RunSummary, RunSummary]

KINDS = {"validation_elbo": "held out", "elbo": "training data", "log_joint": "log p(x, z)"}


def add_to(commands: Commands) -> None:
    p = add_command(commands, list_runs, "runs", "the runs in a folder, and how good each is",
                    "The best ELBO of held-out data, or of training data where a run held none "
                    "out; of an auto-encoder, which has no bound, the reconstruction.")  # fmt: skip
    p.add_argument("folder", metavar="FOLDER", nargs="?", default="runs",
                   help="where they are (default: %(default)s)")  # fmt: skip
    with_json(p)
    p = add_command(commands, compare, "compare", "two runs: settings, bounds and learning curves",
                    "Where both hold out the same data, the difference of their ELBOs is taken "
                    "datapoint by datapoint.")  # fmt: skip
    p.add_argument("first", metavar="RUN", help="a run folder")
    p.add_argument("other", metavar="OTHER_RUN", help="another")
    with_json(p)
    with_out(p, "FILE.png", "picture to write; RUN-OTHER_RUN.png here if not given")
    p = add_command(commands, plot, "plot", "the pictures and the report of a run again")
    p.add_argument("folder", metavar="RUN",
                   help="a run folder, in which plots/ and report.html are written anew")


def list_runs(arguments: argparse.Namespace) -> None:
    from npvae.runs import overview

    found = overview.runs_in(Path(arguments.folder))
    if arguments.json:
        print_json([as_json(run) for run in found])
    elif found:
        rows = [("run", "begun", "model", "data", "epochs", "best", "nats, of")]
        say(*align([*rows, *map(row_of, found)]))
    else:
        note(arguments, f"no runs in {arguments.folder}; npvae train makes one")


def row_of(run: "RunSummary") -> tuple[str, ...]:
    """A run as a row of the list."""
    name, began, about = run.folder.name, f"{run.began:%Y-%m-%d %H:%M}", run.settings
    if run.fault:
        return name, began, "", "", "", "", run.fault
    best, state = run.best(), "" if run.finished else "unfinished"
    kind = KINDS[best[0]] if best else ""
    return (
        name, began, str(about.get("model")), str(about.get("data")),
        f"{len(run.history)}/{about.get('epochs')}", f"{best[2]:.2f}" if best else "",
        "; ".join(filter(None, (kind, state))),
    )  # fmt: skip


def as_json(run: "RunSummary") -> dict[str, Any]:
    best = run.best()
    return {
        "folder": str(run.folder), "began": run.began.isoformat(timespec="seconds"),
        "finished": run.finished, "epochs": len(run.history), "settings": run.settings,
        "best": {"of": best[0], "epoch": best[1], "nats": best[2]} if best else None,
        "fault": run.fault or None,
    }  # fmt: skip


def compare(arguments: argparse.Namespace) -> None:
    from npvae import plotting, runs
    from npvae.runs import overview

    folders = Path(arguments.first), Path(arguments.other)
    path = free_path(arguments, f"{folders[0].name}-{folders[1].name}.png")
    first, other = map(runs.open_run, folders)
    pair = overview.summarise(first.folder), overview.summarise(other.folder)
    why_not = overview.why_not_comparable(first, other)
    elbos = None if why_not else overview.bounds(first, other)
    if arguments.json:
        print_json(comparison_json(pair, elbos, why_not))
    else:
        say(*comparison_lines(pair, elbos, why_not))
    try:
        figure = plotting.learning_curves({str(run.folder): run.columns() for run in pair})
        note(arguments, str(plotting.save(figure, path)))
    except (MissingExtraError, DataError) as error:
        note(arguments, f"no picture: {error}")


def comparison_lines(pair: "Pair", elbos: Any, why_not: str) -> Iterator[str]:
    """Settings that differ, how far each run came, and their bounds, as a table."""
    from npvae.evaluation.comparison import paired_difference
    from npvae.runs import overview

    names = [str(run.folder) for run in pair]
    rows = [
        ["", *names],
        *([name, *map(as_typed, values)] for name, *values in overview.differences(*pair)),
        ["epochs had", *(str(len(run.history)) for run in pair)],
        ["best", *map(best_of, pair)],
    ]
    if elbos is None:
        yield from align(rows)
        yield f"bounds are not compared: {why_not}"
        return
    rows.append(["ELBO", *(f"{float(e.total.mean()):.3f} ± {e.mean_error:.3f}" for e in elbos)])
    more, error = paired_difference(*elbos)
    yield from align(rows)
    if abs(more) <= 2 * error:
        verdict = f"their ELBOs differ by {abs(more):.3f} ± {error:.3f} nats, no more than noise"
    else:
        higher = names[more < 0]
        verdict = f"the ELBO of {higher} is higher by {abs(more):.3f} ± {error:.3f} nats"
    yield f"{verdict}, mean of {len(elbos[0].total)} held-out datapoints"


def best_of(run: "RunSummary") -> str:
    best = run.best()
    return f"{best[2]:.2f} nats, {KINDS[best[0]]}" if best else ""


def comparison_json(pair: "Pair", elbos: Any, why_not: str) -> dict[str, Any]:
    from npvae.evaluation.comparison import paired_difference
    from npvae.runs import overview

    result: dict[str, Any] = {
        "runs": [as_json(run) for run in pair],
        "differences": {name: values for name, *values in overview.differences(*pair)},
    }
    if elbos is None:
        return result | {"not_compared": why_not}
    more, error = paired_difference(*elbos)
    return result | {"elbo": [elbo.summary() for elbo in elbos],
                     "difference": {"nats": more, "standard_error": error}}  # fmt: skip


def plot(arguments: argparse.Namespace) -> None:
    from npvae.runs import overview

    model, run = find(arguments.folder)
    if run is None:
        raise ParameterError(f"{arguments.folder} is a file, not a run; name the folder of the run")
    paths = draw(run, model, overview.summarise(run.folder).columns())
    note(arguments, *map(str, paths), str(write_report(run, model)))


def draw(run: Any, model: Any, history: Any) -> list[Path]:
    """Write the pictures of a run."""
    from npvae import plotting

    training, held_out = run.datasets()
    below = None if held_out is None else training
    shown = training if held_out is None else held_out
    return plotting.write_plots(model, history, shown, run.folder / "plots", below)


def write_report(run: Any, model: Any) -> Path:
    """Write the page that tells all there is of a run."""
    from npvae.runs import overview
    from npvae.runs.report import Report, likelihood, read_flow

    training, held_out = run.datasets()
    return Report(
        run.folder, run.settings, overview.summarise(run.folder).columns(), read_flow(run.folder),
        likelihood=likelihood(model, training if held_out is None else held_out),
    ).write()
