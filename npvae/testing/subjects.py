"""What the gradient checker moves: a flat θ, and the number that a gradient is the derivative of.

There are three kinds. An engine is a model and its arrays. A public model has an engine, and its
``loss_and_grad`` is the user's where a subclass writes one: what that returns is what is checked.
An object that npvae knows nothing of has ``parameters`` and ``loss_and_grad``, and no more.

The first two are checked as float64 copies. The third is moved itself, and put back.
"""
import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from math import prod
from textwrap import shorten
from types import MethodType
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy

from npvae import random
from npvae.backend import Array, array_module, to_numpy
from npvae.data import check_data
from npvae.errors import NpvaeError, ParameterError
from npvae.estimators import MCEM, VAE, Autoencoder, FullVB, WakeSleep
from npvae.estimators.base import GenerativeModel
from npvae.estimators.coding import data_of
from npvae.estimators.gradient import check_noise, checked_noise
from npvae.evaluation.chunks import load_rows
from npvae.memory import Shape
from npvae.models import Engine, Noise
from npvae.models.engine import ThreadBuffers
from npvae.ops import reference

T = TypeVar("T")
Loss = Callable[[], complex]
SAME = 1e-9  # relative: how far two losses of the same parameters may be apart, by rounding
OUR_OWN = {vars(cls)["loss_and_grad"] for cls in (VAE, Autoencoder, FullVB, WakeSleep, MCEM)}


@runtime_checkable
class Differentiable(Protocol):
    """What any object must have to be checked."""

    @property
    def parameters(self) -> Mapping[str, Array]:
        """Arrays of float64 by name: the object's own, or copies beside a ``set_parameters``."""

    def loss_and_grad(self, X: Any, eps: Any) -> tuple[float, Mapping[str, Array]]:
        """The loss of X, and its gradient by name; the same for the same parameters."""


class Subject(Protocol):
    """A function of a flat θ, and what is said to be its derivative.

    Attributes
    ----------
    theta : array (P,)
        float64; writing to it moves the parameters.
    shapes : mapping of str to tuple of int
        Of the parameters, in the order of theta.
    exact : bool
        Whether the function is the loss, and no surrogate.
    """

    theta: Array
    shapes: Mapping[str, Shape]
    exact: bool

    def gradient(self) -> numpy.ndarray:
        """The analytic gradient.   (P,)"""

    def loss(self) -> float:
        """The function at theta as it stands."""

    def off_axis(self) -> tuple[Array, Loss]:
        """A complex copy of theta, and the function of that."""


class EngineSubject(Subject):
    """An engine, as a float64 copy.

    ``own_loss`` is the loss of a ``loss_and_grad`` that the user wrote. A surrogate is of the loss
    that the engine knows, so what the user's has beside it is added.
    """

    def __init__(self, engine: Engine, x: Array, noise: Noise):
        self.engine, self.x, self.noise = engine, x, noise
        self.theta, self.shapes, self.exact = engine.theta, engine.layout.shapes, engine.exact
        self.at = replace(engine.ctx, P=engine.layout.views(engine.theta.copy()))
        self.own_loss: Callable[[], float] | None = None
        inherited = type(engine).loss_and_grad is Engine.loss_and_grad
        if not inherited or "loss_and_grad" in vars(engine):
            self.own_loss = lambda: number("Engine", engine.loss_and_grad(x, noise))

    def gradient(self) -> numpy.ndarray:
        self.engine.loss_and_grad(self.x, self.noise)
        return to_numpy(self.engine.grad).copy()

    def loss(self) -> float:
        if self.own_loss is None:
            return float(self._differentiated(self.engine))
        own = self.own_loss()
        if self.exact:
            return own
        known = Engine.loss_and_grad(self.engine, self.x, self.noise)
        return float(self._differentiated(self.engine)) + own - float(known)

    def off_axis(self) -> tuple[Array, Loss]:
        engine, x, eps = self.engine, self.x, self.noise.eps
        backend = replace(engine.backend, ops=reference(engine.xp))
        theta, x, eps = (array.astype("complex128") for array in (engine.theta, x, eps))
        moved, noise = moved_engine(engine, theta, backend=backend), self.noise._replace(eps=eps)
        at = replace(moved.ctx, P=moved.layout.views(theta.copy()))
        return theta, lambda: complex(moved.differentiated(at, x, noise))

    def _differentiated(self, engine: Engine) -> Array:
        try:
            return engine.differentiated(self.at, self.x, self.noise)
        except NotImplementedError:
            if self.exact:
                raise
            raise ParameterError(
                f"{type(engine.objective).__name__} says exact=False, and "
                f"{type(engine.model).__name__} has no surrogate to differentiate in its place"
            ) from None


class ModelSubject(EngineSubject):
    """A public model, as a float64 copy, by what its own ``loss_and_grad`` returns."""

    def __init__(self, model: GenerativeModel, X: Any, eps: Any, rng: numpy.random.Generator):
        known = model._engine()
        pixels, scale = data_of(model, X)
        engine = moved_engine(known, known.theta.astype("float64"))
        model = copied(model, engine_=engine)
        L, M, J = model.n_samples, len(pixels), engine.model.n_noise
        eps = rng.standard_normal((L, M, J)) if eps is None else check_noise(model, eps, M)
        call, more = model.loss_and_grad, dict[str, Any]()  # type: ignore[attr-defined]
        noise = Noise(engine.backend.asarray(eps, "float64"))  # (L, M, J)
        if isinstance(model, WakeSleep):  # its own dream=0
            step = engine.work.constant(0, 1, dtype="int64")
            noise = noise._replace(dream=(model.seed_, random.DREAM, step))
        if "theta.mu" in engine.P:  # the noise of parameters is held still as well
            zeta = rng.standard_normal(Q := engine.P["theta.mu"].size)
            if takes(call, X, eps, zeta=zeta):
                more = {"zeta": zeta}
            else:
                zeta = random.normal(model.seed_, random.PARAMETERS, 0, Q)
            noise = noise._replace(zeta=engine.backend.asarray(zeta, "float64"))
        check_takes(type(model).__name__, call, X, eps, **more)
        super().__init__(engine, load_rows(engine, pixels[:], scale, engine.work).copy(), noise)
        self.name = type(model).__name__
        self._call = lambda: loss_and_gradient(self.name, call(X, eps, **more), self.shapes)
        written = "loss_and_grad" in vars(model)
        if written or getattr(type(model), "loss_and_grad", None) not in OUR_OWN:
            self.own_loss = lambda: self._call()[0]

    def gradient(self) -> numpy.ndarray:
        loss, gradient = self._call()
        check_repeats(self.name, loss, self._call()[0] if self.own_loss else loss)
        return gradient


class ForeignSubject(Subject):
    """Any object with ``parameters`` and ``loss_and_grad``."""

    exact = True

    def __init__(self, model: Any, X: Any, eps: Any):
        self.name, self.model = type(model).__name__, model
        check_data(X, getattr(model, "n_features_in_", None), xp=array_module(X))
        parameters = self._parameters()
        self.shapes = {name: tuple(p.shape) for name, p in parameters.items()}
        self.kept = {name: p.copy() for name, p in parameters.items()}
        flat = [to_numpy(p).ravel() for p in parameters.values()]
        self.theta = numpy.concatenate(flat)
        self.by_views = self._are_views()
        check_takes(self.name, model.loss_and_grad, X, eps)
        self._call = lambda: loss_and_gradient(
            self.name, model.loss_and_grad(X, eps), self.shapes
        )

    def gradient(self) -> numpy.ndarray:
        loss, gradient = self._call()
        check_repeats(self.name, loss, self._call()[0])
        return gradient

    def loss(self) -> float:
        moved, start = dict[str, Array](), 0
        for name, kept in self.kept.items():
            part = self.theta[start : start + kept.size].reshape(kept.shape)
            moved[name] = array_module(kept).array(part)  # a copy: a setter may keep it
            start += kept.size
        self._write(moved)
        return self._call()[0]

    def off_axis(self) -> tuple[Array, Loss]:
        raise ParameterError(
            f"method='complex' needs a model of npvae's, whose formulas take complex numbers; "
            f"for {self.name} take method='central'"
        )

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Put the parameters back after the block, whatever happens in it."""
        try:
            yield
        finally:
            self._write({name: kept.copy() for name, kept in self.kept.items()})

    def _parameters(self) -> Mapping[str, Array]:
        parameters = self.model.parameters
        if not isinstance(parameters, Mapping) or not parameters:
            raise ParameterError(
                f"parameters of {self.name} is {type(parameters).__name__} of no arrays; it must "
                "be a dict of arrays by name"
            )
        for name, p in parameters.items():
            kind = str(getattr(p, "dtype", type(p).__name__))
            if kind != "float64":
                raise ParameterError(
                    f"parameter {name!r} of {self.name} is {kind}, and differences need float64; "
                    "make it an array of that"
                )
        return parameters

    def _are_views(self) -> bool:
        """Whether writing to what ``parameters`` gives is seen by the object."""
        for name, p in self.model.parameters.items():
            if p.size and not (getattr(p.flags, "writeable", True) and self._is_view(name, p)):
                if callable(getattr(self.model, "set_parameters", None)):
                    return False
                raise ParameterError(
                    f"parameter {name!r} of {self.name} cannot be written to: let parameters give "
                    "the arrays themselves, or have a set_parameters"
                )
        return True

    def _is_view(self, name: str, p: Array) -> bool:
        kept = self.kept[name]
        try:
            p[...] = 1.0 + (kept == 1)
            return bool((self.model.parameters[name] != kept).any())
        finally:
            p[...] = kept

    def _write(self, values: Mapping[str, Array]) -> None:
        if not self.by_views:
            self.model.set_parameters(dict(values))
            return
        for name, view in self.model.parameters.items():
            view[...] = values[name]


def copied(original: T, **changed: Any) -> T:
    """A shallow copy, some attributes changed; methods that were bound to the original are its.

    Of what else was put on an object as its ``loss_and_grad`` none can be made.
    """
    own = vars(original).get("loss_and_grad")
    if own is not None and getattr(own, "__self__", None) is not original:
        raise ParameterError(
            f"loss_and_grad was put on this {type(original).__name__} as a function, which knows "
            "no copy of it to check; put it on a subclass"
        )
    twin = object.__new__(type(original))
    for name, value in vars(original).items():
        if isinstance(value, MethodType) and value.__self__ is original:
            value = MethodType(value.__func__, twin)
        vars(twin)[name] = value
    vars(twin).update(changed)
    return twin


def moved_engine(engine: Engine, theta: Array, **changed: Any) -> Engine:
    """A copy of an engine, subclass or not, with other parameters and buffers of its own."""
    backend = changed.get("backend", engine.backend)
    buffers = ThreadBuffers(backend, engine.layout, theta)
    return copied(engine, theta=theta, mine=buffers, **changed)


def subject_of(model: Any, X: Any, eps: Any, rng: numpy.random.Generator) -> Subject:
    """What of ``model`` is to be moved; and its data and noise, checked."""
    if isinstance(model, Engine):
        support = model.model.likelihood.support
        x = check_data(X, model.model.n_features, support, xp=array_module(X))
        shape = (1, len(x), model.model.n_noise)
        eps = rng.standard_normal(shape) if eps is None else checked_noise(eps, *shape[1:])
        engine = moved_engine(model, model.theta.astype("float64"))
        noise = Noise(engine.backend.asarray(eps, "float64"))
        if "theta.mu" in engine.P:
            zeta = rng.standard_normal(engine.P["theta.mu"].size)
            noise = noise._replace(zeta=engine.backend.asarray(zeta))
        return EngineSubject(engine, load_rows(engine, x[:], 1.0, engine.work).copy(), noise)
    named_by_us = getattr(type(model), "parameters", None) is GenerativeModel.parameters
    if isinstance(model, GenerativeModel) and named_by_us:
        if not callable(getattr(model, "loss_and_grad", None)):
            raise ParameterError(f"{type(model).__name__} has no loss_and_grad to check")
        return ModelSubject(model, X, eps, rng)
    if isinstance(model, type) or not isinstance(model, Differentiable):
        what = model.__name__ if isinstance(model, type) else type(model).__name__
        kind = "a class, not an object" if isinstance(model, type) else "no such object"
        raise ParameterError(
            f"{what} is {kind} with parameters and loss_and_grad(X, eps), which is what is checked"
        )
    return ForeignSubject(model, X, eps)


# ---- what a loss_and_grad takes and returns


def takes(call: Callable[..., Any], *arguments: Any, **more: Any) -> bool:
    """Whether a function can be called like this, as far as can be told."""
    try:
        inspect.signature(call).bind(*arguments, **more)
    except TypeError:
        return False
    except ValueError:  # it has no signature
        return True
    return True


def check_takes(name: str, call: Callable[..., Any], *arguments: Any, **more: Any) -> None:
    """Raise a ParameterError unless it takes X and eps."""
    if not takes(call, *arguments, **more):
        raise ParameterError(f"loss_and_grad of {name} does not take (X, eps); it must")


def number(name: str, loss: Any) -> float:
    """A loss as a number."""
    value = to_numpy(loss)
    if value.ndim == 0 and value.dtype.kind in "biuf":
        return float(value)
    what = f"of shape {value.shape}" if value.ndim else type(loss).__name__
    raise ParameterError(f"the loss of {name} is {what}; it must be one real number")


def loss_and_gradient(
    name: str, returned: Any, shapes: Mapping[str, Shape]
) -> tuple[float, numpy.ndarray]:
    """What a ``loss_and_grad`` returned: the loss, and its gradient as one copy (P,)."""
    if not isinstance(returned, tuple | list) or len(returned) != 2:
        raise ParameterError(
            f"loss_and_grad of {name} returned {type(returned).__name__}, not (loss, gradient)"
        )
    loss, grads = number(name, returned[0]), returned[1]
    if not isinstance(grads, Mapping):
        raise ParameterError(
            f"the gradient of {name} is {type(grads).__name__}; it must be a dict by parameter"
        )
    if wrong := [key for key in shapes if key not in grads]:
        raise ParameterError(f"the gradient of {name} lacks parameter {wrong[0]!r}")
    if wrong := [key for key in grads if key not in shapes]:
        raise ParameterError(f"the gradient of {name} has {wrong[0]!r}, which is no parameter")
    flat, start = numpy.empty(sum(map(prod, shapes.values()))), 0
    for key, shape in shapes.items():
        grad = to_numpy(grads[key])
        if grad.shape != shape:
            raise ParameterError(
                f"the gradient of {key!r} has shape {grad.shape}; the parameter has {shape}"
            )
        if grad.dtype.kind not in "biuf" or grad.dtype in (numpy.float32, numpy.float16):
            raise ParameterError(
                f"the gradient of {key!r} is {grad.dtype} where parameters are float64, too "
                "coarse to be checked; keep the dtype of the parameters"
            )
        flat[start : start + grad.size] = grad.ravel()
        start += grad.size
    return loss, flat


def check_repeats(name: str, loss: float, again: float) -> None:
    """Raise a ParameterError if the same parameters have two losses."""
    if numpy.isfinite([loss, again]).all() and abs(loss - again) > SAME * max(1, abs(loss)):
        raise ParameterError(
            f"loss_and_grad of {name} gave {loss:.6g} and then {again:.6g} for the same parameters "
            "and noise; hold all that is random in it"
        )


def on_complex_numbers(loss: Loss) -> Loss:
    """The same function; what keeps it from complex numbers is said in one line."""

    def call() -> complex:
        try:
            with warnings.catch_warnings():  # of an imaginary part that is dropped
                warnings.simplefilter("error", numpy.exceptions.ComplexWarning)
                return loss()
        except (NpvaeError, MemoryError):
            raise
        except Exception as error:  # a user's own formulas may raise anything
            first = shorten(str(error), 80, placeholder=" …")
            raise ParameterError(
                f"method='complex' needs formulas that take complex numbers, and one here does "
                f"not ({type(error).__name__}: {first}); take method='central'"
            ) from error

    return call
