"""Constructor arguments: checked one by one, and kept in a form that a file can hold."""
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from numbers import Real
from typing import Any

import numpy as np

from npvae.errors import ParameterError


def whole_number(name: str, value: Any, least: int = 1) -> None:
    """Raise a ParameterError unless ``value`` is an int of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ParameterError(f"{name}={value!r} must be a whole number of at least {least}")


def widths(name: str, value: Any) -> tuple[int, ...]:
    """Layer widths as a tuple, or a ParameterError."""
    if not isinstance(value, (tuple, list, np.ndarray)):
        raise ParameterError(f"{name}={value!r} is not a tuple of widths; write e.g. (500,)")
    for width in value:
        whole_number(name, width)
    return tuple(value)


def positive(name: str, value: Any) -> None:
    """Raise a ParameterError unless ``value`` is a finite number above 0."""
    good = isinstance(value, (int, float, np.number)) and 0 < value < float("inf")
    if isinstance(value, bool) or not good:
        raise ParameterError(f"{name}={value!r} must be a number above 0")


def not_negative(name: str, value: Any) -> None:
    """Raise a ParameterError unless ``value`` is a finite number of at least 0."""
    good = isinstance(value, (int, float, np.number)) and 0 <= value < float("inf")
    if isinstance(value, bool) or not good:
        raise ParameterError(f"{name}={value!r} must be a number of at least 0")


def flag(name: str, value: Any) -> None:
    """Raise a ParameterError unless ``value`` is True or False, or 1 or 0."""
    if not isinstance(value, (bool, np.bool_, int)) or value not in (0, 1):
        raise ParameterError(f"{name}={value!r} must be True or False")


def one_of(name: str, value: Any, known: Iterable[str]) -> None:
    """Raise a ParameterError unless ``value`` is one of the names."""
    known = tuple(known)
    if not isinstance(value, str) or value not in known:
        raise ParameterError(f"{name}={value!r} is not known; choose from {', '.join(known)}")


def named(kind: str, value: Any, known: dict[str, type]) -> Any:
    """An object from its name, from the dict that a file keeps of it, or itself."""
    if isinstance(value, tuple(known.values())):
        return value
    options = dict(value) if isinstance(value, dict) else {"name": value}
    name = options.pop("name", None)
    one_of(kind, name, known)
    for key, option in options.items():
        if isinstance(option, dict):  # a schedule may hold another
            options[key] = named(kind, option, known)
        elif isinstance(option, list):  # as JSON keeps a tuple
            options[key] = tuple(option)
    try:
        made = known[name](**options)
    except TypeError as error:  # an option that it does not have
        raise ParameterError(f"{kind}={value!r} cannot be made: {error}") from error
    for field in fields(made):
        check_option(kind, field.name, getattr(made, field.name), field.default)
    return made


def check_option(kind: str, name: str, value: Any, default: Any) -> None:
    """Raise a ParameterError unless ``value`` is a number, or several, as its default is."""
    if isinstance(default, tuple):
        good = isinstance(value, tuple) and all(isinstance(v, Real) for v in value)
        wanted = "a tuple of numbers"
    else:
        good, wanted = isinstance(value, Real), "a number"
    if isinstance(default, (int, float, tuple)) and not good:
        raise ParameterError(f"{kind}: {name}={value!r} must be {wanted}, as {default!r} is")


def plain(value: Any) -> Any:
    """A constructor argument as JSON holds it."""
    if is_dataclass(value) and not isinstance(value, type):
        options = {field.name: plain(getattr(value, field.name)) for field in fields(value)}
        return {"name": type(value).__name__.lower(), **options}
    if isinstance(value, (tuple, list, np.ndarray)):
        return [plain(v) for v in value]
    return value.item() if isinstance(value, np.generic) else value
