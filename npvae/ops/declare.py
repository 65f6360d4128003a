"""Declarations of ops: what a device must know of one, said once, above its body.

    @op(matrix, "x", scratch="gathered", multi_dtype="data", int64="rows")
    def gather(xp, data, rows, scale, gathered, x, **options): ...

says that its twin, in the ``.cu`` file beside, is launched as a matrix of the shape of ``x``,
needs no ``gathered``, reads ``data`` as they are stored and ``rows`` as int64. Arrays that no word
names have the model's dtype, and numbers become float64. ``@op()`` declares an op without a twin,
whose body runs on every device.
"""
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from npvae.ops.layouts import Launch, elements
from npvae.records import dataclass


@dataclass(frozen=True)
class Op:
    """The declaration of an op.

    Attributes
    ----------
    body : callable
        The op itself, on the arrays of any module ``xp``, its first argument.
    layout : callable or None
        How its twin is launched, by the sizes of the arguments ``shapes``; None if it has none.
        The last of ``shapes`` has the dtype for which the twin is compiled.
    scratch : tuple of str
        Working space, which a twin does not need.
    multi_dtype : str
        Data in one of several dtypes, for each of which there is a twin.
    dtypes : mapping of str to str
        Of the arrays and numbers that are not as the model's are.
    scalar_or_array : tuple of str
        Numbers that may come as arrays on the device, and so change between two replays.
    returns : bool
        Whether it returns a number. Its twin writes one, by a pointer after all other arguments.
    reads : str
        Of an activation h = f(u): whether its backward reads the ``"output"`` h or the
        ``"input"`` u, which the forward pass then leaves in ``a``.
    """

    body: Callable[..., Any]
    layout: Callable[..., Launch] | None
    shapes: tuple[str, ...]
    scratch: tuple[str, ...]
    multi_dtype: str
    dtypes: Mapping[str, str]
    scalar_or_array: tuple[str, ...]
    returns: bool
    reads: str

    @cached_property
    def arguments(self) -> tuple[str, ...]:
        """Names of the arguments after ``xp``."""
        code = self.body.__code__
        return code.co_varnames[1 : code.co_argcount]

    @property
    def blockable(self) -> bool:
        """Whether it works element by element over flat vectors, and so block by block."""
        return self.layout is elements and bool(self.scratch)


def op(
    layout: Callable[..., Launch] | None = None, shapes: str = "", *, scratch: str = "",
    multi_dtype: str = "", int64: str = "", uint64: str = "", float64: str = "", flags: str = "",
    scalar_or_array: str = "", returns: bool = False, reads: str = "",
) -> Callable[[Any], Any]:  # fmt: skip
    """Declare the function below: its ``declaration`` is an :class:`Op`. Words are its arguments.

    Examples
    --------
    >>> from npvae.ops.layouts import matrix
    >>> @op(matrix, "y", int64="rows")
    ... def twice(xp, x, rows, y): ...
    >>> twice.declaration.arguments, twice.declaration.dtypes
    (('x', 'rows', 'y'), {'rows': 'int64'})
    """
    kinds = {"int64": int64, "uint64": uint64, "float64": float64, "bool_": flags}

    def declare(body: Any) -> Any:
        body.declaration = Op(
            body, layout, tuple(shapes.split()), tuple(scratch.split()), multi_dtype,
            {word: dtype for dtype, words in kinds.items() for word in words.split()},
            tuple(scalar_or_array.split()), returns, reads,
        )  # fmt: skip
        return body

    return declare
