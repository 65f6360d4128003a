"""The gradient checker: a backward pass written by hand, held against the forward pass alone.

With the noise frozen the loss is an ordinary function of θ, and its values give its
derivative along any direction v:

    central    (loss(θ + h v) − loss(θ − h v)) / 2h      error O(h²): about nine digits
    complex    Im loss(θ + i h v) / h                    no subtraction: all sixteen digits

The directions are the axes, so that every element of θ is walked, or a few random ones a
parameter where there are too many elements to walk. All arithmetic is in float64, on a copy.

Where a relu switches on or off the loss has a kink: the one-sided derivatives
differ, and there is no derivative to compare with. Kinks are counted, not failed.

Some estimators give a gradient that is not the derivative of their loss, but agrees with it in
expectation: the path derivative, doubly reparameterized IWAE, wake-sleep. They have a surrogate,
a function of θ in which samples and weights are held, of which the gradient is the derivative. Then
that is what is walked along, and the report says so.
"""
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy

from npvae.backend import Array, array_module, to_numpy
from npvae.data import check_data
from npvae.errors import DataError, ParameterError
from npvae.memory import Shape
from npvae.models import Engine, Noise
from npvae.ops import reference
from npvae.random import as_generator
from npvae.testing.report import GradientReport, ParameterCheck

MAX_ELEMENTWISE = 20_000  # parameters; a model with more is tried along random directions
DIRECTIONS = 10  # of them a parameter

Direction = tuple[slice, Array]  # a part of θ, and the unit vector v along which it is moved


@dataclass(frozen=True)
class Method:
    """A differentiation scheme: its step, on the real or the imaginary axis, and its errors."""

    unit: complex
    sides: tuple[int, ...]  # one is enough where the other mirrors it
    step: float
    tolerance: float
    rounding: float  # error of a difference of two losses, relative to the loss


_EPS = float(numpy.finfo(float).eps)
METHODS = {
    "central": Method(1, (1, -1), step=_EPS ** (1 / 3), tolerance=1e-6, rounding=4 * _EPS),
    "complex": Method(1j, (1,), step=1e-30, tolerance=1e-12, rounding=0.0),
}


def check_gradients(
    model: Any,
    X: Any,
    *,
    eps: Any = None,
    method: str = "central",
    directions: int | None = None,
    rng: Any = 0,
) -> GradientReport:
    """Compare a model's backward pass with its forward pass, parameter by parameter.

    The error of a derivative is ``|numeric − analytic| / scale``, where ``scale`` is the
    largest magnitude that either kind of derivative has in the same parameter. It is at least
    a thousandth of the greatest root mean square gradient of any parameter, and large enough
    that the rounding of the loss alone cannot be taken for an error.

    Parameters
    ----------
    model : VAE, Autoencoder or Engine
        With parameters: fitted or initialised. It is left as it is.
    X : array-like (M, D)
        A few datapoints.
    eps : array-like (L, M, J), optional
        The noise; standard normals from ``rng`` if not given, with the L of the model.
    method : {"central", "complex"}
        Central differences need no more than the forward pass of the model. The complex step
        is exact to rounding; it runs the readable bodies of the ops on complex numbers.
    directions : int, optional
        Random directions to try for each parameter. If not given, every element is walked, or,
        in a model of more than 20,000 parameters, ten directions are tried.
    rng : int, numpy.random.Generator or None
        For the noise and the directions.

    Returns
    -------
    GradientReport
        ``print`` it for a table; ``ok`` says whether every error is within the tolerance, 1e-6
        for central differences and 1e-12 for the complex step.

    Raises
    ------
    ParameterError
        If the method is unknown or ``directions`` is not positive.
    DataError
        If ``X`` cannot be data of this model, or ``eps`` has another shape.
    NotFittedError
        If the model has no parameters yet.

    Examples
    --------
    >>> from npvae.backend import get_backend
    >>> from npvae.distributions import BernoulliLikelihood
    >>> from npvae.models import VAEModel
    >>> from npvae.networks import MLP
    >>> rng = numpy.random.default_rng(0)
    >>> vae = VAEModel(MLP("encoder", 3, (4,), {"mean": 2, "logvar": 2}, "tanh"),
    ...                MLP("decoder", 2, (4,), {"logits": 3}, "tanh"),
    ...                BernoulliLikelihood())
    >>> engine = Engine(vae, get_backend(), rng.normal(size=vae.layout().size))
    >>> report = check_gradients(engine, rng.random((5, 3)), method="complex")
    >>> report.ok, len(report.rows), report.kinks
    (True, 10, 0)
    """
    if method not in METHODS:
        raise ParameterError(f"method={method!r} is not known; choose 'central' or 'complex'")
    if directions is not None and directions < 1:
        raise ParameterError(f"directions={directions} must be at least 1, or None")
    original, L = (model, 1) if isinstance(model, Engine) else (model._engine(), model.n_samples)
    scheme, rng = METHODS[method], as_generator(rng)
    theta = original.theta.astype("float64")
    engine = Engine(original.model, original.backend, theta, original.penalty, original.objective)
    x = check_data(X, original.model.n_features, xp=array_module(X))
    x = engine.backend.asarray(x, "float64")  # (M, D)
    eps = _noise(eps, (L, len(x), engine.model.n_noise), rng)
    noise = Noise(engine.backend.asarray(eps, "float64"))  # (L, M, J)
    if "theta.mu" in engine.P:  # the noise of parameters is held still as well
        zeta = rng.standard_normal(engine.P["theta.mu"].size)
        noise = noise._replace(zeta=engine.backend.asarray(zeta))

    engine.loss_and_grad(x, noise)
    gradient = to_numpy(engine.grad)  # (P,)
    floor = 1e-3 * max(float((g * g).mean() ** 0.5) for g in engine.layout.named(gradient).values())
    if directions is None and gradient.size > MAX_ELEMENTWISE:
        directions = DIRECTIONS
    derivatives = DirectionalDerivatives(engine, x, noise, scheme)

    rows, start = [], 0
    for name, shape in engine.layout.shapes.items():
        part = slice(start, start := start + prod(shape))
        vectors = _random(part, directions, rng) if directions else _axes(part)
        analytic = numpy.array([gradient[part] @ v for part, v in vectors])
        numeric, error, kinked = _compare(derivatives, vectors, analytic, floor)
        k = int(error.argmax())  # a NaN, if there is one
        where = (k,) if directions else tuple(map(int, numpy.unravel_index(k, shape)))
        rows.append(ParameterCheck(
            name, shape, len(vectors), int(kinked.sum()), float(error[k]), where,
            float(numeric[k]), float(analytic[k]),
        ))  # fmt: skip
    return GradientReport(method, directions, scheme.tolerance, tuple(rows), engine.exact)


def _noise(eps: Any, shape: Shape, rng: numpy.random.Generator) -> Array:
    """``eps`` if it is given and fits, else standard normal.   (L, M, J)"""
    if eps is None:
        return rng.standard_normal(shape)
    _, M, J = shape
    given = tuple(numpy.shape(eps))
    if len(given) != 3 or given[0] < 1 or given[1:] != (M, J):
        raise DataError(f"eps has shape {given}; it must be (L, {M}, {J}), L ≥ 1")
    return eps


def _axes(part: slice) -> list[Direction]:
    """The directions that move one element of a parameter each."""
    one = numpy.ones(1)
    return [(slice(k, k + 1), one) for k in range(part.start, part.stop)]


def _random(part: slice, count: int, rng: numpy.random.Generator) -> list[Direction]:
    """Directions that move all elements of a parameter, uniform on the unit sphere."""
    v = rng.standard_normal((count, part.stop - part.start))
    v /= numpy.linalg.norm(v, axis=1, keepdims=True)
    return [(part, row) for row in v]


class DirectionalDerivatives:
    """Directional derivatives of the loss at θ, by differences.

    The complex step runs the readable bodies of the ops: a device's kernels know real numbers
    alone. Then the analytic gradient of the kernels is held against the formulas themselves.
    """

    def __init__(self, engine: Engine, x: Array, noise: Noise, method: Method):
        if method.unit == 1j:
            backend = replace(engine.backend, ops=reference(engine.xp))
            theta, x, eps = (array.astype("complex128") for array in (engine.theta, x, noise.eps))
            engine = Engine(engine.model, backend, theta, engine.penalty, engine.objective)
            noise = noise._replace(eps=eps)
        self.engine, self.x, self.noise, self.method = engine, x, noise, method
        self.at = replace(engine.ctx, P=engine.layout.views(engine.theta.copy()))
        self.here = self._loss()

    def _loss(self) -> complex:
        return complex(self.engine.differentiated(self.at, self.x, self.noise))

    def __call__(self, direction: Direction, h: float) -> float:
        """The derivative by a step h: to the right of θ if h > 0, to the left if h < 0."""
        theta, (part, v) = self.engine.theta, direction
        step, kept = self.method.unit * h, theta[part].copy()
        theta[part] += step * self.engine.backend.asarray(v)
        change = self._loss() - self.here
        theta[part] = kept
        return (change / step).real

    def rounding(self, h: float) -> float:
        """The error that the rounding of the loss leaves in a derivative."""
        return self.method.rounding * abs(self.here) / h


def _compare(
    derivatives: DirectionalDerivatives, vectors: list[Direction], analytic: Array, floor: float
) -> tuple[Array, Array, Array]:
    """Numeric derivatives of one parameter, their errors, and which of them are at a kink."""
    tolerance = derivatives.method.tolerance
    h = derivatives.method.step * len(vectors[0][1]) ** 0.5  # every element moves by about one step
    sides = derivatives.method.sides
    numeric = numpy.array([sum(derivatives(v, s * h) for s in sides) / len(sides) for v in vectors])
    floor = max(floor, derivatives.rounding(h) / tolerance)
    scale = float(numpy.max([*abs(analytic), *abs(numeric), floor])) or 1.0
    error = abs(numeric - analytic) / scale
    kinked = numpy.zeros(len(vectors), bool)
    for k in numpy.flatnonzero(~(error <= tolerance)):
        kinked[k] = _at_kink(derivatives, vectors[k], h, analytic[k], tolerance * scale)
    return numeric, numpy.where(kinked, 0, error), kinked


def _at_kink(
    derivatives: DirectionalDerivatives, direction: Direction, h: float, analytic: float,
    allowed: float,
) -> bool:  # fmt: skip
    """Whether a derivative disagrees because of a kink near θ: smaller steps tell.

    The error of a wrong gradient stays as it is when the step shrinks. That of a kink beside θ
    is gone as soon as the step no longer reaches it. A kink at θ itself leaves a gap between
    the one-sided derivatives, twice the error, that does not shrink either, as
    one made by curvature would.
    """
    right, left = derivatives(direction, h), derivatives(direction, -h)
    worst, gap = abs((right + left) / 2 - analytic), abs(right - left)
    for finer in (h / 3, h / 10, h / 30, h / 100):
        right, left = derivatives(direction, finer), derivatives(direction, -finer)
        error, before, gap = abs((right + left) / 2 - analytic), gap, abs(right - left)
        if error <= min(worst / 4, allowed + derivatives.rounding(finer)):
            return True  # beside θ
        if gap > max(before / 2, 1.96 * error):
            return True  # at θ
        worst = max(worst, error)
    return False
