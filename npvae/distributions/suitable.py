"""Which prior suits which posterior, and which KL between the two is known in closed form.

A prior must be positive wherever q(z|x) is, and −log p(z) must not grow so fast that its mean
under q may be infinite: the bound is −∞ then, though any sample of it looks fine.

A family of a user's own is judged by its ``support``; its tails are taken to be no heavier than
an exponential's.
"""
from npvae.distributions.latents import FAMILIES, Name, family

LEARNED = ("mixture", "vamp")
PRIORS = (*FAMILIES, *LEARNED)
TWINS: dict[Name, str] = {  # families whose members with all parameters 0 are one distribution
    "elliptical": "normal", "gamma": "exponential", "weibull": "exponential",
    "student-t": "cauchy", "uniform": "beta",
}  # fmt: skip
REACH: dict[Name, str] = {  # where the interval of a posterior lies that is on one
    "uniform": "real", "triangular": "real", "pareto": "positive", "reciprocal": "positive",
}  # fmt: skip
WORDS = {
    "real": "the real line", "positive": "z > 0", "unit interval": "0 < z < 1",
    "simplex": "the simplex Σz = 1", "interval": "an interval",
}  # fmt: skip

# E[e^|z|] is finite for all LIGHT posteriors, E[log² |z|] alone for the HEAVY ones, E[|z|ⁿ] for the
# others. −log p grows as e^|z| for STEEP priors, as log² |z| for FLAT ones, as |z|ⁿ for the others.
LIGHT = {
    "normal", "elliptical", "uniform", "triangular", "rayleigh", "gompertz", "reciprocal", "beta",
    "dirichlet",
}  # fmt: skip
HEAVY = {"cauchy", "student-t", "f", "pareto"}
STEEP = {"gumbel", "gompertz"}
FLAT = {"cauchy", "student-t", "f", "log-normal"}


def why_not(posterior: Name, prior: Name) -> str:
    """Why this pair has no bound to train on, in words; empty if it has: the KL may be infinite.

    Examples
    --------
    >>> why_not("gamma", "log-normal")
    ''
    >>> why_not("gamma", "normal")
    "posterior='gamma' is on z > 0 and prior='normal' on the real line"
    """
    twin = TWINS.get(prior, prior)
    lies = support(posterior)
    reach = REACH.get(posterior, lies)
    if prior == "vamp":
        needs = reach if lies == reach else "interval"
    else:
        needs = "real" if prior == "mixture" else support(twin)
    if needs == "interval":
        return f"prior={prior!r} is on an interval, where posterior={posterior!r} need not stay"
    if reach != needs:
        part = "on" if lies == reach else "on an interval of"
        return (
            f"posterior={posterior!r} is {part} {WORDS[reach]} and prior={prior!r} on "
            f"{WORDS[needs]}"
        )
    if finite(posterior, twin):
        return ""
    return (
        f"posterior={posterior!r} has tails too heavy for prior={prior!r}: their KL may be "
        "infinite"
    )


def support(name: Name) -> str:
    """Where a variable of the family lies."""
    return family(name).support


def finite(posterior: Name, prior: Name) -> bool:
    """Whether E_q[−log p(z)] is finite for all parameters, supports apart."""
    if prior in (posterior, TWINS.get(posterior), "vamp") or prior in FLAT:
        return True
    return posterior in LIGHT if prior in STEEP else posterior not in HEAVY


def covers(posterior: Name) -> bool:
    """Whether q(z|x) > 0 wherever a prior that suits it is: importance weights need that."""
    return support(posterior) != "interval"


def heavy(name: Name) -> bool:
    """Whether a variable may lie so far out that its mean size is infinite."""
    return TWINS.get(name, name) in HEAVY


def lighter(posterior: Name, prior: Name) -> bool:
    """Whether q(z|x) falls off faster than p(z), and so than the true posterior may.

    Examples
    --------
    >>> lighter("normal", "normal"), lighter("normal", "laplace"), lighter("log-normal", "gamma")
    (False, True, False)
    """

    def weight(name: Name) -> int:
        return 0 if name in LIGHT else 2 if name in HEAVY or name in FLAT else 1

    q, p = (TWINS.get(name, name) for name in (posterior, prior))
    return q != p and prior not in LEARNED and weight(q) < weight(p)


def suitable(posterior: Name) -> list[str]:
    """The priors that a posterior may have, its own kind first.

    Examples
    --------
    >>> suitable("student-t")
    ['student-t', 'cauchy', 'vamp']
    >>> suitable("uniform")
    ['normal', 'elliptical', 'laplace', 'logistic', 'gumbel', 'student-t', 'cauchy', 'mixture']
    """
    fits = [prior for prior in PRIORS if not why_not(posterior, prior)]
    return sorted(fits, key=lambda prior: prior != posterior)


def closed_kl(posterior: Name, prior: Name) -> str | None:
    """The method of the posterior's family that is KL(q ‖ p) in closed form, if there is one.

    Examples
    --------
    >>> closed_kl("weibull", "gamma"), closed_kl("laplace", "normal"), closed_kl("laplace", "vamp")
    ('kl', 'kl_normal', None)
    """
    p = TWINS.get(prior, prior)
    how = "kl" if p == TWINS.get(posterior, posterior) else "kl_normal" if p == "normal" else ""
    return how if how and hasattr(family(posterior), how) else None
