"""Whatever stands for real numbers, as arrays of them: what the methods of families take."""
from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any

from npvae.backend import array_module, is_device_array

METHODS = ("rsample", "log_prob", "entropy", "kl", "kl_normal", "mean")  # and their backward passes
FORWARD_ONLY = ("location", "std", "transform")
WHOLE = ("d_logp", "d_entropy", "d_kl")  # of a joint family one number for all its variables


def takes_numbers(family: type) -> None:
    """Let the methods that a class defines take numbers, lists and arrays of any real dtype.

    Arrays of floats go in as they are, and decide: a Python number is of their dtype. Where
    there are none, or whole numbers beside them, it is float64.
    """
    for name in (*METHODS, *(f"{name}_backward" for name in METHODS), *FORWARD_ONLY):
        if name in vars(family):
            setattr(family, name, with_arrays(vars(family)[name]))


def with_arrays(method: Callable) -> Callable:
    """``method``, whose arguments after ``self`` become arrays of floats."""
    names = list(signature(method).parameters)[1:]

    @wraps(method)
    def call(self: Any, *arguments: Any, **named: Any) -> Any:
        given = [*arguments, *named.values()]
        if not all(is_floating(a) for a in given):
            given = floating(given)
        if getattr(self, "joint", False):
            given = of_one_width(given, [*names[: len(arguments)], *named])
        n = len(arguments)
        return method(self, *given[:n], **dict(zip(named, given[n:], strict=True)))

    return call


def is_floating(a: Any) -> bool:
    """Whether it is an array, or a NumPy number, of floats; or of complex ones on a step."""
    return hasattr(a, "dtype") and a.dtype.kind in "fc"


def floating(arguments: list[Any]) -> list[Any]:
    """Arguments as arrays; those of floats as they are."""
    xp = array_module(next((a for a in arguments if is_device_array(a)), None))
    dtypes = [a.dtype for a in arguments if is_floating(a)]
    strong = [a for a in arguments if not isinstance(a, (bool, int, float)) and not is_floating(a)]
    widest = max(dtypes, key=lambda dtype: dtype.itemsize, default="float64")
    dtype = "float64" if strong else widest
    return [a if is_floating(a) else xp.asarray(a, dtype=dtype) for a in arguments]


def of_one_width(arguments: list[Any], names: list[str]) -> list[Any]:
    """Arguments whose last axis is that of the variables, all of which are as wide as the widest.

    The noise of several planes has an axis in front, and ``lower`` a width of its own.
    """
    own = [name not in WHOLE and name != "lower" for name in names]
    wide = max((a.shape[-1] for a, yes in zip(arguments, own, strict=True) if yes and a.ndim),
               default=1)  # fmt: skip
    result = []
    for a, name, yes in zip(arguments, names, own, strict=True):
        xp = array_module(a)
        if name == "lower" and a.ndim == 0:
            a = xp.broadcast_to(a, (wide * (wide - 1) // 2,))
        elif yes and (a.ndim == 0 or a.shape[-1] != wide):
            a = xp.broadcast_to(a, (*a.shape[:-1], wide))
        result.append(a)
    return result
