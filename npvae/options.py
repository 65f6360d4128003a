"""The options of the command line, in tables, and the parser that reads them.

Nothing else of npvae is needed to read them, so that ``--help`` and a wrong option cost no time.
"""
import argparse
from typing import Any

EPILOG = "Everything is in nats per datapoint. npvae COMMAND --help lists a command's options."

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
    commands = top.add_subparsers(
        title="commands", dest="command", metavar="COMMAND", required=True
    )

    def command(name: str, text: str, *options: Any) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        for option in options:
            add_option(sub, *option)
        return sub

    p = command("train", "train a model and leave a run folder",
                *MODEL_OPTIONS, *TRAINING_OPTIONS)  # fmt: skip
    p.add_argument("--config", metavar="FILE.toml", help="settings; options given win over it")
    p.add_argument("--resume", metavar="DIR", help="go on with a run that was interrupted")
    p.add_argument("--out", metavar="DIR", help="a new folder; runs/<data>-<number> if not given")
    p = command("evaluate", "bound and likelihood, with its standard error")
    with_model(p, data=True)
    p.add_argument("--method", choices=("importance", "annealed", "harmonic", "prior"),
                   help="of estimating log p(x); the first that serves the model if not given")
    p.add_argument("--samples", type=int, help="a datapoint, or annealed chains; the method's own "
                                               "number if not given: 5000 importance samples")
    p.add_argument("--curve", action="store_true",
                   help="the importance-weighted bounds of 1, 10, 100 and 1000 samples instead")
    p.add_argument("--limit", type=int, default=1000, help="datapoints at most (1000)")
    p = command("sample", "a sheet of images from the prior")
    with_model(p, out=True)
    p.add_argument("-n", type=int, default=100, help="how many (100)")
    p.add_argument("--seed", type=int, default=0, help="of the draws (0)")
    p = command("reconstruct", "images beside their reconstructions")
    with_model(p, data=True, out=True)
    p = command("manifold", "the 2-D latent space as a grid of images (figure 4)")
    with_model(p, out=True)
    p.add_argument("-n", type=int, default=20, help="images a side (20)")
    command("gradcheck", "hand-written gradients against differences, in float64",
            *(option for option in MODEL_OPTIONS if option[0] != "dtype"))  # fmt: skip
    p = command("reproduce", "a figure of the paper: train its curves, draw it, compare")
    p.add_argument("figure", choices=("figure2", "figure3", "figure4", "figure5"))
    p.add_argument("--budget", type=float, default=1e7, help="training samples a curve (1e7)")
    p.add_argument("--curves", nargs="+", default=(), metavar="NAME",
                   help="train these alone, as mnist-20-vae; a wrong name lists them all")
    p.add_argument("--jobs", type=int, help="curves at a time; one a processor if not given")
    p.add_argument("--out", metavar="DIR", default="reproductions",
                   help="runs, which figures share, and results (reproductions)")
    command("data", "which data sets are here")
    command("doctor", "versions, BLAS, GPU, data, and what to do about each")
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


def given(arguments: argparse.Namespace) -> dict[str, Any]:
    """The model and run options that were given, by their Python names."""
    return {k: v for k, v in vars(arguments).items() if k in OPTION_NAMES and v is not None}
