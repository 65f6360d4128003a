"""Compatibility of posteriors and priors, and which KL between two is known in closed form.

A prior must be positive wherever q(z|x) is, and −log p(z) must not grow so fast that its mean
under q may be infinite: the bound is −∞ then, though any sample of it looks fine.

Both are read off what a family declares, its ``support`` and its ``tails``. Those of a user's own
that declares no tails are taken to be an exponential's.
"""
from npvae.distributions.latents import FAMILIES, Name, family
from npvae.distributions.tails import (
    DEFAULT,
    Tails,
    falls_too_fast,
    has_finite_cost,
    has_infinite_moment,
)

LEARNED = ("mixture", "vamp")
PRIORS = (*FAMILIES, *LEARNED)
ALIASES: dict[Name, str] = {  # families whose members with all parameters 0 are one distribution
    "elliptical": "normal", "gamma": "exponential", "weibull": "exponential",
    "student-t": "cauchy", "uniform": "beta",
}  # fmt: skip
SUPPORT_HULL: dict[Name, str] = {  # where the interval of a posterior lies whose support is one
    "uniform": "real", "triangular": "real", "pareto": "positive", "reciprocal": "positive",
}  # fmt: skip
SUPPORT_NAMES = {
    "real": "the real line", "positive": "z > 0", "unit interval": "0 < z < 1",
    "simplex": "the simplex Σz = 1", "interval": "an interval",
}  # fmt: skip


def incompatibility(posterior: Name, prior: Name) -> str:
    """Why a pair has no bound to train on, in words, for the KL may be infinite; empty if it has.

    Examples
    --------
    >>> incompatibility("gamma", "log-normal")
    ''
    >>> incompatibility("gamma", "normal")
    "posterior='gamma' is on z > 0 and prior='normal' on the real line"
    """
    alias = ALIASES.get(prior, prior)
    own = support(posterior)
    hull = SUPPORT_HULL.get(posterior, own)
    if prior == "vamp":
        needed = hull if own == hull else "interval"
    else:
        needed = "real" if prior == "mixture" else support(alias)
    if needed == "interval":
        return f"prior={prior!r} is on an interval, where posterior={posterior!r} need not stay"
    if hull != needed:
        part = "on" if own == hull else "on an interval of"
        return (
            f"posterior={posterior!r} is {part} {SUPPORT_NAMES[hull]} and prior={prior!r} on "
            f"{SUPPORT_NAMES[needed]}"
        )
    if finite_cross_entropy(posterior, alias):
        return ""
    return (
        f"posterior={posterior!r} has tails too heavy for prior={prior!r}: their KL may be "
        "infinite"
    )


def support(name: Name) -> str:
    """The support of the family: where its variables lie."""
    return family(name).support


def tails(name: Name) -> Tails:
    """How fast the family's density falls at the two ends of its support."""
    return family(name).tails or DEFAULT[support(name)]


def finite_cross_entropy(posterior: Name, prior: Name) -> bool:
    """Whether the cross-entropy E_q[−log p(z)] is finite for all parameters, supports apart."""
    if prior in (posterior, ALIASES.get(posterior), "vamp"):
        return True
    p = "normal" if prior == "mixture" else prior
    return all(map(has_finite_cost, tails(posterior), tails(p)))


def support_covers(posterior: Name) -> bool:
    """Whether q(z|x) > 0 wherever a compatible prior is: importance weights need that."""
    return support(posterior) != "interval"


def infinite_moment(prior: Name, n: int) -> bool:
    """Whether E|z|ⁿ of a prior is infinite; of one that learns it is taken to be finite.

    Examples
    --------
    >>> infinite_moment("student-t", 1), infinite_moment("log-normal", 2)
    (True, False)
    """
    p = ALIASES.get(prior, prior)
    if p in LEARNED:
        return False
    return has_infinite_moment(tails(p), SUPPORT_HULL.get(p, support(p)), n)


def lighter_tailed(posterior: Name, prior: Name) -> bool:
    """Whether q(z|x) falls so much faster than p(z) that its weights have no variance.

    At an end of the support, 0 being one where z > 0; and for all parameters that q(z|x) may have:
    E_q[(p/q)²] = ∫ p²/q is infinite. Of a normal posterior and a normal prior it is for some.

    Examples
    --------
    >>> lighter_tailed("normal", "normal"), lighter_tailed("normal", "laplace")
    (False, True)
    >>> lighter_tailed("gamma", "log-normal"), lighter_tailed("log-normal", "gamma")
    (True, True)
    """
    p = ALIASES.get(prior, prior)
    if p == "vamp":  # of the posterior's own kind
        return False
    moves = p == "mixture"
    of_prior = tails("normal" if moves else p)
    return any(falls_too_fast(a, b, moves) for a, b in zip(tails(posterior), of_prior, strict=True))


def compatible_priors(posterior: Name) -> list[str]:
    """The priors that a posterior may have, its own kind first.

    Examples
    --------
    >>> compatible_priors("student-t")
    ['student-t', 'cauchy', 'vamp']
    >>> compatible_priors("uniform")
    ['normal', 'elliptical', 'laplace', 'logistic', 'gumbel', 'student-t', 'cauchy', 'mixture']
    """
    fits = [prior for prior in PRIORS if not incompatibility(posterior, prior)]
    return sorted(fits, key=lambda prior: prior != posterior)


def closed_kl(posterior: Name, prior: Name) -> str | None:
    """The method of the posterior's family that is KL(q ‖ p) in closed form, if there is one.

    Examples
    --------
    >>> closed_kl("weibull", "gamma"), closed_kl("laplace", "normal"), closed_kl("laplace", "vamp")
    ('kl', 'kl_normal', None)
    """
    p = ALIASES.get(prior, prior)
    same = p == ALIASES.get(posterior, posterior)
    kl_method = "kl" if same else "kl_normal" if p == "normal" else ""
    return kl_method if kl_method and hasattr(family(posterior), kl_method) else None
