"""The command line.

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

from npvae import kernels
from npvae.errors import ModelFileError, NpvaeError, ParameterError

EPILOG = "Everything is in nats per datapoint. npvae COMMAND --help lists a command's options."


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    kernels.choose()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # not every log file can hold a "−"
    warnings.showwarning = lambda message, *rest: print(
        f"npvae: warning: {' '.join(str(message).split())}", file=sys.stderr
    )
    arguments = parser().parse_args(argv)
    try:
        return arguments.run(arguments) or 0
    except NpvaeError as error:
        return complain(error)
    except MemoryError as error:
        return complain(f"not enough memory: {error}; try a smaller --batch-size or --hidden")
    except BrokenPipeError:  # `npvae ... | head`: nobody reads on, which is no error
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return complain(f"{error.filename or 'system'}: {error.strerror or error}")
    except KeyboardInterrupt:
        print("npvae: interrupted", file=sys.stderr)
        return 130


def complain(what: object) -> int:
    """Print one line to stderr; the exit code of an error."""
    print(f"npvae: error: {' '.join(str(what).split())}", file=sys.stderr)
    return 1


# ---- commands


def train(arguments: argparse.Namespace) -> int:
    from npvae import runs

    options = given(arguments)
    if arguments.resume:
        if arguments.out or arguments.config:
            raise ParameterError("--resume continues in its own folder; leave out --out, --config")
        fixed = sorted(options.keys() - {"epochs", "early_stopping", "backend", "tf32"})
        if fixed:
            raise ParameterError(
                f"--resume keeps {fixed[0]} as it was; only epochs, early_stopping, backend "
                "and tf32 may change"
            )
        run = runs.open_run(arguments.resume, options)
        about = list(runs.summary(run.settings))
        run.write_config()
    else:
        settings = runs.settle(options, arguments.config)
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
    except NpvaeError:
        run.discard_if_untrained()
        raise
    history, row = model.history_, -1
    if model.early_stopping is not None:  # the model is that of its best epoch
        row = max(range(len(history["epoch"])), key=history["validation_elbo"].__getitem__)
    last = {key: values[row] for key, values in history.items()}
    terms = f"reconstruction {last['reconstruction']:.2f}"
    if hasattr(model, "elbo"):  # an auto-encoder has no bound
        terms = f"ELBO {last['elbo']:.2f} = {terms} − KL {last['kl']:.2f}"
    elif "log_joint" in last:
        terms = f"log p(x, z) {last['log_joint']:.2f} = {terms} + log p(z) {last['log_prior']:.2f}"
    print(f"training   {terms} nats, epoch {last['epoch']}")
    if "acceptance" in last:
        print(f"chains     {last['acceptance']:.0%} of proposals accepted")
    if last.get("objective") is not None:
        print(f"maximised  {last['objective']:.2f} nats: the ELBO with its KL weighed or free")
    if "parameter_kl" in last:
        print(f"parameters KL {last['parameter_kl']:.2f} nats, told apart from the ELBO")
    if last.get("validation_elbo") is not None:
        name = "ELBO" if hasattr(model, "elbo") else "reconstruction"
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

    model, run = find(arguments.model)
    if not hasattr(model, "log_likelihood"):
        raise ParameterError("an Autoencoder defines no likelihood of x; evaluate a VAE")
    dataset = find_data(arguments, run)
    if arguments.limit < 1:
        raise ParameterError(f"--limit {arguments.limit} leaves no datapoint; ask for 1 or more")
    if arguments.curve and arguments.method:
        raise ParameterError("--curve is of importance samples; leave out --method")
    if arguments.samples is not None and arguments.samples < 2:
        raise ParameterError(f"--samples {arguments.samples} gives no standard error; ask for more")
    pixels, scale = model._data(dataset)  # checked before binarising, which would hide a NaN
    pixels, scale = model._binarized(pixels[: arguments.limit], scale)
    X = pixels * model.engine_.theta.dtype.type(scale)
    print(f"data       {dataset.name}, first {len(X)}, grey pixels: {model.binarize}")
    if hasattr(model, "elbo"):
        print(f"bound      {model.elbo(X)}")
    watched = {"rng": 0, "progress": progress_bar("chunks")}
    if arguments.curve:
        if not hasattr(model, "iwae_bound"):
            raise ParameterError("a curve of bounds needs an encoder; leave out --curve")
        print(model.iwae_bound(X, n_samples=arguments.samples or 5000, **watched))
    else:
        found = model.log_likelihood(X, arguments.samples, method=arguments.method, **watched)
        print(f"likelihood {found}")
    if len(X) > 1 and hasattr(model, "elbo"):  # without an encoder, codes take chains
        active = evaluation.active_units(model.transform(X))
        print(f"latents    {int(active.sum())} of {len(active)} active")


def sample(arguments: argparse.Namespace) -> None:
    from npvae import plotting

    model, _ = find(arguments.model)
    if not hasattr(model, "sample"):
        raise ParameterError("an Autoencoder has no prior to sample from; train a VAE")
    figure = plotting.samples(model, model.image_shape_, arguments.n, arguments.seed)
    write_figure(figure, arguments, "samples")


def reconstruct(arguments: argparse.Namespace) -> None:
    from npvae import plotting

    model, run = find(arguments.model)
    dataset = find_data(arguments, run)
    figure = plotting.reconstructions(model, dataset.images, dataset.image_shape)
    write_figure(figure, arguments, "reconstructions")


def manifold(arguments: argparse.Namespace) -> None:
    from npvae import plotting

    model, _ = find(arguments.model)
    if not hasattr(model, "sample"):
        raise ParameterError("an Autoencoder has no prior to draw the manifold of; train a VAE")
    if model.image_shape_ is None:
        raise ParameterError("this model was not trained on images; a manifold shows images")
    write_figure(plotting.manifold(model, model.image_shape_, arguments.n), arguments, "manifold")


def gradcheck(arguments: argparse.Namespace) -> int:
    from npvae import data, runs, testing

    settings = runs.settle({"hidden": [16], "latent_dim": 3, "dtype": "float64"} | given(arguments))
    dataset = data.load(settings["data"])
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
        table = figure.reproduce(folder, arguments.budget, arguments.curves, arguments.jobs)
    except KeyboardInterrupt:
        print("npvae: interrupted; the same command goes on", file=sys.stderr)
        raise
    if table:
        print(table)
    print(folder / f"{figure.name}.png", folder / f"{figure.name}.json")


def show_data(arguments: argparse.Namespace) -> None:
    from npvae import data

    for name, found, where in data.available():
        print(f"{name:<12} {'found  ' if found else 'missing'}  {where}")


def doctor(arguments: argparse.Namespace) -> None:
    from npvae.doctor import report

    for line in report():
        print(line)


# ---- what commands share


def given(arguments: argparse.Namespace) -> dict[str, Any]:
    """The model and run options that were given, by their Python names."""
    return {k: v for k, v in vars(arguments).items() if k in OPTION_NAMES and v is not None}


def find(path: str) -> tuple[Any, Any]:
    from npvae import runs

    return runs.find_model(path)


def find_data(arguments: argparse.Namespace, run: Any) -> Any:
    """``--data`` if given, else what the run held out."""
    from npvae import data

    if arguments.data is not None:
        return data.load(arguments.data)
    if run is None:
        raise ParameterError(f"{arguments.model} is a file, not a run; name the data with --data")
    return run.unseen()


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


# ---- the parser

# name, type, help; every default is the class's own, so None here means "not given"
MODEL_OPTIONS: tuple[tuple[str, Any, str], ...] = (
    ("model", str, "vae, autoencoder, wake-sleep, full-vb or mcem"),
    ("data", str, "digits, mnist, freyfaces, swiss-roll, or a .npy/.npz/.csv file or image folder"),
    ("latent_dim", int, "J, number of latent variables"),
    ("hidden", "widths", "widths of the encoder's hidden layers"),
    ("decoder_hidden", "widths", "widths of the decoder's; the encoder's reversed if not given"),
    ("activation", str, "tanh, relu, sigmoid, softplus, elu or identity"),
    ("likelihood", str, "p(x|z): bernoulli, continuous-bernoulli, normal, laplace, poisson, "
                        "categorical or discretized-logistic"),
    ("likelihood_mean", str, "linear or sigmoid: the mean of a normal likelihood"),
    ("likelihood_std", float, "of a normal likelihood; learned if not given"),
    ("n_levels", int, "of a categorical or discretized-logistic likelihood"),
    ("posterior", str, "q(z|x): normal, elliptical, laplace, student-t, gamma, beta, dirichlet, …"),
    ("prior", str, "p(z): a family that suits the posterior, or learned: mixture or vamp"),
    ("prior_components", int, "of a mixture or vamp prior"),
    ("estimator", str, "A or B, the paper's SGVB estimators"),
    ("n_samples", int, "L, samples of z a datapoint"),
    ("parameter_prior", bool, "log N(weights; 0, I) / N in the objective"),
    ("kl_weight", float, "beta, the weight of the KL in the objective"),
    ("free_bits", float, "nats of KL a latent that cost the objective nothing more"),
    ("l2", float, "an autoencoder's weight penalty"),
    ("n_leapfrog", int, "of mcem: leapfrog steps of a move"),
    ("n_updates", int, "of mcem: updates of the parameters with one sample"),
    ("initial_std", float, "deviation of the first weights; 1/sqrt(inputs) if not given"),
    ("dtype", str, "float32 or float64"),
    ("random_state", int, "seed of everything random"),
)
TRAINING_OPTIONS: tuple[tuple[str, Any, str], ...] = (
    ("optimizer", str, "adam, adamw, adagrad, rmsprop, sgd, momentum or nesterov"),
    ("learning_rate", float, "before the schedule"),
    ("schedule", str, "constant, step, cosine or warmup"),
    ("batch_size", int, "M, datapoints a step"),
    ("epochs", int, "passes over the data"),
    ("binarize", str, "none, threshold, fixed or dynamic: what becomes of grey pixels"),
    ("kl_warmup", int, "epochs over which the weight of the KL rises from 0"),
    ("clip_norm", float, "largest norm of the gradient"),
    ("early_stopping", int, "epochs without a better held-out bound to stop after"),
    ("n_train", int, "datapoints to train on; all that are not held out if not given"),
    ("validation", "rows", "datapoints to hold out, 0 for none; a tenth, at most 5000, if not "
                           "given; or test: MNIST's test set"),
    ("backend", str, "numpy, cupy or auto"),
    ("tf32", bool, "on a GPU, round the factors of float32 products to ten bits of fraction"),
)
OPTION_NAMES = {name for name, _, _ in MODEL_OPTIONS + TRAINING_OPTIONS}


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(
        prog="npvae", description="Auto-Encoding Variational Bayes, from scratch.", epilog=EPILOG
    )
    top.add_argument("--version", action=Version)
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: Callable, text: str, *options: Any) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        for option in options:
            add_option(sub, *option)
        return sub

    p = command("train", train, "train a model and leave a run folder",
                *MODEL_OPTIONS, *TRAINING_OPTIONS)  # fmt: skip
    p.add_argument("--config", metavar="FILE.toml", help="settings; options given win over it")
    p.add_argument("--resume", metavar="DIR", help="go on with a run that was interrupted")
    p.add_argument("--out", metavar="DIR", help="a new folder; runs/<data>-<number> if not given")
    p = command("evaluate", evaluate, "bound and likelihood, with its standard error")
    with_model(p, data=True)
    p.add_argument("--method", choices=("importance", "annealed", "harmonic", "prior"),
                   help="of estimating log p(x); the first that serves the model if not given")
    p.add_argument("--samples", type=int, help="a datapoint, or annealed chains; the method's own "
                                               "number if not given: 5000 importance samples")
    p.add_argument("--curve", action="store_true",
                   help="the importance-weighted bounds of 1, 10, 100 and 1000 samples instead")
    p.add_argument("--limit", type=int, default=1000, help="datapoints at most (1000)")
    p = command("sample", sample, "a sheet of images from the prior")
    with_model(p, out=True)
    p.add_argument("-n", type=int, default=100, help="how many (100)")
    p.add_argument("--seed", type=int, default=0, help="of the draws (0)")
    p = command("reconstruct", reconstruct, "images beside their reconstructions")
    with_model(p, data=True, out=True)
    p = command("manifold", manifold, "the 2-D latent space as a grid of images (figure 4)")
    with_model(p, out=True)
    p.add_argument("-n", type=int, default=20, help="images a side (20)")
    command("gradcheck", gradcheck, "hand-written gradients against differences, in float64",
            *(option for option in MODEL_OPTIONS if option[0] != "dtype"))  # fmt: skip
    p = command("reproduce", reproduce, "a figure of the paper: train its curves, draw it, compare")
    p.add_argument("figure", choices=("figure2", "figure3", "figure4", "figure5"))
    p.add_argument("--budget", type=float, default=1e7, help="training samples a curve (1e7)")
    p.add_argument("--curves", nargs="+", default=(), metavar="NAME",
                   help="train these alone, as mnist-20-vae; a wrong name lists them all")
    p.add_argument("--jobs", type=int, help="curves at a time; one a processor if not given")
    p.add_argument("--out", metavar="DIR", default="reproductions",
                   help="runs, which figures share, and results (reproductions)")
    command("data", show_data, "which data sets are here")
    command("doctor", doctor, "versions, BLAS, GPU, data, and what to do about each")
    return top


def add_option(sub: argparse.ArgumentParser, name: str, kind: Any, text: str) -> None:
    flag = "--" + name.replace("_", "-")
    if kind is bool:
        sub.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=text)
    elif kind == "widths":
        sub.add_argument(flag, type=int, nargs="*", metavar="WIDTH", help=text)
    elif kind == "rows":
        sub.add_argument(flag, type=lambda s: s if s == "test" else int(s), metavar="N", help=text)
    else:
        sub.add_argument(flag, type=kind, metavar=kind.__name__.upper(), help=text)


def with_model(sub: argparse.ArgumentParser, data: bool = False, out: bool = False) -> None:
    sub.add_argument("model", metavar="RUN_OR_MODEL", help="a run folder or a model.npz")
    if data:
        sub.add_argument("--data", help="data to use; what the run held out if not given")
    if out:
        sub.add_argument("--out", metavar="FILE.png", help="picture to write")


class Version(argparse.Action):
    """Print the version; an action, so that parsing costs no import."""

    def __init__(self, **options: Any):
        super().__init__(nargs=0, help="print the version", **options)

    def __call__(self, parser: argparse.ArgumentParser, *rest: Any) -> None:
        from npvae import __version__

        print(__version__)
        parser.exit()
