"""JSON as npvae writes it, and nothing else.

Python's reader takes more than the standard: NaN, 1e400 as infinity, a name twice, of which the
last one wins, lists in lists until the stack is full. In a file that npvae wrote each is damage.
"""
import json
from math import isfinite
from typing import Any

DEPTH = 16  # lists and dicts in one another


def parse_json(text: str | bytes) -> Any:
    """What a text of standard JSON holds.

    Raises
    ------
    ValueError
        If it is not standard, has a name twice, or is nested too deep.

    Examples
    --------
    >>> parse_json('{"epoch": 1, "epoch": 2}')
    Traceback (most recent call last):
    ValueError: 'epoch' stands there twice
    """
    try:
        value = json.loads(text, parse_float=_finite, parse_constant=_finite,
                           object_pairs_hook=_once)  # fmt: skip
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    check_depth(value)
    return value


def check_depth(value: Any) -> None:
    """Raise a ValueError if lists and dicts are nested deeper than any that npvae writes."""
    level = [value]
    for _ in range(DEPTH):
        inner = [v for v in level if isinstance(v, (dict, list))]
        level = [x for v in inner for x in (v.values() if isinstance(v, dict) else v)]
        if not level:
            return
    raise ValueError(f"it is nested deeper than {DEPTH} levels")


def _finite(text: str) -> float:
    if not isfinite(number := float(text)):
        raise ValueError(f"{text[:40]} is no finite number")
    return number


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name[:40]!r} stands there twice")
        found[name] = value
    return found
