"""``npvae train``: train a model and leave a run folder."""
import argparse
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from npvae.cli.common import note, print_json
from npvae.cli.flags import Commands, add_command, add_options, explicit_options, with_json
from npvae.cli.runs import draw, write_report
from npvae.cli.terminal import say
from npvae.errors import NpvaeError, ParameterError
from npvae.interrupts import exit_code
from npvae.options import MODEL, RUN, TRAINING

EPILOG = (
    "The bundled digits are few (1,797) and small (8 x 8 pixels): they take a narrower network and "
    "more passes than the classes do by default, whose defaults hold in Python and for all other "
    "data."
)
MAY_CHANGE = ("data", "epochs", "learning_rate", "early_stopping", "backend", "tf32")


def add_to(commands: Commands) -> None:
    p = add_command(commands, train, "train", "train a model and leave a run folder", EPILOG)
    with_json(p)
    p.add_argument("--config", metavar="FILE.toml", help="settings; options given win over it")
    p.add_argument("--resume", metavar="DIR", help="go on with a run that was interrupted")
    p.add_argument("--new-data", action="store_true",
                   help="with --resume: go on also with data that are not those the run has had; "
                        "the rows that it held out stay held out")
    p.add_argument("--out", metavar="DIR", help="a new folder; runs/<data>-<number> if not given")
    p.add_argument("--distributed", action="store_true",
                   help="share every minibatch among the processes that mpiexec has started, as in "
                        "mpiexec -n 4 npvae train --distributed")
    add_options(p, "the run", RUN)
    add_options(p, "the model", MODEL)
    add_options(p, "training", TRAINING)


def train(arguments: argparse.Namespace) -> int:
    from npvae import runs
    from npvae.training import ALONE, world

    comm = world() if arguments.distributed else ALONE
    if comm.rank:
        return assist(comm)
    with ExitStack() as stack:
        with comm.together():
            run = stack.enter_context(open_folder(arguments))
        again = f"npvae train --resume {run.folder}"
        if comm.size > 1:
            again = f"mpiexec -n {comm.size} {again} --distributed"
            killed = "npvae: error: a rank was killed, and mpiexec ended the others; go on with: "
            stack.enter_context(last_word(killed + again))
        try:
            with comm.guarded():
                note(arguments, *runs.summary(run.settings), f"folder     {run.folder}")
                if arguments.distributed:
                    note(arguments, f"ranks      {comm.size}, which share every minibatch")
                if understood := run.datasets()[0].notes:
                    note(arguments, f"read       {understood}")
            quiet = arguments.quiet or arguments.json
            model, shown = runs.train(run, bool(arguments.resume), quiet=quiet, comm=comm)
        except KeyboardInterrupt as interrupt:
            say(f"npvae: interrupted; go on with: {again}", file=sys.stderr)
            return exit_code(interrupt)
        report(arguments, run, model, shown)
    return 0


def open_folder(arguments: argparse.Namespace) -> AbstractContextManager[Any]:
    """The run to make, or to go on with."""
    from npvae import runs

    options = explicit_options(arguments)
    if arguments.resume:
        if arguments.out or arguments.config:
            raise ParameterError("--resume continues in its own folder; leave out --out, --config")
        if fixed := sorted(options.keys() - MAY_CHANGE):
            raise ParameterError(
                f"--resume keeps {' and '.join(fixed)}; {', '.join(MAY_CHANGE[:-1])} and "
                f"{MAY_CHANGE[-1]} may change"
            )
        return runs.reopen_run(arguments.resume, options, arguments.new_data)
    if arguments.new_data:
        raise ParameterError("--new-data is for --resume; a new run takes any data")
    return runs.create(runs.resolve_settings(options, arguments.config), arguments.out)


def assist(comm: Any) -> int:
    """A rank that is not the first: it says nothing, for what ends one ends all, and 0 says it."""
    from npvae import runs

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with comm.together():  # rank 0 opens the folder
                pass
            runs.assist(comm)
    except NpvaeError:
        return 1
    except KeyboardInterrupt as interrupt:
        return exit_code(interrupt)
    return 0


@contextmanager
def last_word(line: str) -> Iterator[None]:
    """Have ``line`` said if this process is killed inside the block, as mpiexec kills all ranks
    when one has died.

    A shell in a session of its own waits for the end of a pipe, and speaks if nothing came through.
    """
    command = ["sh", "-c", 'read -r _ || echo "$1" >&2', "sh", line]
    try:
        shell = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    except OSError:  # no shell here
        yield
        return
    try:
        yield
    finally:
        shell.communicate(b"alive\n")


def report(arguments: argparse.Namespace, run: Any, model: Any, shown: Any) -> None:
    """Say how it went, and draw it."""
    stops = model.early_stopping is not None  # then the model is that of its best epoch
    row = model._state.best_epoch - 1 if stops and model._state.best_epoch else -1
    last = {key: values[row] for key, values in model.history_.items()}
    note(arguments, *describe(model, last, len(shown)), f"model      {run.model_file}")
    paths = []
    try:
        paths = draw(run, model, model.history_)
    except ImportError as error:
        note(arguments, f"plots      none: {error}")
    else:
        note(arguments, f"plots      {', '.join(str(path) for path in paths)}")
    page = str(write_report(run, model))
    note(arguments, f"report     {page}")
    if arguments.json:
        print_json({"folder": str(run.folder), "model": str(run.model_file), **last,
                    "plots": [str(path) for path in paths], "report": page})  # fmt: skip


def describe(model: Any, last: dict[str, Any], n_held_out: int) -> Iterator[str]:
    """What training came to, in the epoch whose model it leaves."""
    stops = model.early_stopping is not None
    best, warmup = model._state.best_epoch, model.engine_.objective.warmup_epochs
    terms = f"reconstruction {last['reconstruction']:.2f}"
    if model.has_bound:
        terms = f"ELBO {last['elbo']:.2f} = {terms} − KL {last['kl']:.2f}"
    elif "log_joint" in last:
        terms = f"log p(x, z) {last['log_joint']:.2f} = {terms} + log p(z) {last['log_prior']:.2f}"
    yield f"training   {terms} nats, epoch {last['epoch']}"
    if stops and warmup:
        which = f"epoch {best}, the best after" if best else "the last epoch, for none came after"
        yield f"kept       {which} the KL warm-up of {warmup} epoch{'s' * (warmup > 1)}"
    if last.get("active_latents") is not None:
        yield f"latents    {last['active_latents']} of {model.latent_dim} active"
    if "acceptance" in last:
        yield f"chains     {last['acceptance']:.0%} of proposals accepted"
    if last.get("objective") is not None:
        yield f"maximised  {last['objective']:.2f} nats: {model.engine_.objective.maximised}"
    if "parameter_kl" in last:
        yield f"parameters KL {last['parameter_kl']:.2f} nats, told apart from the ELBO"
    if last.get("validation_elbo") is not None:
        name = "ELBO" if model.has_bound else "reconstruction"
        yield f"held out   {name} {last['validation_elbo']:.2f} nats, {n_held_out} datapoints"
