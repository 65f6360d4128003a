"""The table of configurations: every model, posterior, prior, likelihood and option there is.

The table is written out and asks npvae nothing, so that it stays the same whatever npvae becomes.
Each configuration has a name, which is also the seed of its parameters and of its noise.
"""
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np

import npvae
from npvae import optim

N, M, D, J = 24, 6, 5, 2  # datapoints to train on, those of one gradient, features, latents
Settings = dict[str, Any]


@dataclass(frozen=True)
class Configuration:
    """One model and the data it is given.

    Attributes
    ----------
    name : str
        Unique in its table.
    kind : str
        The class: VAE, WakeSleep, FullVB, MCEM or Autoencoder.
    data : str
        A kind of data, see :func:`dataset`.
    settings : dict
        Arguments of the constructor, over those of :data:`COMMON`.
    samples : int
        L, how many samples of noise a datapoint.
    fit : dict
        Of a training: ``validation`` to hold data out, ``more`` passes by ``partial_fit``. Of an
        estimate of log p(x): the arguments of ``log_likelihood``.
    """

    name: str
    kind: str
    data: str
    settings: Settings
    samples: int = 1
    fit: Settings = field(default_factory=dict)

    def model(self, **options: Any) -> Any:
        """The model, without parameters as yet."""
        return getattr(npvae, self.kind)(**COMMON | self.settings | options)


COMMON: Settings = {
    "latent_dim": J, "hidden": (4,), "dtype": "float64", "random_state": 7, "verbose": False,
    "batch_size": 10, "epochs": 3, "learning_rate": 0.01, "standardize": False,
}  # fmt: skip


def dataset(kind: str, rows: int = N) -> Any:
    """``rows`` datapoints of a kind, the same at every call; (rows, D)"""
    rng = np.random.default_rng(2013)
    if kind == "grey":
        return rng.random((rows, D))
    if kind == "black and white":
        return (rng.random((rows, D)) < 0.4).astype(float)
    if kind == "bool":
        return rng.random((rows, D)) < 0.4
    if kind == "bytes":
        return npvae.data.Dataset(rng.integers(0, 17, (rows, D), dtype=np.uint8), scale=1 / 16)
    if kind == "real":
        return rng.standard_normal((rows, D))
    if kind == "counts":
        return rng.poisson(3.0, (rows, D)).astype(float)
    levels = int(kind.removesuffix(" levels"))
    return rng.integers(0, levels, (rows, D)) / (levels - 1)


# --- what there is ------------------------------------------------------------------------

ACTIVATIONS = ("tanh", "relu", "sigmoid", "softplus", "elu", "identity")

LIKELIHOODS: dict[str, tuple[str, Settings]] = {  # name → kind of data, settings
    "bernoulli": ("grey", {"likelihood": "bernoulli"}),
    "continuous-bernoulli": ("grey", {"likelihood": "continuous-bernoulli"}),
    "normal": ("real", {"likelihood": "normal"}),
    "normal, sigmoid mean": ("grey", {"likelihood": "normal", "likelihood_mean": "sigmoid"}),
    "normal, fixed": ("real", {"likelihood": "normal", "likelihood_std": 0.7}),
    "normal, fixed, sigmoid mean": (
        "grey", {"likelihood": "normal", "likelihood_mean": "sigmoid", "likelihood_std": 0.3}),
    "laplace": ("real", {"likelihood": "laplace"}),
    "poisson": ("counts", {"likelihood": "poisson"}),
    "categorical": ("3 levels", {"likelihood": "categorical", "n_levels": 3}),
    "discretized-logistic": ("5 levels", {"likelihood": "discretized-logistic", "n_levels": 5}),
    "discretized-logistic, bytes": ("256 levels", {"likelihood": "discretized-logistic"}),
}  # fmt: skip

# Posterior → the priors that it may have. Before the semicolon the KL has a closed form, and so
# there is an estimator B; estimator A serves all of them.
_REAL = "logistic student-t cauchy mixture vamp"
_POSITIVE = "chi-squared rayleigh f vamp"
PAIRS = {
    "normal": f"normal elliptical; laplace gumbel {_REAL}",
    "elliptical": f"elliptical normal; laplace gumbel {_REAL}",
    "laplace": f"laplace normal elliptical; {_REAL}",
    "logistic": f"normal elliptical; laplace {_REAL}",
    "gumbel": f"gumbel normal elliptical; laplace {_REAL}",
    "student-t": "; student-t cauchy vamp",
    "cauchy": "cauchy student-t; vamp",
    "uniform": "normal elliptical; laplace logistic gumbel student-t cauchy mixture",
    "triangular": "normal elliptical; laplace logistic gumbel student-t cauchy mixture",
    "log-normal": f"log-normal; gamma exponential erlang weibull {_POSITIVE}",
    "gamma": f"gamma exponential weibull; log-normal erlang {_POSITIVE}",
    "exponential": f"exponential gamma weibull; log-normal erlang {_POSITIVE}",
    "erlang": f"erlang; log-normal gamma exponential weibull {_POSITIVE}",
    "chi-squared": f"chi-squared; log-normal gamma exponential erlang weibull {_POSITIVE}",
    "weibull": f"weibull gamma exponential; log-normal erlang {_POSITIVE}",
    "rayleigh": f"rayleigh; log-normal gamma exponential erlang weibull gompertz {_POSITIVE}",
    "gompertz": f"; gompertz log-normal gamma exponential erlang weibull {_POSITIVE}",
    "f": "; f log-normal vamp",
    "pareto": "; log-normal f",
    "reciprocal": "; log-normal gamma exponential erlang chi-squared weibull rayleigh gompertz f",
    "beta": "beta uniform; vamp",
    "dirichlet": "dirichlet; vamp",
}

# Standard normals that one latent of a family is made of; 1 if not named here.
NOISE = {"student-t": 2, "erlang": 2, "f": 2, "beta": 2}


def pairs() -> list[tuple[str, str, str]]:
    """Posterior, prior and estimator of every VAE there is, its own default prior first."""
    found = []
    for posterior, priors in PAIRS.items():
        closed, sampled = (part.split() for part in priors.split(";"))
        found += [(posterior, prior, "B") for prior in closed]
        found += [(posterior, prior, "A") for prior in dict.fromkeys(closed + sampled)]
    return found


def pair_settings(posterior: str, prior: str, estimator: str) -> Settings:
    """Arguments of the constructor for a posterior, a prior and an estimator."""
    settings: Settings = {"posterior": posterior, "prior": prior, "estimator": estimator}
    if prior in ("mixture", "vamp"):
        settings["prior_components"] = 3
    if posterior == "dirichlet":
        settings["latent_dim"] = 3
    return settings


OBJECTIVES: tuple[Settings, ...] = (
    {"kl_weight": 4.0}, {"kl_weight": 0.0}, {"kl_weight": 0.5, "estimator": "A"},
    {"free_bits": 0.1}, {"free_bits": 0.5, "kl_weight": 2.0}, {"free_bits": 30.0},
    {"kl_warmup": 2}, {"kl_warmup": 4, "kl_weight": 3.0}, {"kl_warmup": 2, "free_bits": 0.1},
    {"kl_warmup": 2, "estimator": "A"},
    {"kl_weight": 2.0, "posterior": "gamma", "prior": "gamma"},
    {"kl_weight": 2.0, "kl_warmup": 2, "estimator": "A", "prior": "vamp", "prior_components": 3},
)  # fmt: skip


def said(settings: Settings) -> str:
    """Settings in words, for a name."""
    return ", ".join(f"{key}={value}" for key, value in settings.items())


# --- gradients ----------------------------------------------------------------------------


def gradient_configurations() -> list[Configuration]:
    """Those whose loss, gradient and outputs are recorded, at given parameters and noise."""
    table: list[Configuration] = []

    def add(kind: str, what: str, data: str, settings: Settings, samples: int = 1) -> None:
        name = f"{kind}: {what}, L={samples}"
        table.append(Configuration(name, kind, data, settings, samples))

    for i, pair in enumerate(pairs()):
        add("VAE", " ".join(pair), "grey", pair_settings(*pair), 1 + i % 3)
    for i, (p_x, estimator) in enumerate(product(LIKELIHOODS, "AB")):
        data, settings = LIKELIHOODS[p_x]
        add("VAE", f"{p_x}, {estimator}", data, settings | {"estimator": estimator}, 1 + i % 3)
    for activation, hidden in product(ACTIVATIONS, ((3,), (5, 4), (4, 2, 3))):
        settings = {"activation": activation, "hidden": hidden, "latent_dim": 3}
        add("VAE", said(settings), "grey", settings)
    for settings in (
        {"hidden": ()}, {"hidden": (3,), "decoder_hidden": (4, 2)}, {"latent_dim": 1},
        {"hidden": (), "decoder_hidden": (5,)}, {"hidden": (4,), "decoder_hidden": ()},
        {"parameter_prior": True}, {"initial_std": 0.01}, {"parameter_prior": True} | OBJECTIVES[1],
        {"random_state": 2**63}, *OBJECTIVES,
    ):  # fmt: skip
        add("VAE", said(settings), "grey", settings, 2)
    for data in ("black and white", "bool", "bytes"):
        add("VAE", data, data, {}, 3)
    for posterior, p_x in (
        ("gamma", "normal"), ("elliptical", "laplace"), ("beta", "poisson"),
        ("student-t", "categorical"), ("dirichlet", "normal, sigmoid mean"),
        ("laplace", "discretized-logistic"), ("cauchy", "continuous-bernoulli"),
    ):  # fmt: skip
        data, settings = LIKELIHOODS[p_x]
        settings = settings | pair_settings(posterior, posterior, "A") | {"parameter_prior": True}
        add("VAE", f"{posterior}, {p_x}", data, settings, 2)
    for prior, hidden, p_x in product(("mixture", "vamp"), ((), (5, 3)), ("normal", "poisson")):
        data, settings = LIKELIHOODS[p_x]
        settings = settings | pair_settings("normal", prior, "A") | {"hidden": hidden}
        add("VAE", f"{prior}, {p_x}, hidden={hidden}", data, settings, 2)

    for i, (p_x, (data, settings)) in enumerate(LIKELIHOODS.items()):
        add("WakeSleep", p_x, data, settings, 1 + i % 3)
        add("FullVB", p_x, data, settings | {"estimator": "AB"[i % 2]}, 1 + i % 3)
        add("MCEM", p_x, data, settings, 1 + i % 3)
        add("Autoencoder", p_x, data, settings)
    kinds = ("WakeSleep", "FullVB", "MCEM", "Autoencoder")
    for kind, activation in product(kinds, ACTIVATIONS[1:4]):
        settings = {"activation": activation, "hidden": (5, 4), "latent_dim": 3}
        add(kind, said(settings), "grey", settings)
    for kind, settings in (
        ("WakeSleep", {"parameter_prior": True}), ("WakeSleep", {"hidden": ()}),
        ("WakeSleep", {"hidden": (3,), "decoder_hidden": (4, 2)}),
        ("FullVB", {"kl_weight": 3.0}), ("FullVB", {"free_bits": 0.1}), ("FullVB", {"hidden": ()}),
        ("FullVB", {"posterior": "laplace", "prior": "laplace"}),
        ("FullVB", {"posterior": "gamma", "prior": "exponential", "estimator": "A"}),
        ("FullVB", {"posterior": "dirichlet", "prior": "dirichlet", "latent_dim": 3}),
        ("FullVB", {"posterior": "student-t", "prior": "cauchy", "estimator": "A"}),
        ("MCEM", {"parameter_prior": True}), ("MCEM", {"hidden": ()}),
    ):  # fmt: skip
        add(kind, said(settings), "grey", settings, 2)
    for settings in ({"l2": 0.0}, {"l2": 0.5}, {"hidden": ()}, {"decoder_hidden": (3, 2)}):
        add("Autoencoder", said(settings), "grey", settings)
    return table


# --- histories ----------------------------------------------------------------------------

OPTIMIZERS = {
    **{name: name for name in (
        "adam", "adamw", "adagrad", "rmsprop", "sgd", "momentum", "nesterov")},
    "Adam(β)": optim.Adam(beta1=0.8, beta2=0.95, epsilon=1e-4),
    "AdamW(decay)": optim.AdamW(weight_decay=0.3),
    "Adagrad(accumulate)": optim.Adagrad(accumulate=4, epsilon=1e-3),
    "RMSProp(decay)": optim.RMSProp(decay=0.8),
    "Momentum(μ)": optim.Momentum(mu=0.5),
    "Nesterov(μ)": optim.Nesterov(mu=0.5),
}  # fmt: skip
SCHEDULES = {
    **{name: name for name in ("constant", "step", "cosine", "warmup")},
    "Step(at)": optim.Step(at=(0.3, 0.6), factor=0.5),
    "Cosine(floor)": optim.Cosine(floor=0.2),
    "WarmUp(then)": optim.WarmUp(fraction=0.4, then=optim.Cosine(floor=0.1)),
}


def history_configurations() -> list[Configuration]:
    """Those that are trained for three epochs, whose histories are recorded."""
    table: list[Configuration] = []

    def add(kind: str, what: str, data: str, settings: Settings, **fit: Any) -> None:
        table.append(Configuration(f"{kind}: {what}", kind, data, settings, 1, fit))

    for name, optimizer in OPTIMIZERS.items():
        add("VAE", f"optimizer {name}", "grey", {"optimizer": optimizer})
    for name, schedule in SCHEDULES.items():
        add("VAE", f"schedule {name}", "grey", {"schedule": schedule})
    for binarize, data in product(("none", "threshold", "fixed", "dynamic"), ("grey", "bytes")):
        add("VAE", f"binarize={binarize}, {data}", data, {"binarize": binarize}, validation=True)
    add("VAE", "bool", "bool", {})
    for name, (data, settings) in LIKELIHOODS.items():
        add("VAE", name, data, settings | {"n_samples": 2})
        add("MCEM", name, data, settings | {"n_updates": 1})
    for posterior, priors in PAIRS.items():
        prior = priors.replace(";", "").split()[0]
        add("VAE", f"{posterior}, {prior}", "grey", pair_settings(posterior, prior, "A"))
    for prior, posterior in product(("mixture", "vamp"), ("normal", "laplace")):
        settings = pair_settings(posterior, prior, "A") | {"n_samples": 2}
        add("VAE", f"{prior} under {posterior}", "real", settings | {"likelihood": "normal"},
            validation=True)  # fmt: skip
    for settings in OBJECTIVES:
        add("VAE", said(settings), "grey", settings)
    for activation in ACTIVATIONS:
        settings = {"activation": activation, "hidden": (5, 3), "n_samples": 3}
        add("VAE", said(settings), "grey", settings)
    for settings in (
        {"clip_norm": 0.5}, {"clip_norm": 100.0}, {"parameter_prior": True}, {"hidden": ()},
        {"initial_std": 0.01}, {"batch_size": 24}, {"batch_size": 1}, {"estimator": "A"},
    ):  # fmt: skip
        add("VAE", said(settings), "grey", settings)
    for kind in ("VAE", "WakeSleep", "FullVB", "Autoencoder"):
        add(kind, "validation", "grey", {}, validation=True)
        add(kind, "early stopping", "grey", {
            "early_stopping": 1, "epochs": 6, "learning_rate": 1.0, "optimizer": "sgd",
        }, validation=True)  # fmt: skip
    for kind in ("VAE", "WakeSleep", "FullVB", "MCEM", "Autoencoder"):
        add(kind, "partial_fit after fit", "grey", {"schedule": "cosine"}, more=2)
        add(kind, "clip_norm, adagrad, cosine", "grey", {
            "clip_norm": 0.5, "optimizer": "adagrad", "schedule": "cosine"})  # fmt: skip
    for kind, p_x in product(("WakeSleep", "FullVB", "Autoencoder"), LIKELIHOODS):
        data, settings = LIKELIHOODS[p_x]
        add(kind, p_x, data, settings)
    for kind, settings in (
        ("WakeSleep", {"n_samples": 3}), ("WakeSleep", {"parameter_prior": True}),
        ("WakeSleep", {"binarize": "dynamic"}),
        ("FullVB", {"estimator": "A", "n_samples": 2}), ("FullVB", {"kl_warmup": 2}),
        ("FullVB", {"free_bits": 0.1, "binarize": "fixed"}),
        ("FullVB", {"posterior": "gamma", "prior": "gamma"}),
        ("MCEM", {"n_updates": 5, "n_leapfrog": 3}), ("MCEM", {"parameter_prior": True}),
        ("MCEM", {"binarize": "fixed"}),
        ("Autoencoder", {"l2": 0.5}), ("Autoencoder", {"binarize": "dynamic"}),
    ):  # fmt: skip
        add(kind, said(settings), "grey", settings)
    return table


# --- the likelihood -----------------------------------------------------------------------


def likelihood_configurations() -> list[Configuration]:
    """Those whose log p(x) is estimated, by ``fit["method"]`` and its options."""
    table: list[Configuration] = []

    def add(kind: str, data: str, settings: Settings, **fit: Any) -> None:
        name = f"{kind}: {fit['method']}, {said(settings)}"
        table.append(Configuration(name, kind, data, settings, 1, fit))

    grey = ("bernoulli", "normal, sigmoid mean", "continuous-bernoulli")
    for kind, p_x in product(("VAE", "WakeSleep", "FullVB", "MCEM"), grey):
        data, settings = LIKELIHOODS[p_x]
        if kind != "MCEM":
            add(kind, data, settings, method="importance", n_samples=50)
        add(kind, data, settings, method="prior", n_samples=50)
        add(kind, data, settings, method="annealed", n_samples=4, n_temperatures=10)
    for posterior, prior in (
        ("gamma", "exponential"), ("laplace", "normal"), ("beta", "uniform"), ("normal", "mixture"),
        ("elliptical", "elliptical"), ("normal", "vamp"), ("student-t", "cauchy"),
    ):  # fmt: skip
        settings = pair_settings(posterior, prior, "A")
        add("VAE", "grey", settings, method="importance", n_samples=50)
        add("VAE", "grey", settings, method="prior", n_samples=50)
    return table


GRADIENTS = gradient_configurations()
LIKELIHOOD = likelihood_configurations()
HISTORIES = history_configurations()
