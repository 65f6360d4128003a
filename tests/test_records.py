"""Records against the standard library's frozen dataclasses, which they stand for."""
import copy
import dataclasses
import inspect
import pickle
from typing import ClassVar

import pytest

from npvae import records


def define(dataclass):
    """The same two classes by ``dataclass``."""

    @dataclass(frozen=True)
    class Base:
        kind: ClassVar[str] = "base"
        x: float
        hidden: int = dataclasses.field(default=0, repr=False)
        alike: int = dataclasses.field(default=0, compare=False)

    @dataclass(frozen=True)
    class Derived(Base):
        names: tuple = ("a",)

        def __repr__(self):
            return "its own"

    @dataclass(frozen=True)
    class Empty:
        pass

    return Base, Derived, Empty


OURS, THEIRS = define(records.dataclass), define(dataclasses.dataclass)
BOTH = pytest.mark.parametrize("base, derived, empty", [OURS, THEIRS], ids=["ours", "theirs"])


@dataclasses.dataclass(frozen=True)
class Own(OURS[0]):
    """What a user may derive."""

    y: float = 1.0


@BOTH
def test_equality_and_hash_are_by_class_and_compared_fields(base, derived, empty):
    assert base(1.0) == base(1.0, alike=5) != base(1.0, 2)
    assert hash(base(1.0)) == hash(base(1.0, alike=5)) == hash((1.0, 0))
    assert derived(1.0) != base(1.0) and base(1.0) != (1.0, 0)
    assert empty() == empty() and hash(empty()) == hash(()) and len({base(1.0), base(1.0)}) == 1


@BOTH
def test_what_is_shown(base, derived, empty):
    name = base.__qualname__
    assert repr(base(1.0, 2)) == f"{name}(x=1.0, alike=0)" and repr(derived(1.0)) == "its own"
    assert repr(empty()) == f"{empty.__qualname__}()"


@BOTH
def test_nothing_is_assigned_or_deleted(base, derived, empty):
    for one, name in ((base(1.0), "x"), (base(1.0), "new"), (base(1.0), "kind"), (empty(), "x"),
                      (derived(1.0), "names"), (derived(1.0), "x")):  # fmt: skip
        with pytest.raises(dataclasses.FrozenInstanceError, match=f"cannot assign to .*'{name}'"):
            setattr(one, name, 2)
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot delete"):
        del base(1.0).x
    with pytest.raises(TypeError, match="non-frozen"):
        dataclasses.dataclass(type("Loose", (base,), {"__annotations__": {"y": int}, "y": 0}))


@pytest.mark.parametrize("i", range(3))
def test_fields_signature_and_documentation_are_theirs(i):
    ours, theirs = OURS[i], THEIRS[i]
    assert str(inspect.signature(ours)) == str(inspect.signature(theirs))
    assert list(map(str, dataclasses.fields(ours))) == list(map(str, dataclasses.fields(theirs)))
    assert ours.__doc__ == theirs.__doc__ and ours.__match_args__ == theirs.__match_args__


def test_copies_and_replacements():
    one = Own(1.0, y=3.0)
    for again in (copy.deepcopy(one), pickle.loads(pickle.dumps(one)), dataclasses.replace(one)):
        assert again == one
    assert dataclasses.replace(one, x=2.0) == Own(2.0, y=3.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.x = 2.0
