"""A figure through time, with the places where its level changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import median

from markupsafe import Markup

from edgeeff.report.drawing.axis import Axis
from edgeeff.report.drawing.marks import across, element, figure, line, text

_HEIGHT = 180


def trend(
    points: Sequence[tuple[float, float | None, float | None, str]],
    changes: Sequence[tuple[int, str]],
    axis: Axis,
    written: Callable[[float], str],
    ends: tuple[str, str],
    unit: str,
    label: str,
    colour: str = "c0",
) -> Markup:
    """Runs in their order, each with its interval; levels between changes, and a line at each change.

    Args:
        points: Value, ends of the interval if there is one, and what is shown over the mark.
        changes: The place of the first run at a new level, and a few letters.
        axis: Of the values.
        written: How these are written.
        ends: What stands under the first and the last run.
        unit: Of the values.
        label: What the figure shows.
        colour: The class of the page's style that the bundle has.
    """

    def x(number: float) -> str:
        return across((number + 0.5) / len(points))

    def down(value: float) -> float:
        return _HEIGHT * (1 - axis.share(min(max(value, axis.low), axis.high)))

    marks = []
    for tick in axis.ticks:
        marks.append(line("0", down(tick), "100%", down(tick), "grid"))
        marks.append(text(written(tick), "0", down(tick) + 4, anchor="end", dx=-8))
    marks.append(text(unit, "0", -12, class_="axis", dx=-40))
    for first, end in pairwise([0, *(place for place, _ in changes), len(points)]):
        if end > first:
            level = down(median(value for value, *_ in points[first:end]))
            marks.append(line(x(first - 0.4), level, x(end - 0.6), level, "level"))
    for number, (value, low, high, title) in enumerate(points):
        if low is not None and high is not None:
            marks.append(line(x(number), down(low), x(number), down(high), f"whisker {colour}"))
        marks.append(
            element("circle", title=title, cx=x(number), cy=down(value), r=3.5, class_=f"mark {colour}")
        )
    for number, words in changes:
        marks.append(line(x(number - 0.5), 0, x(number - 0.5), _HEIGHT, "change"))
        left = number < len(points) / 2
        anchor, beside = ("start", 5) if left else ("end", -5)
        marks.append(text(words, x(number - 0.5), 10, anchor=anchor, dx=beside, class_="changed"))
    marks.append(text(ends[0], "0", _HEIGHT + 18))
    marks.append(text(ends[1], "100%", _HEIGHT + 18, anchor="end"))
    return figure(marks, _HEIGHT, label, "plot axes")
