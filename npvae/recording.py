"""The calls of a training step, kept and repeated without Python.

A step does the same work every time, on the same buffers; between its kernels Python only finds
out what to call next. So the calls are written down, once and without being made, and steps are
these calls.

That is right only if kernels do all of it. What NumPy does in between would be missing, in silence.
So while a step is recorded its arrays are :class:`Watched`, which NumPy may not touch.
"""
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import numpy as np

from npvae.ops.cpu import twins

VIEWS = {"shape", "dtype", "ndim", "size", "strides", "flags", "itemsize", "nbytes", "T", "reshape"}


class Touched(Exception):
    """NumPy was to compute with a watched array, or to copy it."""


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise Touched


class Watched(np.ndarray):
    """An array of which views can be taken, and nothing else.

    Examples
    --------
    >>> a = np.ones((2, 3)).view(Watched)
    >>> a[:1].T.shape
    (3, 1)
    >>> a + a
    Traceback (most recent call last):
        ...
    npvae.recording.Touched
    """

    __array_ufunc__ = __array_function__ = __setitem__ = _refuse
    __float__ = __int__ = __bool__ = __index__ = __iter__ = _refuse

    def __getattribute__(self, name: str) -> Any:
        if name not in VIEWS and not name.startswith("__"):
            raise Touched
        return super().__getattribute__(name)

    def __getitem__(self, key: Any) -> Any:
        return view_of(self, super().__getitem__(key))

    def reshape(self, *shape: Any) -> Any:  # type: ignore[override]
        return view_of(self, super().reshape(*shape))


def view_of(whole: Any, result: Any) -> Any:
    """``result`` if it lies in ``whole``: a copy would keep the numbers of now."""
    if not np.may_share_memory(np.asarray(whole), np.asarray(result)):
        raise Touched
    return result


@contextmanager
def watched(holders: Sequence[Any]) -> Iterator[None]:
    """Inside, the arrays that are attributes of some objects, or lie in dicts, lists or tuples
    there, are watched.
    """
    swapped = [
        {name: value for name, value in vars(holder).items() if watch(value) is not value}
        for holder in holders
    ]
    try:
        for holder, values in zip(holders, swapped, strict=True):
            vars(holder).update({name: watch(value) for name, value in values.items()})
        yield
    finally:
        for holder, values in zip(holders, swapped, strict=True):
            vars(holder).update(values)


def watch(value: Any) -> Any:
    """The same value with watched arrays."""
    if type(value) is np.ndarray:
        return value.view(Watched)
    if type(value) is dict:
        return {key: watch(one) for key, one in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(watch, value))
    return value


def record(work: Callable[[], None], holders: Sequence[Any]) -> Callable[[], bool] | None:
    """What does ``work``, and tells whether it came to its end; nothing is done yet.

    None if NumPy touches an array of ``holders`` on the way, or there are no compiled ops.
    """
    module, _ = twins.library()
    if module is None:
        return None
    module.record()
    try:
        with watched(holders):
            work()
    except Touched:
        return None
    finally:
        calls = module.recorded()
    replay = module.replay
    return lambda: replay(calls)


def halt(numbers: Any) -> None:
    """Let repetitions of what is being recorded end here if the numbers are not finite."""
    module, _ = twins.library()
    if module is not None:
        module.halt(numbers)


def is_own(part: Any) -> bool:
    """Whether it is npvae's or Python's: an object of another class may count steps by itself."""
    return type(part).__module__.partition(".")[0] in ("npvae", "builtins")
