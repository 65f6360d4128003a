"""Charts for a page, as SVG by hand: no library, and colours that the page's style decides.

A colour is the name of one of the style's, as ``"sample"`` is ``var(--sample)``. A chart is drawn
for the width of a phone and scales up; of small ones two stand side by side there.
"""
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from math import ceil, floor, isfinite, log10
from typing import NamedTuple

NORMAL, SMALL = (360, 190), (180, 110)  # width and height
LEFT, RIGHT, TOP, BOTTOM = 46, 8, 8, 24
MOST = 200  # points of a curve: as many as can be told apart

Points = Sequence[tuple[float, float]]


class Curve(NamedTuple):
    """A line, with the colour that it has."""

    points: Points
    colour: str
    name: str = ""


class Axes(NamedTuple):
    """Where numbers lie on the page."""

    x: tuple[float, float]
    y: tuple[float, float]
    log: bool = False
    left: int = LEFT
    size: tuple[int, int] = NORMAL

    def at(self, x: float, y: float) -> tuple[float, float]:
        """The place of a point, its ``y`` kept within the axes."""
        (x0, x1), (y0, y1) = self.x, self.y
        y = log10(max(y, 10**y0)) if self.log else y
        across = (x - x0) / (x1 - x0)
        up = min(max((y - y0) / (y1 - y0), 0), 1)
        width, height = self.size
        return (self.left + across * (width - self.left - RIGHT),
                height - BOTTOM - up * (height - TOP - BOTTOM))  # fmt: skip


def lines(
    title: str, curves: Sequence[Curve], log: bool = False, level: float | None = None
) -> str:
    """Curves by epoch; with ``level`` a dotted line across. Empty if there is nothing to draw."""
    curves = [curve._replace(points=_some(curve.points, log)) for curve in curves]
    curves = [curve for curve in curves if curve.points]
    if not curves:
        return ""
    xs, ys = zip(*(point for curve in curves for point in curve.points), strict=True)
    ys = (*ys, level) if level is not None else ys
    axes = Axes(_range(xs, 1), _range([log10(y) for y in ys] if log else ys), log)
    parts = [_grid(axes)]
    if level is not None:
        parts.append(_path([axes.at(x, level) for x in axes.x], "bad", "dotted"))
    parts += [_path([axes.at(*p) for p in curve.points], curve.colour) for curve in curves]
    parts += [_dot(axes.at(*curve.points[-1]), curve.colour) for curve in curves]
    names = [(curve.colour, curve.name) for curve in curves if curve.name]
    return _figure(title, axes, parts, names)


def areas(title: str, shares: Mapping[str, tuple[str, Points]]) -> str:
    """Shares of a whole by epoch, one upon the other; each name with its colour."""
    points = [points for _, points in shares.values()]
    xs = [x for x, _ in points[0]]
    axes = Axes(_range(xs, 1), (0, 1))
    below, parts = [0.0] * len(xs), []
    for colour, part in shares.values():
        above = [low + y for low, (_, y) in zip(below, part, strict=True)]
        edge = [axes.at(x, y) for x, y in zip(xs, above, strict=True)]
        floor_ = [axes.at(x, y) for x, y in zip(xs, below, strict=True)]
        corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in (*edge, *reversed(floor_)))
        parts.append(f'<polygon class="area" fill="var(--{colour})" points="{corners}"/>')
        below = above
    return _figure(title, axes, [*parts, _grid(axes)],
                   [(colour, name) for name, (colour, _) in shares.items()])


def bars(
    title: str, edges: Sequence[float], counts: Sequence[float], before: Sequence[float]
) -> str:
    """A histogram, and as an outline the one that it was."""
    top = max(*counts, *before, 1)
    axes = Axes((edges[0], edges[-1]), (0, top), left=RIGHT, size=SMALL)
    parts = [_grid(axes, counts=False)]
    for low, high, n in zip(edges[:-1], edges[1:], counts, strict=True):
        (x0, y0), (x1, y1) = axes.at(low, n), axes.at(high, 0)
        if n:
            parts.append(f'<rect class="bar" x="{x0:.1f}" y="{y0:.1f}" width="{x1 - x0 - 0.5:.1f}" '
                         f'height="{y1 - y0:.1f}"/>')  # fmt: skip
    steps = [axes.at(x, n) for low, high, n in zip(edges[:-1], edges[1:], before, strict=True)
             for x in (low, high)]  # fmt: skip
    return _figure(title, axes, [*parts, _path(steps, "ink", "thin")], [])


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers between two, a step of 1, 2 or 5 times a power of ten apart.

    Examples
    --------
    >>> ticks(-31.4, -22.9)
    [-30.0, -28.0, -26.0, -24.0]
    """
    step = 10.0 ** floor(log10((high - low) / most))
    step *= next(k for k in (1, 2, 5, 10) if (high - low) / (k * step) <= most)
    first = ceil(low / step - 1e-9)
    last = floor(high / step + 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def log_ticks(low: float, high: float, most: int = 4) -> list[float]:
    """Powers of ten between 10^low and 10^high; where those are few, 2 and 5 times them too.

    Examples
    --------
    >>> log_ticks(-0.5, 0.5), log_ticks(-6, 2)
    ([0.5, 1.0, 2.0], [1e-06, 0.0001, 0.01, 1.0, 100.0])
    """
    digits = (1, 2, 5) if high - low < 1.5 else (1,)
    powers = range(floor(low), ceil(high) + 1)
    found = [d * 10.0**k for k in powers for d in digits if low - 1e-9 <= log10(d) + k <= high]
    return found[:: ceil(len(found) / (most + 2)) or 1]


def _some(points: Points, log: bool) -> list[tuple[float, float]]:
    """Finite points, evenly spaced if there are very many, and always the last."""
    good = [(x, y) for x, y in points if isfinite(y) and (y > 0 or not log)]
    every = ceil(len(good) / MOST) or 1
    return [*good[:-1:every], *good[-1:]]


def _range(values: Sequence[float], least: float = 1e-9) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high - low > least / 2 else (low - least / 2, low + least / 2)


def _grid(axes: Axes, counts: bool = True) -> str:
    """Lines and numbers of both axes."""
    (width, height), (x0, x1), (y0, y1) = axes.size, axes.x, axes.y
    parts = list[str]()
    for x in ticks(x0, x1):
        at, _ = axes.at(x, 1)
        parts.append(
            f'<text x="{at:.1f}" y="{height - 8}" text-anchor="middle">{_number(x)}</text>'
        )
    for y in (log_ticks if axes.log else ticks)(y0, y1, 4) if counts else ():
        _, at = axes.at(x0, y)
        parts.append(f'<path class="grid" d="M{axes.left} {at:.1f}H{width - RIGHT}"/>')
        parts.append(f'<text x="{axes.left - 5}" y="{at + 4:.1f}" text-anchor="end">'
                     f"{_number(y)}</text>")  # fmt: skip
    return "".join(parts)


def _number(value: float) -> str:
    return f"{value:g}".replace("-", "−")


def _path(points: Points, colour: str, kind: str = "") -> str:
    line = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return f'<path class="curve {kind}" stroke="var(--{colour})" d="M{line}"/>'


def _dot(point: tuple[float, float], colour: str) -> str:
    return f'<circle cx="{point[0]:.1f}" cy="{point[1]:.1f}" r="2.5" fill="var(--{colour})"/>'


def _figure(
    title: str, axes: Axes, parts: Sequence[str], names: Sequence[tuple[str, str]]
) -> str:
    keys = "".join(_keys(names))
    legend = f'<div class="legend">{keys}</div>' if keys else ""
    named, (width, height) = escape(title), axes.size
    return (f"<figure><figcaption>{named}{legend}</figcaption>"
            f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{named}">'
            f"{''.join(parts)}</svg></figure>")  # fmt: skip


def _keys(names: Sequence[tuple[str, str]]) -> Iterator[str]:
    for colour, name in names:
        yield (f'<span><i style="background:var(--{colour})"></i>{escape(name)}</span>')
