"""Frozen dataclasses that cost little to define.

The standard library compiles six methods of every frozen dataclass, a third of a millisecond, and
a process that loads a model to decode one point defines dozens. Here ``__init__`` alone is
compiled; the others are closures over the names of the fields.
"""
import dataclasses
from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

PARAMS = "__dataclass_params__"

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(*, frozen: bool, eq: bool = True) -> Callable[[type], type]:
        """``dataclasses.dataclass(frozen=True)``, from which only the clock can tell it.

        Examples
        --------
        >>> @dataclass(frozen=True)
        ... class Point:
        ...     x: float
        ...     y: float = 0.0
        >>> point = Point(1.0)
        >>> point, point == Point(1.0, 0.0), dataclasses.replace(point, y=2.0)
        (Point(x=1.0, y=0.0), True, Point(x=1.0, y=2.0))
        >>> point.x = 3.0
        Traceback (most recent call last):
        dataclasses.FrozenInstanceError: cannot assign to field 'x'
        """
        assert frozen, "one that changes is the standard library's"

        def make(cls: type) -> type:
            own, bases = set(vars(cls)), cls.__mro__[1:]
            params = [vars(base)[PARAMS] for base in bases if PARAMS in vars(base)]
            for one in params:
                one.frozen = False  # or the library would compile what is below
            cls = dataclasses.dataclass(eq=False, repr=False)(cls)
            for one in (*params, vars(cls)[PARAMS]):
                one.frozen = True  # so that whoever derives a dataclass has to say it too
            for name, method in methods(dataclasses.fields(cls), eq).items():
                if name not in own:
                    setattr(cls, name, method)
            return cls

        return make


def methods(fields: tuple[dataclasses.Field[Any], ...], eq: bool) -> dict[str, Callable[..., Any]]:
    """The methods of a frozen dataclass with these fields, but for ``__init__``."""
    compared = [field.name for field in fields if field.compare]
    values: Callable[[Any], Any] = attrgetter(*compared) if compared else lambda self: ()
    shown = [field.name for field in fields if field.repr]
    assignable = {field.name for field in fields}

    def __eq__(self: Any, other: Any) -> Any:
        return values(self) == values(other) if type(self) is type(other) else NotImplemented

    def __hash__(self: Any) -> int:
        return hash(values(self))

    def __repr__(self: Any) -> str:
        inside = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
        return f"{type(self).__qualname__}({inside})"

    def __setattr__(self: Any, name: str, value: Any) -> None:
        if name not in assignable or name in vars(self):  # as __init__ assigns each once
            raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")
        object.__setattr__(self, name, value)

    def __delattr__(self: Any, name: str) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")

    made = (__repr__, __setattr__, __delattr__, *((__eq__, __hash__) if eq else ()))
    return {method.__name__: method for method in made}
