"""What the mean of an estimator's gradient should be.

An estimator estimates the gradient of its *bound*: of the nearest objective among those that it
derives from, itself first, whose seeds are a loss's derivative. The path derivative and the score
function estimate SGVB A's, doubly reparameterized IWAE and reweighted wake-sleep IWAE's. The
derivative of a loss is without bias as it stands, so E[∂loss/∂θ] of the bound is the truth, and

    exact         ε enters the loss by its square at most: a normal q(z|x), a linear decoder, a
                  normal likelihood. The points ±√n e_j, n the number of noises, have exactly
                  the normal's mean of such a polynomial, as has any closed form
    quadrature    few noises, independent where a bound is of several samples; an activation
                  without kinks: tensor Gauss-Hermite; its error is the distance to a rule of
                  fewer points
    paired        otherwise: the difference to the bound's own gradient at the same noise, whose
                  mean is the bias; that gradient has none by what it is
    unknown       for an objective of one's own that derives from none that is exact

The first two are computed in float64, once for all estimators of a bound.
"""
from dataclasses import dataclass, fields, is_dataclass
from math import sqrt
from typing import Any

import numpy as np

from npvae.backend import Array, to_numpy
from npvae.distributions.likelihoods import FixedNormalLikelihood, NormalLikelihood
from npvae.distributions.priors import NORMAL, STANDARD_NORMAL
from npvae.evaluation.chunks import chunk_size, chunks
from npvae.lab.draws import Draws, empty
from npvae.models import Engine, Noise, VAEModel
from npvae.objectives import Objective, SampledELBO

Rule = tuple[np.ndarray, np.ndarray]  # weights (R,) and points (R, n) of normals
MOST = 4  # noises that a tensor rule may have
POINTS = {1: (64, 48), 2: (40, 30), 3: (16, 12), 4: (10, 8)}  # noises → of the rule, of the check
CLOSE = 1e-2  # relative: a rule that is further from its check is no truth
KINKED = ("relu", "leaky_relu", "elu")  # activations that polynomials are no good for


@dataclass(frozen=True)
class Truth:
    """E[∂loss/∂θ] of a bound.

    Attributes
    ----------
    kind : str
        ``"exact"``, ``"quadrature"``, ``"paired"`` or ``"unknown"``.
    mean : array (P,) of float64, or None
        None if it is nowhere by itself.
    check : array (P,) or None
        A coarser rule's, how far from which ``mean`` is tells of its error.
    """

    kind: str
    mean: np.ndarray | None = None
    check: np.ndarray | None = None


def bound_of(objective: Objective) -> Objective:
    """The objective whose gradient it estimates, with the same settings."""
    kinds = [kind for kind in type(objective).__mro__ if issubclass(kind, Objective)]
    kind = next(kind for kind in kinds if kind.exact)
    if kind in (type(objective), Objective):
        return objective
    names = tuple(field.name for field in fields(kind)) if is_dataclass(kind) else ()
    return kind(**{name: value for name, value in vars(objective).items() if name in names})


def truth_of(
    bound: Objective, engine: Engine, x: Array, k: int, noise: str = "independent"
) -> Truth:
    """The truth of a bound of k samples, for x (M, D).

    The ELBO of any number of samples has the mean of one's, whatever they have to do with one
    another; other bounds do not.
    """
    if not bound.exact:
        return Truth("unknown")
    k = 1 if isinstance(bound, SampledELBO) else k
    n = k * engine.model.n_noise
    if isinstance(bound, SampledELBO) and quadratic_in_noise(engine.base):
        return Truth("exact", mean_over(corners(n), bound, engine, x, k))
    coupled = noise != "independent" and not isinstance(bound, SampledELBO)
    if n > MOST or coupled or {engine.model.decoder.activation} & {*KINKED}:
        return Truth("paired")
    fine, coarse = (mean_over(tensor(n, m), bound, engine, x, k) for m in POINTS[n])
    if np.linalg.norm(fine - coarse) > CLOSE * np.linalg.norm(fine):
        return Truth("paired")
    return Truth("quadrature", fine, coarse)


def quadratic_in_noise(model: Any) -> bool:
    """Whether the loss by estimator A, and so its gradient, is a polynomial of degree 2 in ε."""
    if not isinstance(model, VAEModel) or (model.posterior, model.prior) != (
        NORMAL, STANDARD_NORMAL,
    ):  # fmt: skip
        return False
    p, decoder = model.likelihood, model.decoder
    linear = not decoder.hidden or decoder.activation == "identity"
    if isinstance(p, NormalLikelihood):
        return linear and not p.sigmoid_mean and p.variance == "feature"
    return linear and isinstance(p, FixedNormalLikelihood) and not p.sigmoid_mean


def corners(n: int) -> Rule:
    """A rule for n normals, exact to degree 3 (Stroud 1971, Eₙʳ² 3-1)."""
    points = sqrt(n) * np.concatenate([np.eye(n), -np.eye(n)])
    return np.full(2 * n, 0.5 / n), points


def tensor(n: int, m: int) -> Rule:
    """Tensor Gauss-Hermite of m points a normal, for n of them."""
    at, weights = np.polynomial.hermite_e.hermegauss(m)
    index = np.indices((m,) * n).reshape(n, -1).T  # (m^n, n)
    return np.prod(weights[index] / weights.sum(), axis=1), at[index]


def mean_over(rule: Rule, bound: Objective, engine: Engine, x: Array, k: int) -> np.ndarray:
    """E[gradient], every datapoint at the same points: their losses are added up.   (P,) float64

    As many points as go together are one minibatch, the datapoints P times over; for the gradient
    is linear in the seeds, and a point's share of them is its weight.
    """
    double = Engine(engine.base, engine.backend, engine.theta.astype("float64"),
                    standardization=engine.standardization)  # fmt: skip
    ctx, model, xp = double.ctx, double.model, engine.xp
    x, M, total = x.astype("float64"), len(x), np.zeros(engine.theta.size)
    together = max(1, chunk_size(engine, k) // M) if bound.separable else 1
    weights, points = rule
    for start, stop in chunks(len(weights), together):
        P = stop - start
        eps = points[start:stop].reshape(P, k, -1).swapaxes(0, 1)  # (k, P, n_noise)
        eps = engine.backend.asarray(np.repeat(eps, M, axis=1))  # (k, PM, n_noise)
        share = engine.backend.asarray(np.repeat(P * weights[start:stop], M))  # (PM,)
        cache = model.forward(ctx, xp.tile(x, (P, 1)), Noise(eps), bound.analytic_kl)
        seeds = bound(ctx, cache.terms).seeds
        seeds = seeds._replace(
            theta=share * seeds.theta, kl=share * seeds.kl, score=share * seeds.score
        )
        model.backward(ctx, cache, seeds)
        total += to_numpy(double.grad)
    return total


def truths_of(every: list[Draws], engine: Engine, x: Array) -> list[tuple[Truth, Draws | None]]:
    """The truth of each, and of a paired one whose gradient it is: added where nobody asked."""
    keys: list[tuple[Objective, int, str]] = []  # no dict: one's own may have no hash
    found: list[tuple[Truth, Draws | None]] = []
    for draws in list(every):
        bound, k, noise = key = key_of(draws)
        if key in keys:
            continue
        truth, reference = truth_of(bound, engine, x, k, noise), None
        if truth.kind == "paired":
            reference = next((d for d in every if (d.objective, d.samples, d.noise) == key), None)
            if reference is None:
                every.append(reference := empty(bound.name, bound, k, noise, engine, asked=False))
        keys.append(key)
        found.append((truth, reference))
    return [found[keys.index(key_of(draws))] for draws in every]


def key_of(draws: Draws) -> tuple[Objective, int, str]:
    """What the truth is a function of."""
    return bound_of(draws.objective), draws.samples, draws.noise
