"""A backward pass that someone has written by hand, marked in one line.

For a function with the outputs y = f(a, b, …) the backward pass takes ∂loss/∂y of any loss to
∂loss/∂a, ∂loss/∂b, …: a product with the transposed Jacobian of f. It is right if it is right for
loss = Σ d_y · y with d_y at random, and of that loss :func:`~npvae.testing.check_gradients` takes
central differences. What is not written yet is an ``...``, as Python has it.
"""
import inspect
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy

from npvae.errors import ParameterError
from npvae.random import as_generator
from npvae.testing.gradients import check_gradients
from npvae.testing.report import GradientReport, ParameterCheck


@dataclass(frozen=True)
class BackwardCheck:
    """What became of a backward pass; ``print`` it for one line.

    Attributes
    ----------
    ok : bool
        Whether all of it is written, and right.
    verdict : str
        What is missing or wrong, and what differences of the forward pass give in its place.
    """

    ok: bool
    verdict: str

    def __str__(self) -> str:
        return self.verdict

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.verdict)}</p>"


def check_backward(
    backward: Callable[..., Any], forward: Callable[..., Any], *inputs: Any, rng: Any = 0,
    **held: Any,
) -> BackwardCheck:  # fmt: skip
    """Hold a backward pass against differences of its forward pass, and say in a line how it did.

    Parameters
    ----------
    backward : callable
        ``backward(d_y, *inputs, **held)`` returns the gradient of each input, in their order; of a
        forward pass with several outputs it takes a d_y of each, first. It is given copies.
    forward : callable
        ``forward(*inputs, **held)`` returns an array, or a tuple of them.
    *inputs : array-like
        What is differentiated by, in float64.
    rng : int, numpy.random.Generator or None
        Of d_y.
    **held
        What is handed to both and not differentiated by: noise, data.

    Returns
    -------
    BackwardCheck
        Nothing that ``backward`` does is raised: it is told in the line.

    Raises
    ------
    ParameterError
        If there are no inputs, or one is no array of real numbers, or empty; if ``forward`` returns
        what is no array of finite real numbers, or not the same twice.

    Examples
    --------
    >>> def square(x):
    ...     return x**2
    >>> def doubtful(d_y, x):
    ...     d_x = d_y * x
    ...     return d_x
    >>> x = [1.0, 2.0]
    >>> print(check_backward(doubtful, square, x))
    doubtful: d_x is wrong: -0.26421 at [1], by differences -0.52842, everywhere 0.5 times that
    >>> check_backward(lambda d_y, x: 2 * x * d_y, square, x).ok
    True
    """
    pair = _Pair(forward, inputs, held, as_generator(rng))
    name = getattr(backward, "__name__", type(backward).__name__)
    try:
        returned = backward(*deepcopy((*pair.d_outputs, *pair.parameters.values())),
                            **deepcopy(held))  # fmt: skip
    except Exception as error:  # a learner's formulas may raise anything
        said = f"{type(error).__name__}: {error}".partition("\n")[0]
        still = "there is still an ... in it; it " if "ellipsis" in said else ""
        return BackwardCheck(False, f"{name}: {still}raised {said}")
    grads = [f"d_{key}" for key in pair.parameters]
    several = isinstance(returned, tuple) or (isinstance(returned, list) and len(grads) > 1)
    answers = returned if several else (returned,)
    if len(answers) != len(grads):
        count = f"{len(answers)} values" if returned is not None else "nothing"
        return BackwardCheck(False, f"{name}: returned {count}, not {', '.join(grads)}")
    gradient = dict(zip(pair.parameters, answers, strict=True))
    problem = _unwritten(pair, gradient) or _malformed(pair, gradient)
    if problem:
        return BackwardCheck(False, f"{name}: {problem}")
    report = pair.compared(gradient)
    if not report.ok:
        wrong = [row for row in report.rows if not row.error <= report.tolerance]
        found = [_wrong(pair, gradient, row) for row in wrong]
        return BackwardCheck(False, f"{name}: {'; '.join(found)}")
    if unchecked := [row for row in report.rows if row.kinks == row.checked]:
        return BackwardCheck(
            False, f"{name}: d_{unchecked[0].name} has nothing to be compared with, for all its "
                   "derivatives are at kinks; try other inputs",
        )  # fmt: skip
    kinks = f", {report.kinks} at kinks left out" if report.kinks else ""
    return BackwardCheck(
        True, f"{name}: right, {', '.join(grads)} within {report.worst:.0e} of central differences"
              f"{kinks}",
    )  # fmt: skip


class _Pair:
    """A function of its inputs, as the object with parameters that ``check_gradients`` takes."""

    def __init__(
        self, forward: Callable[..., Any], inputs: tuple[Any, ...], held: Mapping[str, Any],
        rng: numpy.random.Generator,
    ):  # fmt: skip
        self.forward, self.held = forward, held
        values = [_numbers(value) for value in inputs]
        if not values or any(value.dtype.kind != "f" or not value.size for value in values):
            raise ParameterError(
                "a forward pass is differentiated by its inputs: give one or more, arrays of real "
                "numbers that are not empty"
            )
        self.parameters = dict(zip(_names(forward, len(values)), values, strict=True))
        self.gradient: Mapping[str, Any] = {}
        self.d_outputs = [rng.standard_normal(y.shape) for y in self.outputs()]

    def outputs(self) -> list[numpy.ndarray]:
        """Of the forward pass; they have to be finite real numbers."""
        returned = self.forward(*deepcopy([*self.parameters.values()]), **self.held)
        outputs = [_numbers(y) for y in (returned if isinstance(returned, tuple) else (returned,))]
        for y in outputs:
            if y.dtype.kind != "f" or not y.size or not numpy.isfinite(y).all():
                raise ParameterError(
                    "the forward pass returned what is no array of finite real numbers; check its "
                    "backward pass where it does"
                )
        return outputs

    def loss_and_grad(self, X: Any, eps: Any) -> tuple[float, Mapping[str, Any]]:
        """Σ d_y · y, whose gradient is what a backward pass makes of d_y."""
        products = zip(self.d_outputs, self.outputs(), strict=True)
        return float(sum((d_y * y).sum() for d_y, y in products)), self.gradient

    def compared(self, gradient: Mapping[str, Any]) -> GradientReport:
        """A gradient beside central differences; one that is not given is taken for 0."""
        zeros = {key: numpy.zeros(p.shape) for key, p in self.parameters.items()}
        self.gradient = zeros | {key: _numbers(d) for key, d in gradient.items()}
        return check_gradients(self, numpy.zeros((1, 1)))


def _names(forward: Callable[..., Any], count: int) -> list[str]:
    """What the forward pass calls its inputs; x_0, x_1, … where that cannot be told."""
    try:
        arguments = list(inspect.signature(forward).parameters.values())
    except (TypeError, ValueError):  # of a ufunc, say
        arguments = []
    names = [a.name for a in arguments if a.kind in (a.POSITIONAL_ONLY, a.POSITIONAL_OR_KEYWORD)]
    for a in arguments:
        if a.kind is a.VAR_POSITIONAL:
            names += [f"{a.name}[{i}]" for i in range(count - len(names))]
    return names[:count] if len(names) >= count else [f"x_{i}" for i in range(count)]


def _numbers(value: Any) -> numpy.ndarray:
    """As an array, of float64 where it is of real numbers."""
    try:
        array = numpy.asarray(value)
    except ValueError:  # rows of different lengths
        array = numpy.asarray(None)
    return array.astype(numpy.float64) if array.dtype.kind in "biuf" else array


def _unwritten(pair: _Pair, gradient: Mapping[str, Any]) -> str:
    """Which gradients are not there yet, and what differences say that they are."""
    missing = [key for key, d in gradient.items() if d is ... or d is None]
    if not missing:
        return ""
    rows = [row for row in pair.compared({}).rows if row.name in missing]
    seen = [f"d_{r.name} {r.shape}, by differences {r.numeric:.5g}{_at(r)}" for r in rows]
    return f"still to be written: {'; '.join(seen)}"


def _malformed(pair: _Pair, gradient: Mapping[str, Any]) -> str:
    """What cannot be compared: no numbers, not as many as there are elements, or NaN."""
    for key, d in gradient.items():
        array, shape = _numbers(d), pair.parameters[key].shape
        if array.dtype.kind != "f":
            return f"d_{key} is no array of real numbers"
        if array.shape != shape:
            hint = ": transpose it" if array.T.shape == shape else ""
            return f"d_{key} has shape {array.shape}, and {key} has {shape}{hint}"
        if not numpy.isfinite(array).all():
            return f"d_{key} is not finite"
    return ""


def _wrong(pair: _Pair, gradient: Mapping[str, Any], row: ParameterCheck) -> str:
    """What is wrong with one gradient: a factor if that is all, or else where it is worst."""
    found = f"d_{row.name} is wrong: {row.analytic:.5g}{_at(row)}, by differences {row.numeric:.5g}"
    if not row.numeric or not row.analytic or not numpy.isfinite(row.analytic):
        return found
    factor = row.analytic / row.numeric
    scaled = pair.compared({row.name: _numbers(gradient[row.name]) / factor})
    if any(again.name == row.name and again.error > scaled.tolerance for again in scaled.rows):
        return found
    return f"{found}, everywhere {factor:.4g} times that"


def _at(row: ParameterCheck) -> str:
    return f" at {list(row.where)}" if row.shape else ""
