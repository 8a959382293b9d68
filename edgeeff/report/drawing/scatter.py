"""Points with letters: one figure of bundles against another, and which of them no other one beats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from edgeeff.report.drawing.axis import Axis
from edgeeff.report.drawing.marks import across, element, figure, line, text

_HEIGHT = 340
#: Pixels for which two names would lie on one another, and the width that is reckoned with.
_LINE, _WIDTH, _LETTER = 15, 620, 7.0


@dataclass(frozen=True)
class Point:
    """A bundle in the plane.

    Args:
        x: Less is better.
        y: More is better.
        letter: In the mark.
        name: Beside it.
        colour: Of the page's.
        interval: Of ``y``.
        title: What is shown over it.
    """

    x: float
    y: float
    letter: str
    name: str
    colour: int
    interval: tuple[float, float] | None = None
    title: str = ""


def front(points: Sequence[Point]) -> list[Point]:
    """Those that no other one beats in one figure without losing in the other, from left to right."""
    best: list[Point] = []
    for point in sorted(points, key=lambda p: (p.x, -p.y)):
        if not best or point.y > best[-1].y:
            best.append(point)
    return best


def scatter(
    points: Sequence[Point],
    x: Axis,
    y: Axis,
    *,
    labels: tuple[str, str],
    written: tuple[Callable[[float], str], Callable[[float], str]],
    label: str,
) -> Markup:
    """The figure; ``labels`` name the axes, ``written`` says how their values are written."""

    def down(value: float) -> float:
        return _HEIGHT * (1 - y.share(value))

    marks = []
    for tick in y.ticks:
        marks.append(line("0", down(tick), "100%", down(tick), "grid"))
        marks.append(text(written[1](tick), "0", down(tick) + 4, anchor="end", dx=-8))
    for tick in x.ticks:
        place = across(x.share(tick))
        marks.append(line(place, 0, place, _HEIGHT, "grid"))
        marks.append(text(written[0](tick), place, _HEIGHT + 18, anchor="middle"))
    marks.append(text(labels[0], "100%", _HEIGHT + 38, anchor="end", class_="axis"))
    marks.append(text(labels[1], "0", -14, class_="axis", dx=-40))
    best = front(points)
    for one, after in pairwise(best):
        a, b = across(x.share(one.x)), across(x.share(after.x))
        marks.append(line(a, down(one.y), b, down(one.y), "front"))
        marks.append(line(b, down(one.y), b, down(after.y), "front"))
    for point in points:
        if point.interval is not None:
            place, ends = across(x.share(point.x)), [max(y.low, min(y.high, end)) for end in point.interval]
            marks.append(line(place, down(ends[0]), place, down(ends[1]), f"whisker c{point.colour}"))
    for point, (foot, beside, anchor) in zip(points, _names(points, x, down), strict=True):
        at = across(x.share(point.x))
        style = f"mark c{point.colour}" + ("" if point in best else " beaten")
        marks.append(element("circle", title=point.title, cx=at, cy=down(point.y), r=11, class_=style))
        marks.append(text(point.letter, at, down(point.y) + 4, anchor="middle", class_="letter"))
        marks.append(text(point.name, at, foot, anchor=anchor, class_="name wide", dx=beside))
    return figure(marks, _HEIGHT, label, "plot axes")


def _names(
    points: Sequence[Point], x: Axis, down: Callable[[float], float]
) -> list[tuple[float, float, str]]:
    """Where the names stand, none on another: height in pixels, distance from the mark, and which end."""
    taken = [
        (x.share(p.x) * _WIDTH - 12, x.share(p.x) * _WIDTH + 12, down(p.y)) for p in points
    ]  # the marks themselves
    bars = [(x.share(p.x) * _WIDTH, sorted(map(down, p.interval))) for p in points if p.interval is not None]
    found = []
    for number, point in enumerate(points):
        left, length = x.share(point.x) * _WIDTH, _LETTER * len(point.name)
        others = taken[:number] + taken[number + 1 :]
        tried = []
        for shift in (0, -_LINE, _LINE, -2 * _LINE, 2 * _LINE, -3 * _LINE, 3 * _LINE):
            for anchor in ("start", "end"):
                begin = left + 16 if anchor == "start" else left - 16 - length
                height = down(point.y) + shift
                fits = begin >= 0 and begin + length <= _WIDTH and 0 <= height <= _HEIGHT
                free = all(begin + length < a or begin > b or abs(height - h) >= _LINE for a, b, h in others)
                clear = not any(
                    begin < place < begin + length and top < height < foot for place, (top, foot) in bars
                )
                tried.append(((fits, free, clear), height, begin, anchor))
        # Where no place has it all: on a bar a name is still read, beyond the page's edge it is not.
        _, height, begin, anchor = max(tried, key=lambda one: one[0])  # of equals the first
        taken.append((begin, begin + length, height))
        found.append((height + 4, 16.0 if anchor == "start" else -16.0, anchor))
    return found
