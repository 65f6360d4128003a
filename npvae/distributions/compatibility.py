"""Compatibility of posteriors and priors, and which KL between two is known in closed form.

A prior must be positive wherever q(z|x) is, and −log p(z) must not grow so fast that its mean
under q may be infinite: the bound is −∞ then, though any sample of it looks fine.

A family of a user's own is judged by its ``support``; its tails are taken to be no heavier than
an exponential's.
"""
from npvae.distributions.latents import FAMILIES, Name, family

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

# E[e^|z|] is finite for all LIGHT_TAILED posteriors, E[log² |z|] alone for the HEAVY_TAILED ones,
# E[|z|ⁿ] for the others. −log p grows as e^|z| for STEEP priors, as log² |z| for FLAT ones, as
# |z|ⁿ for the others.
LIGHT_TAILED = {
    "normal", "elliptical", "uniform", "triangular", "rayleigh", "gompertz", "reciprocal", "beta",
    "dirichlet",
}  # fmt: skip
HEAVY_TAILED = {"cauchy", "student-t", "f", "pareto"}
STEEP = {"gumbel", "gompertz"}
FLAT = {"cauchy", "student-t", "f", "log-normal"}


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


def finite_cross_entropy(posterior: Name, prior: Name) -> bool:
    """Whether the cross-entropy E_q[−log p(z)] is finite for all parameters, supports apart."""
    if prior in (posterior, ALIASES.get(posterior), "vamp") or prior in FLAT:
        return True
    return posterior in LIGHT_TAILED if prior in STEEP else posterior not in HEAVY_TAILED


def support_covers(posterior: Name) -> bool:
    """Whether q(z|x) > 0 wherever a compatible prior is: importance weights need that."""
    return support(posterior) != "interval"


def heavy_tailed(name: Name) -> bool:
    """Whether the tails are so heavy that E|z| may be infinite."""
    return ALIASES.get(name, name) in HEAVY_TAILED


def lighter_tailed(posterior: Name, prior: Name) -> bool:
    """Whether the tails of q(z|x) are lighter than those of p(z), and so of the true posterior.

    Examples
    --------
    >>> lighter_tailed("normal", "normal"), lighter_tailed("normal", "laplace")
    (False, True)
    >>> lighter_tailed("log-normal", "gamma")
    False
    """

    def weight(name: Name) -> int:
        return 0 if name in LIGHT_TAILED else 2 if name in HEAVY_TAILED or name in FLAT else 1

    q, p = (ALIASES.get(name, name) for name in (posterior, prior))
    return q != p and prior not in LEARNED and weight(q) < weight(p)


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
