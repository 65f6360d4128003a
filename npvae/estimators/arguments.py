"""Constructor arguments: resolved, a name to its object; and serialized, an object to JSON.

A name of any case, or the dict that a file has of an object, becomes the object. An object is
taken as it is, so that a likelihood, an optimizer or a family of a user's own works wherever
npvae's do. Only a file cannot hold it.
"""
from collections.abc import Hashable, Mapping
from dataclasses import fields, is_dataclass, replace
from inspect import signature
from math import isfinite
from numbers import Real
from typing import Any

import numpy as np

from npvae.distributions import Family, Likelihood
from npvae.distributions.latents import FAMILIES, LatentFamily, family
from npvae.distributions.likelihoods import LIKELIHOODS, FixedNormalLikelihood, likelihood
from npvae.distributions.priors import FamilyPrior, MixturePrior, Prior, VampPrior, named_prior
from npvae.errors import ParameterError
from npvae.objectives import OBJECTIVES, Objective
from npvae.optim import OPTIMIZERS, SCHEDULES, Optimizer, Schedule
from npvae.options import OPTIONS, one_of, whole_number

DEFAULTS = ("initial_bias", "cache_only", "zero_heads", "constant_heads")  # of a Likelihood
LEARNED: dict[str, Any] = {"mixture": MixturePrior, "vamp": VampPrior}
KINDS: dict[str, tuple[Any, Mapping[str, Any]]] = {  # the base class of an option, and npvae's own
    "optimizer": (Optimizer, OPTIMIZERS),
    "schedule": (Schedule, SCHEDULES),
    "likelihood": (Likelihood, {**LIKELIHOODS, "fixed-normal": FixedNormalLikelihood}),
    "posterior": (Family, {}),
    "prior": ((Family, MixturePrior), LEARNED),
    "estimator": (Objective, OBJECTIVES),
}


def resolve_likelihood(
    value: Any, mean: str = "linear", std: float | None = None, n_levels: int | None = None,
    variance: str = "latent",
) -> Likelihood:  # fmt: skip
    """Resolve ``likelihood=``, an object, or a name with the options that named ones take."""
    if isinstance(value, str):
        name = OPTIONS["likelihood"].canonical_name(value)
        return likelihood(name, mean == "sigmoid", std, n_levels, variance)
    members = ["mean_head", *(name for name in vars(Likelihood) if not name.startswith("_"))]
    lacking = [name for name in members if not has_member(value, name)]
    if 0 < len(lacking) < len(members):
        raise ParameterError(
            f"likelihood={value!r} has no {lacking[0]}; give it all that Likelihood of "
            "npvae/distributions/likelihood.py lists, or choose a name"
        )
    return resolve_option("likelihood", value)


def has_member(value: Any, name: str) -> bool:
    """Whether a likelihood overrides a member, or inherits one that has a default."""
    inherited = getattr(type(value), name, None) is vars(Likelihood).get(name, value)
    return hasattr(value, name) and (name in DEFAULTS or not inherited)


def resolve_posterior(value: Any, kind: str = "posterior") -> LatentFamily:
    """Resolve ``posterior=``, a name or a family, to the family of all latents."""
    own = value.name if isinstance(value, (LatentFamily, FamilyPrior)) else value
    if isinstance(own, str):
        return LatentFamily(one_of(kind, own, FAMILIES))
    if isinstance(own, Family) and not isinstance(own, Hashable):
        raise ParameterError(f"{kind}={own!r} cannot be hashed; give its dataclass frozen=True")
    own = resolve_option(kind, own)
    return LatentFamily(next((name for name in FAMILIES if family(name) == own), own))


def resolve_prior(value: Any, posterior: LatentFamily, K: int) -> Prior:
    """Resolve ``prior=``, a name or an object; K components, if a named one learns."""
    if isinstance(value, str):
        return named_prior(OPTIONS["prior"].canonical_name(value), posterior, K)
    if isinstance(value, dict) and value.get("name") in LEARNED:
        value = resolve_option("prior", value)
    if isinstance(value, VampPrior) and value.variables != posterior:
        raise ParameterError(
            f"prior={value!r} is a mixture of other posteriors than posterior={posterior.name!r}; "
            "choose prior='vamp'"
        )
    if isinstance(value, MixturePrior):
        whole_number("prior: K", value.K)
        return value
    return FamilyPrior(resolve_posterior(value, "prior").name)


def resolve_objective(value: Any, **settings: Any) -> Objective:
    """Resolve ``estimator=``, a name or an object; named ones take the settings of their fields.

    Raises
    ------
    ParameterError
        If a setting is not at its default, and not for this objective.
    """
    objective = resolve_option("estimator", value)
    named = isinstance(value, str) and is_dataclass(objective)
    taken = {field.name for field in fields(objective)} if named else set()
    for name, given in settings.items():
        if given != OPTIONS[name].default and name not in taken:
            raise ParameterError(
                f"{name}={given} is not for estimator={value!r}, which has no KL by itself to "
                "weigh; leave it out, or choose estimator='A' or 'stl'"
            )
    used = {name: given for name, given in settings.items() if name in taken}
    return replace(objective, **used) if used else objective


def builtin_classes(kind: str) -> dict[str, Any]:
    """npvae's own classes for an option, by their names in files."""
    families = FAMILIES if kind in ("posterior", "prior") else ()
    return {**{name: type(family(name)) for name in families}, **KINDS[kind][1]}


def resolve_option(kind: str, value: Any) -> Any:
    """Resolve an option's value, an object, its name, or a file's dict of it, to the object."""
    if isinstance(value, KINDS[kind][0]) and not isinstance(value, type):
        return value
    if not isinstance(value, dict):
        value = {"name": OPTIONS[kind].canonical_name(value)}
    options, classes = dict(value), builtin_classes(kind)
    make = classes[one_of(kind, options.pop("name", None), classes)]
    for key, option in options.items():
        if isinstance(option, dict):  # a schedule may hold another
            options[key] = resolve_option(kind, option)
        elif isinstance(option, list):  # as JSON keeps a tuple
            options[key] = tuple(option)
        elif key == "variables":
            options[key] = resolve_posterior(option)
    try:
        resolved = make(**options)
    except TypeError as error:  # an option that it does not have
        raise ParameterError(f"{kind}={value!r} cannot be made: {error}") from error
    for field in fields(resolved) if is_dataclass(resolved) else ():
        check_option(kind, field.name, getattr(resolved, field.name), field.default)
    return resolved


def check_option(kind: str, name: str, value: Any, default: Any) -> None:
    """Raise a ParameterError unless ``value`` is a number, or several, as its default is."""
    several = isinstance(default, tuple)
    good = isinstance(value, tuple if several else Real)
    if isinstance(default, (int, float, tuple)) and not (
        good and all(isinstance(v, Real) and isfinite(v) for v in (value if several else (value,)))
    ):
        wanted = "a tuple of finite numbers" if several else "a finite number"
        raise ParameterError(f"{kind}: {name}={value!r} must be {wanted}, as {default!r} is")


def serialize(kind: str, value: Any) -> Any:
    """Serialize a constructor argument to JSON, of which :func:`npvae.load` makes the same.

    Raises
    ------
    ParameterError
        If it is an object of a user's own class.

    Examples
    --------
    >>> serialize("prior", MixturePrior(5))
    {'name': 'mixture', 'K': 5, 'variables': 'normal'}
    """
    if isinstance(value, (tuple, list, np.ndarray)):
        return [serialize("", v) for v in value]
    if isinstance(value, str):
        name = OPTIONS[kind].canonical_name(value)
        return one_of(kind, name, OBJECTIVES) if kind == "estimator" else name
    if value is None or isinstance(value, (bool, int, float, dict, np.generic)):
        return value.item() if isinstance(value, np.generic) else value
    if isinstance(value, (LatentFamily, FamilyPrior)):
        return serialize(kind, value.name)
    for name, own in builtin_classes(kind).items() if kind in KINDS else ():
        if type(value) is own:
            held = {key: getattr(value, key) for key in signature(own).parameters}
            return {"name": name} | {
                key: v if isinstance(v, str) else serialize(kind, v) for key, v in held.items()
            }
    raise ParameterError(
        f"{kind}={value!r} is of a class that is not npvae's, which no file can hold; keep the "
        "parameters by numpy.savez(path, **model.parameters), and hand them to set_parameters of "
        "a model that you make anew"
    )
