"""From a model's arguments to its mathematics: what has to fit, and the networks."""
from typing import TYPE_CHECKING
from warnings import warn

from npvae import models, sobol
from npvae.distributions.compatibility import (
    closed_kl,
    compatible_priors,
    incompatibility,
    support_covers,
)
from npvae.distributions.priors import MixturePrior
from npvae.errors import ParameterError
from npvae.estimators.arguments import resolve_option
from npvae.networks import MLP
from npvae.objectives import ELBO
from npvae.optim import WarmUp

if TYPE_CHECKING:
    from npvae.estimators.base import GenerativeModel


def encoder(model: "GenerativeModel", n_features: int, heads: dict[str, int]) -> MLP:
    """x → heads, through the hidden layers."""
    return MLP("encoder", n_features, tuple(model.hidden), heads, model._name("activation"))


def decoder(model: "GenerativeModel", n_features: int) -> MLP:
    """z → heads of the likelihood, through the encoder's widths reversed or its own."""
    own, p = model.decoder_hidden, model._likelihood()
    widths, heads = tuple(model.hidden)[::-1] if own is None else tuple(own), p.heads(n_features)
    activation = model._name("activation")
    return MLP("decoder", model.latent_dim, widths, heads, activation, p.constant_heads)


def vae_model(model: "GenerativeModel", n_features: int) -> "models.VAEModel":
    """Encoder, decoder, likelihood, posterior and prior, as the arguments have them."""
    q, p = model._latents()
    networks = encoder(model, n_features, q.heads(model.latent_dim)), decoder(model, n_features)
    if isinstance(p, MixturePrior):
        return models.LearnedPriorModel(*networks, model._likelihood(), q, p)
    return models.VAEModel(*networks, model._likelihood(), q, p)


def check_likelihood(model: "GenerativeModel") -> None:
    """Raise a ParameterError unless the likelihood has the options given."""
    p, K, std = model.likelihood, model.n_levels, model.likelihood_std
    name = model._name("likelihood") if isinstance(p, str) else p
    if model._name("likelihood_mean") == "sigmoid" and name not in ("normal", "bernoulli"):
        raise ParameterError(  # a Bernoulli's mean is one anyhow
            f"likelihood_mean='sigmoid' is for likelihood='normal'; the mean of {name!r} has "
            "no such choice, so leave it 'linear'"
        )
    if std is not None and name != "normal":
        raise ParameterError(
            f"likelihood_std={std} is that of likelihood='normal'; "
            f"likelihood={name!r} has none to set"
        )
    variance = model._name("likelihood_variance")
    if variance != "latent" and (std is not None or name not in ("normal", "laplace")):
        raise ParameterError(
            f"likelihood_variance={variance!r} is that of likelihood='normal' or 'laplace' where "
            f"it is learned; likelihood={name!r} " + (
                "has none to learn" if std is None else f"has likelihood_std={std}"
            ) + ", so leave it 'latent'"
        )
    if K is None and name == "categorical":
        raise ParameterError(
            "n_levels=None leaves likelihood='categorical' without categories; set n_levels "
            "to how many levels a feature has, or choose 'discretized-logistic'"
        )
    if K is not None and (K < 2 or name not in ("categorical", "discretized-logistic")):
        raise ParameterError(
            f"n_levels={K} must be 2 or more, and is for likelihood='categorical' or "
            f"'discretized-logistic', not {name!r}"
        )
    model._likelihood()


def check_bound(model: "GenerativeModel") -> None:
    """Raise a ParameterError unless posterior, prior and estimator have a bound to train on."""
    q, p = model._latents()
    if reason := incompatibility(q.name, p.name):
        fits = ", ".join(compatible_priors(q.name))
        fits = fits or "no name: none suits it, so choose another posterior"
        raise ParameterError(f"{reason}; choose prior from {fits}")
    if q.name == "dirichlet" and model.latent_dim == 1:
        raise ParameterError(
            "posterior='dirichlet' of latent_dim=1 is always 1; take 2 or more, or 'beta'"
        )
    if isinstance(p, MixturePrior) and "prior_components" not in model._parameter_names():
        raise ParameterError(
            f"prior={p.name!r} is learned, which {type(model).__name__} cannot; "
            f"choose prior='normal', or train a VAE"
        )
    by_b = isinstance(resolve_option("estimator", model.estimator), ELBO)
    for name, given, needed in (
        ("posterior", q.name, "normal"), ("prior", p.name, "normal"),
        ("estimator", "B" if by_b else model.estimator, "B"),
    ):  # fmt: skip
        if model.free_bits and given != needed:
            raise ParameterError(
                f"free_bits={model.free_bits} needs the KL of each latent in closed form, "
                f"which {name}={given!r} does not give; choose {name}={needed!r}"
            )
    objective = model._objective()
    if model.n_samples < objective.min_samples:
        raise ParameterError(
            f"estimator={model.estimator!r} compares samples of a datapoint with one another; set "
            f"n_samples to {objective.min_samples} or more, not {model.n_samples}"
        )
    check_coupling(model)
    if objective.analytic_kl and not closed_kl(q.name, p.name):
        raise ParameterError(
            f"estimator={model.estimator!r} needs a KL in closed form, and that of "
            f"posterior={q.name!r} from prior={p.name!r} has none; take estimator='A'"
        )
    if not objective.moves_ends and not support_covers(q.name):
        raise ParameterError(
            f"estimator={model.estimator!r} leaves out the score of q(z|x), whose mean is not 0 "
            f"for posterior={q.name!r}, an interval with ends that move; take 'A' or 'iwae'"
        )


def check_coupling(model: "GenerativeModel") -> None:
    """Raise a ParameterError unless the samples of a datapoint may be coupled as is asked."""
    noise, L = model._name("noise"), model.n_samples
    if noise == "independent":
        return
    if not model._objective().dependent_samples:
        raise ParameterError(
            f"noise={noise!r} makes the samples of a datapoint depend on one another, and "
            f"estimator={model.estimator!r} needs them independent; leave noise='independent', or "
            "choose estimator='A', 'stl' or 'iwae'"
        )
    if L == 1 or (noise == "antithetic" and L % 2):
        even = "an even number" if noise == "antithetic" else "2 or more"
        raise ParameterError(
            f"noise={noise!r} couples the samples of a datapoint; set n_samples to {even}, not {L}"
        )
    n = model._latents()[0].n_noise(model.latent_dim)
    if noise == "sobol" and n > sobol.MOST:
        raise ParameterError(
            f"noise='sobol' has points in {sobol.MOST} dimensions at most, and latent_dim="
            f"{model.latent_dim} of posterior={model.posterior!r} takes {n}; lower latent_dim, or "
            "choose 'antithetic'"
        )


def warn_single_sample(model: "GenerativeModel") -> None:
    """Say which estimator one of several samples is with one."""
    same = model.engine_.objective.with_one_sample
    if same and model.n_samples == 1:
        warn(
            f"estimator={model.estimator!r} with n_samples=1 is estimator={same!r}; set n_samples "
            "to how many samples are to share the bound",
            stacklevel=4,
        )


def warn_long_warmup(model: "GenerativeModel") -> None:
    """Warn of a warm-up, of the learning rate or the KL, that the run does not get out of."""
    schedule = resolve_option("schedule", model.schedule)
    if isinstance(schedule, WarmUp) and schedule.fraction >= 1:
        warn(
            f"schedule={schedule!r} never reaches learning_rate={model.learning_rate}: its "
            "fraction of the run is all of it; choose one below 1",
            stacklevel=3,
        )
    warmup = model.engine_.objective.warmup_epochs
    if warmup < model.epochs:
        return
    no_best = ", and early stopping keeps the last of them" * (model.early_stopping is not None)
    warn(
        f"a warm-up of {warmup} epoch{'' if warmup == 1 else 's'} leaves none of "
        f"epochs={model.epochs} at the whole weight of the KL{no_best}; "
        "lower kl_warmup or train for longer",
        stacklevel=3,
    )
