"""Every option of a model and of a run: its name, type, default, meaning, and what it may be.

This one table is what a constructor's arguments are checked by, and what the command line makes
its flags of. A class has the options that its signature names; a test holds signatures and
docstrings to the table. Nothing is imported but the errors, so that ``npvae --help`` and a wrong
option cost no time.
"""
from collections.abc import Callable, Collection, Iterable
from functools import partial
from numbers import Integral, Real
from typing import Any

from npvae.errors import ParameterError, did_you_mean
from npvae.records import dataclass

# ---- what a value may be: checks that raise a ParameterError


def whole_number(name: str, value: Any, least: int = 1) -> None:
    """Raise a ParameterError unless ``value`` is a whole number of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ParameterError(f"{name}={value!r} must be a whole number of at least {least}")


def widths(name: str, value: Any) -> None:
    """Raise a ParameterError unless ``value`` holds the widths of layers."""
    if not isinstance(value, Collection) or isinstance(value, (str, bytes, dict, set)):
        raise ParameterError(f"{name}={value!r} is not a tuple of widths; write e.g. (500,)")
    for width in value:
        whole_number(name, width)


def number(name: str, value: Any, or_zero: bool = False) -> None:
    """Raise a ParameterError unless ``value`` is a finite number above 0, or 0 if it may be."""
    good = isinstance(value, Real) and not isinstance(value, bool)
    if not (good and 0 <= value < float("inf") and (value > 0 or or_zero)):
        wanted = "of at least 0" if or_zero else "above 0"
        raise ParameterError(f"{name}={value!r} must be a number {wanted}")


def flag(name: str, value: Any) -> None:
    """Raise a ParameterError unless ``value`` is True or False, or 1 or 0."""
    if isinstance(value, str) or str(value) not in ("True", "False", "1", "0"):
        raise ParameterError(f"{name}={value!r} must be True or False")


def one_of(name: str, value: Any, known: Iterable[str]) -> str:
    """The canonical name of ``value``, whatever its case.

    Examples
    --------
    >>> one_of("optimizer", "Adam", ("sgd", "adam"))
    'adam'
    """
    names = {one.casefold(): one for one in known}
    if not isinstance(value, str) or value.casefold() not in names:
        raise ParameterError(
            f"{name}={value!r} is not known; choose from {', '.join(names.values())}"
            f"{did_you_mean(str(value), names.values())}"
        )
    return names[value.casefold()]


def anything(name: str, value: Any) -> None:
    """No check here: what uses the value has its own."""


def place(name: str, value: Any) -> None:
    """Raise a ParameterError unless ``value`` may be the name or the path of data."""
    if not isinstance(value, str):
        raise ParameterError(f"{name}={value!r} is no name or path; write it in quotes")
    raw = value.encode(errors="replace")
    if b"\0" in raw or len(raw) > 4000 or max(map(len, raw.split(b"/"))) > 255:
        raise ParameterError(f"{name}={value[:40]!r}… can be the name of no file; correct it")


def column(name: str, value: Any) -> None:
    """Raise a ParameterError unless ``value`` may be the name or the place of a column."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ParameterError(f"{name}={value!r} is no name or place of a column")


def columns(name: str, value: Any) -> None:
    """Raise a ParameterError unless ``value`` holds names or places of columns."""
    if not isinstance(value, list | tuple):
        raise ParameterError(f"{name}={value!r} is no list of columns; write e.g. ['id']")
    for one in value:
        column(name, one)


def ratio(word: str) -> float:
    """A number, or one over another: ``1/255``."""
    from fractions import Fraction

    return float(Fraction(word))


def rows(word: str) -> int | str:
    """How many, or ``test``."""
    return word if word == "test" else int(word)


def held_out(name: str, value: Any) -> None:
    """Raise a ParameterError unless ``value`` says how many rows to hold out."""
    if value != "test" and (type(value) is not int or value < 0):
        raise ParameterError(f"{name}={value!r} must be a whole number, 0 for none, or test")


from_zero = partial(whole_number, least=0)
not_negative = partial(number, or_zero=True)

# ---- the table


@dataclass(frozen=True)
class Option:
    """An option, and all that is known of it in one place.

    Attributes
    ----------
    name : str
        Of the constructor's argument; with hyphens, of the flag.
    kind : callable
        What makes it of the word after its flag: a type, ``tuple`` for widths, ``list`` for
        names, ``object`` for what takes a name or an object.
    default : object
        None stands for "not given", and always may be.
    help : str
        What it is, in one line.
    check : callable or tuple of str
        Called with name and value, it raises a ParameterError; or the names to choose from.
    """

    name: str
    kind: Any
    default: Any
    help: str
    check: Callable[[str, Any], Any] | tuple[str, ...]

    def validate(self, value: Any) -> None:
        """Raise a ParameterError unless ``value`` will do.

        Whether an object that has no name will do is for those to say who know its class.
        """
        if value is None and self.default is None:
            return
        if callable(self.check):
            self.check(self.name, value)
        elif isinstance(value, str) or self.kind is not object:
            self.canonical_name(value)

    def canonical_name(self, value: Any) -> str:
        """The canonical name of ``value``, which may be in any case."""
        return value if callable(self.check) else one_of(self.name, value, self.check)


FAMILIES = (
    "normal", "elliptical", "laplace", "logistic", "gumbel", "student-t", "cauchy", "uniform",
    "triangular", "log-normal", "gamma", "exponential", "erlang", "chi-squared", "weibull",
    "rayleigh", "gompertz", "f", "pareto", "reciprocal", "beta", "dirichlet",
)  # fmt: skip
READING = (  # how the file of data is read
    Option("scale", ratio, None, "factor of every value, as 1/255; if not given, of bytes what "
           "the likelihood wants: 1 for counts, 1/(K-1) for K levels, else 1/255", number),
    Option("label_column", str, None, "of a table, the labels: a name, or a place from 0; "
           "found out if not given", column),
    Option("index_column", str, None, "of a table, what numbers or names the rows; found out "
           "if not given", column),
    Option("drop", list, None, "columns of a table to leave out; none if not given", columns),
    Option("header", bool, None, "whether a table's first row names the columns; found out if not "
           "given", flag),
)  # fmt: skip
RUN = (
    Option("model", str, "vae", "what to train",
           ("vae", "autoencoder", "wake-sleep", "full-vb", "mcem")),
    Option("data", str, "digits", "digits, mnist, freyfaces, swiss-roll, or a file of a table "
           "or of arrays, or an image folder", place),
    Option("n_train", int, None,
           "datapoints to train on; all that are not held out if not given", whole_number),
    Option("validation", rows, None, "datapoints to hold out, 0 for none; a tenth, at most 5000, "
           "if not given; or test: MNIST's test set", held_out),
    *READING,
)  # fmt: skip
MODEL = (
    Option("latent_dim", int, 2, "J, number of latent variables", whole_number),
    Option("hidden", tuple, (500,),
           "widths of the encoder's hidden layers", widths),
    Option("decoder_hidden", tuple, None,
           "widths of the decoder's; the encoder's reversed if not given", widths),
    Option("activation", str, "tanh", "of the hidden layers",
           ("tanh", "relu", "sigmoid", "softplus", "elu", "leaky_relu", "gelu", "silu",
            "identity")),
    Option("likelihood", object, "bernoulli", "p(x|z)",
           ("bernoulli", "continuous-bernoulli", "normal", "laplace", "poisson", "categorical",
            "discretized-logistic")),
    Option("likelihood_mean", str, "linear", "the mean of a normal likelihood",
           ("linear", "sigmoid")),
    Option("likelihood_std", float, None, "of a normal likelihood; learned if not given", number),
    Option("likelihood_variance", str, "latent", "that a normal or laplace likelihood learns: a "
           "function of z, one a feature, or a function of z without bounds",
           ("latent", "feature", "unbounded")),
    Option("n_levels", int, None, "of a categorical likelihood, which needs them, or of a "
           "discretized-logistic one; 256 if not given", whole_number),
    Option("posterior", object, "normal", "q(z|x)", FAMILIES),
    Option("prior", object, "normal", "p(z), which must suit the posterior",
           (*FAMILIES, "mixture", "vamp")),
    Option("prior_components", int, 50, "of a mixture or vamp prior", whole_number),
    Option("estimator", object, "B", "of the bound's gradient, or of another bound; a wrong name "
           "lists them", anything),
    Option("n_samples", int, 1, "L, samples of z a datapoint", whole_number),
    Option("noise", str, "independent", "of the samples of a datapoint: independent, in pairs of "
           "opposite sign, or by scrambled Sobol points", ("independent", "antithetic", "sobol")),
    Option("parameter_prior", bool, False, "log N(weights; 0, I) / N in the objective", flag),
    Option("kl_weight", float, 1.0, "beta, the weight of the KL in the objective", not_negative),
    Option("free_bits", float, 0.0, "nats of KL a latent that cost the objective nothing more",
           not_negative),
    Option("l2", float, 1e-5, "an autoencoder's weight penalty", not_negative),
    Option("n_leapfrog", int, 10, "of mcem: leapfrog steps of a move", whole_number),
    Option("n_updates", int, 5, "of mcem: updates of the parameters with one sample",
           whole_number),
    Option("initial_std", float, None,
           "deviation of the first weights; 1/sqrt(inputs) if not given", number),
    Option("standardize", bool, True,
           "real data to mean 0 and deviation 1 a feature inside a normal or laplace model", flag),
    Option("dtype", str, "float32", "of every number", ("float32", "float64")),
    Option("random_state", int, None, "seed of everything random; 0 if not given", anything),
)  # fmt: skip
TRAINING = (
    Option("optimizer", object, "adam", "the update rule",
           ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw")),
    Option("learning_rate", float, 1e-3, "before the schedule", number),
    Option("schedule", object, "constant", "of the learning rate",
           ("constant", "step", "cosine", "warmup")),
    Option("batch_size", int, 100, "M, datapoints a step", whole_number),
    Option("epochs", int, 20, "passes over the data", whole_number),
    Option("binarize", str, "none", "what becomes of grey pixels",
           ("none", "threshold", "fixed", "dynamic")),
    Option("kl_warmup", int, 0, "epochs over which the weight of the KL rises from 0", from_zero),
    Option("clip_norm", float, None, "largest norm of the gradient; any if not given", number),
    Option("early_stopping", int, None, "epochs without a better held-out bound to stop "
           "after; all epochs are done if not given", whole_number),
    Option("backend", str, "numpy", "where to compute: numpy, cupy or auto", anything),
    Option("tf32", bool, False,
           "on a GPU, round the factors of float32 products to ten bits of fraction", flag),
)  # fmt: skip
VERBOSE = Option("verbose", bool, None, "show how training goes", anything)
# The bundled digits are few and small: a narrower network, and more passes. From the command line.
DATA_DEFAULTS: dict[str, dict[str, Any]] = {
    "digits": {"hidden": [256, 128], "epochs": 300}
}
OPTIONS = {option.name: option for option in (*MODEL, *TRAINING, VERBOSE)}  # a constructor's
