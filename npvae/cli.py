"""The commands of the command line; their flags are in ``npvae/parser.py``.

Exit codes: 0 done; 1 a one-line error that says what to do; 2 usage; 130 interrupted.
"""
import argparse
import io
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from npvae.errors import ModelFileError, NpvaeError, ParameterError
from npvae.parser import explicit_options, parser

BOUND_SAMPLES = 10  # of z for each datapoint, at least, so that the ELBO has a standard error


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # not every log file can hold a "−"
    warnings.showwarning = lambda message, *rest: print(
        f"npvae: warning: {' '.join(str(message).split())}", file=sys.stderr
    )
    arguments = parser().parse_args(argv)
    try:
        return COMMANDS[arguments.command](arguments) or 0
    except NpvaeError as error:
        return print_error(error)
    except MemoryError as error:
        return print_error(f"not enough memory: {error}; try a smaller --batch-size or --hidden")
    except BrokenPipeError:  # `npvae ... | head`: nobody reads on, which is no error
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return print_error(f"{error.filename or 'system'}: {error.strerror or error}")
    except KeyboardInterrupt:
        print("npvae: interrupted", file=sys.stderr)
        return 130


def print_error(what: object) -> int:
    """Print one line to stderr; the exit code of an error."""
    print(f"npvae: error: {' '.join(str(what).split())}", file=sys.stderr)
    return 1


# ---- commands


def train(arguments: argparse.Namespace) -> int:
    from npvae import runs

    options = explicit_options(arguments)
    if arguments.resume:
        if arguments.out or arguments.config:
            raise ParameterError("--resume continues in its own folder; leave out --out, --config")
        fixed = sorted(options.keys() - {"epochs", "early_stopping", "backend", "tf32"})
        if fixed:
            raise ParameterError(
                f"--resume keeps {fixed[0]} as it was; only epochs, early_stopping, backend "
                "and tf32 may change"
            )
        run = runs.reopen_run(arguments.resume, options)
        about = list(runs.summary(run.settings))
    else:
        settings = runs.resolve_settings(options, arguments.config)
        runs.build(settings)._check_params()  # before a folder is made
        about = list(runs.summary(settings))
        run = runs.create(settings, arguments.out)
    print("\n".join(about))
    try:
        print(f"folder     {run.folder}", flush=True)
        model, shown = runs.train(run, bool(arguments.resume))
    except KeyboardInterrupt:
        print(f"npvae: interrupted; go on with: npvae train --resume {run.folder}", file=sys.stderr)
        return 130
    except Exception:
        run.discard_if_untrained()
        raise
    stops = model.early_stopping is not None  # then the model is that of its best epoch
    best, warmup = model._state.best_epoch, model.engine_.objective.warmup_epochs
    row = best - 1 if stops and best else -1
    last = {key: values[row] for key, values in model.history_.items()}
    terms = f"reconstruction {last['reconstruction']:.2f}"
    if model.has_bound:
        terms = f"ELBO {last['elbo']:.2f} = {terms} − KL {last['kl']:.2f}"
    elif "log_joint" in last:
        terms = f"log p(x, z) {last['log_joint']:.2f} = {terms} + log p(z) {last['log_prior']:.2f}"
    print(f"training   {terms} nats, epoch {last['epoch']}")
    if stops and warmup:
        which = f"epoch {best}, the best after" if best else "the last epoch, for none came after"
        print(f"kept       {which} the KL warm-up of {warmup} epoch{'s' * (warmup > 1)}")
    if "acceptance" in last:
        print(f"chains     {last['acceptance']:.0%} of proposals accepted")
    if last.get("objective") is not None:
        print(f"maximised  {last['objective']:.2f} nats: {model.engine_.objective.maximised}")
    if "parameter_kl" in last:
        print(f"parameters KL {last['parameter_kl']:.2f} nats, told apart from the ELBO")
    if last.get("validation_elbo") is not None:
        name = "ELBO" if model.has_bound else "reconstruction"
        print(f"held out   {name} {last['validation_elbo']:.2f} nats, {len(shown)} datapoints")
    print(f"model      {run.model_file}")
    try:
        from npvae import plotting

        paths = plotting.write_plots(model, model.history_, shown, run.folder / "plots")
    except ImportError as error:
        print(f"plots      none: {error}")
    else:
        print(f"plots      {', '.join(str(path) for path in paths)}")
    return 0


def evaluate(arguments: argparse.Namespace) -> None:
    from npvae import evaluation
    from npvae.estimators import scoring
    from npvae.evaluation.comparison import why_below

    model, run = find(arguments.model)
    if not model.has_prior:
        raise ParameterError("an Autoencoder defines no likelihood of x; evaluate a VAE")
    dataset = find_data(arguments, run)
    if arguments.limit < 1:
        raise ParameterError(f"--limit {arguments.limit} leaves no datapoint; ask for 1 or more")
    if arguments.curve and arguments.method:
        raise ParameterError("--curve is of importance samples; leave out --method")
    if arguments.samples is not None and arguments.samples < 2:
        raise ParameterError(f"--samples {arguments.samples} gives no standard error; ask for more")
    pixels, scale = scoring.scored_data(model, dataset.first(min(arguments.limit, len(dataset))))
    X = pixels * model.engine_.theta.dtype.type(scale)
    print(f"data       {dataset.name}, first {len(X)}, grey pixels: {model.binarize}")
    if model.has_bound:
        bound = model.elbo(X, n_samples=max(model.n_samples, BOUND_SAMPLES))
        print(f"bound      {bound}")
    options = {"rng": 0, "progress": progress_bar("chunks")}
    if arguments.curve:
        if not model.has_bound:
            raise ParameterError("a curve of bounds needs an encoder; leave out --curve")
        found = model.iwae_bound(X, n_samples=arguments.samples or 5000, **options)
        print(found)
    else:
        found = model.log_likelihood(X, arguments.samples, method=arguments.method, **options)
        print(f"likelihood {found}")
    if model.has_bound and (why := why_below(bound, found)):
        print(f"note       {why}")
    if len(X) > 1 and model.has_bound:  # without an encoder, codes take chains
        variance = evaluation.prior_variance(model.engine_)
        active = evaluation.active_units(model.transform(X), prior_variance=variance)
        print(f"latents    {int(active.sum())} of {len(active)} active")


def sample(arguments: argparse.Namespace) -> None:
    from npvae import plotting

    model, _ = find(arguments.model)
    if not model.has_prior:
        raise ParameterError("an Autoencoder has no prior to sample from; train a VAE")
    figure = plotting.samples(
        model, model.image_shape_, arguments.n, arguments.seed, arguments.draw
    )
    write_figure(figure, arguments, "samples")


def reconstruct(arguments: argparse.Namespace) -> None:
    from npvae import plotting

    model, run = find(arguments.model)
    dataset = find_data(arguments, run).scaled_for(model.engine_.model.likelihood.support)
    figure = plotting.reconstructions(model, dataset.images, dataset.image_shape)
    write_figure(figure, arguments, "reconstructions")


def manifold(arguments: argparse.Namespace) -> None:
    from npvae import plotting

    model, _ = find(arguments.model)
    if not model.has_prior:
        raise ParameterError("an Autoencoder has no prior, and so no manifold; train a VAE")
    if model.image_shape_ is None:
        raise ParameterError("this model was not trained on images; a manifold shows images")
    write_figure(plotting.manifold(model, model.image_shape_, arguments.n), arguments, "manifold")


def gradcheck(arguments: argparse.Namespace) -> int:
    from npvae import runs, testing

    small = {"hidden": [16], "latent_dim": 3, "dtype": "float64"}
    settings = runs.resolve_settings(small | explicit_options(arguments))
    dataset = runs.load_data(settings)
    model = runs.build(settings)
    X = dataset.images[:5]
    model.initialize(X.shape[1])
    print("\n".join(runs.summary(settings)))
    report = testing.check_gradients(model, X)
    print(report)
    return 0 if report.ok else 1


def reproduce(arguments: argparse.Namespace) -> None:
    from npvae.reproduce import FIGURES

    if not 1 <= arguments.budget < 1e12:
        raise ParameterError(f"--budget {arguments.budget:g} is no number of training samples")
    if arguments.jobs is not None and arguments.jobs < 1:
        raise ParameterError(f"--jobs {arguments.jobs} trains nothing; ask for 1 or more")
    figure, folder = FIGURES[arguments.figure], Path(arguments.out)
    try:
        text = figure.reproduce(folder, arguments.budget, arguments.curves, arguments.jobs)
    except KeyboardInterrupt:
        print("npvae: interrupted; the same command goes on", file=sys.stderr)
        raise
    print(text)


def show_data(arguments: argparse.Namespace) -> None:
    from npvae import data

    for name, found, where in data.available():
        print(f"{name:<12} {'found  ' if found else 'missing'}  {where}")


def doctor(arguments: argparse.Namespace) -> None:
    from npvae.doctor import report

    for line in report():
        print(line)


# ---- what commands share


def find(path: str) -> tuple[Any, Any]:
    from npvae import runs

    return runs.find_model(path)


def find_data(arguments: argparse.Namespace, run: Any) -> Any:
    """``--data`` if given, else what the run held out."""
    from npvae import data, runs

    if arguments.data is not None and run is None:
        return data.load(arguments.data)
    if arguments.data is not None:
        return runs.load_data(run.settings, arguments.data)
    if run is None:
        raise ParameterError(f"{arguments.model} is a file, not a run; name the data with --data")
    return run.held_out()


def write_figure(figure: Any, arguments: argparse.Namespace, what: str) -> None:
    """Save to ``--out``, or beside the current folder's files under a telling name."""
    from npvae import plotting

    path = Path(arguments.out or f"{Path(arguments.model).stem}-{what}.png")
    if path.exists():
        raise ModelFileError(f"{path} exists and is not overwritten; name another with --out")
    print(plotting.save(figure, path))


def progress_bar(unit: str) -> Callable[[Iterable], Iterable]:
    """tqdm on a terminal where it is installed; else nothing is shown."""
    if not sys.stderr.isatty():
        return iter
    try:
        from tqdm import tqdm
    except ImportError:
        return iter
    return lambda iterable: tqdm(iterable, unit=unit, leave=False)


COMMANDS: dict[str, Callable[[argparse.Namespace], int | None]] = {
    "train": train, "evaluate": evaluate, "sample": sample, "reconstruct": reconstruct,
    "manifold": manifold, "gradcheck": gradcheck, "reproduce": reproduce,
    "data": show_data, "doctor": doctor,
}  # fmt: skip
