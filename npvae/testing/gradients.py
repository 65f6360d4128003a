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

A loss that is no analytic function of θ has no complex step: SciPy's special functions take real
numbers alone, and an ``abs`` drops the imaginary part. So along a direction or more of each
parameter complex steps are first held against central differences, and refused if they differ.
"""
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy

from npvae.backend import Array, array_module
from npvae.errors import ParameterError
from npvae.random import as_generator
from npvae.testing.report import GradientReport, ParameterCheck
from npvae.testing.subjects import ForeignSubject, Subject, on_complex_numbers, subject_of

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
    model : VAE or another public class, Engine, or any object
        With parameters: fitted or initialised. It is left as it is. What is checked of a public
        class is what its own ``loss_and_grad`` returns, a subclass's where that has one, in float64
        on a copy. Any other object has to have ``parameters``, a dict of float64 arrays that can
        be written to, or of copies beside a ``set_parameters``; and ``loss_and_grad(X, eps)``,
        which returns the loss and a dict of its gradient. It is moved itself, and put back.
    X : array-like (M, D), or Dataset for a public class
        A few datapoints.
    eps : array-like (L, M, J), optional
        The noise, or the latents of an ``MCEM``; standard normals from ``rng`` if not given, with
        the L of the model. An object that is not npvae's gets what is given, or None.
    method : {"central", "complex"}
        Central differences need no more than the forward pass of the model. The complex step
        is exact to rounding; it runs the readable bodies of the ops on complex numbers, and is
        refused where one does not take them.
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
        If the method is unknown or ``directions`` is not positive; if the model has no
        ``parameters`` and ``loss_and_grad``, or they are not as said above; or if
        ``method="complex"`` meets a formula that is not analytic, such as an ``abs``, or does not
        take complex numbers, such as SciPy's.
    DataError
        If ``X`` is not finite, of another width, or outside the range of the likelihood; if
        ``eps`` is not finite or has another shape.
    NotFittedError
        If the model has no parameters yet.

    Examples
    --------
    >>> from npvae.backend import get_backend
    >>> from npvae.distributions import BernoulliLikelihood
    >>> from npvae.models import Engine, VAEModel
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
    rng = as_generator(rng)
    subject = subject_of(model, X, eps, rng)
    with subject.restored() if isinstance(subject, ForeignSubject) else nullcontext():
        return _report(subject, method, directions, rng)


def _report(
    subject: Subject, method: str, directions: int | None, rng: numpy.random.Generator
) -> GradientReport:
    """Walk along all parameters."""
    gradient = subject.gradient()  # (P,)
    parts, start = {}, 0
    for name, shape in subject.shapes.items():
        parts[name] = slice(start, start := start + prod(shape))
    squares = (float((g * g).mean()) for g in (gradient[p] for p in parts.values()) if g.size)
    floor = 1e-3 * max(squares, default=0.0) ** 0.5
    if directions is None and gradient.size > MAX_ELEMENTWISE:
        directions = DIRECTIONS
    real = DirectionalDerivatives(subject.theta, subject.loss, METHODS["central"])
    derivatives, scheme = real, METHODS[method]
    if method == "complex":
        theta, loss = subject.off_axis()
        derivatives = DirectionalDerivatives(theta, on_complex_numbers(loss), scheme)
        for name, part in parts.items():
            _check_analytic(name, derivatives, real, _random(part, 1, as_generator(0)), floor)

    rows = []
    for name, part in parts.items():
        shape = subject.shapes[name]
        vectors = _random(part, directions, rng) if directions else _axes(part)
        if part.start == part.stop:
            rows.append(ParameterCheck(name, shape, 0, 0, 0.0, (), 0.0, 0.0))
            continue
        analytic = numpy.array([gradient[part] @ v for part, v in vectors])
        numeric, error, kinked = _compare(derivatives, vectors, analytic, floor)
        if method == "complex":
            failed = numpy.argsort(-error)[:DIRECTIONS]
            wrong = [vectors[k] for k in failed if error[k] > scheme.tolerance]
            _check_analytic(name, derivatives, real, wrong, floor)
        k = int(error.argmax())  # a NaN, if there is one
        where = (k,) if directions else tuple(map(int, numpy.unravel_index(k, shape)))
        rows.append(ParameterCheck(
            name, shape, len(vectors), int(kinked.sum()), float(error[k]), where,
            float(numeric[k]), float(analytic[k]),
        ))  # fmt: skip
    return GradientReport(method, directions, scheme.tolerance, tuple(rows), subject.exact)


def _check_analytic(
    name: str, off_axis: "DirectionalDerivatives", real: "DirectionalDerivatives",
    vectors: list[Direction], floor: float,
) -> None:  # fmt: skip
    """Raise a ParameterError if complex steps do not give what differences of the loss give.

    A loss that drops the imaginary part, by an ``abs`` say, is no analytic function of θ, though
    complex steps give a number. A kink beside θ, which differences step over, is no such thing.
    """
    vectors = [(part, v) for part, v in vectors if len(v)]
    if not vectors or not numpy.isfinite(real.here):
        return
    h = off_axis.method.step
    numeric = numpy.array([off_axis(vector, h * len(vector[1]) ** 0.5) for vector in vectors])
    differences, error, _ = _compare(real, vectors, numeric, floor)
    for k in numpy.flatnonzero(~(error <= real.method.tolerance)):
        raise ParameterError(
            f"method='complex' needs a loss that is analytic, and this one is not in {name!r}: its "
            f"derivative is {numeric[k]:.3g} there by a complex step, and {differences[k]:.3g} by "
            "differences; take method='central'"
        )


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
    """Directional derivatives at θ of a loss, by differences.

    The complex step runs the readable bodies of the ops: a device's kernels know real numbers
    alone. Then the analytic gradient of the kernels is held against the formulas themselves.
    """

    def __init__(self, theta: Array, loss: Callable[[], complex], method: Method):
        self.theta, self.loss, self.method = theta, loss, method
        self.asarray = array_module(theta).asarray
        self.here = loss()

    def __call__(self, direction: Direction, h: float) -> float:
        """The derivative by a step h: to the right of θ if h > 0, to the left if h < 0."""
        theta, (part, v) = self.theta, direction
        step, kept = self.method.unit * h, theta[part].copy()
        theta[part] += step * self.asarray(v)
        change = self.loss() - self.here
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
    for k in numpy.flatnonzero(error > tolerance):  # where it is NaN, no kink excuses it
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
