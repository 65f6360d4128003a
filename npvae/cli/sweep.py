"""``npvae sweep``: a run for every combination of a grid of settings."""
import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from npvae.cli.common import align, note, print_json
from npvae.cli.flags import Commands, add_command, as_typed, with_json
from npvae.cli.runs import KINDS, as_json
from npvae.cli.terminal import say
from npvae.errors import MissingExtraError
from npvae.interrupts import exit_code

if TYPE_CHECKING:
    from npvae.runs.overview import RunSummary
    from npvae.runs.sweep import Sweep

EPILOG = (
    "GRID.toml has settings as a config of npvae train, and below [grid] lists of values: "
    "learning_rate = [1e-3, 3e-3]. Runs of one architecture are trained at once. What was "
    "interrupted goes on when the same command is given again, and a grid that has grown trains "
    "what is new."
)


def add_to(commands: Commands) -> None:
    p = add_command(commands, sweep, "sweep", "train a grid of settings, many at once", EPILOG)
    with_json(p)
    p.add_argument("grid", metavar="GRID.toml", help="the settings, and those that are varied")
    p.add_argument("--out", metavar="DIR", help="a new folder, or one to go on with; runs/<GRID> "
                                                "if not given")  # fmt: skip


def sweep(arguments: argparse.Namespace) -> int:
    from npvae.runs.sweep import open_sweep, train_batch

    folder = Path(arguments.out or Path("runs", Path(arguments.grid).stem))
    failed: dict[str, str] = {}
    with open_sweep(arguments.grid, folder) as found:
        batches = found.batches()
        todo = sum(map(len, batches))
        note(arguments, f"folder     {folder}",
             f"runs       {len(found.runs)}, of which {todo} are to be trained")  # fmt: skip
        for batch in batches:
            names = [run.folder.name for run in batch]
            note(arguments, f"training   {named(names)}")
            try:
                errors = train_batch(batch)
            except KeyboardInterrupt as interrupt:
                again = f"npvae sweep {arguments.grid} --out {folder}"
                say(f"npvae: interrupted; go on with: {again}", file=sys.stderr)
                return exit_code(interrupt)
            failed |= {name: str(error) for name, error in zip(names, errors, strict=True) if error}
        report(arguments, found, failed)
    if failed:
        name, why = next(iter(failed.items()))
        say(f"npvae: error: {len(failed)} of {len(found.runs)} runs failed; run {name}: {why}",
            file=sys.stderr)  # fmt: skip
    return int(bool(failed))


def named(names: list[str]) -> str:
    """Which runs a line is about."""
    if len(names) == 1:
        return f"run {names[0]}"
    return f"{len(names)} runs at once: {' '.join(names)}"


def report(arguments: argparse.Namespace, found: "Sweep", failed: dict[str, str]) -> None:
    """A table, the best run first, and a picture."""
    from npvae import plotting
    from npvae.runs import overview

    runs = [overview.summarise(run.folder) for run in found.runs]
    runs.sort(key=lambda run: -best[2] if (best := run.best()) else float("inf"))
    picture = found.folder / "sweep.png"
    try:
        plotting.save(plotting.sweep(found.grid, results(runs, found)), picture)
        drawn = f"plot       {picture}"
    except MissingExtraError as error:
        drawn = f"plot       none: {error}"
    if arguments.json:
        print_json([as_json(run) | {"failed": failed.get(run.folder.name)} for run in runs])
    else:
        rows = [("run", *found.grid, "epochs", "best", "nats, of")]
        say(*align([*rows, *(row_of(run, found, failed) for run in runs)]))
    note(arguments, drawn)


def row_of(run: "RunSummary", found: "Sweep", failed: dict[str, str]) -> tuple[str, ...]:
    """A run as a row of the table."""
    best, values = run.best(), (as_typed(run.settings.get(name)) for name in found.grid)
    state = "failed" if run.folder.name in failed else "" if run.finished else "unfinished"
    return (
        run.folder.name, *values, f"{len(run.history)}/{run.settings['epochs']}",
        f"{best[2]:.2f}" if best else "", "; ".join(filter(None, [best and KINDS[best[0]], state])),
    )  # fmt: skip


def results(runs: "list[RunSummary]", found: "Sweep") -> list[tuple[dict[str, Any], float]]:
    """The settings that are varied, and what each run came to, in nats."""
    return [({name: run.settings.get(name) for name in found.grid}, best[2])
            for run in runs if (best := run.best())]  # fmt: skip
