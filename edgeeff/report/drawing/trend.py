"""A figure through time, with the places where its level changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from markupsafe import Markup

from edgeeff.report.drawing.axis import Axis
from edgeeff.report.drawing.marks import across, element, figure, line, text

_HEIGHT = 180


def trend(
    points: Sequence[tuple[str, float, float | None, float | None]],
    changes: Sequence[tuple[int, str]],
    axis: Axis,
    written: Callable[[float], str],
    unit: str,
    label: str,
) -> Markup:
    """Runs in their order, one beside the other, each with its interval; a line where the level changed."""

    def x(number: float) -> str:
        return across((number + 0.5) / len(points))

    def down(value: float) -> float:
        return _HEIGHT * (1 - axis.share(value))

    marks = []
    for tick in axis.ticks:
        marks.append(line("0", down(tick), "100%", down(tick), "grid"))
        marks.append(text(written(tick), "0", down(tick) + 4, anchor="end", dx=-8))
    marks.append(text(unit, "0", -10, class_="axis", dx=-40))
    for number, words in changes:
        marks.append(line(x(number - 0.5), 0, x(number - 0.5), _HEIGHT, "change"))
        left = number < len(points) / 2
        anchor, beside = ("start", 5) if left else ("end", -5)
        marks.append(text(words, x(number - 0.5), 10, anchor=anchor, dx=beside, class_="changed"))
    for number, (_, low, high, value) in enumerate((p[0], p[2], p[3], p[1]) for p in points):
        if low is not None and high is not None:
            marks.append(line(x(number), down(low), x(number), down(high), "whisker c0"))
        if number + 1 < len(points):
            marks.append(line(x(number), down(value), x(number + 1), down(points[number + 1][1]), "path"))
    for number, (when, value, *_) in enumerate(points):
        title = f"{when}: {written(value)} {unit}"
        marks.append(element("circle", title=title, cx=x(number), cy=down(value), r=3.5, class_="mark c0"))
    if points:
        marks.append(text(points[0][0][:10], "0", _HEIGHT + 18))
        marks.append(text(points[-1][0][:10], "100%", _HEIGHT + 18, anchor="end"))
    return figure(marks, _HEIGHT, label, "plot axes")
