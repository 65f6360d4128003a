"""An estimate of log p(x) beside the ELBO, which bounds log p(x) from below; and two ELBOs.

An estimate below the ELBO is no estimate of log p(x): it misses more of it than the bound does,
or one of the two is noise.
"""
from dataclasses import replace
from math import hypot, nan

from npvae.evaluation.bound import Elbo
from npvae.evaluation.importance import LogLikelihood
from npvae.evaluation.iwae import BoundCurve

ERRORS = 2.0  # standard errors that are noise
SHOWN = 0.0005  # nats, of the three decimals that are printed


def why_below(elbo: Elbo, found: LogLikelihood | BoundCurve) -> str:
    """Why the mean of an estimate is below that of the ELBO of the same datapoints, in a line.

    Of a curve its last point, the closest to log p(x). Empty if it is not below, as printed.
    """
    name = "log p(x)"
    if isinstance(found, BoundCurve):
        name = f"L_{found.k[-1]}"
        found = LogLikelihood(
            found.estimate[-1], found.standard_error[-1], found.effective_sample_size,
            found.n_samples, advice=found.advice,
        )  # fmt: skip
    good = found.estimate == found.estimate  # appendix D leaves NaN where it has no estimate
    if not bool(good.any()):
        return ""
    estimate, error = found.estimate[good], found.standard_error[good]
    value, N = float(estimate.mean()), len(estimate)
    if not float(elbo.total.mean()) - value >= SHOWN:
        return ""
    parts = {name: part[good] for name, part in vars(elbo).items() if part is not None}
    same = Elbo(**parts)
    below = float(same.total.mean()) - value
    if below <= 0:
        return f"{name} is below the ELBO for it is of {N} datapoints, whose own ELBO is lower"
    noise = hypot(
        same.mean_error, replace(found, estimate=estimate, standard_error=error).mean_error
    )
    text = f"{name} is {below:.3f} nats below the ELBO, "
    if below <= ERRORS * noise:
        return f"{text}which the noise of the two explains: ± {noise:.3f} together"
    return f"{text}a bound from below: so the estimate is too low by that or more; {found.advice}"


def paired_difference(one: Elbo, two: Elbo) -> tuple[float, float]:
    """How much higher the mean of the first ELBO is than the other's, and its standard error.

    Both must be of the same datapoints. Of each the difference is taken, in which cancels what
    makes a datapoint likely or unlikely under any model: so the error is far less than that of
    two means. NaN of one datapoint.
    """
    difference = (one.total - two.total).astype("float64")  # (N,)
    N = len(difference)
    error = float(difference.var(ddof=1) / N) ** 0.5 if N > 1 else nan
    return float(difference.mean()), error
